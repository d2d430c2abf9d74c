//! Leader election: which replica acts, and the next step of one replica.
//!
//! Leader election only saves calls; correctness does not depend on it. Claims, fences and compare-and-swap ensure
//! that each key is created once, even with two leaders. So this code may be wrong for a moment and stays simple.
//!
//! Clocks of replicas are not compared. A lease has expired if its record has not changed for its duration, by the
//! clock of the replica that looks. The holder stops acting earlier, counted from when it sent the last successful
//! renewal.

use jiff::SignedDuration;

/// The durations of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A leader that does not renew for this time has lost the lease.
    pub lease: SignedDuration,
    /// A leader stops acting if it could not renew for this time.
    pub renew: SignedDuration,
    /// Time between two renewals, and between two attempts to acquire.
    pub retry: SignedDuration,
}

impl Times {
    /// Refuses durations that would permit two leaders at once, or long times without one.
    pub fn new(lease: SignedDuration, renew: SignedDuration, retry: SignedDuration) -> Result<Self, String> {
        // Kubernetes stores whole seconds.
        if lease < SignedDuration::from_secs(1) || lease.subsec_nanos() != 0 {
            return Err(format!("--lease-duration: must be whole seconds and at least 1s, not {lease:#}"));
        }
        if lease.as_secs() > i64::from(i32::MAX) {
            return Err(format!("--lease-duration: must be shorter than {lease:#}"));
        }
        if renew >= lease {
            return Err(format!(
                "--renew-deadline: must be shorter than --lease-duration, which is {lease:#}"
            ));
        }
        if retry < SignedDuration::from_millis(100) {
            return Err("--retry-period: must be at least 100ms".to_owned());
        }
        if retry >= renew {
            return Err(format!("--retry-period: must be shorter than --renew-deadline, which is {renew:#}"));
        }
        Ok(Self { lease, renew, retry })
    }
}

/// The content of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The holder; `None` after a release.
    pub holder: Option<String>,
    /// How long the holder may stay silent.
    pub lasts: Option<SignedDuration>,
}

/// The role of this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Does not act.
    Candidate {
        /// Time since the record last changed.
        silent: SignedDuration,
        /// Time since an attempt to acquire this record failed.
        failed: Option<SignedDuration>,
    },
    /// Acts.
    Leader {
        /// Time since the last successful renewal was sent.
        unrenewed: SignedDuration,
        /// Time since the last renewal was sent, successful or not.
        untried: SignedDuration,
    },
}

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// This replica's identity, which no other replica has or ever had.
    pub identity: &'a str,
    /// The lease, if it exists.
    pub record: Option<&'a Record>,
    /// The role of this replica.
    pub role: Role,
    /// Whether its controllers are alive: a leader that does nothing must step down.
    pub alive: bool,
    /// The durations.
    pub times: Times,
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try to acquire the lease.
    Acquire,
    /// Renew the lease.
    Renew,
    /// Look again after this time, or when the lease changes.
    Wait(SignedDuration),
    /// Stop acting.
    StepDown(Why),
}

/// Why a leader stops acting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Another replica holds the lease, or the lease was released.
    Taken,
    /// The lease could not be renewed in time.
    Unrenewed,
    /// The controllers do not respond.
    Unwell,
    /// An operator of more shards leads, which may work for the same accounts.
    Divided,
}

/// The next step.
pub fn decide(facts: &Facts) -> Step {
    match facts.role {
        Role::Candidate { silent, failed } => acquire(facts, silent, failed),
        Role::Leader { unrenewed, untried } => hold(facts, unrenewed, untried),
    }
}

fn acquire(facts: &Facts, silent: SignedDuration, failed: Option<SignedDuration>) -> Step {
    if !facts.alive {
        return Step::Wait(facts.times.retry);
    }
    let pause = failed.map_or(SignedDuration::ZERO, |failed| facts.times.retry - failed);
    let rest = match facts.record {
        None => SignedDuration::ZERO,
        // A record of this replica's own, after a lost response or an ended leadership period: no other replica
        // acts under it.
        Some(record) if record.holder.as_deref().is_none_or(|it| it == facts.identity) => {
            SignedDuration::ZERO
        }
        Some(record) => record.lasts.unwrap_or(facts.times.lease) - silent,
    };
    let wait = rest.max(pause);
    if wait.is_positive() { Step::Wait(wait) } else { Step::Acquire }
}

fn hold(facts: &Facts, unrenewed: SignedDuration, untried: SignedDuration) -> Step {
    if !facts.alive {
        return Step::StepDown(Why::Unwell);
    }
    if unrenewed >= facts.times.renew {
        return Step::StepDown(Why::Unrenewed);
    }
    match facts.record {
        // The lease was deleted; the first replica to create it holds it.
        None => {}
        Some(record) if record.holder.as_deref() == Some(facts.identity) => {}
        Some(_) => return Step::StepDown(Why::Taken),
    }
    let wait = (facts.times.retry - untried).min(facts.times.renew - unrenewed);
    if wait.is_positive() { Step::Wait(wait) } else { Step::Renew }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    const TIMES: Times = Times { lease: seconds(15), renew: seconds(10), retry: seconds(2) };

    fn record(holder: Option<&str>, lasts: i64) -> Record {
        Record { holder: holder.map(str::to_owned), lasts: Some(seconds(lasts)) }
    }

    fn step(record: Option<&Record>, role: Role) -> Step {
        decide(&Facts { identity: "a", record, role, alive: true, times: TIMES })
    }

    fn candidate(record: Option<&Record>, silent: i64, failed: Option<i64>) -> Step {
        step(record, Role::Candidate { silent: seconds(silent), failed: failed.map(seconds) })
    }

    fn leader(record: Option<&Record>, unrenewed: i64, untried: i64) -> Step {
        step(record, Role::Leader { unrenewed: seconds(unrenewed), untried: seconds(untried) })
    }

    #[test]
    fn a_candidate_takes_what_nobody_has_and_waits_out_what_somebody_has() {
        let table = [
            ("no lease", None, 0, None, Step::Acquire),
            ("released", Some(record(None, 1)), 0, None, Step::Acquire),
            ("one's own", Some(record(Some("a"), 15)), 0, None, Step::Acquire),
            ("another's, fresh", Some(record(Some("b"), 15)), 0, None, Step::Wait(seconds(15))),
            ("another's, old", Some(record(Some("b"), 15)), 14, None, Step::Wait(seconds(1))),
            ("another's, over", Some(record(Some("b"), 15)), 15, None, Step::Acquire),
            ("it lasts as long as it says", Some(record(Some("b"), 60)), 15, None, Step::Wait(seconds(45))),
            ("over, just refused", Some(record(Some("b"), 15)), 20, Some(0), Step::Wait(seconds(2))),
            ("over, refused a while ago", Some(record(Some("b"), 15)), 20, Some(2), Step::Acquire),
            ("released, just refused", Some(record(None, 1)), 0, Some(1), Step::Wait(seconds(1))),
        ];
        for (what, record, silent, failed, expected) in table {
            assert_eq!(candidate(record.as_ref(), silent, failed), expected, "{what}");
        }
    }

    #[test]
    fn a_record_that_does_not_say_how_long_it_lasts_lasts_as_long_as_ones_own() {
        let record = Record { holder: Some("b".to_owned()), lasts: None };
        assert_eq!(candidate(Some(&record), 14, None), Step::Wait(seconds(1)));
        assert_eq!(candidate(Some(&record), 15, None), Step::Acquire);
    }

    #[test]
    fn a_leader_renews_in_time_and_ceases_to_act_when_it_cannot() {
        let own = Some(record(Some("a"), 15));
        let table = [
            ("just renewed", own.clone(), 0, 0, Step::Wait(seconds(2))),
            ("due", own.clone(), 2, 2, Step::Renew),
            ("failed a second ago", own.clone(), 5, 1, Step::Wait(seconds(1))),
            ("failed long ago", own.clone(), 9, 3, Step::Renew),
            ("too late", own, 10, 1, Step::StepDown(Why::Unrenewed)),
            ("another's", Some(record(Some("b"), 15)), 0, 0, Step::StepDown(Why::Taken)),
            ("released by somebody", Some(record(None, 1)), 0, 0, Step::StepDown(Why::Taken)),
            ("deleted by somebody", None, 3, 2, Step::Renew),
        ];
        for (what, record, unrenewed, untried, expected) in table {
            assert_eq!(leader(record.as_ref(), unrenewed, untried), expected, "{what}");
        }
        // It never waits past the deadline.
        let record = Some(record(Some("a"), 15));
        let nearly = Role::Leader { unrenewed: SignedDuration::from_millis(9500), untried: seconds(0) };
        assert_eq!(step(record.as_ref(), nearly), Step::Wait(SignedDuration::from_millis(500)));
    }

    #[test]
    fn who_is_unwell_neither_leads_nor_tries_to() {
        for (role, expected) in [
            (Role::Candidate { silent: seconds(99), failed: None }, Step::Wait(seconds(2))),
            (Role::Leader { unrenewed: seconds(0), untried: seconds(0) }, Step::StepDown(Why::Unwell)),
        ] {
            let facts = Facts { identity: "a", record: None, role, alive: false, times: TIMES };
            assert_eq!(decide(&facts), expected);
        }
    }

    #[test]
    fn a_leader_that_is_cut_off_ceases_to_act_before_anybody_can_take_its_place() {
        // Holds for every time of the renewal, every delay in other replicas, and all permitted durations.
        for lease in 2..20 {
            for renew in 2..lease {
                let times = Times::new(seconds(lease), seconds(renew), seconds(1)).unwrap();
                let own = Some(record(Some("a"), lease));
                for passed in 0..=lease {
                    let role = Role::Leader { unrenewed: seconds(passed), untried: seconds(0) };
                    let leading =
                        decide(&Facts { identity: "a", record: own.as_ref(), role, alive: true, times });
                    let role = Role::Candidate { silent: seconds(passed), failed: None };
                    let other =
                        decide(&Facts { identity: "b", record: own.as_ref(), role, alive: true, times });
                    let both = other == Step::Acquire && !matches!(leading, Step::StepDown(_));
                    assert!(!both, "lease {lease} s, renew {renew} s, {passed} s later");
                }
            }
        }
    }

    #[test]
    fn times_that_cannot_work_are_refused_by_name() {
        let table = [
            (15, 15, 2, "--renew-deadline"),
            (15, 20, 2, "--renew-deadline"),
            (15, 10, 10, "--retry-period"),
            (15, 10, 0, "--retry-period"),
            (0, 10, 2, "--lease-duration"),
            (i64::from(i32::MAX) + 1, 10, 2, "--lease-duration"),
        ];
        for (lease, renew, retry, flag) in table {
            let refused = Times::new(seconds(lease), seconds(renew), seconds(retry)).unwrap_err();
            assert!(refused.starts_with(flag), "{refused}");
        }
        let broken = Times::new(SignedDuration::from_millis(15_500), seconds(10), seconds(2)).unwrap_err();
        assert_eq!(broken, "--lease-duration: must be whole seconds and at least 1s, not 15s 500ms");
        assert_eq!(Times::new(seconds(15), seconds(10), seconds(2)), Ok(TIMES));
    }
}
