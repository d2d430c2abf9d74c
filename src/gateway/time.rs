//! Parses times in the formats that vendors use; everything else is malformed. Malformed is not "never": a key whose
//! expiry cannot be read may expire.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

/// A number from here on is in a smaller unit than seconds: as milliseconds it is in the year 2001, before any key
/// was created, and as seconds it is out of range.
const END: i128 = 1_000_000_000_000;
/// Vendors use years beyond this one for "never".
const LAST: i16 = 2200;
const NANOS: i128 = 1_000_000_000;
/// Go's zero time in nanoseconds since 1970, taken for seconds, milliseconds and microseconds.
const ZERO_TIMES: [i128; 3] = [ZERO_TIME, ZERO_TIME * 1_000, ZERO_TIME * 1_000_000];
const ZERO_TIME: i128 = -62_135_596_800 * NANOS;

/// Parses a time. `Ok(None)` is "never": absent, null, empty, zero, the years 0 and 1 (Go's zero time), and every
/// year beyond 2200.
pub fn read(value: &Value) -> Result<Option<Timestamp>, &'static str> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => of_number(&number.to_string()),
        Value::String(text) => of_text(text.trim()),
        _ => Err("a time that is neither text nor number"),
    }
}

fn of_text(text: &str) -> Result<Option<Timestamp>, &'static str> {
    if text.is_empty() || text.starts_with("0000-00-00") {
        return Ok(None);
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if digits(whole) && digits(fraction) {
        // Eight digits are a date without hyphens rather than a second of the year 1970.
        return match whole.parse::<Date>() {
            Ok(date) if text.len() == 8 && date.year() >= 1970 => checked(start_of(date)),
            _ => of_number(text),
        };
    }
    if is_beyond(text) {
        return Ok(None);
    }
    checked(text.parse().ok().or_else(|| without_zone(text)))
}

/// A date, or a date with a time of day, in UTC. An offset or a zone that is malformed is not ignored.
fn without_zone(text: &str) -> Option<Timestamp> {
    if text.len() == "2026-12-31".len() {
        return text.parse().ok().and_then(start_of);
    }
    let clock = text.split_once(['T', 't', ' '])?.1;
    let plain = clock.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b','));
    let at: DateTime = text.parse().ok().filter(|_| plain)?;
    at.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp())
}

/// Whether the text is a date in the year 9999, whose last day fits no offset, or in a year of five or more digits.
fn is_beyond(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    let year = text.split('-').next().filter(|_| text.contains('-')).unwrap_or_default();
    let digits = year.bytes().all(|b| b.is_ascii_digit());
    let rest = text[year.len()..].bytes().all(|b| b.is_ascii_digit() || b"-+:.,TtZz ".contains(&b));
    digits && rest && (year == "9999" || (5..=6).contains(&year.trim_start_matches('0').len()))
}

fn start_of(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp())
}

fn checked(at: Option<Timestamp>) -> Result<Option<Timestamp>, &'static str> {
    let at = at.ok_or("a time in no form that is known")?;
    match at.to_zoned(TimeZone::UTC).year() {
        0 | 1 => Ok(None),
        2..=LAST => Ok(Some(at)),
        ..0 => Err("a time before the year 0"),
        _ => Ok(None),
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, by magnitude: each unit ends where the next one
/// means the year 2001.
fn of_number(text: &str) -> Result<Option<Timestamp>, &'static str> {
    let nanos = scaled(text).ok_or("a time that is no number of seconds")?;
    let end = END * NANOS;
    let nanos = match nanos {
        0 => return Ok(None),
        zero if ZERO_TIMES.contains(&zero) => return Ok(None),
        negative if negative < 0 => return Err("a time before 1970"),
        seconds if seconds < end => seconds,
        millis if millis < end * 1_000 => millis / 1_000,
        micros if micros < end * 1_000_000 => micros / 1_000_000,
        nanos if nanos < end * NANOS => nanos / NANOS,
        _ => return Err("a number that is no time"),
    };
    Timestamp::from_nanosecond(nanos).map_or(Ok(None), |at| checked(Some(at)))
}

/// A decimal number in billionths; further digits are cut off.
fn scaled(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (sign, whole) = whole.strip_prefix('-').map_or((1, whole), |whole| (-1, whole));
    if plain(whole) && plain(fraction) && (1..=24).contains(&whole.len()) {
        let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        let (whole, fraction): (i128, i128) = (whole.parse().ok()?, fraction.parse().ok()?);
        return Some(sign * (whole * NANOS + fraction));
    }
    // With an exponent, as large floats are written.
    let number: f64 = text.parse().ok().filter(|it: &f64| it.is_finite() && it.abs() < 1e24)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded above, and whole seconds are exact")]
    Some((number * 1e9) as i128)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_is_read_in_every_form_that_can_be_meant() {
        let new_year = "2026-12-31T10:00:00Z";
        let table = [
            (json!("2026-12-31T10:00:00Z"), new_year),
            (json!("2026-12-31T12:00:00+02:00"), new_year),
            (json!("2026-12-31T01:30:00-08:30"), new_year),
            (json!("2026-12-31 10:00:00Z"), new_year),
            (json!("2026-12-31 11:00:00+01:00"), new_year),
            (json!("2026-12-31t10:00:00z"), new_year),
            (json!("2026-12-31T10:00:00"), new_year),
            (json!("2026-12-31 10:00:00"), new_year),
            (json!(" 2026-12-31T10:00:00Z "), new_year),
            (json!("2026-12-31T10:00:00.25"), "2026-12-31T10:00:00.25Z"),
            (json!("2026-12-31T10:00:00.250Z"), "2026-12-31T10:00:00.25Z"),
            (json!("2026-12-31"), "2026-12-31T00:00:00Z"),
            (json!("20261231"), "2026-12-31T00:00:00Z"),
            (json!(1_798_711_200), new_year),
            (json!(1_798_711_200_000_u64), new_year),
            (json!(1_798_711_200_000_000_u64), new_year),
            (json!(1_798_711_200_000_000_000_u64), new_year),
            (json!("1798711200"), new_year),
            (json!("1798711200000"), new_year),
            (json!("1798711200000000000"), new_year),
            (json!(1_798_711_200.5), "2026-12-31T10:00:00.5Z"),
            (json!("1798711200.5"), "2026-12-31T10:00:00.5Z"),
            (json!(1_798_711_200_500.0), "2026-12-31T10:00:00.5Z"),
            (json!(1_798_711_200_500_000_000_u64), "2026-12-31T10:00:00.5Z"),
            (json!(1), "1970-01-01T00:00:01Z"),
            (json!(0.5), "1970-01-01T00:00:00.5Z"),
            (json!("2200-12-31T23:59:59Z"), "2200-12-31T23:59:59Z"),
        ];
        for (value, expected) in table {
            assert_eq!(read(&value), Ok(Some(at(expected))), "{value}");
        }
    }

    #[test]
    fn never_is_written_in_few_ways() {
        let never = [
            json!(null),
            json!(""),
            json!("  "),
            json!(0),
            json!(0.0),
            json!("0"),
            json!("0001-01-01T00:00:00Z"),
            json!("0001-01-01 00:00:00"),
            json!("0001-01-01"),
            json!("0000-01-01T00:00:00Z"),
            json!("0000-00-00 00:00:00"),
            json!("2201-01-01T00:00:00Z"),
            json!("9001-01-01T00:00:00Z"),
            json!("9999-12-31T23:59:59Z"),
            json!("9999-12-31T23:59:59.999999Z"),
            json!("9999-12-31 23:59:59+00:00"),
            json!("9999-12-31"),
            json!("10000-01-01T00:00:00Z"),
            json!("+010000-01-01T00:00:00Z"),
            json!(7_289_654_400_u64),
            json!(253_402_300_799_u64),
            json!(253_402_300_799_000_u64),
            json!(-62_135_596_800_i64),
            json!(-62_135_596_800_000_i64),
        ];
        for value in never {
            assert_eq!(read(&value), Ok(None), "{value}");
        }
    }

    #[test]
    fn what_is_no_time_is_an_error_and_never_never() {
        let strange = [
            json!(-1),
            json!(-1_798_711_200),
            json!(-0.5),
            json!("-1"),
            json!("-1798711200.5"),
            json!(1.8e29),
            json!(1e300),
            json!("1e10"),
            json!("NaN"),
            json!("inf"),
            json!("-000001-01-01T00:00:00Z"),
            json!("tomorrow"),
            json!("2026-13-01"),
            json!("2026-12-32T00:00:00Z"),
            json!("2026-12-31T10:00:00+99:00"),
            json!("2026-12-31T10:00:00 CET"),
            json!("2026-12-31T10:00:00[Nowhere/City]"),
            json!("31.12.2026"),
            json!("1.2.3"),
            json!(true),
            json!([]),
            json!({}),
            json!([1_798_711_200]),
        ];
        for value in strange {
            assert!(read(&value).is_err(), "{value}: {:?}", read(&value));
        }
    }

    /// Every border between two units.
    #[test]
    fn the_unit_follows_from_the_magnitude() {
        let end = i64::try_from(END).unwrap();
        assert_eq!(read(&json!(end - 1)), Ok(None));
        assert_eq!(read(&json!(end)), Ok(Some(at("2001-09-09T01:46:40Z"))));
        assert_eq!(read(&json!(end * 1_000 - 1_000)), Ok(None));
        assert!(read(&json!(1.0e23)).is_err());
    }
}
