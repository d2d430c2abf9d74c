//! The kinds, listed once, and what Keysmith has to know about each beyond Kubernetes metadata.

use super::shared::ConsoleTokenRef;
use super::{
    ClusterConsoleToken, ClusterConsoleTokenSpec, ConsoleToken, ConsoleTokenSpec, GatewayApiKey,
    ProjectSettings, ProviderKey,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Passes the list of all kinds to a macro, each with its name for stores and queues: `with_kinds!([then])` is
/// `then! { tokens: ConsoleToken, … }`. CRDs, stores, watches, queues, controllers and inventories are derived from
/// it.
macro_rules! with_kinds {
    ([$($then:tt)+] $($arguments:tt)?) => {
        $($then)+! {
            $($arguments)?
            tokens: ConsoleToken,
            cluster_tokens: ClusterConsoleToken,
            keys: GatewayApiKey,
            projects: ProjectSettings,
            provider_keys: ProviderKey,
        }
    };
}

/// Repeats an expression for each kind, with the given name as the type: `for_each_kind!(K =>
/// list.push(K::crd()))`.
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

/// Properties that every kind declares.
pub trait Kind {
    /// Whether its resources have keys at a vendor that carry their mark.
    const HAS_KEYS: bool = false;
    /// Whether a cluster may have thousands of them, so that a cache should hold little of each.
    const MANY: bool = false;
    /// Whether its finalizer needs the console token.
    const NEEDS_TOKEN_TO_END: bool = false;

    /// Whether its passes read a Secret.
    const READS_SECRETS: bool = true;

    /// The conditions in its status.
    fn conditions(&self) -> &[Condition];

    /// When its key or token expires.
    fn expires_at(&self) -> Option<Timestamp> {
        None
    }

    /// When its key is to be replaced.
    fn next_rotation(&self) -> Option<Timestamp> {
        None
    }

    /// Number of previous keys that are not revoked yet.
    fn previous_keys(&self) -> usize {
        0
    }

    /// Serial of its key at the vendor, for logs.
    fn key_serial(&self) -> Option<u64> {
        None
    }

    /// The referenced console token.
    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        None
    }

    /// Whether the Secret that the resource reads may belong to one of our resources.
    const READS_SECRETS_OF_OURS: bool = false;

    /// Name of the Secret that the resource reads: a change of it must enqueue the resource.
    fn reads_secret(&self) -> Option<&str> {
        None
    }
}

/// A kind of console token.
pub trait Token {
    /// The credential.
    fn token_spec(&self) -> &ConsoleTokenSpec;
    /// Which namespaces may use it; `None`: it is used in its own namespace only.
    fn sharing(&self) -> Option<&ClusterConsoleTokenSpec>;
}

impl Token for ConsoleToken {
    fn token_spec(&self) -> &ConsoleTokenSpec {
        &self.spec
    }

    fn sharing(&self) -> Option<&ClusterConsoleTokenSpec> {
        None
    }
}

impl Token for ClusterConsoleToken {
    fn token_spec(&self) -> &ConsoleTokenSpec {
        &self.spec.token
    }

    fn sharing(&self) -> Option<&ClusterConsoleTokenSpec> {
        Some(&self.spec)
    }
}

/// A kind that always references a console token.
pub trait NamesToken {
    /// The reference.
    fn console_token_ref(&self) -> &ConsoleTokenRef;
}

/// Implements `NamesToken` for kinds with `spec.consoleTokenRef`.
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

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |it| &it.conditions)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.spec.expires_at
    }

    /// The Secret of a minted token belongs to the GatewayApiKey that holds the token's key.
    const READS_SECRETS_OF_OURS: bool = true;

    fn reads_secret(&self) -> Option<&str> {
        Some(self.spec.secret_name())
    }
}

/// The key of a minted one is that of its GatewayApiKey.
impl Kind for ClusterConsoleToken {
    const READS_SECRETS_OF_OURS: bool = true;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |it| &it.conditions)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.spec.token.expires_at
    }

    fn reads_secret(&self) -> Option<&str> {
        Some(self.spec.token.secret_name())
    }
}

impl Kind for GatewayApiKey {
    const HAS_KEYS: bool = true;
    const MANY: bool = true;
    const NEEDS_TOKEN_TO_END: bool = true;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |it| &it.conditions)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.status.as_ref()?.expires_at
    }

    fn next_rotation(&self) -> Option<Timestamp> {
        self.status.as_ref()?.next_rotation_time
    }

    fn previous_keys(&self) -> usize {
        self.status.as_ref().map_or(0, |it| it.previous.len())
    }

    fn key_serial(&self) -> Option<u64> {
        self.status.as_ref()?.serial
    }

    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        Some(self.console_token_ref())
    }

    /// A foreign Secret matters: the resource may wait for its name to become free, or lost its own Secret to it.
    fn reads_secret(&self) -> Option<&str> {
        Some(self.secret_name())
    }
}

impl Kind for ProjectSettings {
    const READS_SECRETS: bool = false;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |it| &it.conditions)
    }

    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        Some(self.console_token_ref())
    }
}

impl Kind for ProviderKey {
    const NEEDS_TOKEN_TO_END: bool = true;

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |it| &it.conditions)
    }

    fn key_serial(&self) -> Option<u64> {
        self.status.as_ref()?.serial
    }

    fn works_with(&self) -> Option<&ConsoleTokenRef> {
        Some(self.console_token_ref())
    }

    fn reads_secret(&self) -> Option<&str> {
        Some(&self.spec.credentials_ref.name)
    }
}
