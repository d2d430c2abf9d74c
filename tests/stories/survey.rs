//! The findings and removals of `keysmith orphans`.

use super::ledger::{here, ledger};
use super::orphans::orphan;
use crate::support::canary;
use crate::support::drivers::Driver;
use crate::support::vendor::InProcess;
use crate::support::world::{World, merged};
use jiff::SignedDuration;
use keysmith::cluster::ledger::Ledger;
use keysmith::orphans::{Choice, Removal, Row, Survey, table};
use keysmith::plan::class::ControllerClass;
use keysmith::plan::ledger::Entry;
use keysmith::plan::naming::{ClusterId, Mark};
use keysmith::plan::token::Endpoints;
use keysmith::runtime::metrics::Metrics;
use keysmith::session::Session;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub fn session(world: &World) -> Session {
    Session {
        home: world.ledger_namespace.clone(),
        client: world.user.clone(),
        transport: Arc::new(InProcess(world.emulator.clone())),
        clock: world.clock.clone(),
        endpoints: Endpoints::parse(["http://emulator.test"]).unwrap(),
        vendors: world.vendors,
        class: ControllerClass::default(),
    }
}

fn survey(world: &World) -> Survey {
    Survey {
        session: session(world),
        ledger: Ledger::new(world.user.clone(), &world.ledger_namespace, Metrics::default()),
    }
}

async fn look(world: &World) -> Vec<Row> {
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    assert_eq!(findings.unasked, []);
    findings.rows
}

fn ids(rows: &[Row]) -> Vec<&str> {
    rows.iter().filter_map(|it| it.key_id.as_deref()).collect()
}

pub async fn orphans_lists_keys_without_a_resource_and_deletes_them_on_request(world: &mut World) {
    world.token().await;
    world.create("ConsoleToken", "second", world.token_spec()).await;
    world.key("served", json!({})).await;
    let dropped = orphan(world, "dropped").await;
    let retained = orphan(world, "retained").await;
    let theirs = Mark::new(&ClusterId("elsewhere".into()), "u");
    world.vendor().add_key(&world.vendor_id.name_of(&theirs, "x"));
    let gone = Entry { key_id: Some("key_gone".into()), ..here(world, "") };
    ledger(world).record(&[here(world, &retained), gone]).await.unwrap();
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    let mut shown = ids(&findings.rows);
    shown.sort_unstable();
    let mut expected = [dropped.as_str(), retained.as_str(), "key_gone"];
    expected.sort_unstable();
    assert_eq!(shown, expected);
    assert!(findings.rows[0].why.starts_with("no resource accounts for it"), "{:?}", findings.rows);
    let text = table::text(&findings) + &table::json(&findings).unwrap();
    assert!(text.contains("kept by deletionPolicy Retain") && text.contains("not listed any more"), "{text}");
    assert_eq!(canary::secret_in(&text), None);
    for row in &findings.rows {
        let expected =
            if row.key_id.as_deref() == Some("key_gone") { Removal::Forgotten } else { Removal::Removed };
        assert_eq!(survey(world).remove(row, &findings).await.unwrap(), expected);
    }
    assert_eq!((look(world).await.len(), world.keys().len()), (0, 2));
    assert_eq!(ledger(world).list().await.unwrap().entries, []);
    let secret = world.entry("served", "key").await.unwrap();
    assert!(world.accepts(&secret));
}

pub async fn a_key_that_is_accounted_for_by_now_is_left_alone(world: &mut World) {
    world.token().await;
    world.key("probe", json!({})).await;
    let mark = Mark::new(&world.cluster_id().await, "gone");
    let first = world.vendor().add_key(&world.vendor_id.name_of(&mark, "x")).id;
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    assert_eq!(ids(&findings.rows), [first.as_str()]);
    // A resource is restored from a backup while a person reads the table.
    let claim =
        json!({"serial": 1, "at": "2026-11-21T00:00:00Z", "purpose": "create", "mark": mark.to_string()});
    let claim = json!({"metadata": {"annotations": {"keysmith.dev/claim": claim.to_string()}}});
    world.stop().await;
    world.edit("GatewayApiKey", "probe", claim).await.unwrap();
    let removal = survey(world).remove(&findings.rows[0], &findings).await.unwrap();
    assert!(matches!(&removal, Removal::Left(why) if why.contains("accounts for it now")), "{removal:?}");
    // The key is retained meanwhile.
    world
        .edit("GatewayApiKey", "probe", json!({"metadata": {"annotations": {"keysmith.dev/claim": null}}}))
        .await
        .unwrap();
    ledger(world).record(&[here(world, &first)]).await.unwrap();
    let removal = survey(world).remove(&findings.rows[0], &findings).await.unwrap();
    assert!(matches!(removal, Removal::Left(_)), "{removal:?}");
    assert_eq!(world.calls("DELETE"), 0);
    assert_eq!(look(world).await[0].ledger.as_ref().map(Entry::name), Some(here(world, &first).name()));
}

pub async fn without_a_ledger_nothing_is_removed(world: &mut World) {
    world.token().await;
    let dropped = orphan(world, "dropped").await;
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    assert!(ids(&findings.rows) == [dropped.as_str()] && !findings.has_ledger);
    let removal = survey(world).remove(&findings.rows[0], &findings).await.unwrap();
    assert!(matches!(&removal, Removal::Left(why) if why.contains("--ledger-namespace")), "{removal:?}");
    assert_eq!(world.keys().len(), 1);
    // A ledger that was created late cannot have the entries of an earlier one; a person decides.
    ledger(world).open().await.unwrap();
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    let shows_age = world.vendor_id.capabilities().created_at;
    let doubt =
        if shows_age { "it is older than the ledger" } else { "the vendor does not say when it was made" };
    assert!(findings.rows[0].why.contains(doubt), "{:?}", findings.rows);
    assert_eq!(survey(world).remove(&findings.rows[0], &findings).await.unwrap(), Removal::Removed);
    assert_eq!(
        Ledger::namespaces(&world.user, &ControllerClass::default()).await.unwrap(),
        std::slice::from_ref(&world.ledger_namespace)
    );
}

pub async fn a_survey_keeps_to_its_selection_and_names_the_tokens_that_did_not_answer(world: &mut World) {
    world.token().await;
    let first = orphan(world, "first").await;
    let second = orphan(world, "second").await;
    ledger(world).record(&[here(world, &second)]).await.unwrap();
    let world = &*world;
    let choose = |choice: Choice| async move { survey(world).look(&choice).await.unwrap() };
    let some = |text: &str| Some(text.to_owned());
    for (choice, expected, unmatched) in [
        (Choice::default(), 2, ""),
        (Choice { namespace: some("story"), ..Choice::default() }, 2, ""),
        (Choice { namespace: some("default"), ..Choice::default() }, 0, ""),
        (Choice { console_token: some("edgee"), ..Choice::default() }, 2, ""),
        (
            Choice { console_token: some("other"), ..Choice::default() },
            0,
            "--console-token other: there is no such",
        ),
        (Choice { keys: vec![first.clone()], ..Choice::default() }, 1, ""),
        (
            Choice { keys: vec!["key_none".to_owned()], ..Choice::default() },
            0,
            "--key key_none: no key that is left",
        ),
        (
            Choice { keys: vec![first.clone(), "key_none".to_owned()], ..Choice::default() },
            1,
            "--key key_none",
        ),
    ] {
        let findings = choose(choice.clone()).await;
        assert_eq!(findings.rows.len(), expected, "{choice:?}");
        let said = findings.unmatched.concat();
        assert!(said.starts_with(unmatched) && said.is_empty() == unmatched.is_empty(), "{choice:?}: {said}");
    }
    let elsewhere = merged(world.token_spec(), json!({"endpoint": "http://elsewhere.test"}));
    world.create("ConsoleToken", "elsewhere", elsewhere).await;
    let findings = choose(Choice::default()).await;
    assert_eq!(findings.rows.len(), 2);
    let (token, why) = (findings.unasked[0].token.to_string(), &findings.unasked[0].why);
    assert!(token == "story/elsewhere" && why.contains("--allowed-endpoints"), "{token}: {why}");
    assert_eq!((findings.answered(), findings.asked()), (1, 2));
    let (text, json) = (table::text(&findings), table::json(&findings).unwrap());
    assert!(text.ends_with("\n1 of 2 ConsoleTokens answered\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["asked"], &json["answered"]), (&json!(2), &json!(1)), "{json}");
    assert_eq!(json["unanswered"][0]["consoleToken"], "story/elsewhere");
    // No vendor answers: nothing is said about keys that are left.
    let choice = Choice { console_token: some("elsewhere"), ..Choice::default() };
    let text = table::text(&choose(choice).await);
    assert_eq!(text, "nothing could be asked: 0 of 1 ConsoleTokens answered; nothing in the ledger\n");
}

/// An entry of another account: of a ConsoleToken of the same name in another namespace, where only the token
/// identifies the account.
fn elsewhere(world: &World, id: &str) -> Entry {
    let mut entry = here(world, id);
    if entry.place.account.is_empty() {
        "elsewhere".clone_into(&mut entry.owner.namespace);
    } else {
        "org_elsewhere".clone_into(&mut entry.place.account);
    }
    entry
}

pub async fn an_entry_of_an_account_that_was_not_asked_stays(world: &mut World) {
    world.stop().await;
    (world.everywhere, world.sweep) = (true, SignedDuration::from_mins(20));
    world.start().await;
    world.token().await;
    let kept = elsewhere(world, "key_kept");
    ledger(world).record(std::slice::from_ref(&kept)).await.unwrap();
    // Our account does not have the key, which proves nothing.
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    assert!(findings.rows[0].why.ends_with("its account was not asked"), "{:?}", findings.rows);
    let removal = survey(world).remove(&findings.rows[0], &findings).await.unwrap();
    assert!(
        matches!(&removal, Removal::Left(why) if why.contains("no ConsoleToken that was asked")),
        "{removal:?}"
    );
    // A sweep of our account does not forget the entry either.
    world.pass(Duration::from_secs(4 * 3600), Duration::ZERO).await;
    assert_eq!(ledger(world).list().await.unwrap().entries, std::slice::from_ref(&kept));
    ledger(world).forget(&kept).await.unwrap();
    assert_eq!(ledger(world).list().await.unwrap().entries, []);
}

pub async fn an_orphan_that_only_another_namespace_lists_is_removed_through_its_token(world: &mut World) {
    world.token().await;
    let mark = Mark::new(&world.cluster_id().await, "gone");
    let id = world.vendor().add_key(&world.vendor_id.name_of(&mark, "x")).id;
    let entry = Entry { mark: Some(mark.to_string()), ..elsewhere(world, &id) };
    ledger(world).record(std::slice::from_ref(&entry)).await.unwrap();
    let findings = survey(world).look(&Choice::default()).await.unwrap();
    let removal = survey(world).remove(&findings.rows[0], &findings).await.unwrap();
    let left = (world.keys().len(), ledger(world).list().await.unwrap().entries.len());
    if here(world, "").place.account.is_empty() {
        // The mark is unique, so it is the same account.
        assert_eq!((removal, left), (Removal::Removed, (0, 0)));
    } else {
        assert!(matches!(&removal, Removal::Left(_)), "{removal:?}");
        assert_eq!(left, (1, 1));
    }
}
