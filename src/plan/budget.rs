//! The remaining budget at a rotation, for vendors that show it: the new key and the previous one share it for the
//! overlap, so that both together cannot spend more than the one key could.

use super::desired::Desired;
use super::facts::Facts;
use super::listing::{KeyId, Listed};
use super::requests::Cause;
use super::retry::plus;
use crate::api::shared::Period;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// The share of the remaining budget that the previous key keeps for the overlap: at least, and at most, this
/// percentage.
const LEAST_SHARE: u64 = 10;
const LARGEST_SHARE: u64 = 50;

/// The two shares of the remaining budget, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// What the new key may spend in the current period.
    pub new: u64,
    /// What the previous key may still spend; `None`: its budget is not changed, because it does not keep working.
    pub old: Option<u64>,
}

/// Whether the vendor shows the remaining budget of a key, so that its successor gets no more than that.
pub fn is_told(facts: &Facts, desired: &Desired) -> bool {
    desired.settings.budget.is_some() && facts.ability.tells_remaining && facts.record.id.is_some()
}

/// Shares the remaining budget of the served key; `None` if it is unknown, for example because the key is gone.
pub fn shares(
    served: Option<&Listed>,
    desired: &Desired,
    cause: Option<Cause>,
    now: Timestamp,
) -> Option<Shares> {
    let limit = desired.settings.budget?;
    let left = served?.remaining?.min(limit.micros);
    let works_on = cause.is_some_and(|it| it.overlaps() && it != Cause::KeyLost);
    if !works_on || desired.policy.overlap.is_zero() {
        return Some(Shares { new: left.max(1), old: None });
    }
    let rest = period_end(limit.period, &desired.zone, now).map(|end| end.duration_since(now));
    let old = left / 100 * share(desired.policy.overlap, rest)
        + left % 100 * share(desired.policy.overlap, rest) / 100;
    Some(Shares { new: (left - old).max(1), old: Some(old) })
}

/// The part of the rest of the period that the overlap takes, in percent. At an even rate of spending, both keys
/// then have enough.
fn share(overlap: SignedDuration, rest: Option<SignedDuration>) -> u64 {
    let Some(rest) = rest.map(|it| it.as_secs()).filter(|it| *it > 0) else {
        return LEAST_SHARE;
    };
    let percent = overlap.as_secs().saturating_mul(100) / rest;
    u64::try_from(percent).unwrap_or(LARGEST_SHARE).clamp(LEAST_SHARE, LARGEST_SHARE)
}

/// The new limit of the served key after a previous key of the same period was deleted and its remaining budget is
/// added.
pub fn given_back(
    retired: &Listed,
    served: &Listed,
    replaced_at: Timestamp,
    desired: &Desired,
    now: Timestamp,
) -> Option<u64> {
    let limit = desired.settings.budget?;
    let end = period_end(limit.period, &desired.zone, replaced_at);
    let same_period = end.is_none_or(|end| now < end);
    let (rest, left) = (retired.remaining.filter(|it| *it > 0)?, served.remaining?);
    same_period.then(|| left.saturating_add(rest).min(limit.micros))
}

/// The part of the budget that is reserved for previous keys: neither spent nor left for the served key. `left`:
/// the remaining budget of a key according to a listing.
pub fn parked(previous: &[crate::api::rotation::PreviousKey], left: impl Fn(&str) -> Option<u64>) -> u64 {
    let share = |key: &crate::api::rotation::PreviousKey| {
        let share = key.share.as_ref().or(key.cut_to.as_ref()).and_then(|it| super::money::micros(it))?;
        Some(left(&key.id).map_or(share, |left| left.min(share)))
    };
    previous.iter().filter(|key| !key.leaked).filter_map(share).fold(0, u64::saturating_add)
}

/// The next previous key whose budget must be cut, and the amount that it keeps.
pub fn to_cut(facts: &Facts) -> Option<(KeyId, u64)> {
    let cut = |key: &crate::api::rotation::PreviousKey| {
        let share = super::money::micros(key.cut_to.as_ref()?)?;
        Some((KeyId(key.id.clone()), share))
    };
    facts.record.previous.iter().filter(|key| !key.leaked && key.missing_since.is_none()).find_map(cut)
}

/// The end of the budget period that contains this time, in the vendor's time zone.
pub fn period_end(period: Period, zone: &str, now: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let today = now.to_zoned(zone.clone()).date();
    let next = match period {
        Period::Once => return None,
        Period::Daily => today.tomorrow().ok()?,
        Period::Weekly => {
            let days = 7 - i64::from(today.weekday().to_monday_zero_offset());
            today.checked_add(days.days()).ok()?
        }
        Period::Monthly => today.first_of_month().checked_add(1.month()).ok()?,
    };
    let end = next.to_zoned(zone).ok()?.timestamp();
    Some(end.max(plus(now, SignedDuration::from_secs(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_ends_at_midnight_of_the_vendors_zone() {
        let table = [
            (Period::Daily, "Europe/Paris", "2026-11-28T22:30:00Z", "2026-11-28T23:00:00Z"),
            (Period::Daily, "UTC", "2026-11-28T22:30:00Z", "2026-11-29T00:00:00Z"),
            (Period::Daily, "Europe/Paris", "2026-07-01T21:59:59Z", "2026-07-01T22:00:00Z"),
            (Period::Weekly, "Europe/Paris", "2026-11-29T22:59:59Z", "2026-11-29T23:00:00Z"),
            (Period::Monthly, "Europe/Paris", "2026-11-30T22:59:59Z", "2026-11-30T23:00:00Z"),
            (Period::Monthly, "Europe/Paris", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z"),
        ];
        for (period, zone, now, end) in table {
            assert_eq!(period_end(period, zone, at(now)), Some(at(end)), "{period:?} {zone} {now}");
        }
        assert_eq!(period_end(Period::Once, "UTC", at("2026-11-28T22:30:00Z")), None);
    }

    #[test]
    fn the_old_key_keeps_what_its_overlap_takes_of_the_period() {
        let hours = SignedDuration::from_hours;
        assert_eq!(share(hours(24), Some(hours(24 * 4))), 25);
        assert_eq!(share(hours(24), Some(hours(3))), LARGEST_SHARE);
        assert_eq!(share(hours(1), Some(hours(24 * 30))), LEAST_SHARE);
        assert_eq!(share(hours(24), None), LEAST_SHARE);
    }
}
