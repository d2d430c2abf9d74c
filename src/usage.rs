//! `keysmith usage`: what keys spent, by key, namespace or label, for whoever has to bill it.

pub mod command;
pub mod table;

use crate::api::gateway_api_key::KeyType;
use crate::api::{ConsoleToken, GatewayApiKey};
use crate::plan::facts::KeyId;
use crate::plan::naming::{ClusterId, Identity, Mark};
use crate::plan::usage::{Span, Spent};
use crate::reach::{Reach, Unread, unread};
use jiff::Timestamp;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};
use serde::Serialize;
use std::collections::BTreeMap;

/// What to read; everything where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only keys of this ConsoleToken.
    pub console_token: Option<String>,
    /// Only keys with these labels, as in `kubectl get -l`.
    pub selector: Option<String>,
}

/// What the keys of one GatewayApiKey spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The driver.
    pub vendor: String,
    /// The ConsoleToken it is made with.
    pub console_token: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Spent, in millionths of `currency`.
    pub micros: u64,
    /// The vendor's currency.
    pub currency: String,
    /// Calls, where the vendor counts them.
    pub calls: Option<u64>,
    /// When it was used last within the span.
    pub last_used_at: Option<Timestamp>,
}

/// What was read.
pub struct Reading {
    /// By GatewayApiKey.
    pub rows: Vec<Row>,
    /// ConsoleTokens that could not be asked: which, and why.
    pub unasked: Vec<(String, String)>,
}

/// Reads what the keys spent within the span.
pub async fn read(reach: &Reach, choice: &Choice, span: &Span) -> Result<Reading, Unread> {
    let cluster = reach.cluster().await?;
    let keys = keys(reach, choice).await?;
    let (mut rows, mut unasked) = (Vec::new(), Vec::new());
    for token in reach.tokens(choice.namespace.as_deref(), choice.console_token.as_deref()).await? {
        let place = format!("{}/{}", token.namespace().unwrap_or_default(), token.name_any());
        let Ok(token) = token.0 else {
            unasked.push((place, "it does not fit the present type; correct it first".to_owned()));
            continue;
        };
        let place_of = (token.namespace().unwrap_or_default(), token.name_any());
        let Some(of_token) = keys.get(&place_of) else { continue };
        match ask(reach, &token, of_token, span).await {
            Ok((vendor, currency, spent)) => {
                rows.extend(of_token.iter().map(|key| row(key, &cluster, (vendor, currency), &spent)));
            }
            Err(why) => unasked.push((place, why)),
        }
    }
    rows.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    Ok(Reading { rows, unasked })
}

/// By namespace and name of their ConsoleToken.
type Keys = BTreeMap<(String, String), Vec<GatewayApiKey>>;

async fn keys(reach: &Reach, choice: &Choice) -> Result<Keys, Unread> {
    let api: Api<DeserializeGuard<GatewayApiKey>> = match &choice.namespace {
        Some(namespace) => Api::namespaced(reach.client.clone(), namespace),
        None => Api::all(reach.client.clone()),
    };
    let mut params = ListParams::default();
    if let Some(selector) = &choice.selector {
        params = params.labels(selector);
    }
    let list = api.list(&params).await.map_err(unread("GatewayApiKeys"))?;
    let mut keys = Keys::new();
    // A console token calls no model, and the vendor need not tell of it.
    let spends = |key: &GatewayApiKey| key.spec.kind != Some(KeyType::Management);
    for key in list.into_iter().filter_map(|guard| guard.0.ok()).filter(spends) {
        let place = (key.namespace().unwrap_or_default(), key.spec.console_token_ref.name.clone());
        keys.entry(place).or_default().push(key);
    }
    Ok(keys)
}

async fn ask(
    reach: &Reach,
    token: &ConsoleToken,
    keys: &[GatewayApiKey],
    span: &Span,
) -> Result<(&'static str, &'static str, std::sync::Arc<Spent>), String> {
    let account = reach.connect(token).await?;
    let capabilities = account.capabilities();
    if capabilities.usage.spending.is_none() {
        return Err(format!("{} tells no spending of single keys with such a token", capabilities.title));
    }
    let ids = keys.iter().filter_map(|key| key.status.as_ref()).flat_map(|status| {
        let previous = status.previous.iter().map(|it| it.id.clone());
        status.id.iter().cloned().chain(previous).map(KeyId)
    });
    let path = token.spec.usage.as_ref().and_then(|usage| usage.path.clone());
    let span = Span { path, ..span.clone() };
    let spent = account.spending(span, &ids.collect::<Vec<_>>()).await.map_err(|fault| fault.to_string())?;
    Ok((capabilities.name, capabilities.budget.currency, spent))
}

fn row(key: &GatewayApiKey, cluster: &ClusterId, (vendor, currency): (&str, &str), spent: &Spent) -> Row {
    let identity = Identity::from(Mark::new(cluster, &key.uid().unwrap_or_default()));
    let id = key.status.as_ref().and_then(|status| status.id.as_deref());
    let one = spent.of(&identity, id);
    Row {
        namespace: key.namespace().unwrap_or_default(),
        name: key.name_any(),
        vendor: vendor.to_owned(),
        console_token: key.spec.console_token_ref.name.clone(),
        labels: key.labels().clone(),
        micros: one.micros,
        currency: currency.to_owned(),
        calls: one.calls,
        last_used_at: one.last_used_at,
    }
}
