use super::*;
use crate::api::GatewayApiKey;
use serde_json::{Value, json};

fn key(number: usize, status: bool) -> GatewayApiKey {
    let mut object = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {
            "name": format!("key-{number}"), "namespace": format!("team-{}", number % 10), "generation": 1,
            "uid": format!("{number:08x}-9c1d-4c7e-8a55-{:012x}", number * 7_919),
            "resourceVersion": (10_000 + number * 3).to_string(), "finalizers": ["keysmith.dev/keys"],
            "creationTimestamp": "2026-11-30T06:00:00Z",
            "annotations": {"keysmith.dev/claim": format!("{{\"serial\":1,\"mark\":\"{number:016x}\"}}")},
        },
        "spec": {"consoleTokenRef": {"name": format!("account-{}", number % 7)}, "displayName": "Checkout"},
    });
    if status {
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": "True", "reason": "Issued", "observedGeneration": 1,
                "lastTransitionTime": "2026-11-30T06:00:00Z", "message": "the key works, and its Secret has it",
            })
        };
        object["status"] = json!({
            "id": format!("key_{number:06}"), "serial": 1, "mark": format!("{number:016x}"), "observedGeneration": 1,
            "conditions": (["Ready", "Stalled", "Reconciling", "RotationOverdue"].map(condition)),
            "binding": {"name": format!("key-{number}")},
        });
    }
    serde_json::from_value(object).unwrap()
}

fn guard(object: GatewayApiKey) -> DeserializeGuard<GatewayApiKey> {
    DeserializeGuard(Ok(object))
}

fn filled(keys: usize) -> (Cache<GatewayApiKey>, Filler<GatewayApiKey>) {
    let (cache, mut filler) = Filler::new();
    filler.take(&watcher::Event::Init);
    for number in 0..keys {
        assert!(filler.take(&watcher::Event::InitApply(guard(key(number, true)))), "it is new");
    }
    filler.take(&watcher::Event::InitDone);
    (cache, filler)
}

#[test]
fn an_object_is_unpacked_as_it_was_and_found_by_what_it_is_made_with_and_reads() {
    let (cache, _) = filled(100);
    for number in [0, 1, 99] {
        let found = cache.find(&format!("team-{}", number % 10), &format!("key-{number}")).unwrap();
        assert_eq!(*found, key(number, true));
    }
    let token = key(3, true).token().unwrap();
    let mut names = Vec::new();
    cache.each_made_with(&token, |it| names.push(it.name_any()));
    names.sort();
    assert_eq!(names, ["key-3", "key-73"], "account-3 of team-3");
    assert_eq!(cache.made_with(&token).len(), 2);
    let secret = ObjectName::new("team-3", "key-13");
    assert_eq!(cache.readers(&secret, false), [named(Some("team-3"), "key-13")]);
    assert!(cache.readers(&secret, true).is_empty(), "it reads its own Secret, and no other of ours");
    assert!(cache.readers(&ObjectName::new("team-3", "key-14"), false).is_empty());
}

#[test]
fn a_change_of_status_alone_is_no_news() {
    let (cache, mut filler) = Filler::new();
    assert!(filler.take(&watcher::Event::Apply(guard(key(1, false)))));
    assert!(!filler.take(&watcher::Event::Apply(guard(key(1, true)))), "its status");
    let mut edited = key(1, true);
    edited.metadata.generation = Some(2);
    assert!(filler.take(&watcher::Event::Apply(guard(edited.clone()))), "its specification");
    edited.annotations_mut().insert("keysmith.dev/rotate".to_owned(), "now".to_owned());
    assert!(filler.take(&watcher::Event::Apply(guard(edited.clone()))), "its annotations");
    edited.metadata.uid = Some("another".to_owned());
    assert!(filler.take(&watcher::Event::Apply(guard(edited.clone()))), "another object of that name");
    let secret = ObjectName::new("team-1", "key-1");
    assert_eq!(cache.readers(&secret, false).len(), 1);
    filler.take(&watcher::Event::Delete(guard(edited)));
    assert!(cache.readers(&secret, false).is_empty() && cache.references().is_empty());
}

#[test]
fn an_object_that_cannot_be_decoded_says_why() {
    let text: Value = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "odd", "namespace": "shop"},
        "spec": {"consoleTokenRef": "a text"},
    });
    let (cache, mut filler) = Filler::<GatewayApiKey>::new();
    filler.take(&watcher::Event::Apply(serde_json::from_value(text).unwrap()));
    let [cached] = &cache.store().state()[..] else { panic!("one object") };
    let why = cached.open().unwrap_err();
    assert!(why.error.contains("a text") && why.meta.name.as_deref() == Some("odd"), "{why:?}");
    assert!(cache.find("shop", "odd").is_none());
}

/// Counted, not measured: what one settled key takes in the cache, as `make bench` shows it in resident memory.
#[test]
fn a_cached_key_takes_less_than_a_kilobyte() {
    let (cache, _) = filled(1000);
    let heap = |cached: &Cached<GatewayApiKey>| {
        let names = cached.meta.name.as_ref().map_or(0, String::len)
            + cached.meta.namespace.as_ref().map_or(0, String::len)
            + cached.uid.len();
        let packed = match &cached.content {
            Content::Packed { bytes, .. } => bytes.len(),
            Content::Open(_) | Content::Undecodable(_) => panic!("it is packed"),
        };
        size_of::<Cached<GatewayApiKey>>() + names + packed
    };
    let objects = cache.store().state();
    let mean = objects.iter().map(|it| heap(it)).sum::<usize>() / objects.len();
    assert!(mean < 1000, "{mean} bytes for a key");
    let whole = size_of::<GatewayApiKey>();
    assert!(whole > 2 * mean, "an unpacked object takes {whole} bytes before its texts");
}
