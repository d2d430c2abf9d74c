//! Delete, one object or many.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::Call;
use super::failure::{Failure, deleted};
use super::kind::Kind;
use super::prepare::{bump_generation, check_preconditions};
use super::read::listed;
use super::state::{Key, State};
use super::write::Written;

impl State {
    pub(super) fn delete(&mut self, call: &Call) -> Result<Written, Failure> {
        let (kind, key) = (&call.kind, call.key());
        let options = call.options()?;
        let current = self.objects.get(&key).cloned().ok_or_else(|| Failure::not_found(kind, &key.name))?;
        check_preconditions(kind, &key.name, &current, &options["preconditions"])?;
        let policy = options["propagationPolicy"].as_str().or(call.query("propagationPolicy"));
        if policy.is_some_and(|policy| policy != "Background") || options["orphanDependents"] == true {
            return Err(Failure::bad_request("this simulated server deletes in the background only"));
        }
        if kind.is_namespace() && ["default", "kube-system"].contains(&key.name.as_str()) {
            return Err(Failure::forbidden(kind, &key.name, "this namespace may not be deleted"));
        }
        if call.dry_run() || options["dryRun"] == json!(["All"]) {
            return Ok(Written { code: 200, body: (*current).clone(), changed: false });
        }
        let before = self.revision;
        let left = self.remove_or_mark(kind, key.clone(), &current);
        let uid = current["metadata"]["uid"].as_str().unwrap_or_default();
        let body = left.map_or_else(|| deleted(kind, &key.name, uid), |object| (*object).clone());
        Ok(Written { code: 200, body, changed: self.revision > before })
    }

    /// Removes an object, or sets its deletion timestamp if finalizers hold it. Returns the object if it still exists.
    pub(super) fn remove_or_mark(
        &mut self,
        kind: &Kind,
        key: Key,
        current: &Arc<Value>,
    ) -> Option<Arc<Value>> {
        let metadata = &current["metadata"];
        if !metadata["deletionTimestamp"].is_null() {
            return Some(current.clone());
        }
        if metadata["finalizers"].is_null() && !kind.is_namespace() {
            self.commit(key, None);
            return None;
        }
        let mut marked = (**current).clone();
        marked["metadata"]["deletionTimestamp"] = json!(self.stamp());
        marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        if kind.generation {
            bump_generation(&mut marked);
        }
        if kind.is_namespace() {
            marked["status"]["phase"] = json!("Terminating");
        }
        Some(self.commit(key, Some(marked)))
    }

    pub(super) fn delete_collection(&mut self, call: &Call) -> Result<Written, Failure> {
        let selector = super::read::selector(call)?;
        let options = call.options()?;
        let dry_run = call.dry_run() || options["dryRun"] == json!(["All"]);
        let wanted = |key: &Key| call.namespace.as_ref().is_none_or(|n| *n == key.namespace);
        let chosen = self.of_kind(&call.kind).filter(|(key, object)| wanted(key) && selector.matches(object));
        let chosen: Vec<_> = chosen.map(|(key, object)| (key.clone(), object.clone())).collect();
        let before = self.revision;
        if !dry_run {
            for (key, object) in &chosen {
                self.remove_or_mark(&call.kind, key.clone(), object);
            }
        }
        let items: Vec<Value> = chosen.into_iter().map(|(_, object)| (*object).clone()).collect();
        let metadata = json!({ "resourceVersion": self.revision.to_string() });
        let body = listed(&call.kind, false, &metadata, &items);
        Ok(Written { code: 200, body, changed: self.revision > before })
    }
}
