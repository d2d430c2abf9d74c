//! What a vendor call was made for, as messages say it: "could not …".

use crate::plan::requests::Cause;
use std::fmt;

macro_rules! purposes {
    ($($(#[doc = $doc:literal])+ $name:ident => $words:literal,)+) => {
        /// What a vendor call was made for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CallPurpose {
            $($(#[doc = $doc])+ $name,)+
            /// The served key was to be replaced, for this cause.
            ReplaceKey(Cause),
        }

        impl CallPurpose {
            /// All of them, except replacements.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }

        impl fmt::Display for CallPurpose {
            /// Completes "could not …".
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => formatter.write_str($words),)+
                    Self::ReplaceKey(cause) => write!(formatter, "replace the key ({})", because(*cause)),
                }
            }
        }
    };
}

purposes! {
    /// A key was to be created.
    MakeKey => "make a key",
    /// The secret of a key was to be revealed again.
    RevealKey => "have the key revealed",
    /// The budget of a key was to be reduced by what its predecessor may still spend.
    ShareBudget => "share the budget with the old key",
    /// What is left of the budget was to be read before a successor is made.
    ReadBudget => "see what is left of the budget",
    /// A key was to be read.
    LookAtKey => "look at the key",
    /// A previous key was to be read.
    LookAtPreviousKey => "look at the old key",
    /// Settings of a key were to be changed.
    ChangeKey => "change the key",
    /// A key was to be read after a change of its settings.
    ReadBackKey => "read back the changed key",
    /// The keys of the account were to be listed.
    ListKeys => "list the keys",
    /// An unused key was to be revoked.
    RevokeUnusedKey => "revoke a key",
    /// A previous key was to be revoked.
    RevokePreviousKey => "revoke the old key",
    /// A previous key was to be switched off or on.
    SwitchPreviousKey => "switch the old key",
    /// The key of a resource that is being deleted was to be revoked.
    RevokeKey => "revoke the key",
    /// The key of a resource that is being deleted was to be switched off.
    SwitchKeyOff => "switch the key off",
    /// The new name of an adopted key was to be seen.
    TakeOverKey => "take the key over",
    /// A key that exists was to be adopted, by a mark in its name.
    MarkKey => "put Keysmith's mark into the name of the key",
    /// The provider keys of the account were to be listed.
    ListProviderKeys => "list the provider keys",
    /// A provider key was to be created.
    StoreCredential => "store the credential",
    /// The gateway keys that a provider key is assigned to were to be changed.
    ChangeAssignment => "change the assignment",
    /// A provider key was to be deleted.
    RemoveCredential => "remove a credential",
    /// The settings of the project were to be read.
    ReadProject => "read the project's settings",
    /// The settings of the project were to be changed.
    ChangeProject => "change the project's settings",
    /// The settings of the project were to be read after the change.
    ReadBackProject => "read back the project's settings",
}

/// Why a key is replaced, as a clause about the old one.
pub const fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::Expiry => "the old one is near its expiry",
        Cause::MaxAge => "the old one reached spec.rotation.maxAge",
        Cause::Trigger => "spec.rotation.trigger changed",
        Cause::Requested => "keysmith.dev/rotate-requested-at asked for it",
        Cause::Leaked => "the old one was declared leaked",
        Cause::Changed => "a field changed that the vendor fixes when a key is made",
        Cause::SecretLost => "the Secret lost it and the vendor does not show a key twice",
        Cause::KeyLost => "the vendor did not show the old one any more",
        Cause::Expired => "the old one expired",
    }
}
