//! Times as status and messages have them.

use jiff::Timestamp;

/// A time in messages: whole seconds, UTC.
pub fn clock(time: Timestamp) -> String {
    to_the_second(time).to_string()
}

/// Whole seconds, the precision of Kubernetes.
pub fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Last use of a key, rounded to the hour: a finer time would mean a status write for every call.
pub fn to_the_hour(shown: Option<Timestamp>, used: Option<Timestamp>) -> Option<Timestamp> {
    let hour =
        used.and_then(|it| Timestamp::from_second(it.as_second() - it.as_second().rem_euclid(3600)).ok());
    shown.max(hour)
}
