//! What the documentation of Eden AI v3 leaves open or contradicts (§2.7, §2.8, §2.12), as switches.

use serde::{Deserialize, Serialize};

use crate::emulator::edenai::money::Form;

/// How the emulated Eden AI v3 answers where its documentation is silent or contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent question the contract leaves open"
)]
pub struct Switches {
    /// Whether paths without the slash at their end work, as the older guide writes them (§2.6).
    pub bare_paths: bool,
    /// Status of a successful create (§2.12). Default 201.
    pub create_status: u16,
    /// Whether a delete answers 204 without a body, as the specification says, instead of 200 with the key (§2.7).
    pub delete_no_content: bool,
    /// Whether a page calls its total `count`, as the specification does, instead of `total_count` (§2.8).
    pub count: bool,
    /// Largest page of a list, and the page when no `limit` is given (§2.8). Default 100.
    pub page_size: usize,
    /// Whether lists begin with the oldest key; the order is not documented.
    pub oldest_first: bool,
    /// Whether a balance is a number or, as the specification says, a string (§2.8). Default a number.
    pub balance: Form,
    /// Whether keys show `balance_reset_*` and `default_tags`, which no example does (§2.12).
    pub all_fields: bool,
    /// The limit of active keys of the plan; one more is a 403 (§2.8). Default no limit.
    pub key_limit: Option<usize>,
    /// Whether a 400 has one `detail`, instead of messages per field (§2.10).
    pub flat_errors: bool,
    /// Where the answer to a minted auth key has the secret (§2.8). Default `secret`.
    pub auth_key_secret: SecretField,
    /// Status of a successful mint of an auth key (§2.8). Default 200.
    pub auth_key_status: u16,
    /// Whether auth keys are listed as a raw array, instead of a page like keys.
    pub auth_keys_raw: bool,
    /// Whether revoked auth keys are listed, as revoked keys are. Default true.
    pub auth_keys_revoked: bool,
}

/// A field that may hold the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecretField {
    /// `secret`, as for inference keys.
    Secret,
    /// `key`.
    Key,
    /// `token`.
    Token,
}

impl SecretField {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Token => "token",
        }
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            bare_paths: false,
            create_status: 201,
            delete_no_content: false,
            count: false,
            page_size: 100,
            oldest_first: false,
            balance: Form::Number,
            all_fields: false,
            key_limit: None,
            flat_errors: false,
            auth_key_secret: SecretField::Secret,
            auth_key_status: 200,
            auth_keys_raw: false,
            auth_keys_revoked: true,
        }
    }
}
