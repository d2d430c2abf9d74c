//! `Retry-After`, in every format of RFC 9110 (§10.2.3, §5.6.7): seconds, or a date in one of three formats.

use crate::plan::retry::{LONGEST_RETRY_AFTER, plus};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::{SignedDuration, Timestamp};

/// The earliest time of the next call that the vendor asks for: from now to an hour ahead. Of several values, the
/// latest counts; malformed values are ignored.
pub fn read(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let values = headers.get_all(RETRY_AFTER).iter();
    let asked = values.filter_map(|value| time(value.to_str().ok()?.trim(), now)).max()?;
    Some(asked.clamp(now, plus(now, LONGEST_RETRY_AFTER)))
}

fn time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(plus(now, SignedDuration::from_secs(text.parse().unwrap_or(i64::MAX))));
    }
    let date = httpdate::parse_http_date(text).ok();
    let date = date.map(|date| Timestamp::try_from(date).unwrap_or(Timestamp::MAX));
    // Some servers write the zone as an offset, which the three formats do not allow.
    date.or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|it| it.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(values: &[&str]) -> Option<i64> {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let headers = values.iter().map(|it| (RETRY_AFTER, it.parse().unwrap())).collect();
        read(&headers, now).map(|it| it.duration_since(now).as_secs())
    }

    #[test]
    fn every_form_of_a_retry_after_is_read() {
        let table = [
            ("30", Some(30)),
            (" 030 ", Some(30)),
            ("0", Some(0)),
            ("3601", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Sat, 21 Nov 2026 08:05:00 GMT", Some(300)),
            ("Saturday, 21-Nov-26 08:05:00 GMT", Some(300)),
            ("Sat Nov 21 08:05:00 2026", Some(300)),
            ("Sat, 21 Nov 2026 09:05:00 +0100", Some(300)),
            ("Sun Nov  1 08:05:00 2026", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sat, 21 Nov 99999 08:05:00 GMT", None),
            ("Sat, 32 Nov 2026 08:05:00 GMT", None),
            ("2026-11-21T08:05:00Z", None),
        ];
        for (value, expected) in table {
            assert_eq!(asked(&[value]), expected, "{value}");
        }
    }

    #[test]
    fn of_several_values_the_latest_counts_and_garbage_does_not() {
        assert_eq!(asked(&["10", "40", "20"]), Some(40));
        assert_eq!(asked(&["soon", "20", "-5"]), Some(20));
        assert_eq!(asked(&["soon", "-5"]), None);
        assert_eq!(asked(&[]), None);
    }
}
