//! Rotation windows: the hours of the week in which a rotation may begin.

use super::spec_error::SpecError;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use std::ops::Range;

/// How many days back an opening may have begun and still last: one day, and one more for time zones that once
/// skipped a whole date.
const DAYS_BACK: i32 = 2;
/// How many days to look ahead. One week contains every weekday; the other two are for a weekly opening in the hour
/// that the change to summer time skips.
const DAYS_AHEAD: i32 = 21;

/// The names of days that [`Window::parse`] accepts, in the order of the week.
const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// A window that opens once on each of its days, in the local time of its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The days on which it opens; empty means every day. A window that goes past midnight belongs to the day on
    /// which it opens.
    pub days: Vec<Weekday>,
    /// Opening time.
    pub from: Time,
    /// Closing time, exclusive: on the same day if later than `from`, otherwise on the next day. Equal times mean a
    /// whole day.
    pub until: Time,
    /// The time zone. A local time that summer time skips is moved later by the skipped span; of a repeated one,
    /// the first counts.
    pub zone: TimeZone,
}

/// A window as written in a specification.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Days such as `Mon`; empty means every day.
    pub days: &'a [String],
    /// Opening time, `HH:MM`.
    pub from: &'a str,
    /// Closing time, `HH:MM`.
    pub until: &'a str,
    /// A name of the IANA time zone database; default UTC.
    pub time_zone: Option<&'a str>,
}

/// The first time from `at` on at which a window is open, or `at` itself if there are no windows. `None` if no
/// window ever opens, for example near the end of representable time.
pub fn next_open(windows: &[Window], at: Timestamp) -> Option<Timestamp> {
    if windows.is_empty() {
        return Some(at);
    }
    let openings = windows.iter().flat_map(|window| window.openings(at));
    openings.filter(|opening| opening.end > at).map(|opening| opening.start.max(at)).min()
}

impl Window {
    /// Reads the window at `field`, such as `spec.rotation.windows[0]`.
    pub fn parse(field: &str, written: &Written<'_>) -> Result<Self, SpecError> {
        let days = written.days.iter().enumerate();
        Ok(Self {
            days: days.map(|(index, text)| day(field, index, text)).collect::<Result<_, _>>()?,
            from: time(&format!("{field}.from"), written.from)?,
            until: time(&format!("{field}.until"), written.until)?,
            zone: zone(field, written.time_zone)?,
        })
    }

    /// All openings that may be relevant at this time.
    fn openings(&self, at: Timestamp) -> impl Iterator<Item = Range<Timestamp>> {
        let today = at.to_zoned(self.zone.clone()).date();
        (-DAYS_BACK..=DAYS_AHEAD)
            .filter_map(move |offset| today.checked_add(offset.days()).ok())
            .filter(|day| self.days.is_empty() || self.days.contains(&day.weekday()))
            .filter_map(|day| self.opening(day))
    }

    /// The opening on this day; `None` if a change of the clocks leaves nothing of it.
    fn opening(&self, day: Date) -> Option<Range<Timestamp>> {
        let last = if self.until > self.from { day } else { day.tomorrow().ok()? };
        let opening = self.moment(day.to_datetime(self.from))?..self.moment(last.to_datetime(self.until))?;
        (!opening.is_empty()).then_some(opening)
    }

    fn moment(&self, shown: DateTime) -> Option<Timestamp> {
        self.zone.to_ambiguous_timestamp(shown).compatible().ok()
    }
}

fn day(field: &str, index: usize, text: &str) -> Result<Weekday, SpecError> {
    let found = DAYS.into_iter().find_map(|(name, day)| (name == text).then_some(day));
    found.ok_or_else(|| {
        let names = DAYS.map(|(name, _)| name).join(", ");
        SpecError::invalid(
            format!("{field}.days[{index}]"),
            format!("{text:?} is no day; write one of {names}"),
        )
    })
}

/// Exactly two digits, a colon, two digits: a looser rule would accept `9:30` and `21:3`.
fn time(field: &str, text: &str) -> Result<Time, SpecError> {
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|it| it.is_ascii_digit());
        if digits { part.parse::<i8>().ok() } else { None }
    };
    let (hour, minute) = text.split_once(':').unwrap_or((text, ""));
    let time = number(hour).zip(number(minute)).and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
    time.ok_or_else(|| {
        let message = format!("{text:?} is no time of day; write hours and minutes from 00:00 to 23:59");
        SpecError::invalid(field, message)
    })
}

/// The zone from the compiled-in database, so that the result does not depend on the machine.
fn zone(field: &str, name: Option<&str>) -> Result<TimeZone, SpecError> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    let zone = TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown());
    zone.ok_or_else(|| {
        let message =
            format!("{name:?} is no IANA time zone; write one such as Europe/Paris, or leave it out for UTC");
        SpecError::invalid(format!("{field}.timeZone"), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    /// Days, opening, closing and zone, such as `Mon,Tue 22:00-04:00 Europe/Paris`; `*` means every day.
    fn window(text: &str) -> Window {
        read(text).unwrap()
    }

    fn read(text: &str) -> Result<Window, SpecError> {
        let parts: Vec<_> = text.split(' ').collect();
        let days: Vec<_> = parts[0].split(',').filter(|it| *it != "*").map(str::to_owned).collect();
        let (from, until) = parts[1].split_once('-').unwrap();
        let time_zone = parts.get(2).copied();
        Window::parse("spec.rotation.windows[0]", &Written { days: &days, from, until, time_zone })
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Each row: a window, a time, and when it is open next; in the week of Monday 2026-11-16 unless the clocks
    /// change.
    fn check(table: &[(&str, &str, &str)]) {
        for (text, now, expected) in table {
            assert_eq!(next_open(&[window(text)], at(now)), Some(at(expected)), "{text} at {now}");
        }
    }

    #[test]
    fn a_window_opens_on_its_days_and_its_end_is_outside() {
        check(&[
            ("* 09:00-17:00", "2026-11-18T08:59:59Z", "2026-11-18T09:00:00Z"),
            ("* 09:00-17:00", "2026-11-18T09:00:00Z", "2026-11-18T09:00:00Z"),
            ("* 09:00-17:00", "2026-11-18T16:59:59.5Z", "2026-11-18T16:59:59.5Z"),
            ("* 09:00-17:00", "2026-11-18T17:00:00Z", "2026-11-19T09:00:00Z"),
            ("Mon 09:00-17:00", "2026-11-16T17:00:00Z", "2026-11-23T09:00:00Z"),
            ("Sun,Sat 09:00-17:00", "2026-11-18T12:00:00Z", "2026-11-21T09:00:00Z"),
            ("* 09:00-17:00 Asia/Kolkata", "2026-11-18T12:00:00Z", "2026-11-19T03:30:00Z"),
            // Monday begins in Auckland while it is still Sunday in UTC.
            ("Mon 09:00-17:00 Pacific/Auckland", "2026-11-14T12:00:00Z", "2026-11-15T20:00:00Z"),
        ]);
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_opens_on() {
        check(&[
            ("Mon 22:00-04:00", "2026-11-16T01:00:00Z", "2026-11-16T22:00:00Z"),
            ("Mon 22:00-04:00", "2026-11-17T03:59:00Z", "2026-11-17T03:59:00Z"),
            ("Mon 22:00-04:00", "2026-11-17T04:00:00Z", "2026-11-23T22:00:00Z"),
            ("Sun 22:00-04:00", "2026-11-16T01:00:00Z", "2026-11-16T01:00:00Z"),
            ("Mon 22:00-00:00", "2026-11-16T23:59:00Z", "2026-11-16T23:59:00Z"),
            ("Mon 22:00-00:00", "2026-11-17T00:00:00Z", "2026-11-23T22:00:00Z"),
        ]);
    }

    #[test]
    fn equal_ends_are_a_whole_day() {
        check(&[
            ("* 00:00-00:00", "2026-11-18T12:34:56Z", "2026-11-18T12:34:56Z"),
            ("Sat 00:00-00:00", "2026-11-18T12:00:00Z", "2026-11-21T00:00:00Z"),
            ("Sat 00:00-00:00", "2026-11-21T23:59:59Z", "2026-11-21T23:59:59Z"),
            ("Sat 00:00-00:00", "2026-11-22T00:00:00Z", "2026-11-28T00:00:00Z"),
            ("Sat 09:00-09:00", "2026-11-22T08:59:00Z", "2026-11-22T08:59:00Z"),
        ]);
    }

    #[test]
    fn an_hour_that_summer_time_takes_away_is_an_hour_later() {
        // In Paris 02:00 becomes 03:00 at 01:00Z on Sunday 2026-03-29.
        check(&[
            ("* 02:15-02:45 Europe/Paris", "2026-03-29T00:00:00Z", "2026-03-29T01:15:00Z"),
            ("* 02:15-02:45 Europe/Paris", "2026-03-29T01:45:00Z", "2026-03-30T00:15:00Z"),
            ("* 22:00-02:30 Europe/Paris", "2026-03-29T01:29:00Z", "2026-03-29T01:29:00Z"),
            ("* 22:00-02:30 Europe/Paris", "2026-03-29T01:30:00Z", "2026-03-29T20:00:00Z"),
            // Nothing is left of this opening, so the next one is a week later.
            ("Sun 02:30-03:15 Europe/Paris", "2026-03-22T12:00:00Z", "2026-04-05T00:30:00Z"),
        ]);
    }

    #[test]
    fn of_an_hour_that_comes_twice_the_first_counts() {
        // In Paris 03:00 becomes 02:00 at 01:00Z on Sunday 2026-10-25.
        check(&[
            ("* 02:15-02:45 Europe/Paris", "2026-10-24T22:00:00Z", "2026-10-25T00:15:00Z"),
            ("* 02:15-02:45 Europe/Paris", "2026-10-25T01:15:00Z", "2026-10-26T01:15:00Z"),
            ("* 02:30-04:00 Europe/Paris", "2026-10-25T02:59:00Z", "2026-10-25T02:59:00Z"),
            ("* 02:30-04:00 Europe/Paris", "2026-10-25T03:00:00Z", "2026-10-26T01:30:00Z"),
        ]);
    }

    #[test]
    fn a_date_that_a_zone_left_out_loses_no_window() {
        // Samoa had no Friday 2011-12-30: 24:00 on Thursday was 00:00 on Saturday, at 10:00Z.
        check(&[
            ("Fri 09:00-17:00 Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-30T19:00:00Z"),
            ("Thu 22:00-04:00 Pacific/Apia", "2011-12-30T13:00:00Z", "2011-12-30T13:00:00Z"),
        ]);
    }

    #[test]
    fn the_first_of_several_windows_counts_and_none_means_always() {
        let now = at("2026-11-18T12:00:00Z");
        let windows = [window("Sat 00:00-00:00"), window("Thu 03:00-04:00"), window("Fri 03:00-04:00")];
        assert_eq!(next_open(&windows, now), Some(at("2026-11-19T03:00:00Z")));
        assert_eq!(next_open(&[], now), Some(now));
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        for now in [Timestamp::MIN, Timestamp::MAX] {
            for zone in ["UTC", "Pacific/Auckland", "Pacific/Apia", "America/Adak"] {
                let open = next_open(&[window(&format!("* 09:00-08:00 {zone}"))], now);
                assert!(open.is_none_or(|open| open >= now), "{zone} at {now}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_field_and_what_to_write() {
        let table = [
            ("Mon,Tues 09:00-17:00", "days[1]", "Mon, Tue, Wed"),
            ("mon 09:00-17:00", "days[0]", "Mon, Tue, Wed"),
            ("* 9:00-17:00", "from", "00:00 to 23:59"),
            ("* 09-17:00", "from", "00:00 to 23:59"),
            ("* 09:00-24:00", "until", "00:00 to 23:59"),
            ("* 09:00-17:60", "until", "00:00 to 23:59"),
            ("* 09:00-17:00:00", "until", "00:00 to 23:59"),
            ("* 09:00-+7:00", "until", "00:00 to 23:59"),
            ("* 09:00-17:00 Europe/Pari", "timeZone", "Europe/Paris"),
            ("* 09:00-17:00 +02:00", "timeZone", "Europe/Paris"),
            ("* 09:00-17:00 Etc/Unknown", "timeZone", "Europe/Paris"),
            ("* 09:00-17:00 ../../etc/localtime", "timeZone", "Europe/Paris"),
            ("* 09:00-17:00 ", "timeZone", "Europe/Paris"),
        ];
        for (text, field, words) in table {
            let refusal = read(text).expect_err(text);
            assert_eq!(refusal.field, format!("spec.rotation.windows[0].{field}"), "{text}");
            assert!(refusal.message.contains(words), "{text}: {refusal}");
        }
    }

    /// Whether local time and weekday are in the window, an independent check that holds only away from a change of
    /// the clocks.
    fn shown_as_open(window: &Window, now: Timestamp) -> bool {
        let shown = now.to_zoned(window.zone.clone()).datetime();
        let on = |day: Weekday| window.days.is_empty() || window.days.contains(&day);
        let (today, yesterday) = (shown.date().weekday(), shown.date().weekday().previous());
        if window.from < window.until {
            on(today) && (window.from..window.until).contains(&shown.time())
        } else {
            on(today) && shown.time() >= window.from || on(yesterday) && shown.time() < window.until
        }
    }

    fn steady(window: &Window, now: Timestamp) -> bool {
        let day = SignedDuration::from_hours(24);
        let next = window.zone.following(now - day * 3).next();
        next.is_none_or(|change| change.timestamp() > now + day * 10)
    }

    fn any_window() -> impl Strategy<Value = Window> {
        let zones = ["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati"];
        let days = proptest::sample::subsequence(DAYS.map(|(_, day)| day).to_vec(), 0..=7);
        let clock = || {
            (0_i8..24, proptest::sample::select(vec![0_i8, 1, 30, 59]))
                .prop_map(|(hour, minute)| Time::new(hour, minute, 0, 0).unwrap())
        };
        (days, clock(), clock(), proptest::sample::select(zones.to_vec())).prop_map(
            |(days, from, until, name)| Window { days, from, until, zone: zone("", Some(name)).unwrap() },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_is_the_first_open_minute(
            windows in proptest::collection::vec(any_window(), 1..4),
            minutes in 0_i32..5 * 366 * 24 * 60,
        ) {
            let now = at("2024-01-01T00:00:00Z") + MINUTE * minutes;
            let open = next_open(&windows, now).unwrap();
            prop_assert!(open >= now);
            prop_assert_eq!(next_open(&windows, open), Some(open));
            let mut before = now;
            while before < open {
                prop_assert!(next_open(&windows, before) == Some(open), "differs at {}", before);
                before += MINUTE * 60;
            }
            if windows.iter().all(|window| steady(window, now)) {
                let shown = |now: Timestamp| windows.iter().any(|window| shown_as_open(window, now));
                prop_assert!(shown(open));
                let mut before = now;
                while before < open {
                    prop_assert!(!shown(before), "open already at {}", before);
                    before += MINUTE;
                }
            }
        }
    }
}
