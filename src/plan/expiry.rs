//! The expiry of a key, whether the vendor enforces it, by a fixed or changeable date, or Keysmith.

use super::capability::Support;
use super::desired::Desired;
use super::facts::Record;
use super::retry::plus;
use super::settings::Expiry;
use jiff::{SignedDuration, Timestamp};

/// No known vendor accepts a date less than a day ahead; a nearer one is met by a new key instead.
const NEAREST: SignedDuration = SignedDuration::from_hours(25);

/// A key's lifetime: who enforces it, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    support: Support,
    days: Option<u32>,
}

impl Term {
    /// A lifetime of `days`, enforced according to `support`.
    pub const fn new(support: Support, days: Option<u32>) -> Self {
        Self { support, days }
    }

    const fn of(desired: &Desired) -> Self {
        Self::new(desired.expiry, desired.expires_in_days)
    }

    fn lifetime(self) -> Option<SignedDuration> {
        self.days.map(|days| SignedDuration::from_hours(24 * i64::from(days)))
    }

    /// The desired expiry of the served key, if the vendor lets it be changed.
    pub fn wanted(self, record: &Record, now: Timestamp) -> Expiry {
        if self.support != Support::InPlace || record.serial.is_none() {
            return Expiry::Uncompared;
        }
        match self.lifetime().zip(record.created_at).map(|(days, created)| plus(created, days)) {
            Some(at) if at < plus(now, NEAREST) => Expiry::Uncompared,
            Some(at) => Expiry::At(at),
            None if self.days.is_none() => Expiry::Never,
            None => Expiry::Uncompared,
        }
    }

    /// The expiry for status, of a key created at `created` for which the vendor shows `shown`.
    pub fn recorded(self, created: Option<Timestamp>, shown: Option<Timestamp>) -> Option<Timestamp> {
        if self.support == Support::Operator {
            return Some(plus(created?, self.lifetime()?));
        }
        shown
    }
}

/// The desired expiry of the served key, if the vendor lets it be changed.
pub fn wanted(record: &Record, desired: &Desired, now: Timestamp) -> Expiry {
    Term::of(desired).wanted(record, now)
}

/// The expiry for status, of a key created at `created` for which the vendor shows `shown`.
pub fn recorded(
    created: Option<Timestamp>,
    shown: Option<Timestamp>,
    desired: &Desired,
) -> Option<Timestamp> {
    Term::of(desired).recorded(created, shown)
}

/// The expiry by which the rotation is scheduled: the specification may now require an earlier date than the vendor
/// has.
pub fn planned(record: &Record, desired: &Desired) -> Option<Timestamp> {
    let shown = recorded(record.created_at, record.expires_at, desired);
    // If the vendor does not show the ordered expiry, the specification still determines the schedule.
    if desired.expiry != Support::InPlace && shown.is_some() {
        return shown;
    }
    let specified = lifetime(desired).zip(record.created_at).map(|(days, created)| plus(created, days));
    [shown, specified].into_iter().flatten().min()
}

/// The expiry of a key that is created now.
pub fn of_new(desired: &Desired, now: Timestamp) -> Option<Timestamp> {
    lifetime(desired).map(|days| plus(now, days))
}

fn lifetime(desired: &Desired) -> Option<SignedDuration> {
    Term::of(desired).lifetime()
}
