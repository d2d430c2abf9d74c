//! The conditions of a GatewayApiKey besides `Ready`: each is derived from the rest of status, and a change is an
//! event.

use super::super::desired::Desired;
use super::super::policy::Policy;
use super::super::{contest, duration, previous_keys, retry};
use super::Notice;
use crate::api::condition::{
    self, CONSUMERS_MISSING, Condition, EXPIRY_UNCONFIRMED, LEAK_OPEN, PREVIOUS_KEY_IN_USE, ROTATING,
    ROTATION_OVERDUE, SECRET_CONTESTED,
};
use crate::api::{EventReason, GatewayApiKeyStatus, Reason, Verdict};
use crate::plan::time::clock;
use jiff::Timestamp;

/// What becomes of the old key. `until`: the end of its overlap.
fn overlap(until: Timestamp, tells_use: bool, now: Timestamp) -> String {
    match (until <= now, tells_use) {
        (false, true) => format!(
            "the old key works beside the new one until {}, and longer while it is used, within spec.rotation.maxOverlap",
            clock(until)
        ),
        (false, false) => format!(
            "the old key works beside the new one until {}, and is revoked after that, whether it is used or not: applications have to read the Secret before",
            clock(until)
        ),
        (true, true) => {
            "the overlap is over: the old key works on while it is used, within spec.rotation.maxOverlap, or until it can be revoked".to_owned()
        }
        (true, false) => "the overlap is over: the old key is revoked as soon as that can be done".to_owned(),
    }
}

/// What a pass knows of a rotation beyond the status.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// Whether the replacement is overdue.
    pub overdue: bool,
    /// Whether the vendor tells when a key was last used, so that an old key works longer while it is.
    pub tells_use: bool,
}

/// Updates the conditions on rotation from the rest of status. Returns an event if one is due.
pub fn tell_of_rotation(
    status: &mut GatewayApiKeyStatus,
    Rotation { overdue, tells_use }: Rotation,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let conditions = &mut status.conditions;
    let mut news = None;
    let wanted = match (status.rotation_failures, status.previous.iter().map(|key| key.retire_after).max()) {
        (Some(failures), _) => {
            let next = status.next_rotation_time.map(clock).unwrap_or_default();
            let message =
                format!("replacing the key failed {failures} times in a row; tried again at {next}");
            Some(condition::condition(ROTATING, true, Reason::Replacing, &message, generation))
        }
        (None, Some(until)) => {
            let message = if status.previous.iter().any(|key| key.leaked) {
                "a leaked key is not revoked yet: condition LeakOpen says what prevents it".to_owned()
            } else if status.previous.iter().any(|key| key.disabled_at.is_some()) {
                "the old key is switched off, and is deleted when spec.rotation.brownOut is over; a longer spec.rotation.overlap switches it on again"
                    .to_owned()
            } else {
                overlap(until, tells_use, now)
            };
            Some(condition::condition(ROTATING, true, Reason::Overlap, &message, generation))
        }
        (None, None) => None,
    };
    match wanted {
        Some(wanted) => drop(condition::set(conditions, wanted, now)),
        None => conditions.retain(|it| it.type_ != ROTATING),
    }
    status.internal.rotation_overdue = overdue;
    if overdue {
        let expires = status.expires_at.map(|at| {
            format!("; the key stops working at {}, and applications have none from then on", clock(at))
        });
        let message = format!(
            "the key should have been replaced by now and was not: condition Ready says why{}",
            expires.unwrap_or_default()
        );
        let wanted = condition::condition(ROTATION_OVERDUE, true, Reason::Replacing, &message, generation);
        if condition::set(conditions, wanted, now) {
            news = Some(Notice::warning(EventReason::RotationOverdue, message));
        }
    } else {
        conditions.retain(|it| it.type_ != ROTATION_OVERDUE);
    }
    news
}

/// The condition for a previous key that was switched off or deleted although it was used shortly before.
pub fn still_in_use(policy: &Policy, generation: Option<i64>) -> Condition {
    let message = format!(
        "an application still used the old key {} after the new one was in the Secret, within {} before it was switched off, and probably \
         fails now; restart what did not read the Secret again, or list it in spec.rotation.restart",
        duration::format(policy.max_overlap),
        duration::format(previous_keys::quiet(policy))
    );
    condition::condition(PREVIOUS_KEY_IN_USE, true, Reason::StillInUse, &message, generation)
}

/// The events after workloads were restarted, or could not be.
pub fn restarted(restarted: &[String], missing: &[String], forbidden: &[String]) -> Vec<Notice> {
    let mut notices = Vec::new();
    if !restarted.is_empty() {
        notices.push(Notice::news(
            EventReason::ConsumersRestarted,
            format!("restarted for the new content of the Secret: {}", restarted.join(", ")),
        ));
    }
    if !missing.is_empty() {
        notices.push(Notice::warning(EventReason::ConsumersMissing, consumers_missing(missing)));
    }
    if !forbidden.is_empty() {
        let note = format!(
            "Kubernetes refused to restart {}; grant Keysmith patch on workloads (rbac.restartWorkloads in the chart) and look at \
             admission webhooks, then restart them by hand: it is not tried again for this content",
            forbidden.join(", ")
        );
        notices.push(Notice::warning(EventReason::ConsumersForbidden, note));
    }
    notices
}

fn consumers_missing(missing: &[String]) -> String {
    format!(
        "spec.rotation.restart names what does not exist: {}; if another workload is meant, it is not restarted for a new key, and fails when \
         the old one is revoked; correct spec.rotation.restart",
        missing.join(", ")
    )
}

/// The result of looking up the workloads to restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Workloads that do not exist, or selectors that match none.
    pub missing: Vec<String>,
    /// The error, if some could not be looked up.
    pub unseen: Option<String>,
}

/// Updates the condition `ConsumersMissing`; `None`: no workloads are to be restarted. Returns an event if one is
/// due.
pub fn tell_of_consumers(
    status: &mut GatewayApiKeyStatus,
    looked: Option<&Looked>,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(Looked { missing, unseen }) = looked else {
        status.internal.consumers_found_generation = None;
        status.conditions.retain(|it| it.type_ != CONSUMERS_MISSING);
        return None;
    };
    status.internal.consumers_found_generation =
        generation.filter(|_| missing.is_empty() && unseen.is_none());
    if let Some(error) = unseen.as_ref().filter(|_| missing.is_empty()) {
        let message = format!(
            "whether what spec.rotation.restart names exists is not known: {error}; grant Keysmith get, list and patch on workloads \
             (rbac.restartWorkloads in the chart), or nothing is restarted for a new key"
        );
        let wanted = condition::unknown(CONSUMERS_MISSING, Reason::ConsumersUnknown, &message, generation);
        condition::set(&mut status.conditions, wanted, now);
        return None;
    }
    if missing.is_empty() {
        let message = "everything that spec.rotation.restart names exists";
        let wanted =
            condition::condition(CONSUMERS_MISSING, false, Reason::ConsumersFound, message, generation);
        condition::set(&mut status.conditions, wanted, now);
        return None;
    }
    let message = consumers_missing(missing);
    let known =
        condition::find(&status.conditions, CONSUMERS_MISSING).is_some_and(|it| it.message == message);
    let wanted =
        condition::condition(CONSUMERS_MISSING, true, Reason::ConsumersNotFound, &message, generation);
    condition::set(&mut status.conditions, wanted, now);
    (!known).then(|| Notice::warning(EventReason::ConsumersMissing, message))
}

/// Whether a leaked key is not revoked yet: the annotation is not handled, or a previous key is leaked.
pub fn leak_is_open(status: &GatewayApiKeyStatus, asked: Option<&String>) -> bool {
    let asked = asked.is_some() && asked != status.last_handled_leaked.as_ref() && status.id.is_some();
    asked || status.previous.iter().any(|key| key.leaked)
}

/// The id of the leaked key that is not revoked yet.
pub fn leaked_key(status: &GatewayApiKeyStatus) -> Option<String> {
    let previous = status.previous.iter().find(|key| key.leaked).map(|key| key.id.clone());
    previous.or_else(|| status.id.clone())
}

/// The verdict while everything else is fine but a leaked key still works.
pub fn leak_pending(id: &str, observed: bool) -> Verdict {
    if observed {
        return Verdict::stalled(Reason::Leaked, leak_observed(id));
    }
    Verdict::reconciling(
        Reason::Leaked,
        format!("key {id} was declared leaked and still WORKS at the vendor; it is being revoked"),
    )
}

fn leak_observed(id: &str) -> String {
    format!(
        "key {id} was declared leaked and is only looked at (managementPolicy: Observe), so that Keysmith does NOT revoke it; either revoke it in \
         the vendor's console and then take the annotation keysmith.dev/leaked away, or set spec.managementPolicy: Manage, and Keysmith revokes it"
    )
}

/// Updates the condition `LeakOpen` from status, whose `Ready` names the obstacle. Returns an event if one is due.
pub fn tell_of_leak(
    status: &mut GatewayApiKeyStatus,
    open: bool,
    observed: bool,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(id) = leaked_key(status).filter(|_| open) else {
        status.conditions.retain(|it| it.type_ != LEAK_OPEN);
        return None;
    };
    let ready = condition::find(&status.conditions, condition::READY);
    let hindrance = ready.filter(|it| it.reason != Reason::Leaked.as_str() && it.status != "True");
    let tried = || match hindrance {
        Some(ready) => format!(
            "key {id} was declared leaked, and it is assumed that it still WORKS; Keysmith could not revoke it yet: {}; tried again at least once a minute; \
             revoke it in the vendor's console now",
            condition::first_clause(&ready.message)
        ),
        None => format!(
            "key {id} was declared leaked and still WORKS at the vendor until it is revoked, which is tried at least once a minute"
        ),
    };
    let message = if observed { leak_observed(&id) } else { tried() };
    let wanted = condition::condition(LEAK_OPEN, true, Reason::Leaked, &message, generation);
    condition::set(&mut status.conditions, wanted, now)
        .then(|| Notice::warning(EventReason::LeakOpen, message))
}

/// Updates the condition `SecretContested` from status. Returns an event if one is due.
pub fn tell_of_contest(
    status: &mut GatewayApiKeyStatus,
    secret: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(contest) = status.secret_contest.clone() else {
        status.conditions.retain(|it| it.type_ != SECRET_CONTESTED);
        return None;
    };
    let message = format!(
        "something in the cluster changes Secret {secret} back ({}): it was set right twice and is left as it is; an admission policy, webhook or \
         controller should leave Secrets with the label app.kubernetes.io/managed-by=keysmith alone; set right again after {}, or when you set the \
         annotation keysmith.dev/reconcile-requested-at to a new value",
        contest.differs.join(", "),
        clock(retry::plus(contest.since, contest::AGAIN))
    );
    let wanted = condition::condition(SECRET_CONTESTED, true, Reason::SecretContested, &message, generation);
    condition::set(&mut status.conditions, wanted, now)
        .then(|| Notice::warning(EventReason::SecretContested, message))
}

/// Updates the condition `ExpiryUnconfirmed`: a key was ordered with an expiry, and the vendor shows none. Returns
/// an event if one is due.
pub fn tell_of_expiry(
    status: &mut GatewayApiKeyStatus,
    desired: &Desired,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(days) = desired.expires_in_days.filter(|_| status.id.is_some() && status.expires_at.is_none())
    else {
        status.conditions.retain(|it| it.type_ != EXPIRY_UNCONFIRMED);
        return None;
    };
    let message = format!(
        "spec.expiresInDays: {days} was sent, and the vendor shows no expiry of the key: it may never stop working, or stop without notice; \
         it is replaced as if it expired {days} days after it was made; look at it in the vendor's console"
    );
    let wanted = condition::condition(EXPIRY_UNCONFIRMED, true, Reason::ExpiryNotShown, &message, generation);
    condition::set(&mut status.conditions, wanted, now)
        .then(|| Notice::warning(EventReason::ExpiryUnconfirmed, message))
}
