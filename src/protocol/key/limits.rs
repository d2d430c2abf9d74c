//! What the limits of a ClusterConsoleToken mean for a key. The key of a minted token is the token's own, and has none.

use super::KeyPass;
use crate::plan::facts::{Bounds, Refusal};
use crate::plan::identity::AnyToken;
use crate::plan::limits::{self, Share};
use crate::plan::report;
use crate::plan::spec_error::SpecError;
use crate::protocol::key::ports::KeyPorts;

impl<P: KeyPorts> KeyPass<P> {
    /// What the limits of the token mean for this key now.
    pub(super) fn bounds(&self, token: &AnyToken) -> Bounds {
        let Some(sharing) = token.sharing().filter(|_| self.minting.is_none()) else {
            return Bounds::default();
        };
        let limits = sharing.limits.as_ref();
        let refusal = self.exceeds(token).err();
        let refusal = refusal.map(|error| Refusal { error, until: None, freezes: true });
        let stopped = || {
            let made = self.ports.made_in_namespace(&self.key);
            let until = limits::stopped(limits?, made.as_ref()).filter(|until| *until > self.ports.now())?;
            let error = report::token::namespace_stopped(&self.token_ref(), &self.namespace(), until);
            Some(Refusal { error, until: Some(until), freezes: false })
        };
        Bounds {
            refusal: refusal.or_else(stopped),
            least_apart: limits.map(limits::least_apart).unwrap_or_default(),
            most_previous: limits.map_or(usize::MAX, limits::most_previous),
        }
    }

    fn exceeds(&self, token: &AnyToken) -> Result<(), SpecError> {
        let labels = self.ports.namespace_labels(&self.namespace());
        limits::exceeds(token, &self.key, labels.as_ref(), |limits| {
            let reference = self.token_ref();
            let mut others = Vec::new();
            self.ports.each_key_beside(&self.key, |key| others.push(Share::of(limits, &reference, key)));
            others
        })
    }

    /// Whether the limits of the token permit what the key puts into its Secret.
    pub(super) fn check_secret(&self, token: &AnyToken) -> Result<(), SpecError> {
        let limits = token.sharing().and_then(|it| it.limits.as_ref()).filter(|_| self.minting.is_none());
        limits.map_or(Ok(()), |limits| limits::check_secret(limits, &self.token_ref(), &self.key))
    }
}
