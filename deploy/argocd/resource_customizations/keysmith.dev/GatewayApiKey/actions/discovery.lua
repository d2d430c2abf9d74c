local suspended = obj.spec.suspend == true
local observed = obj.spec.managementPolicy == "Observe"
local has_key = obj.status ~= nil and obj.status.id ~= nil

local actions = {}
actions["reconcile"] = {["disabled"] = false}
-- A suspended key would be replaced once it goes on, which is not what somebody who presses this now wants.
actions["rotate"] = {["disabled"] = suspended or observed or not has_key}
actions["suspend"] = {["disabled"] = suspended}
actions["resume"] = {["disabled"] = not suspended}
return actions
