//! What a story plays on: a namespace, a vendor, a proxy in front of each server, and replicas of the operator.

use super::proxy::{Proxy, Upstream};
use super::replica::{self, Replica, Setting};
use super::watchman::Watchman;
use super::wires::{Side, Wires};
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
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// The organization at the vendor.
pub const ORG: &str = "org_test";
const TOKEN: &str = "ek_live_emulated-story-token";
/// The same kills in every run, as far as processes allow it.
pub const SEED: u64 = 7;
/// Between two looks at whether a story has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Everything a story needs. Clones of its parts go to whoever watches over it.
pub struct Stage {
    /// Somebody with kubectl, past the proxies.
    pub user: Client,
    /// The vendor.
    pub emulator: Emulator,
    /// Where it plays.
    pub namespace: String,
    /// What passes the proxies.
    pub wires: Wires,
    /// What the watchman saw.
    broken: Arc<Mutex<Vec<String>>>,
    proxies: [Proxy; 2],
    folder: PathBuf,
    replicas: usize,
    watchman: AbortHandle,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.watchman.abort();
    }
}

impl Stage {
    /// A namespace of its own, with a working console token in it. No operator runs yet.
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
            // A client of its own: its connections are this story's.
            Proxy::start(Upstream::Kubernetes(plane::client().await), wires.clone()),
            Proxy::start(Upstream::Vendor(emulator.clone()), wires.clone()),
        ]);
        let proxies = proxies.await.try_into().ok().unwrap();
        let folder = plane::folder().join("stages").join(&namespace);
        std::fs::create_dir_all(&folder).unwrap();
        let broken = Arc::default();
        let watchman = Watchman {
            keys: objects(&user, &namespace, "GatewayApiKey"),
            secrets: Api::namespaced(user.clone(), &namespace),
            emulator: emulator.clone(),
            wires: wires.clone(),
            broken: Arc::clone(&broken),
        };
        let watchman = tokio::spawn(watchman.watch()).abort_handle();
        let stage = Self { user, emulator, namespace, wires, broken, proxies, folder, replicas: 0, watchman };
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

    async fn admit(&self) {
        let secret = json!({"metadata": {"name": "edgee-console"}, "stringData": {"token": TOKEN}});
        let secret = serde_json::from_value(secret).unwrap();
        self.secrets().create(&PostParams::default(), &secret).await.unwrap();
        let spec = json!({
            "vendor": {"edgee": {"organizationId": ORG}},
            "endpoint": format!("{}/edgee", self.vendor()),
            "gatewayUrl": format!("{}/edgee-gateway/", self.vendor()),
            "secretRef": {"name": "edgee-console", "key": "token"},
        });
        self.create("ConsoleToken", "edgee", spec).await;
    }

    /// Starts one more operator.
    pub fn operator(&mut self) -> Replica {
        self.replicas += 1;
        let setting = Setting {
            kubeconfig: &self.folder.join("kubeconfig"),
            namespace: &self.namespace,
            vendor: &self.vendor(),
        };
        Replica::start(&setting, &self.folder.join(format!("operator-{}.log", self.replicas)))
    }

    /// The objects of one of our kinds.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        objects(&self.user, &self.namespace, kind)
    }

    /// The Secrets of the namespace.
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

    /// The keys at the vendor.
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.emulator.edgee().keys(ORG)
    }

    /// The keys at the vendor that were made for a resource.
    pub fn keys_of(&self, name: &str) -> Vec<KeyRecord> {
        let prefix = format!("{name} [");
        self.keys().into_iter().filter(|it| it.name.starts_with(&prefix)).collect()
    }

    /// The resource is Ready, the vendor has one key for it, the Secret holds it, and it works. Returns the resource.
    pub async fn one_key(&self, name: &str) -> Result<DynamicObject, String> {
        let object = self.api("GatewayApiKey").get(name).await.map_err(|error| error.to_string())?;
        let status = &object.data["status"];
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        if !conditions.any(|it| it["type"] == "Ready" && it["status"] == "True") {
            return Err(format!("{name} is not Ready: {}", status["conditions"]));
        }
        if status["observedGeneration"].as_i64() != object.metadata.generation {
            return Err(format!("{name} is Ready as it was before the last edit"));
        }
        let keys = self.keys_of(name);
        let [key] = &keys[..] else {
            return Err(format!("{} keys for {name} at the vendor", keys.len()));
        };
        if status["id"] != key.id.as_str() {
            return Err(format!("{name} names key {}, the vendor has {}", status["id"], key.id));
        }
        let secret = self.secret(name).await.ok_or_else(|| format!("no Secret {name}"))?;
        match self.emulator.edgee().check(&secret, None) {
            DataPlaneAnswer::Accepted => Ok(object),
            other => Err(format!("the gateway says {other:?} to what Secret {name} holds")),
        }
    }

    /// What a Secret holds.
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

    /// What holds whatever happened: an intent before every create call, one call per serial, a working key in the
    /// Secret at any time, and no secret in what was printed.
    pub fn check_protocol(&self) -> Result<(), String> {
        let mut sent = HashMap::new();
        let mut claimed: Vec<String> = Vec::new();
        for entry in self.wires.entries() {
            let Some(subject) = entry.subject else { continue };
            if entry.side == Side::Kubernetes && entry.status == Some(200) {
                claimed.push(subject);
            } else if entry.side == Side::Vendor && entry.shape == "POST api_keys" {
                *sent.entry(subject.clone()).or_insert(0) += 1;
                if sent[&subject] > 1 {
                    return Err(format!("{subject} was sent {} times", sent[&subject]));
                }
                let preceded = wanted_claim(&subject).is_some_and(|it| claimed.iter().any(it));
                if !preceded {
                    return Err(format!("{subject} was sent without a claim"));
                }
            }
        }
        if let Some(broken) = self.broken.lock().unwrap_or_else(PoisonError::into_inner).first() {
            return Err(broken.clone());
        }
        let logs = (1..=self.replicas).map(|it| self.folder.join(format!("operator-{it}.log")));
        logs.into_iter().find_map(|log| replica::misprint(&log)).map_or(Ok(()), Err)
    }

    /// Gives the namespace back where somebody else's cluster was borrowed. Ours goes as a whole; hundreds of namespaces
    /// that cannot end would only keep its controllers busy.
    pub async fn strike(self) {
        if std::env::var_os("KEYSMITH_KUBECONFIG").is_none() {
            return;
        }
        for kind in ["GatewayApiKey", "ConsoleToken"] {
            let api = self.api(kind);
            for object in api.list(&ListParams::default()).await.unwrap() {
                // The operator is dead, so nobody else takes them off.
                let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                api.patch(&object.name_any(), &PatchParams::default(), &patch).await.unwrap();
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.user.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.unwrap();
    }
}

/// Recognises the claim that has to precede the create call of a key with that name.
fn wanted_claim(name: &str) -> Option<impl Fn(&String) -> bool> {
    let (resource, mark) = name.split_once(" [")?;
    let serial = mark.trim_end_matches(']').rsplit('-').next()?;
    let (resource, serial) = (format!("{resource} "), format!("\"serial\":{serial},"));
    Some(move |claim: &String| claim.starts_with(&resource) && claim.contains(&serial))
}

fn objects(user: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("keysmith.dev", "v1alpha1", kind);
    Api::namespaced_with(user.clone(), namespace, &ApiResource::from_gvk(&gvk))
}

/// What a Secret of ours holds.
pub fn value(secret: &Secret) -> Option<String> {
    let bytes = secret.data.as_ref()?.get("key")?;
    String::from_utf8(bytes.0.clone()).ok()
}
