-- The same for every kind of keysmith.dev: Ready is the summary, and stays True while a key is replaced.
local function find(wanted)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, condition in ipairs(obj.status.conditions) do
      if condition.type == wanted then
        return condition
      end
    end
  end
  return nil
end

local function is_true(wanted)
  local condition = find(wanted)
  return condition ~= nil and condition.status == "True"
end

local ready = find("Ready")
local message = "Waiting for Keysmith"
if ready ~= nil and ready.message ~= nil then
  message = ready.message
end

if obj.metadata.deletionTimestamp ~= nil then
  if ready ~= nil and ready.reason == "DeletionBlocked" then
    return {status = "Degraded", message = message}
  end
  return {status = "Progressing", message = message}
end

-- A status that speaks of an earlier generation says nothing of this one.
if ready == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for Keysmith"}
end
-- A key that leaked and still works is nothing to wait for, suspended or not.
if is_true("LeakOpen") then
  return {status = "Degraded", message = find("LeakOpen").message}
end
if obj.spec ~= nil and obj.spec.suspend == true then
  return {status = "Suspended", message = message}
end
if is_true("Stalled") then
  return {status = "Degraded", message = message}
end
if is_true("RotationOverdue") then
  return {status = "Degraded", message = find("RotationOverdue").message}
end
-- Applications are refused until a person raises the budget or its period ends.
if is_true("BudgetExhausted") then
  return {status = "Degraded", message = find("BudgetExhausted").message}
end
if ready.status == "True" then
  return {status = "Healthy", message = message}
end
return {status = "Progressing", message = message}
