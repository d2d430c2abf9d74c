//! The emulated vendors seen as one: what every vendor's keys have in common, so that a story can be told once
//! and played at each of them.

use jiff::Timestamp;

use super::cortecs::DataPlaneAnswer as CortecsAnswer;
use super::edenai::DataPlaneAnswer as EdenAiAnswer;
use super::edgee::DataPlaneAnswer as EdgeeAnswer;
use super::{Emulator, cortecs, edenai, edgee};

/// The organization in which a desk works where a vendor's credentials are for organizations of their own making.
const ORGANIZATION: &str = "org_test";

/// One emulated management API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The Edgee Console API.
    Edgee,
    /// The custom tokens of Eden AI v2.
    EdenAiV2,
    /// The management API of Eden AI v3.
    EdenAiV3,
    /// The Cortecs management API.
    Cortecs,
}

impl Surface {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Edgee, Self::EdenAiV2, Self::EdenAiV3, Self::Cortecs];

    /// What it is called here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edgee => "edgee",
            Self::EdenAiV2 => "edenai-v2",
            Self::EdenAiV3 => "edenai-v3",
            Self::Cortecs => "cortecs",
        }
    }

    /// Where it is on the emulator: the path that an endpoint ends in.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Edgee => "edgee",
            Self::EdenAiV2 | Self::EdenAiV3 => "edenai",
            Self::Cortecs => "cortecs",
        }
    }

    /// Where its data plane is on the emulator.
    #[must_use]
    pub const fn gateway_path(self) -> &'static str {
        match self {
            Self::Edgee => "edgee-gateway",
            Self::EdenAiV2 | Self::EdenAiV3 => "edenai-gateway",
            Self::Cortecs => "cortecs-gateway",
        }
    }
}

/// One key, as any vendor has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// What identifies it to a client of that vendor: an id, or its name.
    pub id: String,
    /// Name.
    pub name: String,
    /// The account it belongs to: an organization, or `user/project`.
    pub account: String,
    /// The key itself.
    pub secret: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is switched on.
    pub active: bool,
    /// What it may still spend, in millionths of the vendor's currency; `None` without a limit.
    pub remaining_micros: Option<u64>,
    /// What it may spend in all, or within a period.
    pub budget_micros: Option<u64>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("active", &self.active)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// One emulated vendor, whichever it is: its console in a human's hands, and a look behind it. What is done here is
/// neither logged nor counted. At Edgee it works in the organization `org_test`, elsewhere in the demo's.
#[derive(Clone)]
pub struct Desk {
    emulator: Emulator,
    surface: Surface,
}

impl Desk {
    pub(super) fn new(emulator: Emulator, surface: Surface) -> Self {
        Self { emulator, surface }
    }

    /// Which vendor it is.
    #[must_use]
    pub fn surface(&self) -> Surface {
        self.surface
    }

    /// Adds a management credential that may do everything with keys.
    pub fn add_token(&self, token: &str) {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().add_token(token, &[ORGANIZATION]),
            Surface::EdenAiV2 => self.emulator.edenai().v2().add_token(token),
            Surface::EdenAiV3 => self.emulator.edenai().v3().add_token(token),
            Surface::Cortecs => self.emulator.cortecs().add_token(token),
        }
    }

    /// Adds a management credential of that account, which need not exist before; a known one changes hands. At Cortecs
    /// an account is `user/project`, or one word for both.
    pub fn add_token_of(&self, token: &str, account: &str) {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().add_token(token, &[account]),
            Surface::EdenAiV2 => self.emulator.edenai().v2().add_token_of(token, account),
            Surface::EdenAiV3 => self.emulator.edenai().v3().add_token_of(token, account),
            Surface::Cortecs => self.emulator.cortecs().add_token_of(token, cortecs::Person::named(account)),
        }
    }

    /// The same as [`Desk::add_issuer`], of that account.
    pub fn add_issuer_of(&self, token: &str, account: &str) {
        match self.surface {
            Surface::EdenAiV3 => self.emulator.edenai().v3().add_issuer_of(token, account),
            Surface::Edgee | Surface::EdenAiV2 | Surface::Cortecs => self.add_token_of(token, account),
        }
    }

    /// The keys of one account, oldest first: as [`Desk::keys`], which shows those of every account but at Edgee.
    #[must_use]
    pub fn keys_of(&self, account: &str) -> Vec<Seen> {
        let keys = match self.surface {
            Surface::Edgee => {
                self.emulator.edgee().keys(account).iter().map(edgee::KeyRecord::seen).collect()
            }
            _ => self.keys(),
        };
        let account = match self.surface {
            Surface::Cortecs => cortecs::Person::named(account).scope(),
            _ => account.to_owned(),
        };
        keys.into_iter().filter(|key| key.account == account).collect()
    }

    /// Adds a credential that mints management credentials. Where that takes no credential of its own kind, or where
    /// nothing can be minted, it is the same as [`Desk::add_token`].
    pub fn add_issuer(&self, token: &str) {
        match self.surface {
            Surface::EdenAiV3 => self.emulator.edenai().v3().add_issuer(token),
            Surface::Edgee | Surface::EdenAiV2 | Surface::Cortecs => self.add_token(token),
        }
    }

    /// Ends a management credential at once. Says whether there was one.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().revoke_token(token),
            Surface::EdenAiV2 => self.emulator.edenai().v2().revoke_token(token),
            Surface::EdenAiV3 => self.emulator.edenai().v3().revoke_token(token),
            Surface::Cortecs => self.emulator.cortecs().revoke_token(token),
        }
    }

    /// The keys that exist, oldest first: neither revoked ones nor management credentials.
    #[must_use]
    pub fn keys(&self) -> Vec<Seen> {
        let now = self.emulator.now();
        match self.surface {
            Surface::Edgee => {
                self.emulator.edgee().keys(ORGANIZATION).iter().map(edgee::KeyRecord::seen).collect()
            }
            Surface::EdenAiV2 => self.emulator.edenai().v2().keys().iter().map(|key| key.seen(now)).collect(),
            Surface::EdenAiV3 => {
                let keys = self.emulator.edenai().v3().keys();
                keys.iter().map(|key| key.seen(now)).filter(|key| key.active).collect()
            }
            Surface::Cortecs => {
                let keys = self.emulator.cortecs().keys();
                keys.iter().filter(|key| !key.management).map(|key| key.seen(now)).collect()
            }
        }
    }

    /// The management credentials that were minted through the API and exist, oldest first.
    #[must_use]
    pub fn credentials(&self) -> Vec<Seen> {
        let now = self.emulator.now();
        match self.surface {
            Surface::Edgee => {
                let tokens = self.emulator.edgee().tokens();
                tokens.iter().filter(|token| token.minted).map(edgee::TokenRecord::seen).collect()
            }
            Surface::EdenAiV2 => Vec::new(),
            Surface::EdenAiV3 => {
                let keys = self.emulator.edenai().v3().management_keys();
                let minted = keys.iter().filter(|key| key.minted);
                minted.map(edenai::v3::ManagementKey::seen).filter(|key| key.active).collect()
            }
            Surface::Cortecs => {
                let keys = self.emulator.cortecs().keys();
                keys.iter().filter(|key| key.management && key.minted).map(|key| key.seen(now)).collect()
            }
        }
    }

    /// A human makes a key.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, name: &str) -> Seen {
        let now = self.emulator.now();
        match self.surface {
            Surface::Edgee => self.emulator.edgee().add_key(ORGANIZATION, edgee::NewKey::named(name)).seen(),
            Surface::EdenAiV2 => {
                self.emulator.edenai().v2().add_key(edenai::v2::NewToken::named(name)).seen(now)
            }
            Surface::EdenAiV3 => {
                self.emulator.edenai().v3().add_key(edenai::v3::NewKey::named(name)).seen(now)
            }
            Surface::Cortecs => self.emulator.cortecs().add_key(name).seen(now),
        }
    }

    /// A human deletes a key, or revokes it where keys stay. Says whether there was such a key.
    #[must_use = "an unknown key is not deleted"]
    pub fn delete_key(&self, id: &str) -> bool {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().delete_key(id),
            Surface::EdenAiV2 => self.emulator.edenai().v2().delete_key(id),
            Surface::EdenAiV3 => self.emulator.edenai().v3().revoke_key(id),
            Surface::Cortecs => self.emulator.cortecs().delete_key(id),
        }
    }

    /// Whether the data plane would accept a call with this secret now.
    #[must_use]
    pub fn accepts(&self, secret: &str) -> bool {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().check(secret, None) == EdgeeAnswer::Accepted,
            Surface::EdenAiV2 => self.emulator.edenai().v2().check(secret) == EdenAiAnswer::Accepted,
            Surface::EdenAiV3 => self.emulator.edenai().v3().check(secret) == EdenAiAnswer::Accepted,
            Surface::Cortecs => self.emulator.cortecs().check(secret) == CortecsAnswer::Accepted,
        }
    }

    /// A key spends so much now, in millionths of the vendor's currency. Says whether there is such a key.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, id: &str, micros: u64) -> bool {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().spend(id, micros),
            Surface::EdenAiV2 => self.emulator.edenai().v2().spend(id, micros),
            Surface::EdenAiV3 => self.emulator.edenai().v3().spend(id, micros),
            Surface::Cortecs => self.emulator.cortecs().spend(id, micros),
        }
    }

    /// A human takes away what a key may spend at most and, where that can be changed, when it expires. Says whether
    /// there was such a key; where keys have no limits there is none.
    #[must_use = "an unknown key is not changed"]
    pub fn unlimit(&self, id: &str) -> bool {
        let none = |budget: &mut edenai::Budget| {
            (budget.balance, budget.active, budget.period, budget.amount) = (None, false, None, None);
        };
        match self.surface {
            Surface::Edgee => self.emulator.edgee().edit_key(id, |key| key.max_usage = None),
            Surface::EdenAiV2 => self.emulator.edenai().v2().edit_key(id, |key| {
                none(&mut key.budget);
                key.expires_at = None;
            }),
            Surface::EdenAiV3 => self.emulator.edenai().v3().edit_key(id, |key| {
                none(&mut key.budget);
                key.expires_at = None;
            }),
            Surface::Cortecs => false,
        }
    }

    /// A human moves a key's expiry. Says whether there was such a key; where keys never expire there is none.
    #[must_use = "an unknown key is not changed"]
    pub fn expire(&self, id: &str, at: Option<Timestamp>) -> bool {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().edit_key(id, |key| key.expires_at = at),
            Surface::EdenAiV2 => self.emulator.edenai().v2().edit_key(id, |key| key.expires_at = at),
            Surface::EdenAiV3 => self.emulator.edenai().v3().edit_key(id, |key| key.expires_at = at),
            Surface::Cortecs => false,
        }
    }

    /// How many keys were ever made through the API; management credentials are not among them.
    #[must_use]
    pub fn created_total(&self) -> u64 {
        match self.surface {
            Surface::Edgee => self.emulator.edgee().counts().created_total,
            Surface::EdenAiV2 => self.emulator.edenai().v2().counts().created_total,
            Surface::EdenAiV3 => self.emulator.edenai().v3().counts().created_total,
            Surface::Cortecs => self.emulator.cortecs().counts().created_total,
        }
    }
}
