//! The initial data of an emulator that follows the documentation.

/// One organization at Edgee, and management tokens for every vendor, in clear text: they are no secrets, because they
/// work only here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Id of the organization at Edgee.
    pub organization: String,
    /// A console token of Edgee for it.
    pub token: String,
    /// The API key of an Eden AI account, for v2.
    pub edenai_v2: String,
    /// An auth key of Eden AI v3 that may read and write.
    pub edenai_v3: String,
    /// An issuer key of Eden AI v3, which mints such auth keys.
    pub edenai_issuer: String,
    /// A management key of Cortecs.
    pub cortecs: String,
    /// A token of an administrator of LiteLLM.
    pub litellm: String,
    /// A management key of OpenRouter.
    pub openrouter: String,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            organization: "org_demo".to_owned(),
            token: "ek_live_emulated-console-token".to_owned(),
            edenai_v2: "eden-v2-emulated-console-token".to_owned(),
            edenai_v3: "mgmt-eden-emulated-console-token".to_owned(),
            edenai_issuer: "mgmt-eden-emulated-issuer-token".to_owned(),
            cortecs: "cortecs-emulated-console-token".to_owned(),
            litellm: "sk-litellm-emulated-console-token".to_owned(),
            openrouter: "sk-or-v1-emulated-console-token".to_owned(),
        }
    }
}
