//! What the documentation of Eden AI v2 leaves open or contradicts (§2.0, §2.3, §2.12), as switches.

use serde::{Deserialize, Serialize};

/// How the emulated Eden AI v2 answers. The default is the classic API, as the source describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent question the contract leaves open"
)]
pub struct Switches {
    /// The API of September 2026 (§2.0): only sessions manage tokens, reads show no `token`, and a key can read itself.
    pub sessions_only: bool,
    /// The status for an account's API key at the endpoints of sessions: 401 or 403 (§4.7). Default 401.
    pub refusal_status: u16,
    /// Whether a create shows `token` (§2.3).
    pub token_in_create: bool,
    /// Whether reads show `token`, as they did until about August 2026 (§0). Default true.
    pub token_in_reads: bool,
    /// Whether a delete answers 200 instead of 204 (§4.7).
    pub delete_ok: bool,
    /// Whether budgets can be reset, as since July 2026, and show their reset (§2.3). Default true.
    pub resets: bool,
    /// Whether `expire_time` must be a day ahead at least, as on v3 (§2.12). Default true.
    pub day_ahead: bool,
    /// Whether the day `end` of a usage query is included (§2.9).
    pub end_inclusive: bool,
    /// Whether unknown query parameters are a 400, as since September 2026 (§2.9).
    pub strict_query: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            sessions_only: false,
            refusal_status: 401,
            token_in_create: false,
            token_in_reads: true,
            delete_ok: false,
            resets: true,
            day_ahead: true,
            end_inclusive: false,
            strict_query: false,
        }
    }
}

impl Switches {
    /// The API of September 2026 (§2.0).
    #[must_use]
    pub fn september_2026() -> Self {
        Self { sessions_only: true, token_in_reads: false, strict_query: true, ..Self::default() }
    }
}
