//! A real kube controller, for a week.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, CustomResource, CustomResourceExt, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::cluster::{Cluster, Effect, Rule};

const WEEK: Duration = Duration::from_hours(168);

/// A kind whose Secret is written again every `minutes`.
#[derive(CustomResource, Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.dev", version = "v1", kind = "Order", namespaced, status = "OrderStatus")]
struct OrderSpec {
    minutes: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
struct OrderStatus {
    written: u32,
}

struct Context {
    client: Client,
}

async fn reconcile(order: Arc<Order>, context: Arc<Context>) -> kube::Result<Action> {
    let namespace = order.namespace().expect("orders are namespaced");
    let orders: Api<Order> = Api::namespaced(context.client.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    let written = order.status.as_ref().map_or(0, |status| status.written) + 1;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(order.name_any()),
            owner_references: order.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        string_data: Some([("serial".to_owned(), written.to_string())].into()),
        ..Secret::default()
    };
    let params = PatchParams::apply("orders").force();
    secrets.patch(&order.name_any(), &params, &Patch::Apply(secret)).await?;
    let status = json!({ "apiVersion": "example.dev/v1", "kind": "Order", "status": { "written": written } });
    orders.patch_status(&order.name_any(), &params, &Patch::Apply(status)).await?;
    Ok(Action::requeue(Duration::from_secs(u64::from(order.spec.minutes) * 60)))
}

fn on_error(_: Arc<Order>, _: &kube::Error, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(5))
}

/// Runs the controller for `time`. Its watch passes changes of generations only, so that its own status does not wake
/// it.
async fn run(cluster: &Cluster, time: Duration) {
    let client = cluster.client_named("operator");
    let (reader, writer) = kube::runtime::reflector::store();
    let orders = watcher(Api::<Order>::all(client.clone()), watcher::Config::default());
    let orders = kube::runtime::WatchStreamExt::default_backoff(orders);
    let orders = kube::runtime::reflector(writer, orders);
    let orders = kube::runtime::WatchStreamExt::applied_objects(orders);
    let orders = kube::runtime::WatchStreamExt::predicate_filter(
        orders,
        kube::runtime::predicates::generation,
        kube::runtime::PredicateConfig::default(),
    );
    let secrets: Api<PartialObjectMeta<Secret>> = Api::all(client.clone());
    let controller = Controller::for_stream(orders, reader)
        .watches(secrets, watcher::Config::default(), |secret| {
            let gone = secret.metadata.deletion_timestamp.is_some();
            let owner = secret.owner_references().iter().find(|owner| owner.kind == "Order").cloned();
            let namespace = secret.namespace().unwrap_or_default();
            owner.filter(|_| gone).map(|owner| ObjectRef::new(&owner.name).within(&namespace))
        })
        .run(reconcile, on_error, Arc::new(Context { client }))
        .for_each(async |_| ());
    tokio::time::timeout(time, controller).await.unwrap_err();
}

fn cluster(count: u32, minutes: u32) -> Cluster {
    let start = tokio::time::Instant::now();
    let epoch: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let crd = serde_json::to_value(Order::crd()).unwrap();
    let cluster = Cluster::new(move || epoch + start.elapsed(), vec![crd]);
    for number in 0..count {
        let name = format!("order-{number}");
        let order = json!({
            "apiVersion": "example.dev/v1", "kind": "Order", "metadata": { "name": name }, "spec": { "minutes": minutes },
        });
        cluster.store_unchecked(order);
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_controller_runs_for_a_week() {
    let wall = std::time::Instant::now();
    let cluster = cluster(5, 60);
    run(&cluster, WEEK).await;
    let history = cluster.secret_history();
    assert_eq!(history.len(), 5 * 168);
    for number in 0..5 {
        let order = cluster.find("orders.example.dev", "default", &format!("order-{number}")).unwrap();
        assert_eq!(order["status"]["written"], 168);
        assert_eq!(order["metadata"]["generation"], 1);
    }
    let operator = cluster.requests().into_iter().filter(|r| r.actor == "operator");
    assert!(operator.clone().all(|r| r.status == 200 || r.status == 201));
    assert_eq!(operator.filter(|r| r.verb == "list").count(), 2, "watches go on without listing again");
    println!("a week took {:?} for {} requests", wall.elapsed(), cluster.requests().len());
    assert!(wall.elapsed() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_controller_outlives_faults_of_every_kind() {
    let cluster = cluster(3, 10);
    let effects = [
        Effect::DropBefore,
        Effect::DropAfter,
        Effect::AppliedStatus { code: 504 },
        Effect::Status { code: 500, reason: "InternalError".to_owned() },
        Effect::Delay(Duration::from_secs(7)),
    ];
    for (index, effect) in effects.into_iter().enumerate() {
        cluster.fault(Rule { skip: 2 * index, times: 9, actor: "operator".to_owned(), ..Rule::next(effect) });
    }
    let disturb = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_mins(15)).await;
            cluster.expire_history();
            cluster.stop_watches();
        }
    };
    tokio::join!(run(&cluster, Duration::from_hours(6)), disturb);
    assert_eq!(cluster.pending_faults(), 0);
    for number in 0..3 {
        let order = cluster.find("orders.example.dev", "default", &format!("order-{number}")).unwrap();
        assert!(order["status"]["written"].as_u64().unwrap() >= 30);
    }
}
