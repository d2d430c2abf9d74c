//! Equality of a value with the vendor's own spelling of it: another case, other blanks, another Unicode normal
//! form, fewer decimal places, or a date without time of day. Any other difference counts.

use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Units, in millionths, to which a vendor may round an amount: a cent and smaller.
const UNITS: [u64; 4] = [10_000, 1_000, 100, 10];
const DAY: i64 = 86_400;

/// The text in a form for comparison: composed (NFC), lower case, single blanks between words.
fn form(text: &str) -> String {
    let normalizer = const { ComposingNormalizerBorrowed::new_nfc() };
    let text = normalizer.normalize(text).to_lowercase();
    let text = normalizer.normalize(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether two texts are equal apart from spelling.
pub fn text(one: &str, other: &str) -> bool {
    one == other || form(one) == form(other)
}

/// Whether two lists hold the same texts, regardless of order and duplicates.
pub fn set(one: &[String], other: &[String]) -> bool {
    let forms = |list: &[String]| list.iter().map(|it| form(it)).collect::<BTreeSet<_>>();
    forms(one) == forms(other)
}

/// Whether `shown` can be `wanted` rounded by a vendor that keeps cents or a few more places. Zero equals only
/// zero.
pub fn amount(wanted: u64, shown: u64) -> bool {
    let rounded = |unit: &u64| shown.is_multiple_of(*unit) && shown.abs_diff(wanted) < *unit;
    wanted == shown || wanted > 0 && shown > 0 && UNITS.iter().any(rounded)
}

/// Whether `shown` can be `wanted` rounded by a vendor that keeps days, minutes or seconds. Times that differ by
/// less than `tolerance` are always equal.
pub fn time(wanted: Timestamp, shown: Timestamp, tolerance: SignedDuration) -> bool {
    let apart = shown.duration_since(wanted).abs();
    let of_day = shown.as_second().rem_euclid(DAY);
    let day_only = of_day == 0 || of_day == DAY - 1;
    apart <= tolerance || day_only && apart < SignedDuration::from_secs(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_mean_the_same() {
        for (one, other) in [
            ("Production Backend", "production backend"),
            ("  Production \t Backend ", "Production Backend"),
            ("Z\u{fc}rich", "Zu\u{308}rich"),
            ("\u{dc}ber", "u\u{308}BER"),
            ("Ann@Example.com", "ann@example.com"),
            ("a\u{a0}b", "a b"),
        ] {
            assert!(text(one, other) && text(other, one), "{one:?} {other:?}");
        }
        for (one, other) in [("a b", "ab"), ("Zürich", "Zurich"), ("a", ""), ("a-b", "a b"), ("a1", "a2")] {
            assert!(!text(one, other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn sets_that_hold_the_same() {
        let list =
            |text: &str| text.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        for (one, other) in [("a,b", "B,a"), ("a,a,b", "b,a"), (" A ,b", "a,b,b"), ("", "")] {
            assert!(set(&list(one), &list(other)), "{one:?} {other:?}");
        }
        for (one, other) in [("a,b", "a"), ("a", "a,b"), ("", "a"), ("openai/gpt-5", "openai/gpt-5.2")] {
            assert!(!set(&list(one), &list(other)), "{one:?} {other:?}");
        }
    }

    #[test]
    fn amounts_that_a_vendor_rounds() {
        let same = [
            (250_000_000, 250_000_000),
            (10_005_000, 10_010_000),
            (10_005_000, 10_000_000),
            (10_123_456, 10_123_400),
            (10_123_456, 10_123_500),
            (4_000, 10_000),
        ];
        for (wanted, shown) in same {
            assert!(amount(wanted, shown), "{wanted} {shown}");
        }
        let other = [
            (10_005_000, 10_020_000),
            (10_000_000, 10_005_000),
            (250_400_000, 250_000_000),
            (10_000_000, 9_990_000),
            (4_000, 0),
            (0, 4_000),
            (1, 2),
        ];
        for (wanted, shown) in other {
            assert!(!amount(wanted, shown), "{wanted} {shown}");
        }
    }

    #[test]
    fn times_that_a_vendor_cuts() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let same = |shown: &str| time(at("2026-12-31T10:20:30.5Z"), at(shown), SignedDuration::from_mins(1));
        for shown in [
            "2026-12-31T10:20:30Z",
            "2026-12-31T10:20:00Z",
            "2026-12-31T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "2026-12-31T23:59:59Z",
        ] {
            assert!(same(shown), "{shown}");
        }
        for shown in
            ["2026-12-31T10:00:00Z", "2026-12-30T00:00:00Z", "2027-01-02T00:00:00Z", "2026-12-31T12:00:00Z"]
        {
            assert!(!same(shown), "{shown}");
        }
    }
}
