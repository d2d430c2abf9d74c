//! Which workloads read a Secret: as a variable, as a file, or with all of its entries.

use crate::plan::identity::ObjectName;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use k8s_openapi::{Metadata, NamespaceResourceScope};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// Page size of a list. It is small because a page determines the peak memory.
const PAGE: u32 = 250;

/// The workloads that read each Secret, such as `Deployment/checkout`.
#[derive(Debug, Default)]
pub struct Readers(BTreeMap<ObjectName, BTreeSet<String>>);

impl Readers {
    /// The workloads that read this Secret.
    pub fn of(&self, secret: &ObjectName) -> Vec<String> {
        self.0.get(secret).into_iter().flatten().cloned().collect()
    }

    fn add(&mut self, namespace: &str, workload: &str, pod: &PodSpec) {
        for secret in secrets(pod) {
            let secret = ObjectName::new(namespace, secret);
            self.0.entry(secret).or_default().insert(workload.to_owned());
        }
    }
}

/// Lists the workloads of a namespace, or of all. The error is the kind that cannot be listed.
pub async fn readers(client: &Client, namespace: Option<&str>) -> Result<Readers, &'static str> {
    let mut readers = Readers::default();
    let to = &mut readers;
    collect(client, namespace, to, |it: &Deployment| it.spec.template.spec.as_ref()).await?;
    collect(client, namespace, to, |it: &StatefulSet| it.spec.template.spec.as_ref()).await?;
    collect(client, namespace, to, |it: &DaemonSet| it.spec.template.spec.as_ref()).await?;
    collect(client, namespace, to, |it: &CronJob| it.spec.job_template.spec.as_ref()?.template.spec.as_ref())
        .await?;
    Ok(readers)
}

async fn collect<K>(
    client: &Client,
    namespace: Option<&str>,
    readers: &mut Readers,
    pod: impl Fn(&K) -> Option<&PodSpec>,
) -> Result<(), &'static str>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Metadata
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> =
        namespace.map_or_else(|| Api::all(client.clone()), |it| Api::namespaced(client.clone(), it));
    let mut page = Some(ListParams::default().limit(PAGE));
    while let Some(params) = page {
        let list = api.list(&params).await.map_err(|_| <K as k8s_openapi::Resource>::KIND)?;
        for workload in &list.items {
            let name = format!("{}/{}", <K as k8s_openapi::Resource>::KIND, workload.name_any());
            if let Some(pod) = pod(workload) {
                readers.add(&workload.namespace().unwrap_or_default(), &name, pod);
            }
        }
        let token = list.metadata.continue_.filter(|it| !it.is_empty());
        page = token.map(|token| ListParams::default().limit(PAGE).continue_token(&token));
    }
    Ok(())
}

/// The Secrets that a pod reads.
fn secrets(pod: &PodSpec) -> Vec<&str> {
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    let volumes = pod.volumes.iter().flatten();
    containers.flat_map(in_container).chain(volumes.flat_map(in_volume)).collect()
}

fn in_container(container: &Container) -> impl Iterator<Item = &str> {
    let variables = container.env.iter().flatten();
    let variables = variables.filter_map(|it| it.value_from.as_ref()?.secret_key_ref.as_ref());
    let whole = container.env_from.iter().flatten().filter_map(|it| it.secret_ref.as_ref());
    variables.map(|it| it.name.as_str()).chain(whole.map(|it| it.name.as_str()))
}

fn in_volume(volume: &Volume) -> impl Iterator<Item = &str> {
    let alone = volume.secret.as_ref().and_then(|it| it.secret_name.as_deref());
    let sources = volume.projected.iter().flat_map(|it| it.sources.iter().flatten());
    alone.into_iter().chain(sources.filter_map(|it| Some(it.secret.as_ref()?.name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_read_a_secret_is_found() {
        let pod = json!({
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "whole"}}]}],
            "containers": [{"name": "c", "env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "variable", "key": "key"}}},
                {"name": "B", "value": "plain"},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "key"}}}]}],
            "volumes": [
                {"name": "f", "secret": {"secretName": "file"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "config"}}]}},
                {"name": "e", "emptyDir": {}}],
        });
        let pod: PodSpec = serde_json::from_value(pod).unwrap();
        assert_eq!(secrets(&pod), ["whole", "variable", "file", "projected"]);
        let mut readers = Readers::default();
        readers.add("shop", "Deployment/checkout", &pod);
        assert_eq!(readers.of(&ObjectName::new("shop", "file")), ["Deployment/checkout"]);
        assert_eq!(readers.of(&ObjectName::new("other", "file")), Vec::<String>::new());
    }
}
