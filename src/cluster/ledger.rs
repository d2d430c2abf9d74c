//! The ledger as a ConfigMap in the operator's own namespace: one entry per key that was left behind. Each entry is
//! written by its own merge patch, so that concurrent writers do not conflict.

use crate::api::{MANAGED_BY_LABEL, MANAGER};
use crate::plan::ledger::{Book, Entry, LARGEST, Owner};
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The name of the ConfigMap.
pub const NAME: &str = "keysmith-ledger";
/// Retries of a write while the ConfigMap is created or deleted concurrently.
const ATTEMPTS: usize = 3;
/// For users who find the ConfigMap.
const NOTE: &str = "Keys that Keysmith left at vendors on purpose; without its entry a sweep takes such a key for an \
    orphan. List with: keysmith orphans";

/// The ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server rejected the request or did not answer.
    #[error("ConfigMap {place}: {}", super::brief(source))]
    Kubernetes {
        /// Namespace and name.
        place: String,
        /// Its error.
        source: Box<kube::Error>,
    },
    /// The ConfigMap has no room for another entry.
    #[error(
        "ConfigMap {0} is full; remove keys with `keysmith orphans --delete`, which takes their entries out"
    )]
    Full(String),
    /// An entry is malformed.
    #[error("ConfigMap {place}, entry {entry} cannot be read; correct or remove it")]
    Broken {
        /// Namespace and name.
        place: String,
        /// Name of the entry.
        entry: String,
    },
}

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    api: Api<ConfigMap>,
    namespace: String,
    metrics: Metrics,
}

impl Ledger {
    /// The ledger in that namespace, which is the operator's own.
    pub fn new(client: Client, namespace: &str, metrics: Metrics) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), metrics }
    }

    /// The namespaces that have a ledger, for a CLI that does not know the operator's namespace.
    pub async fn namespaces(client: &Client) -> kube::Result<Vec<String>> {
        let maps: Api<ConfigMap> = Api::all(client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={NAME}"));
        let found = maps.list_metadata(&named).await?;
        Ok(found.items.into_iter().filter_map(|it| it.metadata.namespace).collect())
    }

    /// The ledger's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Writes entries, before the finalizer is removed; existing entries stay as they are. The caller decides what a
    /// failure means: a deletion need not wait for a full ledger.
    pub async fn record(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut last = Ok(());
        for _ in 0..ATTEMPTS {
            last = self.try_record(entries).await;
            match &last {
                // The ConfigMap was created or deleted concurrently.
                Err(Error::Kubernetes { source, .. })
                    if super::is_conflict(source) || super::is_missing(source) => {}
                Err(Error::Full(place)) => {
                    for entry in entries {
                        report_unwritten(place, entry);
                    }
                    self.metrics.ledger_full(entries.len());
                    return last;
                }
                _ => return last,
            }
        }
        last
    }

    async fn try_record(&self, entries: &[Entry]) -> Result<(), Error> {
        let present = self.read().await?;
        let data = present.as_ref().and_then(|it| it.data.clone()).unwrap_or_default();
        let lacks = |entry: &&Entry| names(&data, entry).next().is_none();
        let new: BTreeMap<_, _> = entries.iter().filter(lacks).map(|it| (it.name(), it.encode())).collect();
        if new.is_empty() {
            return Ok(());
        }
        if size(&data) + size(&new) > LARGEST {
            return Err(Error::Full(self.place()));
        }
        let written = match present {
            None => self.api.create(&creation(), &config_map(new)).await,
            Some(_) => self.patch(new.into_iter().map(|(name, entry)| (name, Value::String(entry)))).await,
        };
        written.map(drop).map_err(|error| match &error {
            kube::Error::Api(status) if is_too_long(status) => Error::Full(self.place()),
            _ => self.failed(error),
        })
    }

    /// The entries; empty if there is no ConfigMap.
    pub async fn list(&self) -> Result<Book, Error> {
        let Some(map) = self.read().await? else {
            return Ok(Book::default());
        };
        let since = map.metadata.creation_timestamp.map(|it| it.0);
        let entries = map.data.unwrap_or_default().into_iter().map(|(name, text)| {
            Entry::decode(&text).ok_or_else(|| Error::Broken { place: self.place(), entry: name })
        });
        Ok(Book { since, entries: entries.collect::<Result<_, _>>()? })
    }

    /// The entries. Creates the ConfigMap if there is none: from then on, the ledger accounts for every key that is
    /// left behind.
    pub async fn open(&self) -> Result<Book, Error> {
        let book = self.list().await?;
        if book.since.is_some() {
            return Ok(book);
        }
        match self.api.create(&creation(), &config_map(BTreeMap::new())).await {
            Err(error) if !super::is_conflict(&error) => Err(self.failed(error)),
            _ => self.list().await,
        }
    }

    /// Removes an entry: its key is deleted, or belongs to a resource again.
    pub async fn forget(&self, entry: &Entry) -> Result<(), Error> {
        let data = self.read().await?.and_then(|it| it.data).unwrap_or_default();
        let names: Vec<_> = names(&data, entry).map(|name| (name.clone(), Value::Null)).collect();
        if names.is_empty() {
            return Ok(());
        }
        match self.patch(names).await {
            Err(error) if !super::is_missing(&error) => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    async fn read(&self) -> Result<Option<ConfigMap>, Error> {
        self.api.get_opt(NAME).await.map_err(|error| self.failed(error))
    }

    async fn patch(&self, entries: impl IntoIterator<Item = (String, Value)>) -> kube::Result<ConfigMap> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let data: Map<_, _> = entries.into_iter().collect();
        self.api.patch(NAME, &params, &Patch::Merge(json!({"data": data}))).await
    }

    fn failed(&self, source: kube::Error) -> Error {
        Error::Kubernetes { place: self.place(), source: Box::new(source) }
    }

    fn place(&self) -> String {
        format!("{}/{NAME}", self.namespace)
    }
}

/// Events expire, so the log is the only lasting place for this.
fn report_unwritten(ledger: &str, entry: &Entry) {
    let Owner { kind, namespace, name, .. } = &entry.owner;
    let (key, serial) = (&entry.key_id, entry.serial);
    tracing::warn!(
        kind,
        namespace,
        name,
        serial,
        key,
        ledger,
        "the ledger is full, so that this key, which is left at the vendor, is not in it; keysmith orphans --delete makes room"
    );
}

/// The names of equal entries, found by content, because another version may have named them otherwise.
fn names<'a>(data: &'a BTreeMap<String, String>, entry: &'a Entry) -> impl Iterator<Item = &'a String> {
    let same = |text: &str| Entry::decode(text).is_some_and(|there| there.agrees(entry));
    data.iter().filter(move |(_, text)| same(text)).map(|(name, _)| name)
}

/// The API server's size limits of a request and of a ConfigMap.
fn is_too_long(status: &kube::core::Status) -> bool {
    status.code == 413 || status.code == 422 && status.message.contains("Too long")
}

fn size(data: &BTreeMap<String, String>) -> usize {
    data.iter().map(|(name, text)| name.len() + text.len()).sum()
}

fn creation() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn config_map(data: BTreeMap<String, String>) -> ConfigMap {
    let mut map = ConfigMap { data: (!data.is_empty()).then_some(data), ..ConfigMap::default() };
    map.metadata.name = Some(NAME.to_owned());
    map.metadata.labels = Some([(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned())].into());
    map.metadata.annotations = Some([("keysmith.dev/note".to_owned(), NOTE.to_owned())].into());
    map
}
