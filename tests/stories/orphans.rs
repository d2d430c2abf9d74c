//! Keys at the vendor without a resource.

use super::ledger::{entry, here, ledger};
use crate::support::cluster::{Effect as ClusterEffect, Rule as ClusterRule};
use crate::support::drivers::Driver;
use crate::support::world::{World, key_spec, merged};
use jiff::SignedDuration;
use keysmith::cluster::ledger::NAME;
use keysmith::emulator::Effect;
use keysmith::plan::ledger::Entry;
use keysmith::plan::naming::{ClusterId, Mark};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: u64 = 3600;

/// An operator of all namespaces, with a working token and a ledger that has existed for a while.
pub async fn sweeping(world: &mut World) {
    world.stop().await;
    world.everywhere = true;
    world.sweep = world.sweep.min(SignedDuration::from_mins(20));
    world.start().await;
    world.token().await;
    hours(world, 1).await;
}

async fn hours(world: &World, hours: u64) {
    world.pass(Duration::from_secs(hours * HOUR), Duration::ZERO).await;
}

/// A key of a resource whose finalizer a user removed by force while no operator ran.
pub async fn orphan(world: &mut World, name: &str) -> String {
    world.key(name, json!({})).await;
    let id = world.status("GatewayApiKey", name).await["id"].as_str().unwrap().to_owned();
    world.stop().await;
    world.edit("GatewayApiKey", name, json!({"metadata": {"finalizers": []}})).await.unwrap();
    world.delete("GatewayApiKey", name).await;
    world.gone("GatewayApiKey", name).await;
    world.start().await;
    id
}

/// A key that a person created with such a mark.
fn plant(world: &World, cluster: &ClusterId, uid: &str) -> String {
    world.vendor().add_key(&world.vendor_id.name_of(&Mark::new(cluster, uid), "planted")).id
}

fn ids(world: &World) -> Vec<String> {
    world.keys().into_iter().map(|it| it.id).collect()
}

fn metric(world: &World, line: &str) {
    let text = world.metrics.text();
    assert!(text.contains(line), "{line} is not in:\n{text}");
}

/// Verifies the value of a metric of the vendor.
fn vendor_metric(world: &World, name: &str, value: u64) {
    metric(world, &format!("{name}{{vendor=\"{}\"}} {value}", world.vendor_id.name()));
}

async fn orphans_shown(world: &World) -> Value {
    world.status("ConsoleToken", "edgee").await["orphans"].clone()
}

async fn count_events(world: &World, reason: &str) -> usize {
    world.events().await.iter().filter(|(it, _)| it == reason).count()
}

pub async fn an_orphan_is_reported_by_the_first_sweep_and_revoked_by_the_second(world: &mut World) {
    sweeping(world).await;
    world.key("kept", json!({})).await;
    let kept = ids(world).remove(0);
    let orphan = orphan(world, "dropped").await;
    let note = world.event("OrphansFound").await;
    assert!(note.contains(&orphan) && note.contains("`keysmith orphans` lists them"), "{note}");
    let promised = note.contains("revoked by the first sweep after");
    assert_eq!(promised, world.vendor_id.capabilities().created_at, "{note}");
    assert_ne!(
        promised,
        note.contains("is not revoked by Keysmith, because the vendor does not say when it was made"),
        "{note}"
    );
    world.pass(Duration::from_secs(300), Duration::ZERO).await;
    assert_eq!(orphans_shown(world).await, 1);
    vendor_metric(world, "keysmith_orphaned_keys", 1);
    assert!(ids(world).contains(&orphan), "one sweep decides nothing");
    if !world.vendor_id.capabilities().created_at {
        // The key may be older than the ledger, and then a person may have retained it.
        hours(world, 6).await;
        assert!(ids(world).contains(&orphan));
        assert_eq!((orphans_shown(world).await, count_events(world, "OrphansRevoked").await), (json!(1), 0));
        return assert_eq!(world.calls("DELETE"), 0);
    }
    let note = world.event("OrphansRevoked").await;
    assert!(note.contains(&orphan), "{note}");
    world.pass(Duration::from_secs(300), Duration::ZERO).await;
    assert_eq!((ids(world), orphans_shown(world).await), (vec![kept], Value::Null));
    vendor_metric(world, "keysmith_orphaned_keys", 0);
    vendor_metric(world, "keysmith_orphaned_keys_revoked_total", 1);
    hours(world, 5).await;
    assert_eq!(count_events(world, "OrphansFound").await, 1);
    assert_eq!(world.calls("DELETE"), 1);
    world.served("kept", "key").await;
}

pub async fn a_key_of_a_resource_ledger_or_other_cluster_is_not_swept(world: &mut World) {
    sweeping(world).await;
    let cluster = world.cluster_id().await;
    // A retained key.
    let retained = orphan(world, "retained").await;
    ledger(world).record(&[entry(world, &retained)]).await.unwrap();
    // A key of another cluster, and a key of a human.
    let theirs = plant(world, &ClusterId("elsewhere".into()), "u");
    let by_hand = world.vendor().add_key("by-hand").id;
    // A key of a resource in another namespace, whose token does not exist.
    world.cluster().add_namespace("other");
    let place = std::mem::replace(&mut world.namespace, "other".to_owned());
    for name in ["own", "former", "adopter"] {
        world.create("GatewayApiKey", name, key_spec(json!({}))).await;
    }
    let uid = world.api("GatewayApiKey").get("own").await.unwrap().uid().unwrap();
    let own = plant(world, &cluster, &uid);
    // A key of a resource that was restored from a backup, under its former mark.
    let mark = Mark::new(&cluster, "before").to_string();
    let claim =
        json!({"serial": 1, "at": "2026-11-21T00:00:00Z", "purpose": "create", "mark": mark}).to_string();
    let claim = json!({"metadata": {"annotations": {"keysmith.dev/claim": claim}}});
    world.edit("GatewayApiKey", "former", claim).await.unwrap();
    let former = plant(world, &cluster, "before");
    // A key adopted from a resource that is gone.
    let adopted = plant(world, &cluster, "gone");
    let status = Patch::Merge(json!({"status": {"id": adopted}}));
    world.api("GatewayApiKey").patch_status("adopter", &PatchParams::default(), &status).await.unwrap();
    world.namespace = place;
    hours(world, 6).await;
    assert_eq!(ids(world), [retained, theirs, by_hand, own, former, adopted]);
    assert_eq!((count_events(world, "OrphansFound").await, orphans_shown(world).await), (0, Value::Null));
    let sweeps = "keysmith_sweeps_total{outcome=\"skipped\"}";
    assert!(!world.metrics.text().contains(sweeps), "{}", world.metrics.text());
}

pub async fn a_key_that_is_being_created_is_no_orphan(world: &mut World) {
    world.sweep = SignedDuration::from_mins(5);
    sweeping(world).await;
    // Slow listings and slow create calls: one of the keys is created during a sweep's listing, and some create calls
    // wait for their answer.
    world.fail("GET", Effect::Delay { millis: 10_000 });
    world.fail("POST", Effect::DelayAfter { millis: 20_000 });
    for number in 0..200 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
        world.pass(Duration::from_secs(6), Duration::ZERO).await;
    }
    world.emulator.faults().clear();
    hours(world, 1).await;
    assert_eq!((world.keys().len(), world.calls("DELETE")), (200, 0));
    assert_eq!(count_events(world, "OrphansFound").await, 0);
}

/// An entry is written before its resource is gone: a sweep that read the ledger first would miss both.
pub async fn a_sweep_reads_the_ledger_last_and_writes_nothing(world: &mut World) {
    sweeping(world).await;
    world.key("kept", json!({})).await;
    hours(world, 1).await;
    let (before, calls) = (world.cluster().requests().len(), world.asked().len());
    hours(world, 3).await;
    let requests = world.cluster().requests().split_off(before);
    let asked: Vec<_> = requests
        .iter()
        .filter(|it| it.actor == "operator" && it.resource != "secrets" && it.verb != "watch")
        .map(|it| format!("{} {}", it.verb, it.resource))
        .collect();
    // The watches list everything again now and then, independently of sweeps.
    let sweeps: Vec<_> = asked.split_inclusive(|it| it == "list configmaps").collect();
    assert!(sweeps.len() >= 6, "{asked:?}");
    for sweep in sweeps.iter().filter(|it| it.last().is_some_and(|it| it == "list configmaps")) {
        let [.., tokens, keys, _] = sweep else { panic!("{asked:?}") };
        assert_eq!(
            (tokens.as_str(), keys.as_str()),
            ("list consoletokens", "list gatewayapikeys"),
            "{asked:?}"
        );
    }
    assert!(asked.iter().all(|it| it.starts_with("list ")), "{asked:?}");
    // The sweep uses the listing of the poll.
    let polls = world.asked().len() - calls;
    assert!((32..=41).contains(&polls), "{polls} calls in three hours");
}

pub async fn a_sweep_that_cannot_see_everything_concludes_nothing(world: &mut World) {
    sweeping(world).await;
    let orphan = orphan(world, "dropped").await;
    let refused = |verb: &str, resource: &str, code| {
        let rule = ClusterRule::next(ClusterEffect::Status { code, reason: "Refused".into() });
        let (actor, verb, resource) = ("operator".to_owned(), verb.to_owned(), resource.to_owned());
        ClusterRule { actor, verb, resource, times: usize::MAX, ..rule }
    };
    for rule in [
        refused("list", "gatewayapikeys", 403),
        refused("list", "consoletokens", 500),
        refused("list", "configmaps", 403),
    ] {
        world.cluster().clear_faults();
        world.cluster().fault(rule.clone());
        hours(world, 2).await;
        assert_eq!(
            (ids(world), count_events(world, "OrphansFound").await),
            (vec![orphan.clone()], 0),
            "{rule:?}"
        );
    }
    // A continue token that has expired.
    world.cluster().clear_faults();
    world.cluster().fault(ClusterRule { skip: 1, ..refused("list", "gatewayapikeys", 410) });
    let resources = (0..300).map(|number| format!("filler-{number}"));
    for name in resources {
        let spec = merged(key_spec(json!({})), json!({"consoleTokenRef": {"name": "none"}}));
        world.create("GatewayApiKey", &name, spec).await;
    }
    hours(world, 1).await;
    world.cluster().clear_faults();
    assert_eq!(ids(world), [orphan]);
    metric(world, "keysmith_sweeps_total{outcome=\"skipped\"}");
    hours(world, 2).await;
    assert!(ids(world).is_empty());
}

pub async fn an_operator_of_some_namespaces_leaves_orphans_alone(world: &mut World) {
    world.token().await;
    let orphan = orphan(world, "dropped").await;
    hours(world, 6).await;
    assert_eq!((ids(world), orphans_shown(world).await), (vec![orphan], Value::Null));
    assert_eq!(count_events(world, "OrphansFound").await, 0);
    assert!(!world.metrics.text().contains("keysmith_sweeps_total{"));
    let place = world.cluster().find("configmaps", &world.ledger_namespace, NAME);
    assert_eq!(place, None, "nothing is left behind, so there is no ledger");
}

pub async fn two_tokens_of_one_account_count_a_key_once(world: &mut World) {
    sweeping(world).await;
    world.create("ConsoleToken", "second", world.token_spec()).await;
    let orphan = orphan(world, "dropped").await;
    for _ in 0..HOUR / 60 {
        world.pass(Duration::from_secs(60), Duration::ZERO).await;
        let text = world.metrics.text();
        assert!(!text.contains("keysmith_orphaned_keys{vendor=\"edgee\"} 2"), "{text}");
    }
    assert!(world.event("OrphansFound").await.contains(&orphan));
    hours(world, 3).await;
    assert!(ids(world).is_empty());
    vendor_metric(world, "keysmith_orphaned_keys", 0);
    assert_eq!(world.calls("DELETE"), 1);
}

pub async fn tokens_of_one_account_are_swept_once(world: &mut World) {
    sweeping(world).await;
    for name in ["second", "third"] {
        world.create("ConsoleToken", name, world.token_spec()).await;
    }
    hours(world, 10).await;
    let text = world.metrics.text();
    let sweeps = text.lines().find_map(|line| line.strip_prefix("keysmith_sweeps_total{outcome=\"ok\"} "));
    let sweeps: u32 = sweeps.unwrap().parse().unwrap();
    // One sweep every twenty minutes, and not three.
    assert!((28..=38).contains(&sweeps), "{sweeps} sweeps in eleven hours");
}

pub async fn an_orphan_older_than_the_ledger_is_left_to_people(world: &mut World) {
    sweeping(world).await;
    let orphan = orphan(world, "dropped").await;
    world.stop().await;
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> =
        Api::namespaced(world.user.clone(), &world.ledger_namespace);
    maps.delete(NAME, &DeleteParams::default()).await.unwrap();
    world.start().await;
    world.event("OrphansFound").await;
    hours(world, 6).await;
    assert_eq!((ids(world), orphans_shown(world).await), (vec![orphan], json!(1)));
}

pub async fn an_orphan_that_cannot_be_revoked_yet_is_revoked_later(world: &mut World) {
    sweeping(world).await;
    let refused = Effect::Status { code: 503, retry_after: None };
    world.fail("DELETE", refused);
    let orphan = orphan(world, "dropped").await;
    hours(world, 6).await;
    assert_eq!((ids(world), orphans_shown(world).await), (vec![orphan], json!(1)));
    assert_eq!(count_events(world, "OrphansRevoked").await, 0);
    world.emulator.faults().clear();
    world.event("OrphansRevoked").await;
    assert!(ids(world).is_empty());
}

pub async fn an_entry_goes_with_its_key(world: &mut World) {
    sweeping(world).await;
    let gone = orphan(world, "gone").await;
    let kept = orphan(world, "kept").await;
    let mark = Mark::new(&world.cluster_id().await, "u").to_string();
    let never = Entry { key_id: None, mark: Some(mark), ..here(world, "") };
    ledger(world).record(&[here(world, &gone), here(world, &kept), never]).await.unwrap();
    assert!(world.vendor().delete_key(&gone));
    // A vendor that hides a key for hours does not cost the key its entry.
    hours(world, 20).await;
    assert_eq!(ledger(world).list().await.unwrap().entries.len(), 3);
    hours(world, 7).await;
    let left = ledger(world).list().await.unwrap().entries;
    assert_eq!(left.iter().map(|it| it.key_id.clone()).collect::<Vec<_>>(), [Some(kept)]);
}
