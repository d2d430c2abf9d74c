//! When a key stops working, whoever sees to it: the vendor, by a date that is fixed or can be moved, or Keysmith.

use super::capability::Support;
use super::desired::Desired;
use super::facts::Record;
use super::retry::plus;
use super::same;
use jiff::{SignedDuration, Timestamp};

/// Dates that differ by less are the same: a vendor writes down when it was asked, we write down when it answered.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);
/// No vendor is known to take a date nearer than a day; one that would be nearer is met by a new key.
const NEAREST: SignedDuration = SignedDuration::from_hours(25);

/// What the date at the vendor should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It is not for us to change.
    #[default]
    Uncompared,
    /// There should be none.
    Never,
    /// About this.
    At(Timestamp),
}

impl Expiry {
    /// Whether the date that the vendor shows is another one.
    pub fn differs(self, shown: Option<Timestamp>) -> bool {
        match self {
            Self::Uncompared => false,
            Self::Never => shown.is_some(),
            Self::At(at) => shown.is_none_or(|shown| !same::time(at, shown, TOLERANCE)),
        }
    }

    /// The date to send.
    pub const fn date(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Uncompared | Self::Never => None,
        }
    }
}

/// What is said of a key's lifetime: who sees to its end, and after how many days that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    support: Support,
    days: Option<u32>,
}

impl Term {
    /// So many days, at a vendor that does so much about it.
    pub const fn new(support: Support, days: Option<u32>) -> Self {
        Self { support, days }
    }

    const fn of(desired: &Desired) -> Self {
        Self::new(desired.expiry, desired.expires_in_days)
    }

    fn lifetime(self) -> Option<SignedDuration> {
        self.days.map(|days| SignedDuration::from_hours(24 * i64::from(days)))
    }

    /// Which date the served key should have, where the vendor lets it be moved.
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

    /// What status says of a key made at `created`, for which the vendor shows `shown`.
    pub fn recorded(self, created: Option<Timestamp>, shown: Option<Timestamp>) -> Option<Timestamp> {
        if self.support == Support::Operator {
            return Some(plus(created?, self.lifetime()?));
        }
        shown
    }
}

/// Which date the served key should have, where the vendor lets it be moved.
pub fn wanted(record: &Record, desired: &Desired, now: Timestamp) -> Expiry {
    Term::of(desired).wanted(record, now)
}

/// What status says of a key made at `created`, for which the vendor shows `shown`.
pub fn recorded(
    created: Option<Timestamp>,
    shown: Option<Timestamp>,
    desired: &Desired,
) -> Option<Timestamp> {
    Term::of(desired).recorded(created, shown)
}

/// The date that its replacement is planned by: the specification may have come nearer than the vendor's date.
pub fn planned(record: &Record, desired: &Desired) -> Option<Timestamp> {
    let shown = recorded(record.created_at, record.expires_at, desired);
    // A date that was ordered and is not shown is planned by all the same.
    if desired.expiry != Support::InPlace && shown.is_some() {
        return shown;
    }
    let specified = lifetime(desired).zip(record.created_at).map(|(days, created)| plus(created, days));
    [shown, specified].into_iter().flatten().min()
}

/// When a key that is made now should stop working.
pub fn of_new(desired: &Desired, now: Timestamp) -> Option<Timestamp> {
    lifetime(desired).map(|days| plus(now, days))
}

fn lifetime(desired: &Desired) -> Option<SignedDuration> {
    Term::of(desired).lifetime()
}
