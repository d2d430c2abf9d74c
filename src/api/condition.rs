//! Conditions and the closed list of their reasons.

use jiff::Timestamp;
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
/// The vendor does not list a model of `spec.models`.
pub const MODEL_UNKNOWN: &str = "ModelUnknown";
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
    /// The vendor does not list a model of spec.models
    ModelNotListed,
    /// The vendor lists every model of spec.models
    ModelsListed,
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
    /// The ClusterConsoleToken does not allow the namespace
    NamespaceNotAllowed,
    /// The specification exceeds the limits of the ClusterConsoleToken
    LimitExceeded,
    /// This installation uses ClusterConsoleTokens only
    KindNotAdmitted,
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
