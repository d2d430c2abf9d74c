//! A person's way to Kubernetes and to the vendors, beside the operator and with the rights of whoever runs it.

use crate::api::ConsoleToken;
use crate::cluster::brief;
use crate::cluster::secret::Secrets;
use crate::gateway;
use crate::gateway::account::{Account, Parts};
use crate::gateway::http::Wire;
use crate::gateway::shares::{Membership, Shares};
use crate::gateway::transport::Transport;
use crate::plan::naming::ClusterId;
use crate::plan::token::Endpoints;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;

/// What a command works with.
pub struct Reach {
    /// Kubernetes.
    pub client: Client,
    /// How bytes reach vendors.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// Origins that credentials may be sent to, beside the vendors' own.
    pub endpoints: Endpoints,
}

/// Something that had to be read could not be.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be read ({})", brief(source))]
pub struct Unread {
    /// What was asked for.
    pub what: &'static str,
    /// What the API server said.
    pub source: kube::Error,
}

/// For `map_err`.
pub const fn unread(what: &'static str) -> impl FnOnce(kube::Error) -> Unread {
    move |source| Unread { what, source }
}

impl Reach {
    /// Which cluster this is.
    pub async fn cluster(&self) -> Result<ClusterId, Unread> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = namespaces.get("kube-system").await.map_err(unread("namespace kube-system"))?;
        Ok(ClusterId(namespace.uid().unwrap_or_default()))
    }

    /// ConsoleTokens of that namespace, or of all, with that name, or with any.
    pub async fn tokens(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<DeserializeGuard<ConsoleToken>>, Unread> {
        let api: Api<DeserializeGuard<ConsoleToken>> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let list = api.list(&ListParams::default()).await.map_err(unread("ConsoleTokens"))?;
        Ok(list.into_iter().filter(|it| name.is_none_or(|name| name == it.name_any())).collect())
    }

    /// The way to a token's vendor; otherwise why there is none.
    pub async fn connect(&self, token: &ConsoleToken) -> Result<Account, String> {
        let spec = &token.spec;
        let unknown = || "this version does not know its vendor".to_owned();
        let capabilities = gateway::capabilities(&spec.vendor).ok_or_else(unknown)?;
        let base = self.endpoints.admit(spec.endpoint.as_deref(), capabilities.endpoint);
        let base = base.map_err(|refusal| refusal.to_string())?;
        let secrets = Secrets::new(self.client.clone(), &token.namespace().unwrap_or_default());
        let place = spec.token_secret().ok_or_else(|| "it names no token".to_owned())?;
        let secret = secrets.token(&place).await.map_err(|error| brief(&error))?;
        let secret = secret.map_err(|refusal| refusal.to_string())?;
        let shares = Arc::new(Shares::default());
        let id = shares.of_credential(&spec.vendor, base.as_str(), &secret);
        let wire = Wire::new(base, secret, Arc::clone(&self.transport), self.clock.clone());
        let gateway = gateway::connect(&spec.vendor, wire).ok_or_else(unknown)?;
        Ok(Account::new(Parts {
            gateway,
            gateway_url: String::new(),
            alarm: Box::new(|| {}),
            clock: self.clock.clone(),
            metrics: Metrics::default(),
            membership: Membership { shares, id },
        }))
    }
}
