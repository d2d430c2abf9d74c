//! The resources that commands read, including those that do not fit the present type.

use super::{Request, Unread};
use crate::api::{ClusterConsoleToken, ConsoleToken, GatewayApiKey, ProviderKey};
use crate::cluster::is_missing;
use crate::cluster::object::{self, Managed};
use crate::plan::identity::{AnyToken, TokenKind, TokenRef};
use crate::plan::naming::ClusterId;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt};

/// The id of the cluster.
pub async fn cluster(client: &Client) -> Result<ClusterId, Unread> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let place = Some("kube-system".to_owned());
    let request =
        Request { verb: "get", resource: "namespaces", what: "namespace kube-system", namespace: place };
    let namespace = namespaces.get("kube-system").await.map_err(request.unread())?;
    Ok(ClusterId(namespace.uid().unwrap_or_default()))
}

/// A console token that was listed.
pub struct FoundToken {
    /// Its identity.
    pub reference: TokenRef,
    /// The token. `None`: it does not fit the present type.
    pub token: Option<AnyToken>,
}

impl FoundToken {
    fn namespaced(guard: DeserializeGuard<ConsoleToken>) -> Self {
        let reference = TokenRef::beside(guard.namespace(), &guard.name_any());
        Self { reference, token: guard.0.ok().map(AnyToken::from) }
    }

    fn shared(guard: DeserializeGuard<ClusterConsoleToken>) -> Self {
        Self { reference: TokenRef::shared(&guard.name_any()), token: guard.0.ok().map(AnyToken::from) }
    }
}

/// The console tokens of that namespace, or of all, with that name: the namespaced ones and, of all, the
/// ClusterConsoleTokens, too.
pub async fn tokens(
    client: &Client,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<FoundToken>, Unread> {
    let request = Request::list("consoletokens", "ConsoleTokens", namespace.map(str::to_owned));
    let list = list(client, namespace, &ListParams::default()).await.map_err(request.unread())?;
    let mut found: Vec<_> = list.into_iter().map(FoundToken::namespaced).collect();
    if namespace.is_none() {
        found.extend(cluster_tokens(client).await?);
    }
    found.retain(|it| name.is_none_or(|name| name == it.reference.name));
    Ok(found)
}

/// The console token with that identity, if it exists and fits the present type.
pub async fn token(client: &Client, reference: &TokenRef) -> Result<Option<AnyToken>, Unread> {
    let (namespace, name) = (reference.namespace.as_deref(), Some(reference.name.as_str()));
    let found = match reference.kind {
        TokenKind::ConsoleToken => tokens(client, namespace, name).await?,
        TokenKind::ClusterConsoleToken => cluster_tokens(client).await?,
    };
    Ok(found.into_iter().find(|it| it.reference == *reference).and_then(|it| it.token))
}

/// The ClusterConsoleTokens.
pub async fn cluster_tokens(client: &Client) -> Result<Vec<FoundToken>, Unread> {
    let request = Request::list("clusterconsoletokens", "ClusterConsoleTokens", None);
    let list = match list(client, None, &ListParams::default()).await {
        // An installation of version 0.1 has no such kind.
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        list => list.map_err(request.unread())?,
    };
    Ok(list.into_iter().map(FoundToken::shared).collect())
}

/// The GatewayApiKeys, by namespace and by labels if given.
pub async fn keys(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<DeserializeGuard<GatewayApiKey>>, Unread> {
    let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let request = Request::list("gatewayapikeys", "GatewayApiKeys", namespace.map(str::to_owned));
    list(client, namespace, &params).await.map_err(request.unread())
}

/// The ProviderKeys of that namespace, or of all.
pub async fn provider_keys(
    client: &Client,
    namespace: Option<&str>,
) -> Result<Vec<DeserializeGuard<ProviderKey>>, Unread> {
    let request = Request::list("providerkeys", "ProviderKeys", namespace.map(str::to_owned));
    list(client, namespace, &ListParams::default()).await.map_err(request.unread())
}

async fn list<K: Managed>(
    client: &Client,
    namespace: Option<&str>,
    params: &ListParams,
) -> kube::Result<Vec<DeserializeGuard<K>>> {
    let api: Api<DeserializeGuard<K>> = object::within(client, namespace);
    Ok(api.list(params).await?.items)
}
