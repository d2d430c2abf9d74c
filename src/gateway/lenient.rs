//! Reads what vendors write in more than one way.

use super::http::is_segment;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A timestamp: RFC 3339; absent, null, empty and year 1 (Go's zero time) are "never".
pub fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() || text.starts_with("0001-01-01") => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|_| serde::de::Error::custom("a time that is not RFC 3339"))
        }
        Some(Value::Number(seconds)) => {
            let seconds = seconds.as_i64().filter(|it| *it > 0);
            Ok(seconds.and_then(|it| Timestamp::from_second(it).ok()))
        }
        Some(_) => Err(serde::de::Error::custom("a time that is neither text nor number")),
    }
}

/// An id: text that can be a segment of a path. Without one, whatever it belongs to cannot be asked for again.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if is_segment(&id) {
        Ok(id)
    } else {
        Err(serde::de::Error::custom("an id that cannot be part of a path"))
    }
}

/// A list that may be absent or null.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A field that tells absent (`None`) from null (`Some(None)`).
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Deserialize)]
    struct Holder {
        #[serde(default, deserialize_with = "timestamp")]
        at: Option<Timestamp>,
    }

    fn read(value: Value) -> Option<Option<Timestamp>> {
        serde_json::from_value::<Holder>(value).ok().map(|holder| holder.at)
    }

    #[test]
    fn every_way_to_say_never_is_never() {
        for never in [
            json!({}),
            json!({"at": null}),
            json!({"at": ""}),
            json!({"at": "0001-01-01T00:00:00Z"}),
            json!({"at": 0}),
        ] {
            assert_eq!(read(never.clone()), Some(None), "{never}");
        }
    }

    #[test]
    fn times_are_read_as_text_and_as_seconds() {
        let expected = Some(Some(Timestamp::from_second(1_767_225_600).unwrap()));
        assert_eq!(read(json!({"at": "2026-01-01T00:00:00Z"})), expected);
        assert_eq!(read(json!({"at": 1_767_225_600})), expected);
        assert_eq!(read(json!({"at": "yesterday"})), None);
        assert_eq!(read(json!({"at": {}})), None);
    }
}
