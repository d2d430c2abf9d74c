//! Leaked keys that cannot be replaced.

use super::{Act, Done, KeyPass, STEPS};
use crate::api::gateway_api_key::GatewayApiKeySpec;
use crate::plan::capability::Capabilities;
use crate::plan::decision::Step;
use crate::plan::desired;
use crate::plan::facts::Target;
use crate::plan::issuance;
use crate::plan::report;
use crate::plan::succession;
use crate::plan::template::Rendering;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::{Error, Pass};
use std::sync::Arc;

impl<P: KeyPorts> KeyPass<P> {
    /// Drops a leaked key from status although there is no successor yet.
    pub(super) async fn drop_leaked(&mut self, act: &Act<'_, P::Vendor>) -> Result<Done, Error> {
        let mut status = self.status();
        succession::drop_leaked(&mut status, &act.facts.requests, self.ports.now());
        let pass = self.publish(status, &report::key::given_up()).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// An invalid spec prevents the replacement of a leaked key, but must not prevent its revocation. `None`: nothing
    /// leaked, or the leak is dealt with.
    pub(super) async fn revoke_leaked(&mut self, capabilities: &Capabilities) -> Result<Option<Pass>, Error> {
        let Some(account) = self.token_state().and_then(|it| it.usable().ok().cloned()) else {
            return Ok(None);
        };
        // Revocation needs nothing of the spec that is invalid, so a bare one is used.
        let mut bare = self.key.as_ref().clone();
        bare.spec = GatewayApiKeySpec::bare(bare.spec.console_token_ref);
        let Ok(desired) = desired::desired(&bare, capabilities, None) else {
            return Ok(None);
        };
        for _ in 0..STEPS {
            let target = match self.secrets.inspect(&self.uid, self.key.secret_name()).await {
                // 403 on the Secret does not matter here: nothing is written into it.
                Err(error) if crate::cluster::is_forbidden(&error) => Target::Absent,
                target => target?,
            };
            let facts = self.facts(target, capabilities.ability(), None);
            let Some(decision) = issuance::leak_alone(&facts) else {
                return Ok(None);
            };
            let account = Arc::clone(&account);
            let rendering = Rendering::default();
            let act = Act { account, desired: &desired, rendering: &rendering, base_url: "", facts: &facts };
            let done = match &decision.step {
                Step::DropLeaked(_) => self.drop_leaked(&act).await?,
                Step::Retire(id) => self.revoke_previous(&act, id, &decision).await?,
                Step::Rest(until) => Done::Pass(Pass::Rest(*until)),
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(Some(pass)),
                Done::Failed(fault, purpose) => {
                    return self.failed(&fault, purpose, Some(&facts)).await.map(Some);
                }
            }
        }
        Ok(Some(Pass::Stale))
    }
}
