//! The closed list of event reasons.

use super::condition::Reason;

macro_rules! event_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The reason of an event. The change of a condition has that condition's reason; every other event has one
        /// from this list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventReason {
            $($(#[doc = $doc])+ $name,)+
            /// `Ready` changed: the event has the reason and the message of the condition.
            Ready(Reason),
        }

        impl EventReason {
            /// Every reason but those of `Ready`, with its meaning, for the documentation.
            pub const ALL: &[(EventReason, &str)] = &[$((EventReason::$name, concat!($($doc),+)),)+];

            /// The reason as written in an event.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(EventReason::$name => stringify!($name),)+
                    EventReason::Ready(reason) => reason.as_str(),
                }
            }
        }
    };
}

event_reasons! {
    /// A new key replaced the served one
    Rotated,
    /// The vendor did not show the key in two looks; a new one was created
    KeyLost,
    /// The key expired; a new one was created
    KeyExpired,
    /// A key that was declared leaked is revoked
    LeakedKeyRevoked,
    /// A key that was declared leaked still works
    LeakOpen,
    /// A previous key is revoked
    PreviousKeyRevoked,
    /// A previous key is switched off before it is deleted
    PreviousKeyDisabled,
    /// A previous key is switched on again, because its overlap was extended
    PreviousKeyEnabled,
    /// A previous key was still used when it was switched off
    PreviousKeyInUse,
    /// The key should have been replaced by now, and was not
    RotationOverdue,
    /// The key of the resource from which this one was restored is managed again
    Relinked,
    /// The key named in spec.externalId is adopted
    TakenOver,
    /// The Secret was deleted or edited, and holds the same key again
    SecretRestored,
    /// The Secret was updated for a changed template
    SecretUpdated,
    /// Something in the cluster keeps changing the Secret back
    SecretContested,
    /// Settings of the key, or the assigned keys of a provider key, had been changed at the vendor and are
    /// corrected
    DriftCorrected,
    /// Settings were changed at the vendor because the specification changed
    Updated,
    /// An unused key carries the mark of the resource
    UnusedKeyFound,
    /// Unused keys with the mark of the resource are revoked
    UnusedKeyRevoked,
    /// The vendor shows no expiry of a key that was ordered with one
    ExpiryUnconfirmed,
    /// 80 % of the budget are spent
    BudgetLow,
    /// The budget is spent, and the gateway refuses the key
    BudgetExhausted,
    /// Budget is available again, and the gateway accepts the key
    BudgetAvailable,
    /// The vendor does not list a model of spec.models
    ModelUnknown,
    /// Workloads were restarted for the new content of the Secret
    ConsumersRestarted,
    /// spec.rotation.restart names workloads that do not exist
    ConsumersMissing,
    /// Kubernetes refused to restart workloads
    ConsumersForbidden,
    /// The resource was deleted together with its keys at the vendor
    Revoked,
    /// A key stays at the vendor although its resource was deleted
    LeftBehind,
    /// A provider key was deleted at the vendor and is created again
    Redeposited,
    /// The assigned keys of a provider key were changed in place
    Reassigned,
    /// A provider key is deleted at the vendor
    Removed,
    /// The Secret of a ConsoleToken could not be protected from deletion while keys need it
    SecretNotHeld,
    /// Another account was accepted in place of the one in which the keys were created
    AccountAccepted,
    /// Spending or balance could not be read
    UsageUnread,
    /// The balance of the account is below spec.usage.lowBalance
    LowBalance,
    /// The declared expiry of a ConsoleToken is near
    ExpiringSoon,
    /// Keys carry the mark of this cluster, and no resource accounts for them
    OrphansFound,
    /// Keys for which no resource accounts are revoked
    OrphansRevoked,
    /// This replica of the operator is now the leader
    LeaderElection,
}

impl From<Reason> for EventReason {
    fn from(reason: Reason) -> Self {
        Self::Ready(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition;

    #[test]
    fn an_event_about_a_condition_has_the_name_of_the_condition() {
        for (event, kind) in [
            (EventReason::LeakOpen, condition::LEAK_OPEN),
            (EventReason::PreviousKeyInUse, condition::PREVIOUS_KEY_IN_USE),
            (EventReason::RotationOverdue, condition::ROTATION_OVERDUE),
            (EventReason::SecretContested, condition::SECRET_CONTESTED),
            (EventReason::ExpiryUnconfirmed, condition::EXPIRY_UNCONFIRMED),
            (EventReason::BudgetLow, condition::BUDGET_LOW),
            (EventReason::BudgetExhausted, condition::BUDGET_EXHAUSTED),
            (EventReason::ModelUnknown, condition::MODEL_UNKNOWN),
            (EventReason::ConsumersMissing, condition::CONSUMERS_MISSING),
            (EventReason::LowBalance, condition::LOW_BALANCE),
            (EventReason::ExpiringSoon, condition::EXPIRING_SOON),
        ] {
            assert_eq!(event.as_str(), kind);
        }
    }
}
