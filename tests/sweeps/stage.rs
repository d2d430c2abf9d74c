//! The stage of one run: a cluster, a vendor, and an operator that is restarted whenever it was killed.

use super::kubernetes::Connection;
use super::line::Line;
use super::observer::{NAMESPACE, Observer};
use super::vendor::Vendor;
use crate::support::cluster::Cluster;
use crate::support::drivers::Driver;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use keysmith::controller::context::Settings;
use keysmith::emulator::{Effect, Emulator, Rule, VendorHandle, VendorId};
use keysmith::gateway::Vendors;
use keysmith::operator::Operator;
use keysmith::plan::class::ControllerClass;
use keysmith::plan::shard::Shard;
use keysmith::plan::token::{Endpoints, Gateways};
use keysmith::plan::turns::Limits;
use keysmith::runtime::clock::Clock;
use keysmith::runtime::liveness::Liveness;
use keysmith::runtime::metrics::Metrics;
use keysmith::runtime::server::Readiness;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "sk-ek_live_emulated-sweep-token";
const TOKEN_SECRET: &str = "console";
/// The poll interval.
const POLL: SignedDuration = SignedDuration::from_secs(300);
/// The time until a killed operator is restarted.
const RESTART: Duration = Duration::from_secs(1);

/// Everything a run needs.
#[derive(Clone)]
pub struct Stage {
    /// Kubernetes.
    pub cluster: Cluster,
    /// The vendors.
    pub emulator: Emulator,
    /// The vendor of the resources.
    pub vendor_id: VendorId,
    /// Its console.
    pub handle: VendorHandle,
    /// The line between the operator and both.
    pub line: Line,
    /// The observer.
    pub observer: Observer,
    user: Client,
    clock: Clock,
}

/// Generated once, because generating the schemas costs more than a run.
fn crds() -> Vec<Value> {
    static CRDS: OnceLock<Vec<Value>> = OnceLock::new();
    let generate = || keysmith::api::crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    CRDS.get_or_init(generate).clone()
}

impl Stage {
    /// An empty stage with a running operator.
    pub fn set(vendor_id: VendorId) -> Self {
        let start = tokio::time::Instant::now();
        let clock = Clock::from_fn(move || {
            let passed = SignedDuration::try_from(start.elapsed()).unwrap();
            "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap() + passed
        });
        let (now, vendors_now) = (clock.clone(), clock.clone());
        let cluster = Cluster::new(move || now.now(), crds());
        cluster.add_namespace(NAMESPACE);
        let emulator = Emulator::new(move || vendors_now.now());
        let handle = emulator.vendor(vendor_id);
        handle.add_token(TOKEN);
        let observer = Observer::new(cluster.clone(), handle.clone());
        observer.allow_for(0);
        let user = cluster.client_named("user");
        let line = Line::default();
        let stage = Self { cluster, emulator, vendor_id, handle, line, observer, user, clock };
        tokio::spawn(stage.clone().keep_running());
        stage
    }

    async fn keep_running(self) {
        loop {
            let operator = self.operator(self.line.admit()).run(CancellationToken::new());
            let mut operator = tokio::spawn(operator);
            tokio::select! {
                () = self.line.killed() => operator.abort(),
                _ = &mut operator => self.observer.report("the operator ended by itself"),
            }
            tokio::time::sleep(RESTART).await;
        }
    }

    fn operator(&self, generation: u64) -> Operator {
        let (line, observer) = (self.line.clone(), self.observer.clone());
        let vendor = Vendor { generation, line, emulator: self.emulator.clone(), observer };
        let (line, observer) = (self.line.clone(), self.observer.clone());
        let connection = Connection { generation, line, cluster: self.cluster.clone(), observer };
        Operator {
            client: connection.client(),
            transport: Arc::new(vendor),
            clock: self.clock.clone(),
            settings: Settings {
                limits: Limits::per_account(8),
                endpoints: Endpoints::parse(["http://emulator.test"]).unwrap(),
                gateways: Gateways::parse(["https://gw.example"]).unwrap(),
                poll: POLL,
                keys_per_day: 20,
                sweep: None,
                ledger_namespace: "default".to_owned(),
                home: "default".to_owned(),
                watch_secrets: true,
                cluster_tokens_only: false,
                shard: Shard::default(),
                class: ControllerClass::default(),
                vendors: Vendors::default(),
            },
            namespaces: vec![NAMESPACE.to_owned()],
            metrics: Metrics::default(),
            readiness: Readiness::default(),
            liveness: Liveness::default(),
            election: None,
        }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("keysmith.dev", "v1alpha1", kind);
        Api::namespaced_with(self.user.clone(), NAMESPACE, &ApiResource::from_gvk(&gvk))
    }

    async fn create(&self, kind: &str, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.unwrap();
    }

    /// The user creates a working ConsoleToken and its Secret.
    pub async fn token(&self) {
        let secret = json!({"metadata": {"name": TOKEN_SECRET}, "stringData": {"token": TOKEN}});
        let secrets: Api<Secret> = Api::namespaced(self.user.clone(), NAMESPACE);
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        let mut spec = self.vendor_id.token_spec();
        spec["secretRef"] = json!({"name": TOKEN_SECRET, "key": "token"});
        self.create("ConsoleToken", "vendor", spec).await;
    }

    /// The user creates a GatewayApiKey.
    pub async fn key(&self, name: &str, mut spec: Value) {
        spec["consoleTokenRef"] = json!({"name": "vendor"});
        self.observer.guard(name);
        self.create("GatewayApiKey", name, spec).await;
    }

    /// The user edits a GatewayApiKey.
    pub async fn edit(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.api("GatewayApiKey").patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// The user replaces a GatewayApiKey by its manifest, as `kubectl replace` does.
    pub async fn replace(&self, name: &str) {
        let api = self.api("GatewayApiKey");
        let mut object = api.get(name).await.unwrap();
        (object.metadata.finalizers, object.metadata.annotations) = (None, None);
        api.replace(name, &PostParams::default(), &object).await.unwrap();
    }

    /// The vendor hides every key for this long; all of them work.
    pub fn hide_keys(&self, time: SignedDuration) {
        let keys: Vec<_> = self.handle.keys().into_iter().map(|key| key.id).collect();
        let gone = Effect::Status { code: 404, retry_after: None };
        let mut rules: Vec<_> = keys.iter().map(|id| Rule::always("GET", id, gone.clone())).collect();
        rules.push(Rule::always("GET", "", Effect::HideListed { keys }));
        for rule in rules {
            self.emulator.faults().add_for(rule, time);
        }
    }

    /// The user declares the present key leaked.
    pub async fn leak(&self, name: &str) {
        self.observer.leaked(name);
        self.edit(name, json!({"metadata": {"annotations": {"keysmith.dev/leaked": "found-in-a-log"}}}))
            .await;
    }

    /// The user deletes a GatewayApiKey.
    pub async fn delete(&self, name: &str) {
        self.observer.release(name);
        self.api("GatewayApiKey").delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The user deletes the namespace with everything in it.
    pub async fn delete_namespace(&self) {
        let namespaces: Api<Namespace> = Api::all(self.user.clone());
        namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
    }
}
