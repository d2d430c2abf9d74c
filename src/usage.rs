//! `keysmith usage`: what keys spent, by key, namespace or label, for billing.

pub mod command;
pub mod table;

use crate::api::GatewayApiKey;
use crate::api::gateway_api_key::KeyType;
use crate::cluster::object;
use crate::columns::printable;
use crate::plan::identity::{AnyToken, ObjectName, TokenKind, TokenRef};
use crate::plan::listing::KeyId;
use crate::plan::naming::{ClusterId, Identity, Mark};
use crate::plan::usage::{Span, Spent};
use crate::session::objects::{self, FoundToken};
use crate::session::{Session, Unasked, Unread};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;

/// The selection of keys; an empty selection means all of them.
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
    /// The ConsoleToken of the key.
    pub console_token: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The amount spent, in millionths of `currency`.
    pub micros: u64,
    /// The vendor's currency.
    pub currency: String,
    /// Calls, where the vendor counts them.
    pub calls: Option<u64>,
    /// The last use within the span.
    pub last_used_at: Option<Timestamp>,
}

/// The result of reading the spending.
#[derive(Default)]
pub struct Reading {
    /// One row per GatewayApiKey.
    pub rows: Vec<Row>,
    /// ConsoleTokens whose vendor could not be asked.
    pub unasked: Vec<Unasked>,
    /// The number of ConsoleTokens whose vendors answered.
    pub answered: usize,
    /// Keys that are missing from the rows, and why, one sentence each.
    pub uncounted: Vec<String>,
    /// Selected names that do not exist, one sentence each.
    pub unmatched: Vec<String>,
}

impl Reading {
    /// The number of ConsoleTokens whose vendors were to be asked: those with a selected key.
    pub fn asked(&self) -> usize {
        self.answered + self.unasked.len()
    }

    /// Whether the spending of every selected key was read.
    pub fn is_whole(&self) -> bool {
        self.unasked.is_empty() && self.uncounted.is_empty() && self.unmatched.is_empty()
    }
}

/// Reads the spending of the selected keys within the span.
pub async fn read(session: &Session, choice: &Choice, span: &Span) -> Result<Reading, Unread> {
    let cluster = objects::cluster(&session.client).await?;
    let mut reading = Reading::default();
    let mut keys = keys(session, choice, &mut reading).await?;
    let mut tokens =
        objects::tokens(&session.client, choice.namespace.as_deref(), choice.console_token.as_deref())
            .await?;
    // The keys of one namespace may be made with a token of all.
    if choice.namespace.is_some() && keys.keys().any(|it| it.kind == TokenKind::ClusterConsoleToken) {
        let named =
            |it: &FoundToken| choice.console_token.as_ref().is_none_or(|name| *name == it.reference.name);
        tokens.extend(objects::cluster_tokens(&session.client).await?.into_iter().filter(named));
    }
    reading.unmatched = choice.unmatched(tokens.len(), keys.len());
    for token in tokens {
        let Some(of_token) = keys.remove(&token.reference) else { continue };
        let spent = match &token.token {
            Some(token) => ask(session, token, &of_token, span).await,
            None => Err("it does not fit the present type; correct it first".to_owned()),
        };
        match spent {
            Ok((vendor, currency, spent)) => {
                reading.answered += 1;
                let rows = of_token.iter().map(|key| row(key, &cluster, vendor, currency, &spent));
                reading.rows.extend(rows);
            }
            Err(why) => reading.unasked.push(Unasked { token: token.reference, why }),
        }
    }
    if choice.console_token.is_none() {
        reading.uncounted.extend(keys.iter().map(|(token, keys)| without_token(token, keys.len())));
    }
    reading.rows.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    Ok(reading)
}

fn without_token(token: &TokenRef, keys: usize) -> String {
    let keys = if keys == 1 { "1 GatewayApiKey is".to_owned() } else { format!("{keys} GatewayApiKeys are") };
    format!("{} {token} does not exist; {keys} not counted", token.kind.name())
}

impl Choice {
    /// Reports selections that match nothing, one sentence each.
    fn unmatched(&self, tokens: usize, keys: usize) -> Vec<String> {
        let place =
            self.namespace.as_ref().map_or("any namespace".to_owned(), |it| format!("namespace {it}"));
        let mut unmatched = Vec::new();
        if let Some(name) = self.console_token.as_ref().filter(|_| tokens == 0) {
            unmatched.push(format!("--console-token {name}: there is no such console token in {place}"));
        }
        if let Some(selector) = self.selector.as_ref().filter(|_| keys == 0) {
            unmatched.push(format!("--selector {selector}: no GatewayApiKey in {place} has such labels"));
        }
        unmatched
    }
}

/// The keys by ConsoleToken.
type Keys = BTreeMap<TokenRef, Vec<GatewayApiKey>>;

async fn keys(session: &Session, choice: &Choice, reading: &mut Reading) -> Result<Keys, Unread> {
    let mut keys = Keys::new();
    for guard in
        objects::keys(&session.client, choice.namespace.as_deref(), choice.selector.as_deref()).await?
    {
        let name = ObjectName { namespace: object::namespace(&guard), name: guard.name_any() };
        let Ok(key) = guard.0 else {
            let why = format!("GatewayApiKey {name} does not fit the present type; it is not counted");
            reading.uncounted.push(why);
            continue;
        };
        // A management key calls no model, and vendors need not report spending for it.
        if key.spec.kind != Some(KeyType::Management) {
            keys.entry(TokenRef::named_by(&key)).or_default().push(key);
        }
    }
    Ok(keys)
}

async fn ask(
    session: &Session,
    token: &AnyToken,
    keys: &[GatewayApiKey],
    span: &Span,
) -> Result<(&'static str, &'static str, std::sync::Arc<Spent>), String> {
    let account = session.connect(token).await?;
    let capabilities = account.capabilities();
    let ids = keys.iter().filter_map(|key| key.status.as_ref()).flat_map(|status| {
        let previous = status.previous.iter().map(|it| it.id.clone());
        status.id.iter().cloned().chain(previous).map(KeyId)
    });
    let path = token.spec().usage.as_ref().and_then(|usage| usage.path.clone());
    let span = Span { path, ..span.clone() };
    let spent = account.spending(span, &ids.collect::<Vec<_>>()).await.map_err(|fault| fault.to_string())?;
    let untold = || format!("{} tells no spending of single keys with such a token", capabilities.title);
    let spent = spent.ok_or_else(untold)?;
    Ok((capabilities.name, capabilities.budget.currency, spent))
}

fn row(key: &GatewayApiKey, cluster: &ClusterId, vendor: &str, currency: &str, spent: &Spent) -> Row {
    let cluster = cluster.clone().of_class(&object::holder(key).unwrap_or_default());
    let identity = Identity::from(Mark::new(&cluster, &key.uid().unwrap_or_default()));
    let id = key.status.as_ref().and_then(|status| status.id.as_deref());
    let one = spent.of(&identity, id);
    Row {
        namespace: object::namespace(key),
        name: key.name_any(),
        vendor: vendor.to_owned(),
        console_token: key.spec.console_token_ref.name.clone(),
        labels: key.labels().iter().map(|(name, value)| (name.clone(), printable(value))).collect(),
        micros: one.micros,
        currency: printable(currency),
        calls: one.calls,
        last_used_at: one.last_used_at,
    }
}
