//! What the vendors say, for commands that ask them on request (`--ask-vendors`).

use super::{Kubernetes, Session, Unread, home, objects};
use crate::api::GatewayApiKey;
use crate::flags;
use crate::flags::network::NetworkArguments;
use crate::gateway::Vendors;
use crate::gateway::account::{Account, Listing};
use crate::output::Failure;
use crate::plan::class::ControllerClass;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::runtime::clock::Clock;
use clap::Args;
use kube::Client;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The flags of a command that asks vendors on request.
#[derive(Debug, Args)]
pub struct AskArguments {
    /// Ask the vendors, too: with the tokens in the Secrets, which you must be allowed to read. One listing per console token.
    #[arg(long)]
    ask_vendors: bool,
    #[command(flatten)]
    network: NetworkArguments,
    /// Namespace of the Secrets that ClusterConsoleTokens name, usually the operator's; looked for when left out.
    #[arg(long, env = "KEYSMITH_CLUSTER_RESOURCE_NAMESPACE", value_name = "NAMESPACE", value_parser = flags::namespace)]
    cluster_resource_namespace: Option<String>,
}

impl AskArguments {
    /// The session with which to ask; `None`: no vendor is to be asked.
    pub async fn session(&self, kubernetes: &Kubernetes) -> Result<Option<Session>, Failure> {
        if !self.ask_vendors {
            return Ok(None);
        }
        let (endpoints, transport) = self.network.connect()?;
        Ok(Some(Session {
            client: kubernetes.client.clone(),
            transport: Arc::new(transport),
            clock: Clock::system(),
            endpoints,
            vendors: Vendors::default(),
            home: home(kubernetes, &ControllerClass::default(), self.cluster_resource_namespace.clone())
                .await,
            class: ControllerClass::default(),
        }))
    }
}

impl Session {
    /// Asks the vendor of a console token for its keys. The error says why it does not answer.
    pub async fn ask(&self, token: &AnyToken) -> Result<(Account, Arc<Listing>), String> {
        let account = self.connect(token).await?;
        let listing = account.probe().await.map_err(|fault| fault.to_string())?;
        Ok((account, listing))
    }
}

/// Every console token and every GatewayApiKey of the cluster.
pub struct Everything {
    tokens: Vec<objects::FoundToken>,
    /// The keys that fit the definition of this version.
    pub keys: Vec<GatewayApiKey>,
}

impl Everything {
    /// Reads them.
    pub async fn read(client: &Client) -> Result<Self, Unread> {
        let tokens = objects::tokens(client, None, None).await?;
        let keys = objects::keys(client, None, None).await?;
        Ok(Self { tokens, keys: keys.into_iter().filter_map(|it| it.0.ok()).collect() })
    }

    /// The ids of keys that GatewayApiKeys name at the account of this token. Another account may have other keys with the same
    /// ids.
    pub fn ids_at(&self, token: &AnyToken) -> BTreeSet<String> {
        let place = |it: &AnyToken| Vendors::default().place(it).place;
        let own = place(token);
        let same = self.tokens.iter().filter(|it| it.token.as_ref().is_some_and(|it| place(it).agrees(&own)));
        let same: HashSet<_> = same.map(|it| &it.reference).collect();
        let here = self.keys.iter().filter(|it| same.contains(&TokenRef::named_by(*it)));
        here.flat_map(|key| {
            let status = key.status.as_ref();
            let previous = status.into_iter().flat_map(|it| &it.previous).map(|it| it.id.clone());
            let own = [key.spec.external_id.clone(), status.and_then(|it| it.id.clone())];
            own.into_iter().flatten().chain(previous).collect::<Vec<_>>()
        })
        .collect()
    }
}
