//! What the documentation of Cortecs leaves open (§3.8), as switches.

use serde::{Deserialize, Serialize};

/// How the emulated Cortecs answers where the documentation is silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent question the contract leaves open"
)]
pub struct Switches {
    /// Status of a successful create (§3.3). Default 201.
    pub create_status: u16,
    /// Whether a create answers `{"api_key":…}` alone (§3.3).
    pub create_key_only: bool,
    /// The limit of keys per user and project, management keys included; one more is a 400 (§3.3). Default no limit.
    pub key_limit: Option<usize>,
    /// Whether any name is accepted, instead of `[a-z0-9-]` with at most 63 characters (§3.8).
    pub any_name: bool,
    /// Status for a management key that deletes itself: 400 as documented, or 403 (§3.8).
    pub delete_own_status: u16,
    /// How long a deleted key still works, in milliseconds (§3.8). Default 0.
    pub deleted_keys_linger_millis: u32,
    /// Whether the project settings show `inference_config` (§3.8). Default true.
    pub inference_config_shown: bool,
    /// Whether a PUT without `inference_config` keeps it, instead of deleting it (§3.8).
    pub inference_config_kept: bool,
    /// Whether the project settings show `active` and `schema_version`, and a PUT needs `active` (§3.3).
    pub legacy_settings: bool,
    /// Whether a PUT with another `updated_at` than the newest is refused (409), as optimistic locking would (§3.8).
    pub optimistic_locking: bool,
    /// Whether the balance comes as `{"data":{…}}` (§3.3).
    pub wrapped_balance: bool,
    /// Whether usage is at `/manage/usage`, which is a guess (§3.3). Default true.
    pub usage: bool,
    /// Status of the data plane for a key over its budget, not documented (§3.5). Default 402.
    pub over_budget_status: u16,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            create_status: 201,
            create_key_only: false,
            key_limit: None,
            any_name: false,
            delete_own_status: 400,
            deleted_keys_linger_millis: 0,
            inference_config_shown: true,
            inference_config_kept: false,
            legacy_settings: false,
            optimistic_locking: false,
            wrapped_balance: false,
            usage: true,
            over_budget_status: 402,
        }
    }
}
