//! Conditions and the closed list of their reasons.

use jiff::{SignedDuration, Timestamp};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The summary: True while the resource does what it is for.
pub const READY: &str = "Ready";
/// kstatus: present and True while Keysmith is still working towards the spec.
pub const RECONCILING: &str = "Reconciling";
/// kstatus: present and True when nothing will get better until somebody changes something.
pub const STALLED: &str = "Stalled";
/// A key is being replaced, or an old one still works beside its successor.
pub const ROTATING: &str = "Rotating";
/// A replacement is late, and has failed more than once.
pub const ROTATION_OVERDUE: &str = "RotationOverdue";
/// An old key was still used when its time was over.
pub const PREVIOUS_KEY_IN_USE: &str = "PreviousKeyInUse";
/// A key was declared leaked and is not revoked yet.
pub const LEAK_OPEN: &str = "LeakOpen";
/// Something in the cluster changes the Secret back time and again.
pub const SECRET_CONTESTED: &str = "SecretContested";
/// A key was ordered with an expiry, and the vendor shows none.
pub const EXPIRY_UNCONFIRMED: &str = "ExpiryUnconfirmed";
/// 80 % of the budget of a key are spent. Unknown where no spending is read.
pub const BUDGET_LOW: &str = "BudgetLow";
/// The budget of a key is spent, and the gateway refuses the key. Unknown where no spending is read.
pub const BUDGET_EXHAUSTED: &str = "BudgetExhausted";
/// `spec.rotation.restart` names workloads that do not exist.
pub const CONSUMERS_MISSING: &str = "ConsumersMissing";
/// A ConsoleToken that declares its expiry is near it.
pub const EXPIRING_SOON: &str = "ExpiringSoon";

/// The account of a ConsoleToken has less left than somebody wants to know of.
pub const LOW_BALANCE: &str = "LowBalance";
/// The vendor shows other settings of a project than the specification.
pub const DRIFTED: &str = "Drifted";
/// Whether spending and balance could be read, where that is asked for.
pub const USAGE_READ: &str = "UsageRead";

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a condition is what it is: one closed list for every kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason with its meaning, for the documentation.
            pub const ALL: &[(Reason, &str)] = &[$((Reason::$name, concat!($($doc),+)),)+];

            /// The reason as it stands in a condition.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)+ }
            }
        }
    };
}

reasons! {
    /// The key is at the vendor as specified and its Secret holds it
    Issued,
    /// The key is as specified, and the specification switches it off
    Disabled,
    /// The token was accepted by the vendor
    Verified,
    /// The settings at the vendor are as specified
    Applied,
    /// The provider credential is at the vendor as specified
    Deposited,
    /// The key belongs to somebody else's hands; Keysmith only looks at it
    Observed,
    /// spec.suspend is set: nothing is changed until it is taken away
    Suspended,
    /// The key is being replaced
    Replacing,
    /// A new key is served, and the old one still works
    Overlap,
    /// The old key was used shortly before it was retired
    StillInUse,
    /// Too many keys were made for this resource within a day
    MintingStopped,
    /// The key named in externalId does not exist
    ExternalKeyMissing,
    /// The key named in externalId belongs to another resource or another cluster
    OwnershipConflict,
    /// The key was declared leaked
    Leaked,
    /// The vendor does not show the key; a second look decides
    KeyMissing,
    /// The Secret is immutable, and something has to be written into it
    SecretImmutable,
    /// Something in the cluster changes the Secret back time and again
    SecretContested,
    /// The vendor shows no expiry of a key that was ordered with one
    ExpiryNotShown,
    /// The budget of the key is spent, and the gateway refuses the key
    BudgetSpent,
    /// 80 % of the budget of the key are spent
    BudgetNearlySpent,
    /// The key has budget left
    BudgetLeft,
    /// No spending of the key is read, so that nothing is known of its budget
    SpendingNotRead,
    /// Workloads that are to be restarted do not exist
    ConsumersNotFound,
    /// The workloads that are to be restarted exist
    ConsumersFound,
    /// Whether the workloads that are to be restarted exist could not be looked for
    ConsumersUnknown,
    /// Work is going on that needs no attention
    Progressing,
    /// The answer to a create call was lost; Keysmith looks for its outcome before anything else
    Recovering,
    /// The vendor does not show the change it accepted
    NotApplied,
    /// The declared expiry of the token has passed
    Expired,
    /// The referenced ConsoleToken does not exist
    ConsoleTokenMissing,
    /// The referenced ConsoleToken is not Ready
    ConsoleTokenNotReady,
    /// The vendor does not accept the token (401)
    TokenRefused,
    /// The token leads to another account than the one that the keys were made in
    AccountChanged,
    /// None of the recorded keys is listed, as if the token led to another account
    AccountSuspicious,
    /// The token may not do this (403)
    Forbidden,
    /// The operator's allow-list does not admit the endpoint
    EndpointNotAdmitted,
    /// A referenced Secret, or a key in it, does not exist
    SecretMissing,
    /// The content of a referenced Secret cannot be what it should be
    SecretInvalid,
    /// The target Secret belongs to somebody else
    SecretConflict,
    /// Kubernetes refused to store the target Secret
    SecretRefused,
    /// The vendor cannot honour a field
    Unsupported,
    /// The specification cannot be carried out
    InvalidSpec,
    /// A referenced GatewayApiKey has no key at the vendor yet
    GatewayKeyNotReady,
    /// The vendor is down, slow or unreachable
    VendorUnavailable,
    /// The vendor requests for fewer calls
    VendorThrottled,
    /// The account has no credit left (402)
    NoCredit,
    /// The vendor refused the request as invalid
    VendorRejected,
    /// The vendor answered something that cannot be understood
    VendorAnswerInvalid,
    /// The declared expiry of the token is near
    ExpiryNear,
    /// The declared expiry of the token is far away
    ExpiryFar,
    /// The account has less left than the threshold
    BalanceLow,
    /// The account has at least the threshold left
    BalanceFine,
    /// Spending and balance were read
    UsageKnown,
    /// Spending or balance could not be read
    UsageUnknown,
    /// Other resources still need this one to clean up
    InUse,
    /// What the resource stands for is being removed at the vendor
    Deleting,
    /// The removal at the vendor does not get on
    DeletionBlocked,
    /// The stored resource does not fit the current type
    Undecodable,
}

/// What a resource's status says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the resource does what it is for.
    pub ready: bool,
    /// Why.
    pub reason: Reason,
    /// One clause: what is wrong, what happens next and when, what to do.
    pub message: String,
    /// How it goes on.
    pub course: Course,
}

/// How a resource goes on from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Nothing is left to do.
    Settled,
    /// Keysmith goes on by itself.
    Reconciling,
    /// Something is missing that other tools bring, usually within seconds: `Reconciling` for `PATIENCE`, `Stalled` after
    /// that.
    Waiting,
    /// Nothing gets better until a person changes something.
    Stalled,
}

/// So long a missing reference is no failure: other controllers may be about to make the object.
pub const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

impl Verdict {
    /// Everything is as specified.
    pub fn settled(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: true, reason, message: message.into(), course: Course::Settled }
    }

    /// Not there yet; Keysmith goes on by itself.
    pub fn reconciling(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Reconciling }
    }

    /// Something is missing that other tools bring: in progress for `PATIENCE`, stalled after that.
    pub fn waiting(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Waiting }
    }

    /// Nothing gets better until a person changes something.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { ready: false, reason, message: message.into(), course: Course::Stalled }
    }

    /// The same, but what is served goes on working.
    #[must_use]
    pub fn still_ready(self, ready: bool) -> Self {
        Self { ready, ..self }
    }

    /// The same, stalled where only a person can help.
    #[must_use]
    pub fn stalled_if(self, stalled: bool) -> Self {
        if stalled { Self { course: Course::Stalled, ..self } } else { self }
    }

    /// Brings `conditions` in line.
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
        // A wait for something else begins anew, and so does its condition.
        if waiting_since == Some(now) {
            conditions.retain(|it| it.type_ != kind);
        }
        let message = format!("{}; see condition Ready", first_clause(&self.message));
        set(conditions, condition(kind, true, self.reason, &message, generation), now);
    }

    /// Whether nothing gets better until a person changes something: by itself, or because it was waited for too long.
    pub fn is_stalled(&self, conditions: &[Condition], now: Timestamp) -> bool {
        let overdue = |since| now.duration_since(since) >= PATIENCE;
        self.course == Course::Stalled || self.waiting_since(conditions, now).is_some_and(overdue)
    }

    /// Since when this is waited for; `now` where it just began.
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

    /// When what is waited for counts as missing for good, if that is still ahead.
    pub fn gives_up_at(&self, conditions: &[Condition]) -> Option<Timestamp> {
        let waiting = find(conditions, RECONCILING).filter(|_| self.course == Course::Waiting)?;
        waiting.last_transition_time.0.checked_add(PATIENCE).ok()
    }
}

/// What is wrong, without what happens next: `Ready` says that.
pub fn first_clause(message: &str) -> &str {
    message.split("; ").next().unwrap_or(message)
}

/// A condition as it should be, but for its time of transition.
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

/// The same, where nothing is known: neither True nor False.
pub fn unknown(kind: &str, reason: Reason, message: &str, generation: Option<i64>) -> Condition {
    Condition { status: "Unknown".to_owned(), ..condition(kind, false, reason, message, generation) }
}

/// Puts `wanted` in `conditions`; the time of transition moves only with the status.
/// Returns whether the status or the reason changed.
pub fn set(conditions: &mut Vec<Condition>, wanted: Condition, now: Timestamp) -> bool {
    // Kubernetes keeps whole seconds, and a status is compared with what was read back.
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

/// Whether the condition of that type is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|it| it.status == "True")
}

/// The condition of that type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|it| it.type_ == kind)
}
