//! JSON patch (RFC 6902), as kube's finalizer helper sends it.

use serde_json::Value;

use super::failure::Failure;

/// Applies the operations in order; one invalid operation refuses all of them.
pub(super) fn apply(object: &mut Value, operations: &Value) -> Result<(), Failure> {
    let operations = operations.as_array().ok_or_else(|| Failure::bad_request("a JSON patch is a list"))?;
    operations.iter().try_for_each(|operation| step(object, operation).ok_or_else(rejected))?;
    // The result must still be an object that can be stored.
    if object["metadata"].is_object() { Ok(()) } else { Err(rejected()) }
}

/// The refusal of the real server: not a conflict, even when a `test` fails.
fn rejected() -> Failure {
    Failure::new(422, "Invalid", "the server rejected our request due to an error in our request")
}

fn step(object: &mut Value, operation: &Value) -> Option<()> {
    let path = operation["path"].as_str()?;
    let value = operation["value"].clone();
    match operation["op"].as_str()? {
        // A missing field equals null, as it does for the library the server uses.
        "test" => (object.pointer(path).unwrap_or(&Value::Null) == &value).then_some(()),
        "add" => add(object, path, value),
        "remove" => remove(object, path).map(drop),
        "replace" => object.pointer_mut(path).map(|place| *place = value),
        "move" => {
            let moved = remove(object, operation["from"].as_str()?)?;
            add(object, path, moved)
        }
        "copy" => {
            let copied = object.pointer(operation["from"].as_str()?)?.clone();
            add(object, path, copied)
        }
        _ => None,
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, last) = path.rsplit_once('/')?;
    match object.pointer_mut(parent)? {
        Value::Object(fields) => drop(fields.insert(unescaped(last), value)),
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let index = last.parse().ok().filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = path.rsplit_once('/')?;
    match object.pointer_mut(parent)? {
        Value::Object(fields) => fields.remove(&unescaped(last)),
        Value::Array(items) => {
            let index = last.parse().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}
