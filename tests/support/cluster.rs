//! A Kubernetes API server inside the test process, for tests under paused tokio time.
//!
//! It follows the rules of the real server, not the expectations of one client; the rules are listed here and tested
//! in `tests/cluster_rules`. It is meant never to be laxer than the real one; where it differs, it says so below.
//!
//! **Served.** Namespaces, Secrets, ConfigMaps, Events (core and `events.k8s.io`), Leases, Deployments, `StatefulSets`, `DaemonSets`,
//! `CustomResourceDefinitions` (as data), and every kind the given CRDs describe; `/api`, `/apis`, `/version`, health.
//!
//! **Reading**
//! - A get or list without resourceVersion is of the present. `resourceVersionMatch=Exact` and continued lists are of
//!   the past they name, or 410 Expired when that is compacted; a version of the future is 504 Timeout.
//! - Label selectors: `k=v`, `k==v`, `k!=v`, `k`, `!k`, `k in (a,b)`, `k notin (a,b)`. Field selectors: `metadata.name`,
//!   `metadata.namespace` and the kind's selectable fields; any other is 400.
//! - `Accept: …;as=PartialObjectMetadata` gives metadata only, in get, list, watch and the answers to writes.
//! - A watch goes on from its resourceVersion; with none or `0` it first adds everything. A version that is compacted
//!   is an ERROR event of 410 Expired inside the stream, not a failed request. Through a selector, an object that
//!   stops matching is DELETED and one that starts is ADDED. `sendInitialEvents` is understood.
//! - `timeoutSeconds` ends the watch in tokio time, after a bookmark if bookmarks are allowed.
//!
//! **Writing**
//! - A body is at most 3 MiB (413) and agrees with its address (400).
//! - Names are RFC 1123, labels, annotations, finalizers and ownerReferences are checked: 422 Invalid names the path.
//! - uid, resourceVersion, creationTimestamp, generation, deletionTimestamp and managedFields are the server's alone.
//! - Creation in a missing namespace is 404, in a terminating one 403 with the cause `NamespaceTerminating`.
//! - A resourceVersion in an update or in any patch body is a compare-and-swap: 409 Conflict. Custom kinds and Leases
//!   must give one in a PUT (422); Secrets need not. A uid in the body must be the stored one: 409.
//! - Where `/status` exists, the main endpoint ignores the status and `/status` ignores everything else.
//! - The generation counts changes outside metadata and status, and the setting of deletionTimestamp.
//! - A write that changes nothing keeps the resourceVersion and is no event. A dry run does everything but store.
//! - Custom objects are pruned, defaulted (status defaults too) and validated by their schema; what has not changed
//!   is not validated again (ratcheting). Built-in kinds pass through their k8s-openapi type.
//! - Merge patch is RFC 7386, JSON patch is RFC 6902 (a failed `test` is 422). Strategic merge exists for built-in
//!   kinds only (415 otherwise) and merges finalizers and ownerReferences by element.
//! - Server-side apply keeps the fields each manager owns, also those of plain updates: what a manager no longer
//!   applies goes unless another owns it; another's field with another value is 409 without `force`. An apply
//!   creates what is missing, even with a resourceVersion; with a uid it is 409.
//! - Secrets: `stringData` goes into `data`, values are base64, at most 1 MiB, the type is Opaque by default and
//!   immutable, `immutable: true` is kept to, TLS, docker and SSH types have their keys.
//! - Events of `events.k8s.io`: required fields, lengths, the namespace of `regarding`; only the series may change.
//!
//! **Deleting**
//! - Finalizers turn a deletion into a deletionTimestamp; none may be added then, and the last one to go takes the
//!   object with it. Preconditions are kept to (409). `default` and `kube-system` cannot be deleted (403).
//! - The garbage collector deletes objects all of whose owners are gone, also when they name a uid that never was or
//!   an owner in another namespace. A deleted namespace is Terminating until all in it is gone.
//!
//! **Like a server, unlike a function.** Requests take time and yield. A request is carried out even when its
//! client has gone away meanwhile. Events reach watches after the answer to the write. 429 and 503 carry Retry-After.
//!
//! **Differences.** CEL rules, admission plugins and RBAC are not evaluated. Custom kinds are served at their storage
//! version only. Strategic merge directives, foreground and orphan deletion are refused (400); `fieldValidation` is
//! always lenient. The two event APIs do not share storage, and events do not expire. Lists inside built-in kinds are
//! atomic under apply, but for finalizers and ownerReferences; a Secret's applied `stringData` is owned as `data`. An
//! owner that is gone is not taken out of ownerReferences while another is there. Bookmarks come only at the end of a
//! watch. Aggregated discovery is not offered. Workloads do nothing.

// Each test program uses only a part of this module.
#![allow(dead_code)]

mod admit;
mod call;
mod delete;
mod discovery;
mod failure;
mod fault;
mod json_patch;
mod kind;
mod merge;
mod ownership;
mod past;
mod prepare;
mod read;
mod schema;
mod selector;
mod service;
mod settle;
mod state;
mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

#[allow(unused_imports, reason = "not every test binary injects faults")]
pub use fault::{Effect, Rule};
use kind::Kind;
use state::{Key, State};

/// A simulated cluster; clones are the same one.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Mutex<State>>,
}

/// One line of the request log.
#[derive(Debug, Clone)]
pub struct Request {
    pub sequence: u64,
    /// When it was sent.
    pub at: Timestamp,
    pub actor: String,
    /// The client that sent it; 0 means the cluster's own controllers.
    pub connection: u64,
    /// The RBAC verb: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// The RBAC resource: `secrets`, `gatewayapikeys/status`; the path if the request is not for a resource.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub dry_run: bool,
    /// The status that the client got; 0 until it got one.
    pub status: u16,
    /// Whether the write was accepted, even if the client got no answer.
    pub applied: bool,
    /// Whether the write changed the object.
    pub changed: bool,
}

impl Request {
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }
}

/// A Secret at one moment; `object` is `None` once it is deleted.
#[derive(Debug, Clone)]
pub struct SecretVersion {
    pub at: Timestamp,
    pub revision: u64,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub object: Option<Value>,
}

impl std::fmt::Debug for Cluster {
    // Redacted, because the state holds Secrets; `dump` shows it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster with the namespaces `default` and `kube-system` and the given CRDs.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static, crds: Vec<Value>) -> Self {
        let cluster = Self { shared: Arc::new(Mutex::new(State::new(Box::new(now)))) };
        cluster.add_namespace("default");
        cluster.add_namespace("kube-system");
        for crd in crds {
            cluster.install(crd);
        }
        cluster
    }

    /// A client with a connection of its own, under the actor `client`; must be called inside a tokio runtime.
    pub fn client(&self) -> kube::Client {
        self.client_named("client")
    }

    /// A client with a connection of its own; its requests are logged, and can be hit by faults, under `actor`.
    pub fn client_named(&self, actor: &str) -> kube::Client {
        let connection = {
            let mut state = self.state();
            state.connections += 1;
            state.connections
        };
        let (cluster, actor) = (self.clone(), actor.to_owned());
        let service = tower::service_fn(move |request| {
            // A task of its own: a server carries on with a request whose client has disconnected.
            let serving = tokio::spawn(cluster.clone().serve(actor.clone(), connection, request));
            async move { serving.await.map_err(std::io::Error::other)? }
        });
        kube::Client::new(service, "default")
    }

    /// Every request so far, in the order of sending.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// The writes of `actor`, except events and dry runs.
    pub fn writes(&self, actor: &str) -> Vec<Request> {
        let all = self.requests().into_iter();
        all.filter(|r| r.actor == actor && r.is_write() && !r.dry_run && r.resource != "events").collect()
    }

    /// Adds a rule; the first rule that hits a request decides.
    pub fn fault(&self, rule: Rule) {
        self.state().faults.rules.push(rule);
    }

    pub fn clear_faults(&self) {
        self.state().faults.rules.clear();
    }

    /// The number of rules that can still hit a request.
    pub fn pending_faults(&self) -> usize {
        self.state().faults.rules.iter().filter(|rule| rule.times > 0).count()
    }

    /// Ends all open watches; clients resume from their version, or list again.
    pub fn stop_watches(&self) {
        self.state().watches.clear();
    }

    /// Compacts all history: a watch or continued list that names an earlier resourceVersion gets a 410.
    pub fn expire_history(&self) {
        let mut state = self.state();
        state.revision += 1;
        state.compacted = state.revision;
        state.changes.clear();
    }

    /// The whole state, by resource.
    pub fn dump(&self) -> Value {
        let mut dump = json!({});
        for (key, object) in &self.state().objects {
            match dump[&key.resource].as_array_mut() {
                Some(objects) => objects.push((**object).clone()),
                None => dump[&key.resource] = json!([**object]),
            }
        }
        dump
    }

    /// Every version of every Secret that was ever stored, in order.
    pub fn secret_history(&self) -> Vec<SecretVersion> {
        self.state().secrets.clone()
    }

    /// An object as it is stored; `resource` is `secrets` or `plural.group`.
    pub fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let (resource, namespace, name) = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.state().objects.get(&Key { resource, namespace, name }).map(|object| (**object).clone())
    }

    /// Serves another CRD, or a new version of one.
    pub fn install(&self, crd: Value) {
        let mut state = self.state();
        let crd = kind::established(crd, &state.stamp());
        state.serve(Kind::custom(&crd));
        state.store_as_is(crd);
    }

    /// Stops serving that kind, as after the deletion of its CRD: it is gone from discovery, and its watches end.
    pub fn withdraw(&self, group: &str, plural: &str) {
        let mut state = self.state();
        state.kinds.retain(|kind| !kind.is(group, plural));
        drop(state);
        self.stop_watches();
    }

    pub fn add_namespace(&self, name: &str) {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.state().store_as_is(object);
    }

    /// Stores an object without validating, defaulting or pruning it, as an older version might have admitted it.
    pub fn store_unchecked(&self, object: Value) -> Value {
        let stored = self.state().store_as_is(object);
        self.schedule_settling();
        (*stored).clone()
    }

    /// Sets the latency of requests and events; 1 ms by default.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Sets the delay of the garbage collector after a deletion; 50 ms by default.
    pub fn set_collection_delay(&self, delay: Duration) {
        self.state().collection_delay = delay;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of one test task must not hide the state from the assertion that explains it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store_as_is(&mut self, mut object: Value) -> Arc<Value> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, name) = (text(&object["apiVersion"]), text(&object["kind"]));
        let kind = self.kind_of(&version, &name).unwrap_or_else(|| panic!("{version} {name} is not served"));
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or("default").to_owned();
        let namespace = kind.namespaced.then_some(namespace);
        let key = Key::new(&kind, namespace.as_deref(), &text(&metadata["name"]));
        let kept = self.objects.get(&key).cloned();
        let status = object["status"].clone();
        let deletion = metadata["deletionTimestamp"].clone();
        self.stamp_new(&kind, &mut object);
        if let Some(kept) = kept {
            object["metadata"]["uid"] = kept["metadata"]["uid"].clone();
            object["metadata"]["creationTimestamp"] = kept["metadata"]["creationTimestamp"].clone();
        }
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        for (field, value) in [("status", status), ("deletionTimestamp", deletion)] {
            let place = if field == "status" { &mut object } else { &mut object["metadata"] };
            if !value.is_null() {
                place[field] = value;
            }
        }
        self.commit(key, Some(object))
    }
}
