//! The closed list of event reasons.

use super::condition::Reason;

macro_rules! event_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why an event was sent. A condition that changes is told under its own reason; everything else is in this list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventReason {
            $($(#[doc = $doc])+ $name,)+
            /// `Ready` changed: the event has the reason and the message of the condition.
            Ready(Reason),
        }

        impl EventReason {
            /// Every reason but those of `Ready`, with its meaning, for the documentation.
            pub const ALL: &[(EventReason, &str)] = &[$((EventReason::$name, concat!($($doc),+)),)+];

            /// The reason as it stands in an event.
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
    /// A new key took the place of the served one
    Rotated,
    /// The vendor did not show the key in two looks; a new one was made
    KeyLost,
    /// The key expired; a new one was made
    KeyExpired,
    /// A key that was declared leaked is revoked
    LeakedKeyRevoked,
    /// A key that was declared leaked still works
    LeakOpen,
    /// A previous key is revoked
    PreviousKeyRevoked,
    /// A previous key is switched off before it is deleted
    PreviousKeyDisabled,
    /// A previous key is switched on again, because its overlap was made longer
    PreviousKeyEnabled,
    /// A previous key was still used when it was switched off
    PreviousKeyInUse,
    /// The replacement of the key is late, and every attempt failed
    RotationOverdue,
    /// The key of the resource from which this one was restored is managed again
    Relinked,
    /// The key named in spec.externalId is managed from now on
    TakenOver,
    /// The Secret was deleted or edited, and holds the same key again
    SecretRestored,
    /// The Secret follows a changed template
    SecretUpdated,
    /// Something in the cluster changes the Secret back time and again
    SecretContested,
    /// Settings of the key, or the keys of a provider key, were changed at the vendor and are set right
    DriftCorrected,
    /// Settings were changed at the vendor, as the specification says
    Updated,
    /// A key carries the mark of the resource, and nothing uses it
    UnusedKeyFound,
    /// Keys that carry the mark of the resource and that nothing used are revoked
    UnusedKeyRevoked,
    /// The vendor shows no expiry of a key that was ordered with one
    ExpiryUnconfirmed,
    /// 80 % of the budget are spent
    BudgetLow,
    /// The budget is spent, and the gateway refuses the key
    BudgetExhausted,
    /// There is budget again, and the gateway accepts the key
    BudgetAvailable,
    /// Workloads were restarted for the new content of the Secret
    ConsumersRestarted,
    /// spec.rotation.restart names workloads that do not exist
    ConsumersMissing,
    /// Kubernetes refused to restart workloads
    ConsumersForbidden,
    /// What was made at the vendor is removed with its resource
    Revoked,
    /// Something stays at the vendor although its resource went
    LeftBehind,
    /// A ProviderKey's credential was removed at the vendor and is sent again
    Redeposited,
    /// The gateway keys that use a ProviderKey's credential were changed in place
    Reassigned,
    /// A ProviderKey's credential is removed at the vendor
    Removed,
    /// The Secret of a ConsoleToken could not be held while keys need it
    SecretNotHeld,
    /// Another account takes the place of the one in which the keys were made
    AccountAccepted,
    /// Spending or balance could not be read
    UsageUnread,
    /// The account has less left than spec.usage.lowBalance
    LowBalance,
    /// The declared expiry of a ConsoleToken is near
    ExpiringSoon,
    /// Keys carry the mark of this cluster, and no resource accounts for them
    OrphansFound,
    /// Keys for which no resource accounted are revoked
    OrphansRevoked,
    /// A replica of the operator leads from now on
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
            (EventReason::ConsumersMissing, condition::CONSUMERS_MISSING),
            (EventReason::LowBalance, condition::LOW_BALANCE),
            (EventReason::ExpiringSoon, condition::EXPIRING_SOON),
        ] {
            assert_eq!(event.as_str(), kind);
        }
    }
}
