//! What a pass concludes: as conditions for people, and as a record for later passes. No pass reads a condition back.

use super::condition::{self, Condition, READY, RECONCILING, Reason, STALLED, first_clause};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outcome of a reconciliation, as written to the conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the resource fulfils its purpose.
    pub ready: bool,
    /// Reason of the conditions.
    pub reason: Reason,
    /// One clause: what is wrong, what happens next and when, what to do.
    pub message: String,
    /// What happens next.
    pub course: Course,
    /// The kind of fault of the vendor call that failed, if the verdict is about one.
    pub fault: Option<&'static str>,
}

/// What happens next with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Nothing is left to do.
    Settled,
    /// Keysmith continues by itself.
    Reconciling,
    /// An object is missing that another tool usually creates within seconds: `Reconciling` for `PATIENCE`, then
    /// `Stalled`.
    Waiting,
    /// Only a change by a person can help.
    Stalled,
}

/// How long a missing reference is not a failure, because another controller may be about to create the object.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

impl Verdict {
    /// Everything is as specified.
    pub fn settled(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: true, reason, message: message.into(), course: Course::Settled, fault: None }
    }

    /// Not as specified yet; Keysmith continues by itself.
    pub fn reconciling(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Reconciling, fault: None }
    }

    /// An object is missing that another tool may create: reconciling for `PATIENCE`, then stalled.
    pub fn waiting(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Waiting, fault: None }
    }

    /// Only a change by a person can help.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Stalled, fault: None }
    }

    /// The verdict with `ready` set: an existing key keeps working.
    #[must_use]
    pub fn still_ready(self, ready: bool) -> Self {
        Self { ready, ..self }
    }

    /// The verdict, stalled if only a person can help.
    #[must_use]
    pub fn stalled_if(self, stalled: bool) -> Self {
        if stalled { Self { course: Course::Stalled, ..self } } else { self }
    }

    /// The verdict, about a vendor call that failed with this kind of fault.
    #[must_use]
    pub fn about(self, fault: &'static str) -> Self {
        Self { fault: Some(fault), ..self }
    }

    /// Updates `conditions` and the record of the last pass according to the verdict.
    pub fn apply(
        &self,
        conditions: &mut Vec<Condition>,
        last: &mut Option<LastPass>,
        generation: Option<i64>,
        now: Timestamp,
    ) {
        let stalled = self.is_stalled(last.as_ref(), now);
        *last = Some(LastPass {
            generation,
            works: self.ready,
            given_up: stalled && !self.ready && self.reason != Reason::BudgetSpent,
            fault: self.fault.map(str::to_owned),
            waiting: self.waits(last.as_ref(), now),
        });
        let wanted = |kind, message: &str| condition::condition(kind, true, self.reason, message, generation);
        let ready = condition::condition(READY, self.ready, self.reason, &self.message, generation);
        condition::set(conditions, ready, now);
        let kind = match self.course {
            Course::Settled => None,
            _ if stalled => Some(STALLED),
            _ => Some(RECONCILING),
        };
        let other = |it: &Condition| Some(it.type_.as_str()) != kind;
        conditions.retain(|it| ![RECONCILING, STALLED].contains(&it.type_.as_str()) || !other(it));
        let Some(kind) = kind else { return };
        let message = format!("{}; see condition Ready", first_clause(&self.message));
        condition::set(conditions, wanted(kind, &message), now);
    }

    /// Whether only a change by a person can help, at once or because a wait took too long.
    pub fn is_stalled(&self, last: Option<&LastPass>, now: Timestamp) -> bool {
        let overdue = |wait: Waiting| wait.ends_at() <= now;
        self.course == Course::Stalled || self.waits(last, now).is_some_and(overdue)
    }

    /// The wait for a missing object, if the verdict is about one: the same as in the last pass, or a new one.
    fn waits(&self, last: Option<&LastPass>, now: Timestamp) -> Option<Waiting> {
        let reason = self.reason.as_str();
        let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let same = last.and_then(|it| it.waiting.clone()).filter(|wait| wait.reason == reason);
        (self.course == Course::Waiting)
            .then(|| same.unwrap_or_else(|| Waiting { reason: reason.to_owned(), since }))
    }
}

/// What the last pass over a resource concluded, as far as later passes depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastPass {
    /// The generation that the pass was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Whether the resource fulfilled its purpose; for a key, that applications had one that works.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub works: bool,
    /// Whether nothing worked and only a change by a person could help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// The kind of fault, if a vendor call failed: the same fault again confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The wait for a missing object, if the resource waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// A wait for an object that another tool usually creates within seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Reason of the wait, as in the condition `Ready`.
    pub reason: String,
    /// When the wait began.
    pub since: Timestamp,
}

impl Waiting {
    fn ends_at(&self) -> Timestamp {
        self.since.checked_add(PATIENCE).unwrap_or(self.since)
    }
}

impl LastPass {
    /// The record that version 0.1 did not write, from the conditions that it wrote.
    pub fn of_conditions(conditions: &[Condition]) -> Option<Self> {
        let ready = condition::find(conditions, READY)?;
        let (works, stalled) = (ready.status == "True", condition::find(conditions, STALLED));
        let since = |it: &Condition, ago: SignedDuration| it.last_transition_time.0.checked_sub(ago).ok();
        let wait = |(it, ago)| Some(Waiting { reason: ready.reason.clone(), since: since(it, ago)? });
        let waited = condition::find(conditions, RECONCILING).map(|it| (it, SignedDuration::ZERO));
        Some(Self {
            generation: ready.observed_generation,
            works,
            given_up: stalled.is_some() && !works && ready.reason != Reason::BudgetSpent.as_str(),
            fault: None,
            waiting: waited.or(stalled.map(|it| (it, PATIENCE))).and_then(wait),
        })
    }

    /// Whether the pass gave this generation up.
    pub fn gave_up(&self, generation: Option<i64>) -> bool {
        self.given_up && self.generation == generation
    }

    /// When a missing object counts as missing for good; `None` unless a wait is in progress.
    pub fn gives_up_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting.as_ref().map(Waiting::ends_at).filter(|end| *end > now)
    }
}
