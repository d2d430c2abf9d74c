//! The calendar: when budgets are reset, and which span a row of usage counts.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// How often a budget is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// At midnight.
    Daily,
    /// On Monday at midnight.
    Weekly,
    /// On the first of the month at midnight.
    Monthly,
}

/// A span of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    /// The first day of the current period in that time zone.
    pub(super) fn start(self, now: Timestamp, zone: &TimeZone) -> Date {
        let stretch = match self {
            Self::Daily => Stretch::Day,
            Self::Weekly => Stretch::Week,
            Self::Monthly => Stretch::Month,
        };
        stretch.start(now.to_zoned(zone.clone()).date())
    }
}

impl Stretch {
    /// Its first day.
    pub(super) fn start(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            // The Monday before the following day is the first day of the week of this date.
            Self::Week => {
                date.tomorrow().and_then(|next| next.nth_weekday(-1, Weekday::Monday)).unwrap_or(date)
            }
            Self::Month => date.first_of_month(),
            Self::Year => date.first_of_year(),
        }
    }
}

/// The day, UTC.
pub(super) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Midnight at the beginning of a day, UTC.
pub(super) fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}
