//! The stage of a story: a namespace, a vendor, a proxy in front of each server, and replicas of the operator.

use super::observer::Observer;
use super::proxy::{Proxy, Upstream};
use super::replica::{self, Replica, Setting};
use super::wires::{Side, Wires};
use crate::support::invariants::{AtRest, Creations, Key, Resource, Snapshot, Verdict};
use crate::support::plane;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use keysmith::emulator::Emulator;
use keysmith::emulator::edgee::{DataPlaneAnswer, KeyRecord};
use keysmith::runtime::clock::Clock;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The organization at the vendor.
pub const ORG: &str = "org_test";
const TOKEN: &str = "ek_live_emulated-story-token";
/// The seed: the same kills in every run, as far as processes allow it.
pub const SEED: u64 = 7;
/// The interval of checks whether a story has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Everything that a story needs. Observers get clones of its parts.
pub struct Stage {
    /// A user's client, without the proxies.
    pub user: Client,
    /// The vendor.
    pub emulator: Emulator,
    /// The namespace of the story.
    pub namespace: String,
    /// The record of requests and the rules of both proxies.
    pub wires: Wires,
    /// The violations that the observer found.
    wrong: Arc<Mutex<Vec<String>>>,
    proxies: [Proxy; 2],
    folder: PathBuf,
    replicas: usize,
    observer: AbortHandle,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.observer.abort();
    }
}

/// A namespace with a console token of its own.
pub struct Neighbour {
    /// A user's client, without the proxies.
    pub user: Client,
    /// The namespace.
    pub namespace: String,
}

impl Neighbour {
    async fn admit(&self, token: &str, organization: &str, vendor: &str) {
        let secret = json!({"metadata": {"name": "edgee-console"}, "stringData": {"token": token}});
        let secret = serde_json::from_value(secret).unwrap();
        let secrets: Api<Secret> = Api::namespaced(self.user.clone(), &self.namespace);
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let spec = json!({
            "vendor": {"edgee": {"organizationId": organization}},
            "endpoint": format!("{vendor}/edgee"),
            "gatewayUrl": format!("{vendor}/edgee-gateway/"),
            "secretRef": {"name": "edgee-console", "key": "token"},
        });
        self.create("ConsoleToken", "edgee", spec).await;
    }

    /// The API of one of our kinds.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        objects(&self.user, &self.namespace, kind)
    }

    /// Creates an object of one of our kinds.
    pub async fn create(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Creates a GatewayApiKey with these fields.
    pub async fn create_key(&self, name: &str, fields: Value) {
        let mut spec = json!({"consoleTokenRef": {"name": "edgee"}});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.create("GatewayApiKey", name, spec).await;
    }
}

impl Stage {
    /// Creates a namespace with a working console token. No operator runs yet.
    pub async fn set() -> Self {
        let user = plane::client().await;
        let namespaces: Api<Namespace> = Api::all(user.clone());
        let body = serde_json::from_value(json!({"metadata": {"generateName": "chaos-"}})).unwrap();
        let namespace = namespaces.create(&PostParams::default(), &body).await.unwrap().name_any();
        let clock = Clock::system();
        let emulator = Emulator::new(move || clock.now());
        emulator.edgee().add_token(TOKEN, &[ORG]);
        let wires = Wires::default();
        let proxies = join_all([
            // A client of its own, so that its connections belong to this story only.
            Proxy::start(Upstream::Kubernetes(plane::client().await), wires.clone()),
            Proxy::start(Upstream::Vendor(emulator.clone()), wires.clone()),
        ]);
        let proxies = proxies.await.try_into().ok().unwrap();
        let folder = plane::folder().join("stages").join(&namespace);
        std::fs::create_dir_all(&folder).unwrap();
        let wrong = Arc::default();
        let observer = Observer {
            keys: objects(&user, &namespace, "GatewayApiKey"),
            secrets: Api::namespaced(user.clone(), &namespace),
            emulator: emulator.clone(),
            wires: wires.clone(),
            wrong: Arc::clone(&wrong),
        };
        let observer = tokio::spawn(observer.watch()).abort_handle();
        let stage = Self { user, emulator, namespace, wires, wrong, proxies, folder, replicas: 0, observer };
        stage.write_kubeconfig();
        stage.admit().await;
        stage
    }

    fn write_kubeconfig(&self) {
        let server = format!("http://127.0.0.1:{}", self.proxies[0].port);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "nobody", "user": {}}],
        });
        std::fs::write(self.folder.join("kubeconfig"), config.to_string()).unwrap();
    }

    /// The origin of the vendor, through its proxy.
    pub fn vendor(&self) -> String {
        format!("http://127.0.0.1:{}", self.proxies[1].port)
    }

    /// A namespace of a neighbour, with an organization of its own at the vendor.
    pub async fn neighbour(&self, organization: &str) -> Neighbour {
        let namespaces: Api<Namespace> = Api::all(self.user.clone());
        let body = serde_json::from_value(json!({"metadata": {"generateName": "neighbour-"}})).unwrap();
        let namespace = namespaces.create(&PostParams::default(), &body).await.unwrap().name_any();
        let token = format!("{TOKEN}-{organization}");
        self.emulator.edgee().add_token(&token, &[organization]);
        let neighbour = Neighbour { user: self.user.clone(), namespace };
        neighbour.admit(&token, organization, &self.vendor()).await;
        neighbour
    }

    async fn admit(&self) {
        let own = Neighbour { user: self.user.clone(), namespace: self.namespace.clone() };
        own.admit(TOKEN, ORG, &self.vendor()).await;
    }

    /// Starts another operator.
    pub fn operator(&mut self) -> Replica {
        let namespace = self.namespace.clone();
        self.operator_of(&namespace)
    }

    /// Starts another operator of these namespaces, separated by commas.
    pub fn operator_of(&mut self, namespaces: &str) -> Replica {
        self.replicas += 1;
        let setting = Setting {
            kubeconfig: &self.folder.join("kubeconfig"),
            namespace: namespaces,
            vendor: &self.vendor(),
        };
        Replica::start(&setting, &self.folder.join(format!("operator-{}.log", self.replicas)))
    }

    /// The API of one of our kinds.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        objects(&self.user, &self.namespace, kind)
    }

    /// The API of the Secrets of the namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.user.clone(), &self.namespace)
    }

    /// Creates an object of one of our kinds.
    pub async fn create(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Creates a GatewayApiKey with these fields.
    pub async fn create_key(&self, name: &str, fields: Value) {
        let mut spec = json!({"consoleTokenRef": {"name": "edgee"}});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.create("GatewayApiKey", name, spec).await;
    }

    /// Edits a GatewayApiKey by merge patch.
    pub async fn edit_key(&self, name: &str, patch: Value) {
        let api = self.api("GatewayApiKey");
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Deletes a GatewayApiKey and does not wait.
    pub async fn delete_key(&self, name: &str) {
        self.api("GatewayApiKey").delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// All keys at the vendor.
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.emulator.edgee().keys(ORG)
    }

    /// The keys at the vendor that were created for a resource.
    pub fn keys_of(&self, name: &str) -> Vec<KeyRecord> {
        let prefix = format!("{name} [");
        self.keys().into_iter().filter(|it| it.name.starts_with(&prefix)).collect()
    }

    /// Verifies every invariant of a world at rest, for that resource and its keys. Returns the resource.
    pub async fn one_key(&self, name: &str) -> Result<DynamicObject, String> {
        let object = self.api("GatewayApiKey").get(name).await.map_err(|error| error.to_string())?;
        let status = &object.data["status"];
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let resource = Resource {
            name: name.to_owned(),
            ready: conditions.any(|it| it["type"] == "Ready" && it["status"] == "True"),
            current: status["observedGeneration"].as_i64() == object.metadata.generation,
            id: status["id"].as_str().map(str::to_owned),
            previous: status["previous"].as_array().map_or(0, Vec::len),
            held: self.secret(name).await,
            status: status.to_string(),
        };
        let keys = self.seen(self.keys_of(name));
        Snapshot { resources: vec![resource], keys, left: Vec::new() }.check(AtRest::ALL)?;
        Ok(object)
    }

    /// Verifies that neither that resource, nor its Secret, nor a key at the vendor exists.
    pub async fn nothing(&self, name: &str) -> Verdict {
        let mut left = Vec::new();
        let object = self.api("GatewayApiKey").get_opt(name).await.map_err(|it| it.to_string())?;
        left.extend(object.map(|it| format!("{name}: {}", it.data["status"]["conditions"])));
        left.extend(self.secret(name).await.map(|_| format!("Secret {name}")));
        Snapshot { resources: Vec::new(), keys: self.seen(self.keys()), left }.check(AtRest::ALL)
    }

    fn seen(&self, keys: Vec<KeyRecord>) -> Vec<Key> {
        let works =
            |key: &KeyRecord| self.emulator.edgee().check(&key.secret, None) == DataPlaneAnswer::Accepted;
        let key = |it: KeyRecord| Key { works: works(&it), id: it.id, name: it.name, secret: it.secret };
        keys.into_iter().map(key).collect()
    }

    /// The key in a Secret.
    pub async fn secret(&self, name: &str) -> Option<String> {
        value(&self.secrets().get_opt(name).await.unwrap()?)
    }

    /// Waits until `check` holds.
    pub async fn until<T>(
        &self,
        patience: Duration,
        mut check: impl AsyncFnMut() -> Result<T, String>,
    ) -> Result<T, String> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match check().await {
                Ok(value) => return Ok(value),
                Err(last) if tokio::time::Instant::now() > deadline => {
                    return Err(format!("not within {} s: {last}", patience.as_secs()));
                }
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Verifies the invariants of any history: a claim before every create call, one call per serial, a working key in
    /// the Secret at any time, and no secret in the logs.
    pub fn check_protocol(&self) -> Verdict {
        let mut creations = Creations::default();
        for entry in self.wires.entries() {
            let Some(subject) = entry.subject else { continue };
            if entry.side == Side::Kubernetes && entry.status == Some(200) {
                if let Some((owner, serial)) = claimed(&subject) {
                    creations.claim(owner, serial);
                }
            } else if entry.side == Side::Vendor && entry.shape == "POST api_keys" {
                let owned = ordered(&subject);
                creations.send(owned, &subject)?;
                owned.map_or(Ok(()), |(owner, serial)| creations.was_claimed(owner, serial))?;
            }
        }
        if let Some(wrong) = self.wrong.lock().unwrap_or_else(PoisonError::into_inner).first() {
            return Err(wrong.clone());
        }
        let logs = (1..=self.replicas).map(|it| self.folder.join(format!("operator-{it}.log")));
        logs.into_iter().try_for_each(|log| replica::printed_well(&log))
    }

    /// Cleans up the namespace on a cluster of the user. The tests' own cluster is deleted as a whole, and hundreds of
    /// namespaces that cannot be deleted would only keep its controllers busy.
    pub async fn strike(self) {
        if std::env::var_os("KEYSMITH_KUBECONFIG").is_none() {
            return;
        }
        for kind in ["GatewayApiKey", "ConsoleToken"] {
            let api = self.api(kind);
            for object in api.list(&ListParams::default()).await.unwrap() {
                // The operator is dead, so the test removes the finalizers.
                let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                api.patch(&object.name_any(), &PatchParams::default(), &patch).await.unwrap();
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.user.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }
}

/// Resource and serial of the claim in a write whose subject is the resource's name and the claim.
fn claimed(subject: &str) -> Option<(&str, u64)> {
    let (resource, claim) = subject.split_once(' ')?;
    let claim: Value = serde_json::from_str(claim).ok()?;
    Some((resource, claim["serial"].as_u64()?))
}

/// Resource and serial in the name of a key.
fn ordered(name: &str) -> Option<(&str, u64)> {
    let (resource, mark) = name.split_once(" [")?;
    let serial = mark.trim_end_matches(']').rsplit('-').next()?;
    Some((resource, serial.parse().ok()?))
}

fn objects(user: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("keysmith.dev", "v1alpha1", kind);
    Api::namespaced_with(user.clone(), namespace, &ApiResource::from_gvk(&gvk))
}

/// The key in a Secret of ours.
pub fn value(secret: &Secret) -> Option<String> {
    let bytes = secret.data.as_ref()?.get("key")?;
    String::from_utf8(bytes.0.clone()).ok()
}
