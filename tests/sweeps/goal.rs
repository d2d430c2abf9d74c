//! The goal of a run: what must hold at its end, whatever happened in it.

use super::observer::{KEYS, NAMESPACE, entry, is_ready};
use super::stage::Stage;
use crate::support::invariants::{AtRest, Key, Resource, Snapshot};
use keysmith::emulator::{Seen, VendorId};
use serde_json::Value;

/// A resource and its key at the end.
pub struct Outcome<'a> {
    /// The resource.
    pub object: &'a Value,
    /// Its key at the vendor.
    pub key: &'a Seen,
    /// The vendor.
    pub vendor_id: VendorId,
}

/// A further condition on a resource; the error names the violation.
pub type Demand = fn(&Outcome<'_>) -> Result<(), String>;

/// The required state at the end.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The expected resources, each with one working key. There is no other key, and no other resource.
    pub names: Vec<String>,
    /// A further condition on each resource.
    pub demand: Demand,
    /// The namespace is gone.
    pub emptied: bool,
}

impl Goal {
    /// These resources, each with a working key.
    pub fn keys(names: &[String]) -> Self {
        Self { names: names.to_vec(), demand: |_| Ok(()), emptied: false }
    }

    /// Neither resources nor keys.
    pub fn nothing() -> Self {
        Self::keys(&[])
    }

    /// Adds a condition.
    pub fn and(self, demand: Demand) -> Self {
        Self { demand, ..self }
    }

    /// Requires that the namespace is gone.
    pub fn without_namespace(self) -> Self {
        Self { emptied: true, ..self }
    }

    /// The first violation.
    pub fn check(&self, stage: &Stage) -> Result<(), String> {
        let seen = stage.handle.keys();
        let snapshot = self.snapshot(stage, &seen);
        snapshot.check(AtRest::ALL)?;
        for resource in &snapshot.resources {
            let object = find(stage, &resource.name)?;
            let key = seen.iter().find(|key| Some(&key.id) == resource.id.as_ref()).ok_or("no key")?;
            (self.demand)(&Outcome { object: &object, key, vendor_id: stage.vendor_id })
                .map_err(|what| format!("{}: {what}", resource.name))?;
        }
        Ok(())
    }

    fn snapshot(&self, stage: &Stage, seen: &[Seen]) -> Snapshot {
        let key = |key: &Seen| Key {
            id: key.id.clone(),
            name: key.name.clone(),
            secret: key.secret.clone(),
            works: stage.handle.accepts(&key.secret),
        };
        let mut left: Vec<_> = stage.cluster.names(KEYS, NAMESPACE);
        left.retain(|name| !self.names.contains(name));
        if self.emptied && stage.cluster.find("namespaces", "", NAMESPACE).is_some() {
            left.push("the namespace".to_owned());
        }
        let resources = self.names.iter().map(|name| resource(stage, name)).collect();
        Snapshot { resources, keys: seen.iter().map(key).collect(), left }
    }
}

fn find(stage: &Stage, name: &str) -> Result<Value, String> {
    stage.cluster.find(KEYS, NAMESPACE, name).ok_or_else(|| format!("{name} is gone"))
}

fn resource(stage: &Stage, name: &str) -> Resource {
    let object = match find(stage, name) {
        Ok(object) => object,
        Err(status) => return Resource { name: name.to_owned(), status, ..Resource::default() },
    };
    let status = &object["status"];
    Resource {
        name: name.to_owned(),
        ready: is_ready(&object),
        current: status["observedGeneration"] == object["metadata"]["generation"],
        id: status["id"].as_str().map(str::to_owned),
        previous: status["previous"].as_array().map_or(0, Vec::len),
        held: stage.cluster.find("secrets", NAMESPACE, name).as_ref().and_then(entry),
        status: status.to_string(),
    }
}
