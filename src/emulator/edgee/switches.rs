//! What the documentation of Edgee leaves open or contradicts (§1.14, §1.17), as switches.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How the emulated Edgee answers where its documentation is silent or contradicts observations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent question the contract leaves open"
)]
pub struct Switches {
    /// Errors as the documentation prints them, `{"error":"Unauthorized","message":…}`, instead of the nested
    /// shape that was observed (§1.14).
    pub flat_errors: bool,
    /// Lists of keys as a raw array of everything, instead of the paged envelope (§1.5).
    pub raw_list: bool,
    /// Largest page of a list, and the page when no `limit` is given (§1.5). Default 100.
    pub page_size: usize,
    /// How a key or token without expiry shows `expires_at` (§1.3). Default the Go zero time.
    pub expires_at: Blank,
    /// How a key or token that was never used shows `last_used_at` (§1.3). Default the Go zero time.
    pub last_used_at: Blank,
    /// How a key without restrictions shows `models` and `max_usage` (§1.3). Default absent.
    pub unset_limits: Blank,
    /// Whether reads of keys carry a masked `key` (§1.3).
    pub masked_key: bool,
    /// Whether keys show `email` (§1.3). Default true.
    pub email_echo: bool,
    /// Status of a successful create (§1.4). Default 200.
    pub create_status: u16,
    /// Whether a delete answers 204 without a body (§1.7).
    pub delete_no_content: bool,
    /// Whether reveal answers `{"key":…}` alone (§1.8).
    pub reveal_key_only: bool,
    /// Whether reveal is supported; without it, this vendor shows a secret once (§1.8).
    pub reveal: Support,
    /// Whether a second key of the same name is refused (409), as other vendors do; Edgee documents nothing (§1.4).
    pub unique_names: bool,
    /// Fields that an update of a key silently ignores, beyond the immutable ones (§1.6).
    pub ignored_updates: BTreeSet<String>,
    /// Whether a list of provider keys shows `provider` and `active` only (§1.10).
    pub bare_provider_keys: bool,
    /// `GET /provider-keys/{id}`, not documented (§1.10).
    pub provider_key_get: Support,
    /// `POST /provider-keys/{id}`, not documented (§1.10).
    pub provider_key_update: Support,
    /// `DELETE /provider-keys/{id}`, not documented (§1.10).
    pub provider_key_delete: Support,
    /// Whether there is an API for console tokens (§1.13). Default true.
    pub console_tokens: bool,
    /// Models in the catalog besides its usual ones.
    pub more_models: Vec<String>,
    /// Whether exported records name a key by its id instead of its name (§1.11).
    pub export_key_ids: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            flat_errors: false,
            raw_list: false,
            page_size: 100,
            expires_at: Blank::Zero,
            last_used_at: Blank::Zero,
            unset_limits: Blank::Absent,
            masked_key: false,
            email_echo: true,
            create_status: 200,
            delete_no_content: false,
            reveal_key_only: false,
            reveal: Support::Full,
            unique_names: false,
            ignored_updates: BTreeSet::new(),
            bare_provider_keys: false,
            provider_key_get: Support::Full,
            provider_key_update: Support::Full,
            provider_key_delete: Support::Full,
            console_tokens: true,
            more_models: Vec::new(),
            export_key_ids: false,
        }
    }
}

/// How an unset value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Blank {
    /// The zero value of a Go server: `0001-01-01T00:00:00Z`, `0`, `[]`.
    Zero,
    /// The field is missing.
    Absent,
    /// `null`.
    Null,
    /// `""` for a time, `[]` for a list, `0` for a number.
    Empty,
}

/// Whether an undocumented endpoint exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Support {
    /// It works.
    Full,
    /// 404, as for any unknown path.
    UnknownPath,
    /// It answers 200 and does nothing.
    DoesNothing,
}
