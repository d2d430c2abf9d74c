//! Claims and status: merge patches with the resourceVersion that was read, so that a concurrent write causes a
//! conflict. The claim and the finalizer are in one write.

use crate::api::kind::{Kind, with_kinds};
use crate::api::{CLAIM, MANAGER, RECONCILE_REQUESTED};
use crate::plan::claim::Claim;
use crate::plan::class::ControllerClass;
use crate::plan::identity::TokenRef;
use crate::plan::naming::Identity;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{Patch, PatchParams};
use kube::core::object::HasStatus;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// Scope of a kind: namespaced, or cluster-wide.
pub trait Placement: Sized {
    /// Whether objects of the scope have a namespace.
    const NAMESPACED: bool;
    /// API client for the objects in that namespace, or in all. The namespace of a cluster-wide kind is ignored.
    fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>;
}

impl Placement for NamespaceResourceScope {
    const NAMESPACED: bool = true;

    fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }
}

impl Placement for ClusterResourceScope {
    const NAMESPACED: bool = false;

    fn api<K>(client: &Client, _namespace: Option<&str>) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = Self>,
    {
        Api::all(client.clone())
    }
}

/// API client for a kind in one namespace, or in all.
pub fn within<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope: Placement>,
{
    K::Scope::api(client, namespace)
}

/// A kind that Keysmith reconciles.
pub trait Managed:
    Resource<DynamicType = (), Scope: Placement>
    + Kind
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its status.
    type Status: Clone + Debug + Default + PartialEq + Serialize + Send + Sync;
    /// The kind, for logs, metrics and messages.
    const KIND: &'static str;
    /// Its status, if it has one yet.
    fn status(&self) -> Option<&Self::Status>;
    /// The status with what an earlier version stored elsewhere in its present place.
    fn moved(status: Self::Status) -> Self::Status;
    /// Serial of its key at the vendor, for logs.
    fn serial(&self) -> Option<u64>;
    /// The console token it is made with.
    fn token(&self) -> Option<TokenRef>;
    /// Whether it is made with that console token.
    fn is_made_with(&self, token: &TokenRef) -> bool;
}

macro_rules! managed {
    ($($field:ident: $kind:ident,)+) => {
        $(impl Managed for crate::api::$kind {
            type Status = <Self as HasStatus>::Status;
            const KIND: &'static str = stringify!($kind);
            fn status(&self) -> Option<&Self::Status> {
                HasStatus::status(self)
            }
            fn moved(status: Self::Status) -> Self::Status {
                status.moved()
            }
            fn serial(&self) -> Option<u64> {
                self.key_serial()
            }
            fn token(&self) -> Option<TokenRef> {
                self.works_with().map(|reference| TokenRef::named(reference, self.namespace()))
            }
            fn is_made_with(&self, token: &TokenRef) -> bool {
                let namespace = self.meta().namespace.as_deref();
                self.works_with().is_some_and(|reference| token.is_named(reference, namespace))
            }
        })+
    };
}
with_kinds!([managed]);

/// Logs a line about a resource, with its kind, namespace and name: `log_about!(warn, object, serial, %fault, "what")`.
macro_rules! log_about {
    ($level:ident, $object:expr, $($rest:tt)+) => {{
        let (kind, namespace, name) = $crate::cluster::object::coordinates($object);
        tracing::$level!(kind, namespace, name, $($rest)+)
    }};
}
pub(crate) use log_about;

/// Kind, namespace and name.
pub fn coordinates<K: Managed>(object: &K) -> (&'static str, String, String) {
    (K::KIND, namespace(object), object.name_any())
}

/// The resourceVersion as a number, which it is in every cluster: Kubernetes guarantees that since 1.35. `None`: it is
/// something else.
pub fn version(object: &impl ResourceExt) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// The namespace of an object, for labels and messages; empty where its kind has none.
pub fn namespace(object: &impl ResourceExt) -> String {
    object.namespace().unwrap_or_default()
}

/// API client for the object's namespace.
pub fn api<K: Managed>(client: &Client, object: &K) -> Api<K> {
    within(client, object.namespace().as_deref())
}

/// The annotation of that name.
pub fn annotation<'a, K: Managed>(object: &'a K, name: &str) -> Option<&'a String> {
    object.annotations().get(name)
}

/// The claim in the annotations, if it is for the resource with that identity.
pub fn claim_of<K: Managed>(object: &K, identity: &Identity) -> Option<Claim> {
    Claim::decode(object.annotations().get(CLAIM).map(String::as_str), identity)
}

/// Whether a finalizer of Keysmith's is on the object.
pub fn has_finalizer<K: Managed>(object: &K) -> bool {
    holder(object).is_some()
}

/// The class of the operator whose finalizer is on the object.
pub fn holder<K: Managed>(object: &K) -> Option<ControllerClass> {
    ControllerClass::of_finalizers(object.finalizers())
}

/// The value of the annotation that requests a reconcile against the vendor.
pub fn requested<K: Managed>(object: &K) -> Option<&String> {
    object.annotations().get(RECONCILE_REQUESTED)
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// Writes the claim, and the finalizer with it. Fails with 409 if the object changed since it was read.
pub async fn claim<K: Managed>(
    client: &Client,
    class: &ControllerClass,
    object: &K,
    claim: &Claim,
    identity: &Identity,
) -> kube::Result<K> {
    let mut finalizers = object.finalizers().to_vec();
    // A finalizer cannot be added to an object that is being deleted. That of another class is of the operator that worked for
    // the object before.
    if holder(object).as_ref() != Some(class) && object.meta().deletion_timestamp.is_none() {
        finalizers.retain(|it| ControllerClass::of_finalizers(std::slice::from_ref(it)).is_none());
        finalizers.push(class.finalizer());
    }
    let metadata = json!({
        "resourceVersion": object.resource_version(),
        "finalizers": finalizers,
        "annotations": {CLAIM: claim.encode(identity)},
    });
    let patch = Patch::Merge(json!({"metadata": metadata}));
    api(client, object).patch(&object.name_any(), &params(), &patch).await
}

/// Adds the finalizer without a claim.
pub async fn hold<K: Managed>(client: &Client, class: &ControllerClass, object: &K) -> kube::Result<K> {
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(class.finalizer());
    set_finalizers(client, object, finalizers).await
}

/// Removes the finalizer.
pub async fn release<K: Managed>(client: &Client, object: &K) -> kube::Result<K> {
    let ours = holder(object).unwrap_or_default().finalizer();
    let others = object.finalizers().iter().filter(|it| **it != ours).cloned().collect();
    set_finalizers(client, object, others).await
}

async fn set_finalizers<K: Managed>(client: &Client, object: &K, finalizers: Vec<String>) -> kube::Result<K> {
    let metadata = json!({"resourceVersion": object.resource_version(), "finalizers": finalizers});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    api(client, object).patch(&object.name_any(), &params(), &patch).await
}

/// Writes status; the caller made sure that it differs. Fails with 409 if the object changed since it was read.
pub async fn write_status<K: Managed>(client: &Client, object: &K, status: &K::Status) -> kube::Result<K> {
    let difference = difference(&to_map(object.status()), to_map(Some(status)));
    let patch = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": difference});
    api(client, object).patch_status(&object.name_any(), &params(), &Patch::Merge(patch)).await
}

/// Writes one status patch to an object that cannot be decoded, so that its author sees the error.
pub async fn publish_raw<K: Managed>(
    client: &Client,
    meta: &kube::core::ObjectMeta,
    status: Value,
) -> kube::Result<()> {
    let resource = kube::api::ApiResource::erase::<K>(&());
    let api: Api<kube::core::DynamicObject> = match &meta.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(meta.name.as_deref().unwrap_or_default(), &params(), &patch).await.map(drop)
}

fn to_map<S: Serialize>(status: Option<&S>) -> Map<String, Value> {
    match status.map(serde_json::to_value) {
        Some(Ok(Value::Object(map))) => map,
        _ => Map::new(),
    }
}

/// The merge patch from `old` to `new`: new and different fields, and null for missing ones, at every depth.
fn difference(old: &Map<String, Value>, new: Map<String, Value>) -> Map<String, Value> {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let mut patch: Map<_, _> = gone.collect();
    for (key, value) in new {
        match (old.get(&key), value) {
            (Some(old), new) if *old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(key, Value::Object(difference(old, new)));
            }
            (_, new) => drop(patch.insert(key, new)),
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_takes_away_what_is_gone_and_leaves_alone_what_is_equal() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let patch = difference(&map(json!({"a": 1, "b": 2, "c": 3})), map(json!({"a": 1, "b": 5, "d": 4})));
        assert_eq!(Value::Object(patch), json!({"b": 5, "c": null, "d": 4}));
        let patch = difference(
            &map(json!({"a": {"same": 1, "gone": 2, "list": [1, 2]}, "b": {"x": 1}})),
            map(json!({"a": {"same": 1, "list": [1]}, "b": {"x": 1}})),
        );
        assert_eq!(Value::Object(patch), json!({"a": {"gone": null, "list": [1]}}));
    }
}
