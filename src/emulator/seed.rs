//! What a newcomer's emulator starts with.

/// One organization and one console token for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Id of the organization.
    pub organization: String,
    /// The console token, in clear: it is no secret, it works nowhere but here.
    pub token: String,
}

impl Default for Seed {
    fn default() -> Self {
        Self { organization: "org_demo".to_owned(), token: "ek_live_emulated-console-token".to_owned() }
    }
}
