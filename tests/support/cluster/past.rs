//! Past states of the cluster, for reads that are answered from the past.

use super::{Cluster, SecretVersion};

impl Cluster {
    /// The revision before the last change of an object, or of any object of a resource; `None` if nothing changed, or
    /// if that revision is compacted. `resource` is `secrets` or `plural.group`.
    pub fn revision_before_last_change(
        &self,
        resource: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Option<u64> {
        let state = self.state();
        let about = |wanted: Option<&str>, text: &str| wanted.is_none_or(|wanted| wanted == text);
        let last = state.changes.iter().rev().find(|change| {
            let key = &change.key;
            key.resource == resource && about(namespace, &key.namespace) && about(name, &key.name)
        });
        last.map(|change| change.revision - 1).filter(|revision| *revision >= state.compacted)
    }
    /// The entries of `secret_history` after the first `known` ones.
    pub fn secret_history_after(&self, known: usize) -> Vec<SecretVersion> {
        self.state().secrets.get(known..).unwrap_or_default().to_vec()
    }
    /// The names of all objects of a resource in a namespace, without a copy of the objects.
    pub fn names(&self, resource: &str, namespace: &str) -> Vec<String> {
        let state = self.state();
        let there = state.objects.keys().filter(|key| key.resource == resource && key.namespace == namespace);
        there.map(|key| key.name.clone()).collect()
    }
    /// The present revision.
    pub fn revision(&self) -> u64 {
        self.state().revision
    }
}
