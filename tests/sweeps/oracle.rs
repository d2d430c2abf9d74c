//! What must be true at the end of a run, whatever happened in it.

use super::stage::Stage;
use super::watchdog::{KEYS, NAMESPACE, entry, is_ready};
use keysmith::emulator::{Seen, Surface};
use serde_json::Value;
use std::collections::BTreeMap;

/// A resource and its key at the end.
pub struct Outcome<'a> {
    /// The resource.
    pub object: &'a Value,
    /// Its key at the vendor.
    pub key: &'a Seen,
    /// The vendor.
    pub surface: Surface,
}

/// What else must be true of a resource; the text says what is not.
pub type Demand = fn(&Outcome<'_>) -> Result<(), String>;

/// How the world must be in the end.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The resources there are; each with one key that works. There is no other key, and no other resource.
    pub names: Vec<String>,
    /// What else must be true of each.
    pub demand: Demand,
    /// The namespace is gone.
    pub emptied: bool,
}

impl Goal {
    /// These resources, each with a key that works.
    pub fn keys(names: &[String]) -> Self {
        Self { names: names.to_vec(), demand: |_| Ok(()), emptied: false }
    }

    /// Neither resource nor key.
    pub fn nothing() -> Self {
        Self::keys(&[])
    }

    /// And this.
    pub fn and(self, demand: Demand) -> Self {
        Self { demand, ..self }
    }

    /// And no namespace.
    pub fn without_namespace(self) -> Self {
        Self { emptied: true, ..self }
    }

    /// The first thing that is not as it must be.
    pub fn check(&self, stage: &Stage) -> Result<(), String> {
        let keys: BTreeMap<String, Seen> =
            stage.desk.keys().into_iter().map(|key| (key.id.clone(), key)).collect();
        for name in &self.names {
            self.check_one(stage, name, &keys)?;
        }
        if keys.len() != self.names.len() {
            let names: Vec<_> = keys.values().map(|key| key.name.as_str()).collect();
            return Err(format!("{} resources and {} live keys: {names:?}", self.names.len(), keys.len()));
        }
        let left = stage.cluster.names(KEYS, NAMESPACE);
        if left.len() != self.names.len() {
            return Err(format!("resources: {left:?}"));
        }
        if self.emptied && stage.cluster.find("namespaces", "", NAMESPACE).is_some() {
            return Err("the namespace is still there".to_owned());
        }
        Ok(())
    }

    fn check_one(&self, stage: &Stage, name: &str, keys: &BTreeMap<String, Seen>) -> Result<(), String> {
        let object = stage.cluster.find(KEYS, NAMESPACE, name).ok_or_else(|| format!("{name} is gone"))?;
        let status = &object["status"];
        if !is_ready(&object) || status["observedGeneration"] != object["metadata"]["generation"] {
            return Err(format!("{name} is not Ready: {status}"));
        }
        if status["previous"].as_array().is_some_and(|previous| !previous.is_empty()) {
            return Err(format!("{name} still has previous keys: {status}"));
        }
        let id = status["id"].as_str().unwrap_or_default();
        let Some(key) = keys.get(id) else {
            return Err(format!("status of {name} names {id:?}, which is no live key"));
        };
        let secret = stage.cluster.find("secrets", NAMESPACE, name);
        let value =
            secret.as_ref().and_then(entry).ok_or_else(|| format!("Secret {name} is gone or empty"))?;
        if value != key.secret {
            return Err(format!("Secret {name} holds another key than {id}"));
        }
        if !stage.desk.accepts(&value) {
            return Err(format!("the gateway refuses the key in Secret {name}"));
        }
        (self.demand)(&Outcome { object: &object, key, surface: stage.surface })
            .map_err(|what| format!("{name}: {what}"))
    }
}
