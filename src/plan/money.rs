//! Amounts of money: millionths in the code, decimal text in resources and messages.

use super::listing::Limit;
use crate::api::shared::Budget;

/// A decimal number, not negative, with at most six places, in millionths.
pub fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 || text.ends_with('.') {
        return None;
    }
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

/// Millionths as a decimal number: no decimal places for whole numbers, otherwise as many as needed but at least
/// two.
pub fn decimal(micros: u64) -> String {
    let (whole, part) = (micros / 1_000_000, micros % 1_000_000);
    if part == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{part:06}");
    let shortest = text.trim_end_matches('0').len().max(text.len() - 4);
    text[..shortest].to_owned()
}

/// A limit in the form used in resources.
pub fn budget(limit: Limit) -> Budget {
    Budget { amount: decimal(limit.micros), period: limit.period }
}

/// A limit from the form that `budget` writes.
pub fn limit(budget: &Budget) -> Option<Limit> {
    Some(Limit { micros: micros(&budget.amount)?, period: budget.period })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_exactly() {
        let table = [
            ("250", Some(250_000_000)),
            ("0.5", Some(500_000)),
            ("00012", Some(12_000_000)),
            ("1.000001", Some(1_000_001)),
            ("1.0000001", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("99999999999999999999", None),
            ("+5", None),
            (" 5", None),
            ("1,5", None),
        ];
        for (text, expected) in table {
            assert_eq!(micros(text), expected, "{text:?}");
        }
    }

    #[test]
    fn amounts_are_written_as_people_write_them() {
        for (micros, expected) in [(0, "0"), (250_000_000, "250"), (500_000, "0.50"), (1_000_001, "1.000001")]
        {
            assert_eq!(decimal(micros), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(amount in 0_u64..u64::MAX / 2) {
            prop_assert_eq!(micros(&decimal(amount)), Some(amount));
        }
    }
}
