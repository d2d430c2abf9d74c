//! A key that is itself a console token, made for a console token with `spec.mint`.

use super::KeyPass;
use crate::api::console_token::Mint;
use crate::api::gateway_api_key::KeyType;
use crate::api::{GatewayApiKey, Verdict};
use crate::plan::capability::Minting as Makers;
use crate::plan::identity::{AnyToken, TokenKind, TokenRef};
use crate::plan::naming::Serial;
use crate::plan::report;
use crate::plan::token;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::TokenState;
use kube::ResourceExt;

/// The console token with `spec.mint` that a key is made for.
pub struct Minting {
    /// Its `spec.mint`.
    pub mint: Mint,
    token: AnyToken,
}

/// The console token that a key is made for: the key's controller owner, whose `spec.mint` describes exactly this key.
pub fn of<P: KeyPorts>(key: &GatewayApiKey, ports: &P) -> Option<Minting> {
    if key.spec.kind != Some(KeyType::Management) {
        return None;
    }
    let owners = key.metadata.owner_references.as_ref()?;
    let owner = owners.iter().find(|it| it.controller == Some(true))?;
    let reference = match TokenKind::read(Some(&owner.kind))? {
        TokenKind::ConsoleToken => TokenRef::beside(key.namespace(), &owner.name),
        TokenKind::ClusterConsoleToken if key.namespace().as_deref() == Some(ports.home()) => {
            TokenRef::shared(&owner.name)
        }
        TokenKind::ClusterConsoleToken => return None,
    };
    let token = ports.token(&reference)?;
    let mint = token.spec().mint.clone()?;
    // Any user may write an owner reference, so the key must also match the token's `spec.mint`.
    let asked = token.uid().as_ref() == Some(&owner.uid)
        && key.name_any() == token::minted_name(token.name())
        && key.secret_name() == mint.secret.name
        && TokenRef::named_by(key) == reference.sibling(&mint.issuer_ref.name);
    asked.then_some(Minting { mint, token })
}

impl Minting {
    fn token_state<P: KeyPorts>(&self, ports: &P) -> Option<TokenState<P::Vendor>> {
        let state = ports.token_state(&self.token.reference())?;
        Some(state).filter(|it| Some(&it.uid) == self.token.uid().as_ref() && it.usable().is_ok())
    }

    /// State of the minted token itself, where it may create and revoke tokens of its own kind: the parent token is
    /// then not needed.
    pub fn acting<P: KeyPorts>(&self, ports: &P) -> Option<TokenState<P::Vendor>> {
        let capabilities = ports.capabilities(&self.token.spec().vendor)?;
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

    /// Why the key must be kept: the console token still exists.
    pub(super) fn needed(&self) -> Option<Verdict> {
        let token = &self.minting.as_ref()?.token;
        Some(report::key::token_needed(&token.reference().titled()))
    }

    /// Enqueues the console token, which reports the progress of its token in its own status.
    pub(super) fn enqueue_minted(&self) {
        if let Some(minting) = &self.minting {
            self.ports.enqueue_token(&minting.token.reference());
        }
    }
}
