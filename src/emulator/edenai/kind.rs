//! The kind of a key of Eden AI, on both APIs.

use serde::{Deserialize, Serialize};

use crate::emulator::fields::Fields;

/// Whether a key makes real calls (§2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenType {
    /// Real calls, which cost money.
    #[default]
    ApiToken,
    /// Mock data, free of charge.
    SandboxApiToken,
}

/// The `token_type` of a create.
pub(super) fn parse(fields: &mut Fields) -> TokenType {
    match fields.text("token_type").value().as_deref() {
        None | Some("api_token") => TokenType::ApiToken,
        Some("sandbox_api_token") => TokenType::SandboxApiToken,
        Some(_) => {
            fields.complain("token_type", "token_type must be one of api_token, sandbox_api_token.");
            TokenType::ApiToken
        }
    }
}

/// The `name` of a create: 1 to 200 characters.
pub(super) fn parse_name(fields: &mut Fields) -> String {
    const LONGEST: usize = 200;
    let name = fields.required_text("name");
    if name.chars().count() > LONGEST {
        fields.complain("name", format!("name must be {LONGEST} characters at most."));
    }
    name
}
