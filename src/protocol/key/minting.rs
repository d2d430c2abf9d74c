//! A key that is itself a console token, made for a ConsoleToken with `spec.mint`.

use super::KeyPass;
use crate::api::console_token::Mint;
use crate::api::gateway_api_key::KeyType;
use crate::api::{ConsoleToken, GatewayApiKey, Verdict};
use crate::cluster::object::Managed;
use crate::plan::capability::Minting as Makers;
use crate::plan::identity::TokenRef;
use crate::plan::naming::Serial;
use crate::plan::report;
use crate::plan::token;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::TokenState;
use kube::ResourceExt;
use std::sync::Arc;

/// The ConsoleToken with `spec.mint` that a key is made for.
pub struct Minting {
    /// Its `spec.mint`.
    pub mint: Mint,
    token: Arc<ConsoleToken>,
}

/// The ConsoleToken that a key is made for: the key's controller owner, whose `spec.mint` describes exactly this key.
pub fn of<P: KeyPorts>(key: &GatewayApiKey, ports: &P) -> Option<Minting> {
    if key.spec.kind != Some(KeyType::Management) {
        return None;
    }
    let owners = key.metadata.owner_references.as_ref()?;
    let owner = owners.iter().find(|it| it.controller == Some(true) && it.kind == ConsoleToken::KIND)?;
    let token = ports.token(&TokenRef::beside(key.namespace(), &owner.name))?;
    let mint = token.spec.mint.clone()?;
    // Any user may write an owner reference, so the key must also match the token's `spec.mint`.
    let asked = token.uid().as_ref() == Some(&owner.uid)
        && key.name_any() == token::minted_name(&token.name_any())
        && key.secret_name() == mint.secret.name
        && key.spec.console_token_ref.name == mint.issuer_ref.name;
    asked.then_some(Minting { mint, token })
}

impl Minting {
    fn token_state<P: KeyPorts>(&self, ports: &P) -> Option<TokenState<P::Vendor>> {
        let state = ports.token_state(&TokenRef::of(&self.token))?;
        Some(state).filter(|it| Some(&it.uid) == self.token.uid().as_ref() && it.usable().is_ok())
    }

    /// State of the minted token itself, where it may create and revoke tokens of its own kind: the parent token is
    /// then not needed.
    pub fn acting<P: KeyPorts>(&self, ports: &P) -> Option<TokenState<P::Vendor>> {
        let capabilities = ports.capabilities(&self.token.spec.vendor)?;
        self.token_state(ports).filter(|_| capabilities.console_tokens == Makers::Peer)
    }

    /// Whether the vendor was seen to accept the token with that serial. Until then, the previous one is kept.
    pub fn proven<P: KeyPorts>(&self, ports: &P, serial: Option<Serial>) -> bool {
        serial.is_some() && self.token_state(ports).is_some_and(|it| it.serial == serial)
    }
}

impl<P: KeyPorts> KeyPass<P> {
    /// Whether this is the state of the token that this key is itself.
    pub(super) fn works_with_itself(&self, state: &TokenState<P::Vendor>) -> bool {
        self.minting.as_ref().is_some_and(|it| it.token.uid().as_ref() == Some(&state.uid))
    }

    /// Why the key must be kept: the ConsoleToken still exists.
    pub(super) fn needed(&self) -> Option<Verdict> {
        let token = &self.minting.as_ref()?.token;
        Some(report::key::token_needed(&token.name_any()))
    }

    /// Enqueues the ConsoleToken, which reports the progress of its token in its own status.
    pub(super) fn enqueue_minted(&self) {
        if let Some(minting) = &self.minting {
            self.ports.enqueue_token(&TokenRef::of(&minting.token));
        }
    }
}
