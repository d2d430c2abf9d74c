//! The kinds, listed once, and what Keysmith has to know of each beside what Kubernetes knows.

use super::shared::ConsoleTokenRef;
use super::{ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey};

/// Hands the list of all kinds to a macro, each with the name under which stores and queues have it: `with_kinds!([then])` is
/// `then! { tokens: ConsoleToken, … }`. Definitions, stores, watches, queues, controllers and inventories follow from it.
macro_rules! with_kinds {
    ([$($then:tt)+] $($arguments:tt)?) => {
        $($then)+! {
            $($arguments)?
            tokens: ConsoleToken,
            keys: GatewayApiKey,
            projects: ProjectSettings,
            provider_keys: ProviderKey,
        }
    };
}

/// Says something once for each kind, in the place of whose type the name stands: `for_each_kind!(K => list.push(K::crd()))`.
macro_rules! for_each_kind {
    ($kind:ident => $body:expr) => {
        $crate::api::kind::with_kinds! { [$crate::api::kind::each_kind] ($kind => $body) }
    };
}

/// The second half of `for_each_kind!`.
macro_rules! each_kind {
    (($name:ident => $body:expr) $($field:ident: $kind:ident,)+) => {
        $({
            type $name = $crate::api::$kind;
            $body;
        })+
    };
}

pub(crate) use {each_kind, for_each_kind, with_kinds};

/// What Keysmith has to know of every kind.
pub trait Kind {
    /// Whether it has a key at a vendor whose name carries its mark.
    const HAS_KEYS: bool = false;
    /// Whether its console token is needed to clean up when it goes.
    const NEEDS_TOKEN_TO_END: bool = false;

    /// Serial of the key that it has at the vendor, for logs.
    fn key_serial(&self) -> Option<u64> {
        None
    }

    /// The console token that it works with.
    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        None
    }

    /// Whether a change of the Secret of that name in its namespace is news for it. `ours`: the Secret belongs to one of
    /// our resources.
    fn reads_secret(&self, _name: &str, _ours: bool) -> bool {
        false
    }
}

/// A kind that always works with a console token.
pub trait NamesToken {
    /// Which one.
    fn console_token_ref(&self) -> &ConsoleTokenRef;
}

/// The kinds that work with a console token name it in `spec.consoleTokenRef`.
macro_rules! names_token {
    ($($kind:ident)+) => {
        $(impl NamesToken for $kind {
            fn console_token_ref(&self) -> &ConsoleTokenRef {
                &self.spec.console_token_ref
            }
        })+
    };
}
names_token!(GatewayApiKey ProjectSettings ProviderKey);

impl Kind for ConsoleToken {
    const HAS_KEYS: bool = true;

    /// A minted token's Secret belongs to the key that stands for the token.
    fn reads_secret(&self, name: &str, _ours: bool) -> bool {
        self.spec.secret_name() == name
    }
}

impl Kind for GatewayApiKey {
    const HAS_KEYS: bool = true;
    const NEEDS_TOKEN_TO_END: bool = true;

    fn key_serial(&self) -> Option<u64> {
        self.status.as_ref()?.serial
    }

    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        Some(self.console_token_ref())
    }

    /// It may wait for this name to become free, or its Secret was taken from it.
    fn reads_secret(&self, name: &str, ours: bool) -> bool {
        !ours && self.secret_name() == name
    }
}

impl Kind for ProjectSettings {
    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        Some(self.console_token_ref())
    }
}

impl Kind for ProviderKey {
    const NEEDS_TOKEN_TO_END: bool = true;

    fn key_serial(&self) -> Option<u64> {
        self.status.as_ref()?.serial
    }

    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        Some(self.console_token_ref())
    }

    fn reads_secret(&self, name: &str, ours: bool) -> bool {
        !ours && self.spec.credentials_ref.name == name
    }
}
