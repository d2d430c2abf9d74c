//! When to retry: exponential backoff with jitter from the resource's UID, so that a fleet does not retry at once
//! and a test can predict every delay.

use super::fault::{Fault, FaultKind};
use super::hash;
use jiff::{SignedDuration, Timestamp};

const FIRST: f64 = 2.0;
const LONGEST: f64 = 900.0;
/// Retry interval of a fault that only a change can fix.
const UNTIL_CHANGE: SignedDuration = SignedDuration::from_hours(1);
/// Further failures by a rate limit whose pause the vendor named do not lengthen the backoff.
const THROTTLED: u32 = 3;
/// Limit for a vendor's Retry-After.
pub const LONGEST_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// 2 s, 4 s, 8 s … 15 min, each times 0.75 to 1.25 by UID and attempt.
pub fn backoff(attempts: u32, uid: &str) -> SignedDuration {
    let exponent = f64::from(attempts.saturating_sub(1).min(20));
    let base = (FIRST * exponent.exp2()).min(LONGEST);
    let spread = 0.75 + 0.5 * hash::fraction(&[uid.as_bytes(), &attempts.to_be_bytes()]);
    seconds(base * spread)
}

/// When to retry after `fault`, the `attempts`-th failure in a row.
pub fn after(fault: &Fault, attempts: u32, uid: &str, now: Timestamp) -> Timestamp {
    // What slows the calls of a throttled account is the pause that the vendor named, and its rate limit. A resource that
    // was throttled several times must not wait ever longer while others, which just came, take its turns.
    let throttled = matches!(fault.kind, FaultKind::Throttled { until: Some(_) });
    let delay = backoff(if throttled { attempts.min(THROTTLED) } else { attempts }, uid);
    if fault.needs_a_person() {
        return plus(now, delay.max(UNTIL_CHANGE));
    }
    // Retry-After is a lower bound with jitter on top; it never shortens the backoff. Otherwise 0, one second or a
    // date in the past would make a tight loop.
    let spread = seconds(hash::fraction(&[uid.as_bytes()]));
    let asked = fault.kind.not_before().map(|until| plus(until.min(plus(now, LONGEST_RETRY_AFTER)), spread));
    plus(now, delay).max(asked.unwrap_or(now))
}

/// Adds without overflow.
pub fn plus(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `span` with a jitter of up to a tenth either way by UID, so that polls do not run at once.
pub fn jittered(span: SignedDuration, uid: &str) -> SignedDuration {
    let factor = 0.9 + 0.2 * hash::fraction(&[b"poll", uid.as_bytes()]);
    seconds(span.as_secs_f64() * factor)
}

fn seconds(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn delays_double_from_two_seconds_and_end_at_a_quarter_of_an_hour() {
        for attempts in 1..40 {
            let seconds = backoff(attempts, "u").as_secs_f64();
            let middle = (2.0 * f64::from(attempts - 1).exp2()).min(900.0);
            assert!((0.75 * middle..=1.25 * middle).contains(&seconds), "{attempts}: {seconds}");
        }
    }

    #[test]
    fn two_resources_do_not_move_in_step() {
        assert_ne!(backoff(5, "a"), backoff(5, "b"));
        assert_ne!(
            jittered(SignedDuration::from_secs(300), "a"),
            jittered(SignedDuration::from_secs(300), "b")
        );
    }

    #[test]
    fn retry_after_is_a_lower_bound_of_the_backoff_and_clamped() {
        let throttled = |attempts: u32| attempts.min(3);
        for (kind, counted) in [
            ((|until| FaultKind::Throttled { until }) as fn(_) -> _, throttled as fn(_) -> _),
            (|until| FaultKind::Failed { status: 503, until }, |attempts| attempts),
        ] {
            let backoff = |attempts: u32| backoff(counted(attempts), "u");
            let wait = |asked: i64, attempts| {
                let fault = Fault::without_effect(kind(Some(Timestamp::from_second(asked).unwrap())));
                after(&fault, attempts, "u", NOW).duration_since(NOW)
            };
            assert!((30..=31).contains(&wait(30, 1).as_secs()));
            assert!((3600..=3601).contains(&wait(1_000_000_000, 1).as_secs()));
            for attempts in 1..20 {
                for early in [-1_000_000, -5, 0, 1] {
                    assert!(wait(early, attempts) >= backoff(attempts), "{early} {attempts}");
                }
                assert_eq!(wait(0, attempts), backoff(attempts));
            }
        }
    }

    #[test]
    fn a_vendor_that_throttles_and_names_no_pause_is_asked_ever_more_rarely() {
        let wait = |attempts| {
            let fault = Fault::without_effect(FaultKind::Throttled { until: None });
            after(&fault, attempts, "u", NOW)
        };
        assert_eq!(wait(12), plus(NOW, backoff(12, "u")));
    }

    #[test]
    fn what_only_a_person_can_mend_is_tried_again_every_hour() {
        let table = [
            FaultKind::Rejected { status: 400, fields: vec![] },
            FaultKind::RejectedOurs { status: 400, fields: vec!["name"] },
            FaultKind::KeyLimit { status: 403 },
            FaultKind::NoCredit,
        ];
        for kind in table {
            let fault = Fault::without_effect(kind);
            assert!(fault.needs_a_person());
            assert_eq!(after(&fault, 1, "u", NOW), plus(NOW, UNTIL_CHANGE), "{fault}");
        }
    }
}
