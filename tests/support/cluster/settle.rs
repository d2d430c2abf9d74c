//! The controllers that a cluster always runs: the garbage collector, and the one that empties namespaces.

use std::sync::Arc;

use serde_json::Value;

use super::kind::Kind;
use super::state::{Key, State};
use super::{Cluster, Request};

impl Cluster {
    /// Schedules a round of the cluster's own controllers, if they have work to do.
    pub(super) fn schedule_settling(&self) {
        let delay = {
            let mut state = self.state();
            if !state.unsettled || state.settling {
                return;
            }
            state.settling = true;
            state.collection_delay
        };
        let cluster = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(delay).await;
                let mut state = cluster.state();
                state.unsettled = false;
                state.settle();
                if !state.unsettled {
                    state.settling = false;
                    return;
                }
            }
        });
    }
}

impl State {
    /// One round: orphans are deleted, terminating namespaces are emptied, empty ones removed.
    fn settle(&mut self) {
        for (key, object) in self.orphans() {
            self.delete_for("garbage-collector", &key, &object);
        }
        let terminating: Vec<(Key, Arc<Value>)> = self
            .objects
            .iter()
            .filter(|(key, object)| {
                key.resource == "namespaces" && !object["metadata"]["deletionTimestamp"].is_null()
            })
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        for (key, namespace) in terminating {
            self.empty(&key, &namespace);
        }
    }

    fn empty(&mut self, namespace: &Key, object: &Value) {
        for (key, object) in self.inside(&namespace.name) {
            if object["metadata"]["deletionTimestamp"].is_null() {
                self.delete_for("namespace-controller", &key, &object);
            }
        }
        if self.inside(&namespace.name).is_empty() && object["metadata"]["finalizers"].is_null() {
            self.commit(namespace.clone(), None);
        }
    }

    fn inside(&self, namespace: &str) -> Vec<(Key, Arc<Value>)> {
        let inside = self.objects.iter().filter(|(key, _)| key.namespace == namespace);
        inside.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// Objects whose owners are all gone. An owner of an unknown kind counts as present.
    fn orphans(&self) -> Vec<(Key, Arc<Value>)> {
        let orphaned = |key: &Key, object: &Value| {
            let owners =
                object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
            object["metadata"]["deletionTimestamp"].is_null()
                && !owners.is_empty()
                && !owners.iter().any(|owner| self.has_owner(key, owner))
        };
        let found = self.objects.iter().filter(|(key, object)| orphaned(key, object));
        found.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// An owner is looked up in the namespace of the dependent, or without a namespace if it is cluster-scoped.
    fn has_owner(&self, dependent: &Key, owner: &Value) -> bool {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        let Some(kind) = self.kind_of(text("apiVersion"), text("kind")) else {
            return true;
        };
        let namespace = Some(dependent.namespace.as_str()).filter(|_| kind.namespaced);
        if kind.namespaced && dependent.namespace.is_empty() {
            return true;
        }
        let found = self.objects.get(&Key::new(&kind, namespace, text("name")));
        found.is_some_and(|object| object["metadata"]["uid"] == owner["uid"])
    }

    fn delete_for(&mut self, actor: &str, key: &Key, object: &Arc<Value>) {
        let Some(kind) = self.kind(|kind: &Kind| kind.resource() == key.resource) else {
            return;
        };
        // An earlier deletion of this round may have removed this object already.
        let Some(current) = self.objects.get(key).filter(|current| Arc::ptr_eq(current, object)).cloned()
        else {
            return;
        };
        self.remove_or_mark(&kind, key.clone(), &current);
        let sequence = self.requests.len() as u64;
        self.requests.push(Request {
            sequence,
            at: self.now(),
            actor: actor.to_owned(),
            connection: 0,
            verb: "delete".to_owned(),
            resource: kind.plural.clone(),
            namespace: Some(key.namespace.clone()).filter(|n| !n.is_empty()),
            name: Some(key.name.clone()),
            dry_run: false,
            status: 200,
            applied: true,
            changed: true,
        });
    }
}
