//! Parses values that vendors write in more than one format.

use super::time;
use crate::plan::listing::Setting;
use crate::plan::money;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A time, in every format that vendors use; absent is "never".
pub fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?.unwrap_or_default();
    time::read(&value).map_err(serde::de::Error::custom)
}

/// Whether the text can be an id, as in `spec.externalId`: ids become segments of paths, and are shown to users.
pub fn is_id(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&text.len()) && !matches!(text, "." | "..") && text.bytes().all(word)
}

/// An id. Without one, the object cannot be fetched again.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if is_id(&id) { Ok(id) } else { Err(serde::de::Error::custom(NO_ID)) }
}

const NO_ID: &str = "an id that is no word of letters, digits, dots, hyphens and underscores";

/// An id that may be absent or null.
pub fn present_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(id) if !is_id(&id) => Err(serde::de::Error::custom(NO_ID)),
        id => Ok(id),
    }
}

/// The id of an organization or project, which is shown to users: a word, or a number.
pub fn account(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    is_id(&text).then_some(text)
}

/// Money as a number or as text, in millionths; absent, null and empty are `None`. Negative amounts count as zero;
/// digits beyond a millionth are cut off.
pub fn micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let malformed = || serde::de::Error::custom("an amount that is not a decimal number");
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => amount(&text).map(Some).ok_or_else(malformed),
        Some(Value::Number(number)) => amount(&number.to_string()).map(Some).ok_or_else(malformed),
        Some(_) => Err(malformed()),
    }
}

/// Money that may be negative, in millionths.
pub fn signed_micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    present_signed_micros(deserializer)?
        .ok_or_else(|| serde::de::Error::custom("an amount that is not there"))
}

/// Money that may be negative or missing, in millionths.
pub fn present_signed_micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(serde::de::Error::custom("an amount that is not a decimal number")),
    };
    let (owed, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
    // More than one sign is malformed.
    let micros = amount(digits).filter(|_| !digits.starts_with(['-', '+']));
    let micros = micros.and_then(|it| i64::try_from(it).ok());
    let micros = micros.ok_or_else(|| serde::de::Error::custom("an amount that is not a decimal number"))?;
    Ok(Some(if owed { -micros } else { micros }))
}

/// A decimal number in millionths.
pub fn amount(text: &str) -> Option<u64> {
    let plain = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain {
        let cut = text.find('.').map_or(text, |point| text.get(..point + 7).unwrap_or(text));
        if let Some(micros) = money::micros(cut.trim_end_matches('.')) {
            return Some(micros);
        }
    }
    // Negative, with an exponent, or too large.
    let number: f64 = text.parse().ok().filter(|it: &f64| it.is_finite())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as-casts of floats saturate"
    )]
    Some((number * 1_000_000.0) as u64)
}

/// Money, in millionths; distinguishes absent, with `#[serde(default)]`, from null.
pub fn present_micros<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Setting<u64>, D::Error> {
    micros(deserializer).map(Setting::shown)
}

/// A list that may be absent or null.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A field; distinguishes absent, with `#[serde(default)]`, from null.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Setting<T>, D::Error> {
    Option::deserialize(deserializer).map(Setting::shown)
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

    /// The time of a document that can be read, or an error.
    fn read(value: Value) -> Result<Option<Timestamp>, serde_json::Error> {
        serde_json::from_value::<Holder>(value).map(|holder| holder.at)
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
            assert_eq!(read(never.clone()).unwrap(), None, "{never}");
        }
    }

    #[test]
    fn amounts_are_read_as_numbers_and_as_text() {
        #[derive(Deserialize)]
        struct Purse {
            #[serde(default, deserialize_with = "micros")]
            amount: Option<u64>,
        }
        let table = [
            (json!("50.000000000"), Some(Some(50_000_000))),
            (json!(87.45), Some(Some(87_450_000))),
            (json!(3), Some(Some(3_000_000))),
            (json!(-0.5), Some(Some(0))),
            (json!("1e2"), Some(Some(100_000_000))),
            (json!(null), Some(None)),
            (json!(""), Some(None)),
            (json!("ten"), None),
            (json!("NaN"), None),
            (json!([]), None),
        ];
        for (value, expected) in table {
            let read = serde_json::from_value::<Purse>(json!({"amount": value})).ok().map(|it| it.amount);
            assert_eq!(read, expected, "{value}");
        }
    }

    #[test]
    fn times_are_read_as_text_and_as_seconds() {
        let expected = Some(Timestamp::from_second(1_767_225_600).unwrap());
        assert_eq!(read(json!({"at": "2026-01-01T00:00:00Z"})).unwrap(), expected);
        assert_eq!(read(json!({"at": 1_767_225_600})).unwrap(), expected);
        assert!(read(json!({"at": "yesterday"})).is_err());
        assert!(read(json!({"at": {}})).is_err());
    }
}
