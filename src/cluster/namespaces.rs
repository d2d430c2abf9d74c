//! Labels of namespaces, for ClusterConsoleTokens that choose namespaces by label. Only metadata is watched.

use super::watch::PAGE;
use futures::{Stream, StreamExt, TryStreamExt, future};
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, predicates, watcher};
use kube::{Api, Client, ResourceExt};
use std::collections::BTreeMap;

/// The namespaces of the cluster, as far as the operator may watch them.
#[derive(Clone)]
pub struct Namespaces(Store<PartialObjectMeta<Namespace>>);

impl Namespaces {
    /// No namespace is known: for an operator that watches listed namespaces only.
    pub fn unknown() -> Self {
        Self(reflector::store().0)
    }

    /// Watches all namespaces. The stream has the names of namespaces whose labels changed.
    pub fn watch(client: &Client) -> (Self, impl Stream<Item = String> + Send + 'static) {
        let (store, writer) = reflector::store();
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
        let changed = watcher(api, watcher::Config::default().page_size(PAGE))
            .default_backoff()
            .modify(|namespace| {
                namespace.managed_fields_mut().clear();
                namespace.annotations_mut().clear();
            })
            .reflect(writer)
            .applied_objects()
            .predicate_filter(
                predicates::labels.fallback(predicates::resource_version),
                PredicateConfig::default(),
            )
            .inspect_err(|error| {
                let error = super::brief_watch(error);
                tracing::warn!(kind = "Namespace", error, "a watch broke; it starts again by itself");
            })
            .filter_map(|result| future::ready(result.ok()))
            .map(|namespace| namespace.name_any());
        (Self(store), changed)
    }

    /// Labels of a namespace. `None`: it is not known.
    pub fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        Some(self.0.get(&ObjectRef::new(namespace))?.labels().clone())
    }
}
