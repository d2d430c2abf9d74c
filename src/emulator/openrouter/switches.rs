//! What the pages of OpenRouter leave open or contradict (§3 to §5, §9), as switches.

use serde::{Deserialize, Serialize};

/// How the emulated OpenRouter answers where its pages are silent or contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent question")]
pub struct Switches {
    /// Whether a new key has its secret inside `data`, as one page reads it, instead of beside it (§4).
    pub secret_inside: bool,
    /// Whether times have a fraction and an offset, as the page about management keys shows them (§3).
    pub offset_times: bool,
    /// Whether `label` is the name of the key, as some examples show it, instead of a masked secret (§3).
    pub label_is_name: bool,
    /// Status of the data plane for a key over its limit: 402, or 403 as older reports show (§5).
    pub over_limit_status: u16,
    /// Status of the data plane for a key that is off or expired (§5).
    pub stopped_status: u16,
    /// Largest page of keys (§4). Default 100.
    pub page_size: usize,
    /// Whether keys that expired are gone, from listings and by id (§4, §9).
    pub expired_keys_vanish: bool,
    /// Whether a limit of zero means none (§9).
    pub zero_is_no_limit: bool,
    /// The most keys that an account may have; 0 means no limit (§9).
    pub key_limit: usize,
    /// Status of a create call above that (§9).
    pub key_limit_status: u16,
    /// How long the data plane accepts a deleted or disabled key, in milliseconds (§9).
    pub revoked_keys_linger_millis: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            secret_inside: false,
            offset_times: false,
            label_is_name: false,
            over_limit_status: 402,
            stopped_status: 401,
            page_size: 100,
            expired_keys_vanish: false,
            zero_is_no_limit: false,
            key_limit: 0,
            key_limit_status: 403,
            revoked_keys_linger_millis: 0,
        }
    }
}
