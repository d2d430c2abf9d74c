//! Amounts of USD as Eden AI writes them: up to nine decimals, as a string in one answer and as a number in another
//! (§2.3).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::emulator::fields::{Fields, Given};

/// Billionths in one USD.
pub(super) const NANOS: i64 = 1_000_000_000;

/// The JSON form of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// `"50.000000000"`.
    Text,
    /// `50.0`.
    Number,
}

/// The JSON forms that a field accepts.
#[derive(Clone, Copy)]
pub(super) enum Forms {
    Only(Form),
    Either,
}

/// Reads an amount in billionths.
pub(super) fn read(fields: &mut Fields, name: &str, forms: Forms) -> Given<i64> {
    let (rule, text, number) = match forms {
        Forms::Only(Form::Text) => ("must be a decimal string", true, false),
        Forms::Only(Form::Number) => ("must be a number", false, true),
        Forms::Either => ("must be a decimal string or a number", true, true),
    };
    fields.read(name, rule, |value| match value {
        Value::String(given) if text => nanos(given),
        Value::Number(given) if number => nanos(&format!("{:.9}", given.as_f64()?)),
        _ => None,
    })
}

/// Shows an amount of billionths, or null.
#[expect(clippy::cast_precision_loss, reason = "a number is what the vendor sends, with all its faults")]
pub(super) fn show(nanos: Option<i64>, form: Form) -> Value {
    match (nanos, form) {
        (None, _) => Value::Null,
        (Some(nanos), Form::Number) => json!(nanos as f64 / NANOS as f64),
        (Some(nanos), Form::Text) => {
            let sign = if nanos < 0 { "-" } else { "" };
            let (whole, fraction) =
                (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
            json!(format!("{sign}{whole}.{fraction:09}"))
        }
    }
}

/// `^-?\d{0,5}(?:\.\d{0,9})?$`, the documented pattern.
fn nanos(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = [whole, fraction].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if !all_digits || whole.len() > 5 || fraction.len() > 9 || whole.len() + fraction.len() == 0 {
        return None;
    }
    let nanos: i64 = format!("{whole}{fraction:0<9}").parse().ok()?;
    Some(if negative { -nanos } else { nanos })
}
