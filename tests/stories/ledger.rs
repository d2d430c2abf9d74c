//! The ledger of retained keys.

use crate::support::cluster::{Effect, Rule};
use crate::support::drivers::Driver;
use crate::support::world::{World, key_spec};
use k8s_openapi::api::core::v1::ConfigMap;
use keysmith::cluster::ledger::{Error, Ledger, NAME};
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::ledger::{Entry, LARGEST, Owner, Place, Why};
use keysmith::plan::naming::{Identity, Mark, Serial};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

pub fn ledger(world: &World) -> Ledger {
    Ledger::new(world.cluster().client_named("operator"), &world.ledger_namespace, world.metrics.clone())
}

pub fn entry(world: &World, id: &str) -> Entry {
    Entry {
        time: world.clock.now(),
        owner: Owner { kind: "GatewayApiKey".into(), uid: "u".into(), ..Owner::default() },
        place: Place {
            vendor: world.vendor_id.name().into(),
            account: world.vendor_id.account(),
            ..Place::default()
        },
        key_id: Some(id.into()),
        mark: None,
        serial: None,
        why: Why::Retain,
    }
}

/// The entry that the operator writes when it retains a key.
pub fn here(world: &World, id: &str) -> Entry {
    let base = entry(world, id);
    let endpoint = world.token_spec()["endpoint"].as_str().unwrap().to_owned();
    let place = Place { endpoint, console_token: "edgee".to_owned(), ..base.place.clone() };
    let mut entry = Entry { place, ..base };
    entry.owner.namespace.clone_from(&world.namespace);
    entry
}

pub async fn an_entry_is_written_once_and_taken_out_again(world: &mut World) {
    let ledger = ledger(world);
    assert_eq!(ledger.list().await.unwrap().since, None);
    let first = entry(world, "key_1");
    ledger.record(std::slice::from_ref(&first)).await.unwrap();
    let writes = world.writes().len();
    world.pass(std::time::Duration::from_secs(60), std::time::Duration::ZERO).await;
    // An interrupted deletion writes the same entry again, and the time of the first one stays.
    ledger.record(&[entry(world, "key_1")]).await.unwrap();
    assert_eq!(world.writes().len(), writes);
    ledger.record(&[entry(world, "key_1"), entry(world, "key_2")]).await.unwrap();
    let book = ledger.list().await.unwrap();
    assert!(book.since.is_some() && book.entries.len() == 2 && book.entries.contains(&first), "{book:?}");
    ledger.forget(&first).await.unwrap();
    ledger.forget(&first).await.unwrap();
    assert_eq!(ledger.list().await.unwrap().entries.len(), 1);
}

pub async fn writers_that_do_not_see_each_other_lose_nothing(world: &mut World) {
    let ledger = ledger(world);
    let writers = (0..20).map(|number| {
        let (ledger, entry) = (ledger.clone(), entry(world, &format!("key_{number}")));
        async move { ledger.record(&[entry]).await }
    });
    // None of them finds a ConfigMap; one creates it.
    for written in futures::future::join_all(writers).await {
        written.unwrap();
    }
    assert_eq!(ledger.list().await.unwrap().entries.len(), 20);
}

pub async fn a_full_ledger_says_so_and_keeps_what_it_has(world: &mut World) {
    let ledger = ledger(world);
    ledger.record(&[entry(world, "key_1")]).await.unwrap();
    let big =
        Entry { owner: Owner { name: "x".repeat(LARGEST), ..Owner::default() }, ..entry(world, "key_2") };
    assert!(matches!(ledger.record(&[big]).await, Err(Error::Full(_))));
    // The API server may refuse the size first.
    let rule = Rule::next(Effect::Status { code: 413, reason: "RequestEntityTooLarge".into() });
    world.cluster().fault(Rule { verb: "patch".into(), resource: "configmaps".into(), ..rule });
    let refused = ledger.record(&[entry(world, "key_3")]).await;
    assert!(refused.is_err_and(|it| it.to_string().contains("keysmith orphans --delete")));
    assert!(world.metrics.text().contains("keysmith_ledger_full_total 2"), "{}", world.metrics.text());
    assert_eq!(ledger.list().await.unwrap().entries.len(), 1);
}

pub async fn a_malformed_ledger_entry_is_named(world: &mut World) {
    let ledger = ledger(world);
    ledger.record(&[entry(world, "key_1")]).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(world.user.clone(), &world.ledger_namespace);
    let broken = json!({"data": {"abc": "{}"}});
    maps.patch(NAME, &PatchParams::default(), &Patch::Merge(broken)).await.unwrap();
    let error = ledger.list().await.unwrap_err().to_string();
    assert!(error.contains("entry abc") && error.contains("story/keysmith-ledger"), "{error}");
    // No deletion waits for the ledger.
    ledger.record(&[entry(world, "key_2")]).await.unwrap();
}

pub async fn a_full_ledger_of_one_namespace_is_nobody_elses(world: &mut World) {
    let ledger = ledger(world);
    let of = |namespace: &str, id: String| {
        let mut entry = entry(world, &id);
        entry.owner.namespace = namespace.into();
        entry
    };
    let many: Vec<_> = (0..1400).map(|number| of("greedy", format!("key_{number}"))).collect();
    let mut written = 0;
    for few in many.chunks(100) {
        written += usize::from(ledger.record(few).await.is_ok());
    }
    assert!((1..10).contains(&written), "{written} hundred entries");
    ledger.record(&[of("modest", "key_m".to_owned())]).await.unwrap();
    let book = ledger.list().await.unwrap();
    assert_eq!(book.entries.len(), written * 100 + 1);
    assert!(book.since.is_some() && book.lacks.is_empty());
}

pub async fn an_entry_of_version_0_1_is_read_and_taken_out(world: &mut World) {
    let ledger = ledger(world);
    ledger.open().await.unwrap();
    let entry = here(world, "key_1");
    let maps: Api<ConfigMap> = Api::namespaced(world.user.clone(), &world.ledger_namespace);
    let old = json!({"data": {entry.name(): entry.encode()}});
    maps.patch(NAME, &PatchParams::default(), &Patch::Merge(old)).await.unwrap();
    assert_eq!(ledger.list().await.unwrap().entries, std::slice::from_ref(&entry));
    ledger.forget(&entry).await.unwrap();
    assert_eq!(ledger.list().await.unwrap().entries, []);
}

/// A user who may annotate a resource could fill the ledger with claims of keys that never existed.
pub async fn a_forged_claim_writes_nothing_into_the_ledger(world: &mut World) {
    world.stop().await;
    world.create("GatewayApiKey", "forged", key_spec(json!({"deletionPolicy": "Retain"}))).await;
    let uid = world.api("GatewayApiKey").get("forged").await.unwrap().uid().unwrap();
    let identity = Identity::from(Mark::new(&world.cluster_id().await, &uid));
    let claim = Claim::new(Serial(7), world.clock.now(), Purpose::Create);
    let claim = Claim { unsettled: Some(claim.at), ..claim }.encode(&identity);
    let forged = json!({"metadata": {
        "finalizers": ["keysmith.dev/cleanup"],
        "annotations": {"keysmith.dev/claim": claim, "keysmith.dev/force-orphan": "yes"},
    }});
    world.edit("GatewayApiKey", "forged", forged).await.unwrap();
    world.delete("GatewayApiKey", "forged").await;
    world.start().await;
    world.gone("GatewayApiKey", "forged").await;
    assert_eq!(ledger(world).list().await.unwrap().entries, []);
}

/// What a ledger lacks is never forgotten by what it lacks next.
pub async fn a_ledger_that_lacks_keys_of_any_account_says_so_for_good(world: &mut World) {
    let ledger = ledger(world);
    let of = |account: &str| {
        let base = entry(world, "key_1");
        let mut entry = Entry { place: Place { account: account.to_owned(), ..base.place.clone() }, ..base };
        entry.owner.namespace = "shop".into();
        entry
    };
    // There is no ledger of that namespace, and it may not have been possible to make one.
    ledger.note_missing(&[of("one")]).await.unwrap();
    let book = ledger.list().await.unwrap();
    assert!(book.may_lack(&of("one").place) && !book.may_lack(&of("two").place));
    for number in 0..60 {
        ledger.note_missing(&[of(&format!("account-{number}"))]).await.unwrap();
    }
    ledger.note_missing(&[of("one more")]).await.unwrap();
    assert!(ledger.list().await.unwrap().may_lack(&of("two").place), "any account");
}

pub async fn a_key_of_an_unknown_account_is_lacked_by_every_account(world: &mut World) {
    let ledger = ledger(world);
    let unknown = Entry { place: Place::default(), ..entry(world, "key_1") };
    ledger.note_missing(&[unknown]).await.unwrap();
    assert!(ledger.list().await.unwrap().may_lack(&here(world, "key_2").place));
}

/// The ledger is full, and then there is room again: the resource goes, and the ledger names its key.
pub async fn a_deletion_that_waits_for_room_in_the_ledger_goes_on_by_itself(world: &mut World) {
    world.token().await;
    world.key("retained", json!({"deletionPolicy": "Retain"})).await;
    let retained = world.only_key().id;
    let full = full_ledger(world);
    ledger(world).record(std::slice::from_ref(&full)).await.unwrap();
    world.delete("GatewayApiKey", "retained").await;
    let message = world.reason("GatewayApiKey", "retained", "DeletionBlocked").await;
    assert!(message.contains("is full") && message.contains("tried again at"), "{message}");
    ledger(world).forget(&full).await.unwrap();
    world.gone("GatewayApiKey", "retained").await;
    let book = ledger(world).list().await.unwrap();
    assert!(book.entries.iter().any(|it| it.key_id.as_ref() == Some(&retained)), "{book:?}");
    assert_eq!(world.only_key().id, retained);
}

/// An entry that leaves no room for another.
fn full_ledger(world: &World) -> Entry {
    Entry {
        owner: Owner {
            name: "x".repeat(LARGEST - 400),
            namespace: world.namespace.clone(),
            ..Owner::default()
        },
        ..entry(world, "key_other")
    }
}

/// A key was forced out of a namespace whose ledger is full: a sweep could not tell it from an orphan.
pub async fn an_account_whose_ledger_lacks_a_key_is_not_swept(world: &mut World) {
    super::orphans::sweeping(world).await;
    world.key("retained", json!({"deletionPolicy": "Retain"})).await;
    let retained = world.only_key().id;
    ledger(world).record(&[full_ledger(world)]).await.unwrap();
    // The policy waits for room, and says so; by force the key is left behind without an entry.
    world.delete("GatewayApiKey", "retained").await;
    let message = world.reason("GatewayApiKey", "retained", "DeletionBlocked").await;
    assert!(message.contains("is full"), "{message}");
    let forced = json!({"metadata": {"annotations": {"keysmith.dev/force-orphan": "yes"}}});
    world.edit("GatewayApiKey", "retained", forced).await.unwrap();
    world.gone("GatewayApiKey", "retained").await;
    let book = ledger(world).list().await.unwrap();
    assert!(book.entries.iter().all(|it| it.key_id.as_ref() != Some(&retained)) && book.lacks.len() == 1);
    world.pass(std::time::Duration::from_secs(6 * 3600), std::time::Duration::ZERO).await;
    assert_eq!(world.only_key().id, retained, "it was kept on purpose");
    assert!(world.metrics.text().contains("outcome=\"skipped\""), "{}", world.metrics.text());
}
