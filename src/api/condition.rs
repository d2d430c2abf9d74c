//! Conditions and the closed list of their reasons.

use jiff::{SignedDuration, Timestamp};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The summary: True while the resource fulfils its purpose.
pub const READY: &str = "Ready";
/// kstatus: present and True while Keysmith still works towards the specification.
pub const RECONCILING: &str = "Reconciling";
/// kstatus: present and True if only a change by a person can help.
pub const STALLED: &str = "Stalled";
/// A rotation is in progress, or a previous key still works.
pub const ROTATING: &str = "Rotating";
/// A rotation is overdue and has failed more than once.
pub const ROTATION_OVERDUE: &str = "RotationOverdue";
/// A previous key was still used when its overlap ended.
pub const PREVIOUS_KEY_IN_USE: &str = "PreviousKeyInUse";
/// A key was declared leaked and is not revoked yet.
pub const LEAK_OPEN: &str = "LeakOpen";
/// Something in the cluster keeps changing the Secret back.
pub const SECRET_CONTESTED: &str = "SecretContested";
/// A key was ordered with an expiry, and the vendor shows none.
pub const EXPIRY_UNCONFIRMED: &str = "ExpiryUnconfirmed";
/// 80 % of a key's budget are spent. Unknown if no spending is read.
pub const BUDGET_LOW: &str = "BudgetLow";
/// A key's budget is spent, and the gateway refuses the key. Unknown if no spending is read.
pub const BUDGET_EXHAUSTED: &str = "BudgetExhausted";
/// `spec.rotation.restart` names workloads that do not exist.
pub const CONSUMERS_MISSING: &str = "ConsumersMissing";
/// The declared expiry of a ConsoleToken is near.
pub const EXPIRING_SOON: &str = "ExpiringSoon";

/// The balance of a ConsoleToken's account is below `spec.usage.lowBalance`.
pub const LOW_BALANCE: &str = "LowBalance";
/// The vendor shows project settings that differ from the specification.
pub const DRIFTED: &str = "Drifted";
/// Whether spending and balance could be read, if `spec.usage` is set.
pub const USAGE_READ: &str = "UsageRead";

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The reason of a condition: one closed list for all kinds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason with its meaning, for the documentation.
            pub const ALL: &[(Reason, &str)] = &[$((Reason::$name, concat!($($doc),+)),)+];

            /// The reason as written in a condition.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)+ }
            }
        }
    };
}

reasons! {
    /// The key exists at the vendor as specified and its Secret holds it
    Issued,
    /// The key is as specified, and the specification switches it off
    Disabled,
    /// The token was accepted by the vendor
    Verified,
    /// The settings at the vendor are as specified
    Applied,
    /// The provider key exists at the vendor as specified
    Deposited,
    /// The key is not managed by Keysmith, only observed
    Observed,
    /// spec.suspend is set: nothing is changed until it is removed
    Suspended,
    /// The key is being replaced
    Replacing,
    /// A new key is served, and the previous key still works
    Overlap,
    /// The previous key was used shortly before it was switched off or deleted
    StillInUse,
    /// Too many keys were created for this resource within a day
    MintingStopped,
    /// The key named in externalId does not exist
    ExternalKeyMissing,
    /// The key named in externalId belongs to another resource or another cluster
    OwnershipConflict,
    /// The key was declared leaked
    Leaked,
    /// The vendor does not show the key; a second look decides
    KeyMissing,
    /// The Secret is immutable and would have to be changed
    SecretImmutable,
    /// Something in the cluster keeps changing the Secret back
    SecretContested,
    /// The vendor shows no expiry of a key that was ordered with one
    ExpiryNotShown,
    /// The budget of the key is spent, and the gateway refuses the key
    BudgetSpent,
    /// 80 % of the budget of the key are spent
    BudgetNearlySpent,
    /// The key has budget left
    BudgetLeft,
    /// No spending of the key is read, so the state of its budget is unknown
    SpendingNotRead,
    /// Workloads to restart do not exist
    ConsumersNotFound,
    /// The workloads to restart exist
    ConsumersFound,
    /// It is unknown whether the workloads to restart exist
    ConsumersUnknown,
    /// Work is in progress that needs no attention
    Progressing,
    /// The outcome of a create call is unknown; Keysmith determines it before anything else
    Recovering,
    /// The vendor accepted a change but does not show it
    NotApplied,
    /// The declared expiry of the token has passed
    Expired,
    /// The referenced ConsoleToken does not exist
    ConsoleTokenMissing,
    /// The referenced ConsoleToken is not Ready
    ConsoleTokenNotReady,
    /// The vendor does not accept the token (401)
    TokenRefused,
    /// The token leads to another account than the one in which the keys were created
    AccountChanged,
    /// None of the recorded keys is listed, as if the token led to another account
    AccountSuspicious,
    /// The token may not do this (403)
    Forbidden,
    /// The operator's allow-list does not contain the endpoint
    EndpointNotAdmitted,
    /// A referenced Secret, or a key in it, does not exist
    SecretMissing,
    /// The content of a referenced Secret is invalid
    SecretInvalid,
    /// The target Secret belongs to another owner
    SecretConflict,
    /// Kubernetes refused to store the target Secret
    SecretRefused,
    /// The vendor does not support a field
    Unsupported,
    /// The specification is invalid
    InvalidSpec,
    /// A referenced GatewayApiKey has no key at the vendor yet
    GatewayKeyNotReady,
    /// The vendor is down, slow or unreachable
    VendorUnavailable,
    /// The vendor asks for fewer calls
    VendorThrottled,
    /// The account has no credit left (402)
    NoCredit,
    /// The vendor refused the request as invalid
    VendorRejected,
    /// The vendor's response is malformed
    VendorAnswerInvalid,
    /// The declared expiry of the token is near
    ExpiryNear,
    /// The declared expiry of the token is far away
    ExpiryFar,
    /// The balance of the account is below the threshold
    BalanceLow,
    /// The balance of the account is not below the threshold
    BalanceFine,
    /// Spending and balance were read
    UsageKnown,
    /// Spending or balance could not be read
    UsageUnknown,
    /// Other resources still need this one to delete what they have at the vendor
    InUse,
    /// The resource's keys are being deleted at the vendor
    Deleting,
    /// The deletion at the vendor is blocked
    DeletionBlocked,
    /// The stored resource does not fit the current type
    Undecodable,
}

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
        Self { ready: true, reason, message: message.into(), course: Course::Settled }
    }

    /// Not as specified yet; Keysmith continues by itself.
    pub fn reconciling(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Reconciling }
    }

    /// An object is missing that another tool may create: reconciling for `PATIENCE`, then stalled.
    pub fn waiting(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Waiting }
    }

    /// Only a change by a person can help.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Stalled }
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

    /// Updates `conditions` according to the verdict.
    pub fn apply(&self, conditions: &mut Vec<Condition>, generation: Option<i64>, now: Timestamp) {
        let waiting_since = self.waiting_since(conditions, now);
        let stalled = self.is_stalled(conditions, now);
        set(conditions, condition(READY, self.ready, self.reason, &self.message, generation), now);
        let kind = match self.course {
            Course::Settled => None,
            _ if stalled => Some(STALLED),
            _ => Some(RECONCILING),
        };
        let other = |it: &Condition| Some(it.type_.as_str()) != kind;
        conditions.retain(|it| ![RECONCILING, STALLED].contains(&it.type_.as_str()) || !other(it));
        let Some(kind) = kind else { return };
        // A new wait starts now, so its condition must be a new one too.
        if waiting_since == Some(now) {
            conditions.retain(|it| it.type_ != kind);
        }
        let message = format!("{}; see condition Ready", first_clause(&self.message));
        set(conditions, condition(kind, true, self.reason, &message, generation), now);
    }

    /// Whether only a change by a person can help, at once or because a wait took too long.
    pub fn is_stalled(&self, conditions: &[Condition], now: Timestamp) -> bool {
        let overdue = |since| now.duration_since(since) >= PATIENCE;
        self.course == Course::Stalled || self.waiting_since(conditions, now).is_some_and(overdue)
    }

    /// Start of the wait; `now` if it starts now.
    fn waiting_since(&self, conditions: &[Condition], now: Timestamp) -> Option<Timestamp> {
        if self.course != Course::Waiting {
            return None;
        }
        let same = |kind| find(conditions, kind).filter(|it| it.reason == self.reason.as_str());
        if same(STALLED).is_some() {
            return Some(Timestamp::UNIX_EPOCH);
        }
        Some(same(RECONCILING).map_or(now, |it| it.last_transition_time.0))
    }

    /// When a missing object counts as missing for good; `None` unless a wait is in progress.
    pub fn gives_up_at(&self, conditions: &[Condition]) -> Option<Timestamp> {
        let waiting = find(conditions, RECONCILING).filter(|_| self.course == Course::Waiting)?;
        waiting.last_transition_time.0.checked_add(PATIENCE).ok()
    }
}

/// The first clause, which says what is wrong; `Ready` has the whole message.
pub fn first_clause(message: &str) -> &str {
    message.split("; ").next().unwrap_or(message)
}

/// A condition with no time of transition yet.
pub fn condition(
    kind: &str,
    status: bool,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// The same with status Unknown.
pub fn unknown(kind: &str, reason: Reason, message: &str, generation: Option<i64>) -> Condition {
    Condition { status: "Unknown".to_owned(), ..condition(kind, false, reason, message, generation) }
}

/// Sets `wanted` in `conditions`; the time of transition changes only with the status. Returns whether status or
/// reason changed.
pub fn set(conditions: &mut Vec<Condition>, wanted: Condition, now: Timestamp) -> bool {
    // Kubernetes stores whole seconds, and the status is compared with what is read back.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    match conditions.iter_mut().find(|it| it.type_ == wanted.type_) {
        None => {
            conditions.push(Condition { last_transition_time: Time(now), ..wanted });
            true
        }
        Some(current) => {
            let transition = current.status != wanted.status;
            let changed = transition || current.reason != wanted.reason;
            let time = if transition { Time(now) } else { current.last_transition_time.clone() };
            *current = Condition { last_transition_time: time, ..wanted };
            changed
        }
    }
}

/// Whether the condition of this type is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|it| it.status == "True")
}

/// The condition of this type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|it| it.type_ == kind)
}
