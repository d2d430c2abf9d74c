//! Restarts of workloads that read a Secret at start, and need a restart for a new key.
//!
//! The only write is one annotation of the pod template. A changed template makes a Deployment, a `StatefulSet` or a
//! `DaemonSet` replace its pods, by the update strategy that its owner has set. Workloads that replace no pods by
//! themselves (`OnDelete`, paused) stay that way.

use crate::api::GROUP;
use crate::api::rotation::{RestartTarget, WorkloadKind};
use crate::plan::hash;
use crate::plan::report::conditions::Looked;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, ListParams, NotUsed, Object, Patch, PatchParams};
use kube::core::Selector;
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

/// Field manager of the annotation: tools that compare live with applied objects can ignore it by that name.
pub const RESTARTER: &str = "keysmith-restart";

/// Selection of workloads of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The workload of that name.
    Name(String),
    /// All workloads that carry these labels themselves, not on their pods. No label selects no workload.
    Labels(BTreeMap<String, String>),
}

/// A selection of workloads to restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Their kind.
    pub kind: WorkloadKind,
    /// Which workloads of that kind.
    pub which: Which,
}

impl From<&RestartTarget> for Target {
    fn from(written: &RestartTarget) -> Self {
        let labels = || written.selector.clone().unwrap_or_default().match_labels;
        let which = written.name.clone().map_or_else(|| Which::Labels(labels()), Which::Name);
        Self { kind: written.kind, which }
    }
}

/// A restart of workloads.
#[derive(Clone, Copy, Debug)]
pub struct Restart<'a> {
    /// The namespace of the key and its workloads.
    pub namespace: &'a str,
    /// The UID of the key's resource: each resource has an annotation of its own.
    pub uid: &'a str,
    /// Hash of what the workloads read from the Secret.
    pub revision: &'a str,
    /// The workloads to restart.
    pub targets: &'a [Target],
}

/// Result of a restart. Names are like `Deployment/checkout`, or `Deployment app=checkout` for labels.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// Workloads that got the revision now.
    pub restarted: Vec<String>,
    /// Workloads that do not exist, and labels that no workload has.
    pub missing: Vec<String>,
    /// Workloads whose patch the API server rejected (4xx): by RBAC, a policy or a webhook.
    pub forbidden: Vec<String>,
    /// The first error that is worth a retry; the retry skips workloads that carry the revision.
    pub failed: Option<kube::Error>,
}

/// The fields of a workload that are read.
type Workload = Object<Spec, NotUsed>;

#[derive(Clone, Debug, Deserialize)]
struct Spec {
    #[serde(default)]
    template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Template {
    metadata: Option<ObjectMeta>,
}

/// The annotation for the key with that UID. It contains no name that a renamed or new resource could reuse.
pub fn annotation(uid: &str) -> String {
    format!("{GROUP}/secret-{}", hash::base32(&[uid.as_bytes()], 8))
}

/// Writes the revision to all workloads that do not carry it yet. An error of one workload does not stop the others,
/// unless the API server itself is unavailable.
pub async fn restart(client: &Client, restart: &Restart<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    for target in restart.targets {
        if restart.bring(client, target, &mut outcome).await.is_break() {
            break;
        }
    }
    outcome
}

/// Checks whether the targets exist.
pub async fn look(client: &Client, namespace: &str, targets: &[Target]) -> Looked {
    let mut looked = Looked::default();
    for target in targets {
        let api = Api::namespaced_with(client.clone(), namespace, &target.kind.resource());
        match select(&api, &target.which).await {
            Ok(found) if found.is_empty() => looked.missing.push(target.to_string()),
            Ok(_) => {}
            Err(error) if super::is_missing(&error) => looked.missing.push(target.to_string()),
            Err(error) => looked.unseen = Some(super::brief(&error)),
        }
    }
    looked
}

impl Restart<'_> {
    async fn bring(&self, client: &Client, target: &Target, outcome: &mut Outcome) -> ControlFlow<()> {
        let api = Api::namespaced_with(client.clone(), self.namespace, &target.kind.resource());
        let found = match select(&api, &target.which).await {
            Ok(found) => found,
            Err(error) => return outcome.note(target.to_string(), error),
        };
        if found.is_empty() {
            outcome.missing.push(target.to_string());
        }
        for workload in found.iter().filter(|it| !self.is_carried_by(it)) {
            let name = workload.name_any();
            let shown = format!("{:?}/{name}", target.kind);
            match self.write(&api, &name).await {
                Ok(_) => outcome.restarted.push(shown),
                Err(error) => outcome.note(shown, error)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn is_carried_by(&self, workload: &Workload) -> bool {
        let annotations = workload.spec.template.metadata.as_ref().and_then(|it| it.annotations.as_ref());
        annotations.and_then(|it| it.get(&annotation(self.uid))).is_some_and(|it| it == self.revision)
    }

    /// A merge patch, because several keys restart the same workload: with server-side apply, each would have to send
    /// the annotations of the others, which it does not know, or use a field manager of its own, which stays in the
    /// object for ever. The patch sets one entry of one map, so it needs no resourceVersion and overwrites no other
    /// write.
    async fn write(&self, api: &Api<Workload>, name: &str) -> kube::Result<Workload> {
        let params = PatchParams { field_manager: Some(RESTARTER.to_owned()), ..PatchParams::default() };
        let metadata = json!({"annotations": {annotation(self.uid): self.revision}});
        let patch = Patch::Merge(json!({"spec": {"template": {"metadata": metadata}}}));
        api.patch(name, &params, &patch).await
    }
}

async fn select(api: &Api<Workload>, which: &Which) -> kube::Result<Vec<Workload>> {
    match which {
        Which::Name(name) if can_be_a_name(name) => api.get(name).await.map(|found| vec![found]),
        Which::Labels(labels) if !labels.is_empty() => {
            let params = ListParams::default().labels_from(&Selector::from_iter(labels.clone()));
            api.list(&params).await.map(|list| list.items)
        }
        Which::Name(_) | Which::Labels(_) => Ok(Vec::new()),
    }
}

/// kube puts a name into the path without encoding, so a slash would lead to another object, in another namespace.
fn can_be_a_name(text: &str) -> bool {
    let admitted = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.".contains(&it);
    text.bytes().all(admitted) && text.starts_with(|it: char| it.is_ascii_alphanumeric())
}

impl Outcome {
    /// Records an error, and returns whether to go on with the next workload.
    fn note(&mut self, name: String, error: kube::Error) -> ControlFlow<()> {
        let code = if let kube::Error::Api(status) = &error { status.code } else { 0 };
        match code {
            404 => self.missing.push(name),
            408 | 409 | 429 => drop(self.failed.get_or_insert(error)),
            // RBAC, a policy or a webhook: a retry would not help.
            400..500 => self.forbidden.push(name),
            _ => drop(self.failed.get_or_insert(error)),
        }
        let is_of_this_one = (400..500).contains(&code) && code != 429;
        if is_of_this_one { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl WorkloadKind {
    fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Name(name) => write!(formatter, "{:?}/{name}", self.kind),
            Which::Labels(labels) if labels.is_empty() => write!(formatter, "{:?} without labels", self.kind),
            Which::Labels(labels) => {
                let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(formatter, "{:?} {}", self.kind, pairs.join(","))
            }
        }
    }
}
