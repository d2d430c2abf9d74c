//! Where versions and configurations of LiteLLM differ, as switches. Defaults are version 1.108 without a licence.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the emulated LiteLLM answers where versions or configurations differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent difference")]
pub struct Switches {
    /// Whether a look at a deleted key is 404, as before 1.10x, instead of 200 with `status: deleted` (§5).
    pub deleted_is_404: bool,
    /// Whether a change of an unknown key is 401, as in 1.77, instead of 404 (§8).
    pub unknown_key_is_401: bool,
    /// Whether null leaves `budget_duration` and `duration` as they are, as before 1.108 (§6).
    pub null_is_ignored: bool,
    /// Whether a time to live in days ends at the midnight after it, as before 2026 (§4).
    pub rounds_lifetimes: bool,
    /// Whether names are restricted to letters, digits and `_-/.@` (§4).
    pub restricts_names: bool,
    /// Whether the database is down: changes fail with 400, other calls with 500 (§8).
    pub database_down: bool,
    /// Settings that a new key gets where the request has none (§4).
    pub defaults: Map<String, Value>,
    /// Models that the proxy has besides its usual ones.
    pub more_models: Vec<String>,
    /// How long other instances, which the data plane asks here, accept a deleted or blocked key, in milliseconds (§9).
    pub revoked_keys_linger_millis: u32,
}
