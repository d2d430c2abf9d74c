//! A world: a cluster, a vendor, an operator, and a user with kubectl. The cluster is either the simulated one, under
//! paused time, or a real kube-apiserver; the stories are the same for both.

use super::cluster::Cluster;
use super::drivers::Driver;
use super::invariants::{self, Verdict};
use super::replica::{Calls, Limit, Replica, times, usurp};
use super::rights::Account;
use super::{canary, plane};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event as CoreEvent, Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use keysmith::cluster::lease::{self, LeaseClient};
use keysmith::controller::context::Settings;
use keysmith::emulator::{Emulator, VendorId};
use keysmith::gateway::Vendors;
use keysmith::operator::Operator;
use keysmith::operator::leadership::Election;
use keysmith::plan::class::ControllerClass;
use keysmith::plan::naming::ClusterId;
use keysmith::plan::shard::Shard;
use keysmith::plan::token::{Endpoints, Gateways};
use keysmith::plan::turns::Limits;
use keysmith::runtime::clock::Clock;
use keysmith::runtime::liveness::Liveness;
use keysmith::runtime::metrics::Metrics;
use keysmith::runtime::server::Readiness;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// The organization at the vendor.
pub const ORG: &str = "org_test";
/// The working console token.
pub const TOKEN: &str = "sk-ek_live_emulated-story-token";
/// Time between two listings in the simulated world and in the real one.
const POLLS: (i64, i64) = (300, 2);

/// The kind of cluster.
enum Ground {
    Simulated(Cluster),
    Real(plane::Recorder),
}

/// Everything that a story needs.
#[allow(clippy::struct_excessive_bools, reason = "settings of a story")]
pub struct World {
    ground: Ground,
    /// A user's client.
    pub user: Client,
    /// The vendors.
    pub emulator: Emulator,
    /// The vendor of the story.
    pub vendor_id: VendorId,
    /// The namespace of the story.
    pub namespace: String,
    /// The time, as the operator and the vendor see it.
    pub clock: Clock,
    /// The operator's counters.
    pub metrics: Metrics,
    /// The registry of vendors of operators that start later.
    pub vendors: Vendors,
    /// The limit of keys per resource and day of operators that start later.
    pub keys_per_day: u64,
    /// The poll interval of operators that start later.
    pub poll: SignedDuration,
    /// Whether operators that start later watch all namespaces.
    pub everywhere: bool,
    /// Namespaces that operators watch beside the story's, if they do not watch all.
    pub beside: Vec<String>,
    /// The sweep interval of operators that start later.
    pub sweep: SignedDuration,
    /// The namespace of the ledger.
    pub ledger_namespace: String,
    /// Whether operators that start later watch Secrets.
    pub watch_secrets: bool,
    /// Whether operators that start later refuse ConsoleTokens.
    pub cluster_tokens_only: bool,
    /// The rate limit of the vendors.
    pub limit: Option<Limit>,
    /// Whether the story forges serials in Secrets, which may then decrease.
    pub forges_serials: bool,
    replicas: Vec<Replica>,
    /// The task that takes the leadership from one of two operators again and again.
    usurper: Option<AbortOnDropHandle<()>>,
}

impl World {
    /// A simulated cluster under paused time, with a running operator.
    pub async fn simulated() -> Self {
        Self::simulated_at(VendorId::Edgee).await
    }

    /// The same at another vendor.
    pub async fn simulated_at(vendor_id: VendorId) -> Self {
        let start = tokio::time::Instant::now();
        let clock = Clock::from_fn(move || {
            let passed = SignedDuration::try_from(start.elapsed()).unwrap();
            "2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap() + passed
        });
        let crds = keysmith::api::crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
        let now = clock.clone();
        let cluster = Cluster::new(move || now.now(), crds);
        cluster.add_namespace("story");
        let user = cluster.client_named("user");
        Self::new(Ground::Simulated(cluster), (user, "story".to_owned()), clock, vendor_id, |_, _| ()).await
    }

    /// A new namespace on a real control plane, with a running operator that watches only that namespace.
    pub async fn real() -> Self {
        Self::real_at(VendorId::Edgee).await
    }

    /// The same at another vendor.
    pub async fn real_at(vendor_id: VendorId) -> Self {
        Self::real_behind(vendor_id, |_, _| ()).await
    }

    /// The same, with something done to the vendor before anything else, given the namespace.
    pub async fn real_behind(vendor_id: VendorId, prepare: fn(&Emulator, &str)) -> Self {
        let user = plane::client().await;
        let namespaces: Api<Namespace> = Api::all(user.clone());
        let body = json!({"metadata": {"generateName": "story-"}});
        let namespace =
            namespaces.create(&PostParams::default(), &serde_json::from_value(body).unwrap()).await;
        let namespace = namespace.unwrap().name_any();
        let ground = Ground::Real(plane::Recorder::default());
        Self::new(ground, (user, namespace), Clock::system(), vendor_id, prepare).await
    }

    async fn new(
        ground: Ground,
        (user, namespace): (Client, String),
        clock: Clock,
        vendor_id: VendorId,
        prepare: fn(&Emulator, &str),
    ) -> Self {
        canary::listen();
        let now = clock.clone();
        let emulator = Emulator::new(move || now.now());
        prepare(&emulator, &namespace);
        emulator.edgee().add_organization(ORG);
        emulator.edgee().add_token(TOKEN, &[ORG]);
        emulator.vendor(vendor_id).add_token(TOKEN);
        let metrics = Metrics::default();
        let poll = SignedDuration::from_secs(match &ground {
            Ground::Simulated(_) => POLLS.0,
            Ground::Real(_) => POLLS.1,
        });
        let ledger_namespace = namespace.clone();
        let mut world = Self {
            ground,
            user,
            emulator,
            vendor_id,
            namespace,
            clock,
            metrics,
            vendors: Vendors::default(),
            keys_per_day: 20,
            poll,
            everywhere: false,
            beside: Vec::new(),
            sweep: SignedDuration::from_hours(1),
            ledger_namespace,
            watch_secrets: true,
            cluster_tokens_only: false,
            limit: None,
            forges_serials: false,
            replicas: Vec::new(),
            usurper: None,
        };
        world.start().await;
        world
    }

    /// Starts a second operator, and a task that takes the leadership from each of them again and again.
    pub async fn rival(&mut self) {
        self.stop().await;
        let usurpation = usurp(Api::namespaced(self.user.clone(), &self.namespace));
        self.usurper = Some(AbortOnDropHandle::new(tokio::spawn(usurpation)));
        self.start().await;
    }

    /// Starts an operator, or two if there are rivals.
    pub async fn start(&mut self) {
        if self.usurper.is_none() {
            let operator = self.operator("operator").await;
            return self.replicas.push(Replica::start(operator.0, operator.1));
        }
        for name in ["first", "second"] {
            let replica = self.replica(name, self.metrics.clone()).await;
            self.replicas.push(replica);
        }
    }

    /// Starts an operator with leader election under that name, beside those that run.
    pub async fn replica(&self, name: &str, metrics: Metrics) -> Replica {
        self.replica_of(Shard::default(), name, metrics).await
    }

    /// The same, as a replica of that shard.
    pub async fn replica_of(&self, shard: Shard, name: &str, metrics: Metrics) -> Replica {
        self.replica_with(name, metrics, |settings| settings.shard = shard).await
    }

    /// The same, with other settings.
    pub async fn replica_with(
        &self,
        name: &str,
        metrics: Metrics,
        change: impl FnOnce(&mut Settings),
    ) -> Replica {
        let (mut operator, calls) = self.operator(name).await;
        change(&mut operator.settings);
        let connection = self.connection(&format!("{name}-lease")).await;
        let Settings { class, shard, .. } = &operator.settings;
        let lease = LeaseClient::new(connection, &self.namespace, class, *shard);
        let election = Election { lease, identity: name.to_owned(), times: times(self.is_simulated()) };
        Replica::start(Operator { metrics, election: Some(election), ..operator }, calls)
    }

    /// The running operator, if there is only one.
    pub fn alone(&self) -> &Replica {
        assert_eq!(self.replicas.len(), 1);
        &self.replicas[0]
    }

    async fn operator(&self, name: &str) -> (Operator, Calls) {
        let calls = Calls::default();
        let operator = Operator {
            client: self.connection(name).await,
            transport: calls.line(&self.emulator, self.limit.clone()),
            clock: self.clock.clone(),
            settings: Settings {
                limits: Limits::per_account(8),
                endpoints: Endpoints::parse(["http://emulator.test"]).unwrap(),
                gateways: Gateways::parse(["https://gw.example"]).unwrap(),
                poll: self.poll,
                keys_per_day: self.keys_per_day,
                vendors: self.vendors,
                sweep: Some(self.sweep),
                ledger_namespace: self.ledger_namespace.clone(),
                home: self.ledger_namespace.clone(),
                watch_secrets: self.watch_secrets,
                cluster_tokens_only: self.cluster_tokens_only,
                shard: Shard::default(),
                class: ControllerClass::default(),
            },
            namespaces: self.watched(),
            metrics: self.metrics.clone(),
            readiness: Readiness::default(),
            liveness: Liveness::default(),
            election: None,
        };
        (operator, calls)
    }

    fn watched(&self) -> Vec<String> {
        let some = || std::iter::once(&self.namespace).chain(&self.beside).cloned().collect();
        if self.everywhere { Vec::new() } else { some() }
    }

    async fn connection(&self, name: &str) -> Client {
        match &self.ground {
            Ground::Simulated(cluster) => cluster.client_named(name),
            Ground::Real(recorder) => plane::recorded(recorder, &Account::cluster(&self.namespace)).await,
        }
    }

    /// Restarts the operator with a poll interval of six hours: weeks pass faster if nothing depends on a poll.
    pub async fn look_rarely(&mut self) {
        self.poll = SignedDuration::from_hours(6);
        self.stop().await;
        self.start().await;
    }

    /// Requests a stop of the operators, and waits until all work under way is finished.
    pub async fn stop(&mut self) {
        for replica in self.replicas.drain(..) {
            replica.stop().await;
        }
    }

    /// Kills the operators, whatever they are doing.
    pub fn kill(&mut self) {
        self.replicas.drain(..).for_each(Replica::kill);
    }

    /// Ends a story: the operator stops, and no secret was seen outside Secrets.
    pub async fn end(mut self) {
        if self.usurper.is_some() {
            // A story may be over before the leadership was taken away twice, so the end waits for that.
            self.eventually("the lead is taken away", async || {
                let lease = self.lease().await.unwrap().spec.unwrap();
                if lease.lease_transitions > Some(1) { Ok(()) } else { Err(format!("{lease:?}")) }
            })
            .await;
        }
        self.usurper.take();
        self.stop().await;
        canary::assert_silent();
        let mut texts = self.everything_but_secrets().await;
        texts.push(("the metrics".to_owned(), self.metrics.text()));
        let texts = texts.iter().map(|(place, text)| (place.as_str(), text.as_str()));
        invariants::no_secret_is_shown(texts, canary::secret_in).unwrap();
        if let (Ground::Simulated(cluster), false) = (&self.ground, self.forges_serials) {
            serials_never_fell(cluster).unwrap();
        }
        if let Ground::Real(recorder) = &self.ground {
            let account = Account::cluster(&self.namespace);
            let rights = account.rights();
            for asked in recorder.requests() {
                assert!(rights.iter().any(|it| it.covers(&asked)), "no rule of the chart allows {asked:?}");
            }
            account.withdraw(&self.user).await;
            Account::namespaced(&self.namespace).withdraw(&self.user).await;
            let namespaces: Api<Namespace> = Api::all(self.user.clone());
            // The control plane ends with the test, so a namespace that hangs does not matter then.
            let _ = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        }
    }

    async fn everything_but_secrets(&self) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        for kind in ["ConsoleToken", "GatewayApiKey", "ProjectSettings", "ProviderKey"] {
            for object in self.api(kind).list(&ListParams::default()).await.unwrap() {
                texts
                    .push((format!("{kind} {}", object.name_any()), serde_json::to_string(&object).unwrap()));
            }
        }
        for (reason, note) in self.events().await {
            texts.push((format!("event {reason}"), note));
        }
        let secrets: Api<Secret> = Api::namespaced(self.user.clone(), &self.namespace);
        for secret in secrets.list_metadata(&ListParams::default()).await.unwrap() {
            texts.push((
                format!("metadata of Secret {}", secret.name_any()),
                serde_json::to_string(&secret.metadata).unwrap(),
            ));
        }
        texts
    }

    /// Whether time is paused, so that days cost nothing.
    pub fn is_simulated(&self) -> bool {
        matches!(self.ground, Ground::Simulated(_))
    }

    /// The simulated cluster.
    pub fn cluster(&self) -> &Cluster {
        match &self.ground {
            Ground::Simulated(cluster) => cluster,
            Ground::Real(_) => panic!("this story needs the simulated cluster"),
        }
    }

    /// The Lease of the leader election.
    pub async fn lease(&self) -> Option<Lease> {
        let leases: Api<Lease> = Api::namespaced(self.user.clone(), &self.namespace);
        leases.get_opt(lease::NAME).await.unwrap()
    }

    /// Writes of the operator to Kubernetes, except events: verb and resource.
    pub fn writes(&self) -> Vec<String> {
        match &self.ground {
            Ground::Simulated(cluster) => {
                cluster.writes("operator").iter().map(|it| format!("{} {}", it.verb, it.resource)).collect()
            }
            Ground::Real(recorder) => recorder.writes(),
        }
    }

    /// How often the operator read the Secret of that name, and how often it made a dry run for it.
    pub fn looks_at_secret(&self, name: &str) -> (usize, usize) {
        let asked: Vec<(String, String, Option<String>, bool)> = match &self.ground {
            Ground::Simulated(cluster) => {
                let all = cluster.requests().into_iter().filter(|it| it.actor == "operator");
                all.map(|it| (it.verb, it.resource, it.name, it.dry_run)).collect()
            }
            Ground::Real(recorder) => {
                let all = recorder.requests().into_iter();
                all.map(|it| (it.verb, it.resource, it.name, it.dry_run)).collect()
            }
        };
        let read = |it: &&(String, String, Option<String>, bool)| {
            it.0 == "get" && it.1 == "secrets" && it.2.as_deref() == Some(name)
        };
        (asked.iter().filter(read).count(), asked.iter().filter(|it| it.3).count())
    }

    /// The requests of the operator to a real API server.
    pub fn requests(&self) -> Vec<plane::Asked> {
        match &self.ground {
            Ground::Simulated(_) => panic!("this story needs a real API server"),
            Ground::Real(recorder) => recorder.requests(),
        }
    }

    /// Lets time pass: the first duration in the simulated world, the second one in the real world.
    pub async fn pass(&self, simulated: Duration, real: Duration) {
        tokio::time::sleep(if self.is_simulated() { simulated } else { real }).await;
    }

    /// Waits until `check` holds. The bound is generous: it only ends a hopeless story.
    pub async fn eventually<T>(&self, what: &str, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
        // An hour, or ninety seconds. In the simulated world, the checks become less frequent during a long wait.
        let steps = if self.is_simulated() {
            [(Duration::from_millis(500), 600), (Duration::from_secs(5), 660)]
        } else {
            [(Duration::from_millis(50), 1800), (Duration::ZERO, 0)]
        };
        let mut last = String::new();
        // A look at a real vendor takes time, too.
        let began = std::time::Instant::now();
        for step in steps.into_iter().flat_map(|(step, times)| std::iter::repeat_n(step, times)) {
            match check().await {
                Ok(value) => return value,
                Err(reason) => last = reason,
            }
            if !self.is_simulated() && began.elapsed() > Duration::from_secs(120) {
                break;
            }
            tokio::time::sleep(step).await;
        }
        panic!("never happened: {what}; at last: {last}");
    }

    /// The API of one of our kinds.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("keysmith.dev", "v1alpha1", kind);
        // Without this, kube would pluralize the plural.
        let resource = match kind {
            "ProjectSettings" => ApiResource::from_gvk_with_plural(&gvk, "projectsettings"),
            _ => ApiResource::from_gvk(&gvk),
        };
        if kind == "ClusterConsoleToken" {
            return Api::all_with(self.user.clone(), &resource);
        }
        Api::namespaced_with(self.user.clone(), &self.namespace, &resource)
    }

    /// Creates an object of one of our kinds.
    pub async fn create(&self, kind: &str, name: &str, spec: Value) {
        self.try_create(kind, name, spec).await.unwrap();
    }

    /// Tries to create an object of one of our kinds.
    pub async fn try_create(&self, kind: &str, name: &str, spec: Value) -> kube::Result<DynamicObject> {
        let mut object = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        });
        if kind == "ClusterConsoleToken" {
            object["metadata"]["namespace"] = Value::Null;
        }
        self.api(kind).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
    }

    /// Edits an object by merge patch.
    pub async fn edit(&self, kind: &str, name: &str, patch: Value) -> kube::Result<DynamicObject> {
        self.api(kind).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Deletes an object and does not wait.
    pub async fn delete(&self, kind: &str, name: &str) {
        self.api(kind).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, kind: &str, name: &str) {
        self.eventually(&format!("{kind} {name} is gone"), async || {
            match self.api(kind).get_opt(name).await.unwrap() {
                None => Ok(()),
                Some(object) => Err(format!("{:?}", object.data["status"]["conditions"])),
            }
        })
        .await;
    }

    /// The status of an object.
    pub async fn status(&self, kind: &str, name: &str) -> Value {
        self.api(kind).get(name).await.unwrap().data["status"].clone()
    }

    /// A condition of an object: status, reason, message.
    pub async fn condition(
        &self,
        kind: &str,
        name: &str,
        condition: &str,
    ) -> Option<(String, String, String)> {
        let status = self.status(kind, name).await;
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|it| it["type"] == condition)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    /// Waits until `Ready` has that reason. Returns its message.
    pub async fn reason(&self, kind: &str, name: &str, reason: &str) -> String {
        self.eventually(&format!("{kind} {name} says {reason}"), async || {
            match self.condition(kind, name, "Ready").await {
                Some((_, now, message)) if now == reason => Ok(message),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits until an object is Ready at its present generation.
    pub async fn ready(&self, kind: &str, name: &str) {
        self.eventually(&format!("{kind} {name} is Ready"), async || {
            let object = self.api(kind).get(name).await.unwrap();
            let status = &object.data["status"];
            let ready = status["conditions"].as_array().into_iter().flatten();
            let ready = ready.clone().any(|it| it["type"] == "Ready" && it["status"] == "True");
            let current = status["observedGeneration"].as_i64() == object.metadata.generation;
            if ready && current { Ok(()) } else { Err(status["conditions"].to_string()) }
        })
        .await;
    }

    /// The identity of the cluster in marks.
    pub async fn cluster_id(&self) -> ClusterId {
        let namespaces: Api<Namespace> = Api::all(self.user.clone());
        ClusterId(namespaces.get("kube-system").await.unwrap().uid().unwrap())
    }

    /// Creates a working ConsoleToken with its Secret.
    pub async fn token(&self) {
        self.write_secret("edgee-console", &[("token", TOKEN)]).await;
        self.create("ConsoleToken", "edgee", self.token_spec()).await;
        self.ready("ConsoleToken", "edgee").await;
    }

    /// The spec of that ConsoleToken.
    pub fn token_spec(&self) -> Value {
        let secret = json!({"secretRef": {"name": "edgee-console", "key": "token"}});
        merged(self.vendor_id.token_spec(), secret)
    }

    /// Creates a GatewayApiKey of that token, and waits until it is Ready.
    pub async fn key(&self, name: &str, spec: Value) {
        self.create("GatewayApiKey", name, key_spec(spec)).await;
        self.ready("GatewayApiKey", name).await;
    }

    /// Writes a Secret as a user would.
    pub async fn write_secret(&self, name: &str, entries: &[(&str, &str)]) {
        let entries: BTreeMap<_, _> = entries.iter().copied().collect();
        let secret = json!({"metadata": {"name": name, "namespace": self.namespace}, "stringData": entries});
        let (secrets, params) = (self.secrets(), PostParams::default());
        let mut secret: Secret = serde_json::from_value(secret).unwrap();
        while let Some(present) = secrets.get_opt(name).await.unwrap() {
            let version = present.metadata.resource_version.clone();
            // A held Secret's deletion would wait, so it is replaced. Another one is deleted as it was read: the operator
            // may begin to hold it at any time.
            let written = if present.finalizers().is_empty() {
                let read = Preconditions { resource_version: version, uid: present.metadata.uid };
                let params = DeleteParams { preconditions: Some(read), ..DeleteParams::default() };
                secrets.delete(name, &params).await.map(|_| false)
            } else {
                secret.metadata.resource_version = version;
                secrets.replace(name, &params, &secret).await.map(|_| true)
            };
            match written {
                Ok(true) => return,
                Ok(false) => break,
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => panic!("{error}"),
            }
        }
        secret.metadata.resource_version = None;
        secrets.create(&params, &secret).await.unwrap();
    }

    /// Deletes a Secret although Keysmith holds it.
    pub async fn lose_secret(&self, name: &str) {
        let secrets = self.secrets();
        let stripped = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        secrets.patch(name, &PatchParams::default(), &stripped).await.unwrap();
        secrets.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The Secrets of the story's namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.user.clone(), &self.namespace)
    }

    /// One entry of a Secret.
    pub async fn entry(&self, secret: &str, entry: &str) -> Option<String> {
        let secret = self.secrets().get_opt(secret).await.unwrap()?;
        let bytes = secret.data?.get(entry)?.0.clone();
        Some(String::from_utf8(bytes).unwrap())
    }

    /// Events about the objects of the namespace: reason and note.
    pub async fn events(&self) -> Vec<(String, String)> {
        let events: Api<Event> = Api::namespaced(self.user.clone(), &self.namespace);
        let mut found: BTreeMap<_, _> = events
            .list(&ListParams::default())
            .await
            .unwrap()
            .into_iter()
            .map(|it| (it.name_any(), (it.reason.unwrap_or_default(), it.note.unwrap_or_default())))
            .collect();
        let core: Api<CoreEvent> = Api::namespaced(self.user.clone(), &self.namespace);
        let core = core.list(&ListParams::default()).await.unwrap();
        // A real API server shows every event in both groups.
        for it in core {
            let event = || (it.reason.clone().unwrap_or_default(), it.message.clone().unwrap_or_default());
            found.entry(it.name_any()).or_insert_with(event);
        }
        found.into_values().collect()
    }

    /// Waits for an event of that reason.
    pub async fn event(&self, reason: &str) -> String {
        self.eventually(&format!("event {reason}"), async || {
            let events = self.events().await;
            let found = events.iter().find(|(it, _)| it == reason).map(|(_, note)| note.clone());
            found.ok_or_else(|| format!("{events:?}"))
        })
        .await
    }
}

/// Verifies the serials of every Secret of ours, as long as it existed.
fn serials_never_fell(cluster: &Cluster) -> Verdict {
    let mut serials = BTreeMap::new();
    for version in cluster.secret_history_after(0) {
        let Some(object) = version.object else {
            serials.remove(&version.uid);
            continue;
        };
        let serial = object["metadata"]["annotations"][keysmith::api::SERIAL].as_str();
        let serial = serial.and_then(|it| it.parse().ok()).unwrap_or_default();
        let before = serials.insert(version.uid, serial).unwrap_or_default();
        invariants::serial_does_not_fall(&version.name, (before, serial))?;
    }
    Ok(())
}

/// The spec of a working ConsoleToken at Edgee.
pub fn token_spec() -> Value {
    json!({
        "vendor": {"edgee": {"organizationId": ORG}},
        "endpoint": "http://emulator.test/edgee",
        "gatewayUrl": "http://emulator.test/edgee-gateway/",
        "secretRef": {"name": "edgee-console", "key": "token"},
    })
}

/// The spec of a GatewayApiKey: these fields, with the usual token.
pub fn key_spec(fields: Value) -> Value {
    merged(json!({"consoleTokenRef": {"name": "edgee"}}), fields)
}

/// Merges one object over another.
pub fn merged(mut base: Value, over: Value) -> Value {
    base.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    base
}
