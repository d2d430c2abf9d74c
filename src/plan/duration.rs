//! Durations in Go's format (`720h`, `1h30m`, `90s`), as everywhere in Kubernetes.
//!
//! `kube::core::Duration` reads this format too, but it panics on a number that is too large and on a minus sign in
//! the middle, and reads an empty string as zero. A specification comes from any tenant and must not crash the
//! operator.

use super::spec_error::SpecError;
use jiff::fmt::friendly::{Designator, FractionalUnit, Spacing, SpanParser, SpanPrinter};
use jiff::{SignedDuration, Unit};

/// The longest accepted duration: ten years, longer than any key lives.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

const PARSER: SpanParser = SpanParser::new();
const PRINTER: SpanPrinter = SpanPrinter::new().designator(Designator::Compact).spacing(Spacing::None);

/// Reads a duration of `h`, `m`, `s` and `ms`, largest unit first, from zero to [`LONGEST`].
pub fn parse(field: &str, text: &str) -> Result<SignedDuration, SpecError> {
    let duration = read(text).ok_or_else(|| {
        let message = format!(
            "{text:?} is no duration; write hours, minutes and seconds, such as 720h (30 days), 1h30m or 90s"
        );
        SpecError::invalid(field, message)
    })?;
    if duration > LONGEST {
        let message = format!("{text} is too long; write at most {} (10 years)", format(LONGEST));
        return Err(SpecError::invalid(field, message));
    }
    Ok(duration)
}

/// The shortest way to write a duration, in Go's units: `720h`, `1h30m`, `1.5s`, `250ms`.
pub fn format(duration: SignedDuration) -> String {
    // Go writes fractions of a second as decimals, but uses a smaller unit below one second.
    let below_a_second = duration.abs() < SignedDuration::from_secs(1) && !duration.is_zero();
    let unit = (!below_a_second && duration.subsec_nanos() != 0).then_some(FractionalUnit::Second);
    PRINTER.fractional(unit).duration_to_string(&duration)
}

/// Restricts the parser's wider syntax to Go's: no words, no blanks, no sign, no days.
fn read(text: &str) -> Option<SignedDuration> {
    if text == "0" {
        return Some(SignedDuration::ZERO);
    }
    let plain = text.bytes().all(|it| it.is_ascii_digit() || b".hms".contains(&it));
    if !plain {
        return None;
    }
    // Anything finer than a millisecond, as in `0.00001s`, could not be written in these units again.
    PARSER.parse_duration(text).ok()?.round(Unit::Millisecond).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_go_writes_is_read() {
        let table = [
            ("720h", 720 * 3600 * 1000),
            ("720h0m0s", 720 * 3600 * 1000),
            ("1h30m", 5_400_000),
            ("1h0m5s", 3_605_000),
            ("90s", 90_000),
            ("90m", 5_400_000),
            ("1.5h", 5_400_000),
            ("1.5s", 1_500),
            ("1500ms", 1_500),
            ("1m30s250ms", 90_250),
            ("0.0004s", 0),
            ("0", 0),
            ("0s", 0),
            ("87600h", 87_600 * 3600 * 1000),
        ];
        for (text, millis) in table {
            assert_eq!(parse("f", text), Ok(SignedDuration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_field_and_what_to_write() {
        let table = [
            "", " ", "720", "30d", "4w", "-5s", "+5s", "1h-2h", "h", "1hh", "1h 30m", "1 h", "1hour", "1H",
            "PT1H", "30m1h", "1h1h", "nanh", "infh", "1e3s", "1..5s", ".", "1,5s", "5us", "٣h", "00:05:00",
        ];
        for text in table {
            let refusal = parse("spec.rotation.overlap", text).expect_err(text);
            assert_eq!(refusal.field, "spec.rotation.overlap", "{text}");
            assert!(refusal.message.contains("write hours, minutes and seconds"), "{text}: {refusal}");
        }
    }

    #[test]
    fn more_than_ten_years_is_refused_however_much_more() {
        for text in ["87600h1ms", "87601h", "2562047788015215h"] {
            let refusal = parse("f", text).expect_err(text);
            assert_eq!(refusal.message, format!("{text} is too long; write at most 87600h (10 years)"));
        }
        for digits in [20, 40, 4000] {
            assert!(parse("f", &format!("{}h", "9".repeat(digits))).is_err(), "{digits}");
        }
    }

    #[test]
    fn it_is_written_the_shortest_way() {
        let table = [
            (720 * 3600 * 1000, "720h"),
            (5_400_000, "1h30m"),
            (3_605_000, "1h5s"),
            (90_000, "1m30s"),
            (1_500, "1.5s"),
            (250, "250ms"),
            (0, "0s"),
        ];
        for (millis, text) in table {
            assert_eq!(format(SignedDuration::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(millis in 0_i64..=87_600 * 3600 * 1000) {
            let duration = SignedDuration::from_millis(millis);
            prop_assert_eq!(parse("f", &format(duration)), Ok(duration));
        }

        #[test]
        fn nothing_that_can_be_written_panics(text in "[-+ .0-9hmsuµnd]{0,40}|\\PC{0,20}") {
            if let Ok(duration) = parse("f", &text) {
                prop_assert!(!duration.is_negative() && duration <= LONGEST);
                prop_assert_eq!(parse("f", &format(duration)), Ok(duration));
            }
        }
    }
}
