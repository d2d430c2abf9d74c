//! The ledger of retained keys.

use crate::support::cluster::{Effect, Rule};
use crate::support::drivers::Driver;
use crate::support::world::World;
use k8s_openapi::api::core::v1::ConfigMap;
use keysmith::cluster::ledger::{Error, Ledger, NAME};
use keysmith::plan::ledger::{Entry, LARGEST, Owner, Place, Why};
use kube::Api;
use kube::api::{Patch, PatchParams};
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
