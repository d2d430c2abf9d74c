//! The ledger as ConfigMaps in the operator's own namespace: one per namespace of resources, with one entry per key that
//! was left behind. A namespace that fills its ledger fills no other's. Each entry is written by its own merge patch, so
//! that concurrent writers do not conflict.

use crate::api::{MANAGED_BY_LABEL, MANAGER};
use crate::plan::class::ControllerClass;
use crate::plan::ledger::{Book, Entry, LARGEST, Owner, Place};
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the ConfigMap that says since when there is a ledger. It has the entries of version 0.1, which had no
/// other. The ledger of a namespace is named after it: `keysmith-ledger-shop`. Those of a controller class have its name before
/// that: `keysmith-ledger.canary`, `keysmith-ledger.canary-shop`.
pub const NAME: &str = "keysmith-ledger";
/// Annotation of a ledger that lacks entries: the accounts whose keys it lacks, as JSON.
const LACKS: &str = "keysmith.dev/ledger-lacks";
/// Limit of the accounts in that annotation; with more, it names none and means all.
const MOST_LACKED: usize = 50;
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
    /// The name of the ConfigMap without a namespace.
    name: String,
    metrics: Metrics,
}

impl Ledger {
    /// The ledger in that namespace, which is the operator's own, of the operator without a class.
    pub fn new(client: Client, namespace: &str, metrics: Metrics) -> Self {
        let name = NAME.to_owned();
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name, metrics }
    }

    /// That of the operator of a class.
    #[must_use]
    pub fn of_class(self, class: &ControllerClass) -> Self {
        Self { name: base(class), ..self }
    }

    /// The namespaces that have a ledger of the operator of that class, for a CLI that does not know the operator's namespace.
    pub async fn namespaces(client: &Client, class: &ControllerClass) -> kube::Result<Vec<String>> {
        let maps: Api<ConfigMap> = Api::all(client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={}", base(class)));
        let found = maps.list_metadata(&named).await?;
        Ok(found.items.into_iter().filter_map(|it| it.metadata.namespace).collect())
    }

    /// The name of the ConfigMap without a namespace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the ledger of a namespace; cluster-scoped resources share the one without a namespace.
    fn name_of(&self, namespace: &str) -> String {
        if namespace.is_empty() { self.name.clone() } else { format!("{}-{namespace}", self.name) }
    }

    /// The ledger's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Writes entries, before the finalizer is removed; existing entries stay as they are. The caller decides what a
    /// failure means: a deletion need not wait for a full ledger.
    pub async fn record(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut ledgers: BTreeMap<_, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            ledgers.entry(self.name_of(&entry.owner.namespace)).or_default().push(entry);
        }
        for (name, entries) in ledgers {
            self.record_in(&name, &entries).await?;
        }
        Ok(())
    }

    async fn record_in(&self, name: &str, entries: &[&Entry]) -> Result<(), Error> {
        let mut last = Ok(());
        for _ in 0..ATTEMPTS {
            last = self.try_record(name, entries).await;
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

    /// Notes that keys of these entries were left behind although they could not be entered: their accounts are not
    /// swept until a person has looked, and has removed the annotation.
    pub async fn note_missing(&self, entries: &[Entry]) -> Result<(), Error> {
        for entry in entries {
            let mut last = Ok(());
            for _ in 0..ATTEMPTS {
                last = self.try_lack(entry).await;
                match &last {
                    Err(Error::Kubernetes { source, .. })
                        if super::is_conflict(source) || super::is_missing(source) => {}
                    _ => break,
                }
            }
            last?;
        }
        Ok(())
    }

    /// Where the namespace has no ledger, the one without a namespace is marked.
    async fn try_lack(&self, entry: &Entry) -> Result<(), Error> {
        let own = self.read(&self.name_of(&entry.owner.namespace)).await?;
        let map = if let Some(map) = own {
            map
        } else {
            self.begin().await?;
            self.read(&self.name).await?.unwrap_or_else(|| config_map(&self.name, BTreeMap::new()))
        };
        let name = map.metadata.name.clone().unwrap_or_default();
        let note = match lacked(&map) {
            // Any account is lacked already.
            Some(accounts) if accounts.is_empty() => return Ok(()),
            Some(accounts) if accounts.iter().any(|it| it.agrees(&entry.place)) => return Ok(()),
            accounts => {
                let mut accounts = accounts.unwrap_or_default();
                accounts.push(Place { console_token: String::new(), ..entry.place.clone() });
                // Without a vendor it is not known which account it was.
                let any = entry.place.vendor.is_empty() || accounts.len() > MOST_LACKED;
                serde_json::to_string(if any { &[][..] } else { &accounts }).unwrap_or_default()
            }
        };
        let version = map.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version, "annotations": {LACKS: note}}});
        let written = self.api.patch(&name, &params(), &Patch::Merge(patch)).await;
        written.map(drop).map_err(|error| self.failed(&name, error))
    }

    async fn try_record(&self, name: &str, entries: &[&Entry]) -> Result<(), Error> {
        let present = self.read(name).await?;
        let data = present.as_ref().and_then(|it| it.data.clone()).unwrap_or_default();
        let lacks = |entry: &&&Entry| names(&data, entry).next().is_none();
        let new: BTreeMap<_, _> = entries.iter().filter(lacks).map(|it| (it.name(), it.encode())).collect();
        if new.is_empty() {
            return Ok(());
        }
        if size(&data) + size(&new) > LARGEST {
            return Err(Error::Full(self.place(name)));
        }
        let written = if present.is_some() {
            let entries = new.into_iter().map(|(name, entry)| (name, Value::String(entry)));
            self.patch(name, entries).await
        } else {
            if name != self.name {
                self.begin().await?;
            }
            self.api.create(&creation(), &config_map(name, new)).await
        };
        written.map(drop).map_err(|error| match &error {
            kube::Error::Api(status) if is_too_long(status) => Error::Full(self.place(name)),
            _ => self.failed(name, error),
        })
    }

    /// The entries; empty if there is no ConfigMap.
    pub async fn list(&self) -> Result<Book, Error> {
        // By name: a label may have been lost with a restore, and the entries must not be.
        let maps =
            self.api.list(&ListParams::default()).await.map_err(|error| self.failed(&self.name, error))?;
        let mut book = Book::default();
        for map in maps.items {
            let name = map.metadata.name.clone().unwrap_or_default();
            if name == self.name {
                book.since = map.metadata.creation_timestamp.as_ref().map(|it| it.0);
            } else if !name.starts_with(&format!("{}-", self.name)) {
                continue;
            }
            let broken = |entry: String| Error::Broken { place: self.place(&name), entry };
            book.lacks.extend(lacked(&map).unwrap_or_default());
            book.lacks_any |= lacked(&map).is_some_and(|it| it.is_empty());
            for (entry, text) in map.data.unwrap_or_default() {
                book.entries.push(Entry::decode(&text).ok_or_else(|| broken(entry))?);
            }
        }
        Ok(book)
    }

    /// The entries. Creates the ConfigMap if there is none: from then on, the ledger accounts for every key that is
    /// left behind.
    pub async fn open(&self) -> Result<Book, Error> {
        let book = self.list().await?;
        if book.since.is_some() {
            return Ok(book);
        }
        self.begin().await?;
        self.list().await
    }

    /// Creates the ConfigMap that says since when there is a ledger, unless it exists.
    async fn begin(&self) -> Result<(), Error> {
        match self.api.create(&creation(), &config_map(&self.name, BTreeMap::new())).await {
            Err(error) if !super::is_conflict(&error) => Err(self.failed(&self.name, error)),
            _ => Ok(()),
        }
    }

    /// Removes an entry: its key is deleted, or belongs to a resource again.
    pub async fn forget(&self, entry: &Entry) -> Result<(), Error> {
        // Version 0.1 wrote all entries into one ConfigMap.
        for ledger in BTreeSet::from([self.name.clone(), self.name_of(&entry.owner.namespace)]) {
            let data = self.read(&ledger).await?.and_then(|it| it.data).unwrap_or_default();
            let names: Vec<_> = names(&data, entry).map(|name| (name.clone(), Value::Null)).collect();
            if names.is_empty() {
                continue;
            }
            match self.patch(&ledger, names).await {
                Err(error) if !super::is_missing(&error) => return Err(self.failed(&ledger, error)),
                _ => {}
            }
        }
        Ok(())
    }

    async fn read(&self, name: &str) -> Result<Option<ConfigMap>, Error> {
        self.api.get_opt(name).await.map_err(|error| self.failed(name, error))
    }

    async fn patch(
        &self,
        name: &str,
        entries: impl IntoIterator<Item = (String, Value)>,
    ) -> kube::Result<ConfigMap> {
        let data: Map<_, _> = entries.into_iter().collect();
        self.api.patch(name, &params(), &Patch::Merge(json!({"data": data}))).await
    }

    fn failed(&self, name: &str, source: kube::Error) -> Error {
        Error::Kubernetes { place: self.place(name), source: Box::new(source) }
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }
}

/// The name of the ConfigMap without a namespace, of a class. A dot, because no namespace has one.
fn base(class: &ControllerClass) -> String {
    if class.is_none() { NAME.to_owned() } else { format!("{NAME}.{class}") }
}

/// The accounts whose keys a ledger lacks; empty means any account, `None` that it lacks none.
fn lacked(map: &ConfigMap) -> Option<Vec<Place>> {
    let note = map.metadata.annotations.as_ref()?.get(LACKS)?;
    Some(serde_json::from_str(note).unwrap_or_default())
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
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

fn config_map(name: &str, data: BTreeMap<String, String>) -> ConfigMap {
    let mut map = ConfigMap { data: (!data.is_empty()).then_some(data), ..ConfigMap::default() };
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some([(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned())].into());
    map.metadata.annotations = Some([("keysmith.dev/note".to_owned(), NOTE.to_owned())].into());
    map
}
