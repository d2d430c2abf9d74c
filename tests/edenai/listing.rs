//! Quirks 2 and 3 of v3: every key is listed once, or the listing is a fault.

use super::world::{KEYS, V3_TOKEN, id, order, stage, v2_saying, v3_saying};
use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use bytes::Bytes;
use http::Request;
use keysmith::emulator::edenai::v3::NewKey;
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::Gateway;
use keysmith::gateway::edenai_v3::EdenAiV3;
use keysmith::plan::fault::{FaultKind, Outcome as Consequence};
use keysmith::plan::listing::{Listed, Setting};
use serde_json::{Value, json};
use std::time::Duration;

fn names(keys: &[Listed]) -> Vec<&str> {
    let mut names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    names
}

const SEVEN: [&str; 7] = ["key 1", "key 2", "key 3", "key 4", "key 5", "key 6", "key 7"];

/// Seven keys in pages of three: the last page is not full.
fn seven_keys() -> Stage {
    let stage = stage();
    for name in SEVEN {
        stage.emulator.edenai().v3().add_key(NewKey::named(name));
    }
    stage.v3_switch(|it| it.page_size = 3);
    stage
}

/// Quirk 3.
#[tokio::test(start_paused = true)]
async fn pages_are_followed_to_the_end_whatever_the_total_is_called() {
    for count in [false, true] {
        for oldest_first in [false, true] {
            for size in [1, 2, 3, 6, 7, 8, 100] {
                let stage = seven_keys();
                let change = |it: &mut keysmith::emulator::edenai::v3::Switches| {
                    (it.count, it.page_size, it.oldest_first) = (count, size, oldest_first);
                };
                stage.v3_switch(change);
                assert_eq!(names(&stage.v3().list().await.unwrap()), SEVEN, "{count} {size}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_organization_has_an_empty_listing() {
    assert!(stage().v3().list().await.unwrap().is_empty());
    assert!(v3_saying("[]").list().await.unwrap().is_empty());
    assert!(v3_saying(r#"{"results":[]}"#).list().await.unwrap().is_empty());
    assert!(v3_saying(r#"{"results":[],"total_count":0}"#).list().await.unwrap().is_empty());
}

fn offset(request: &Request<Bytes>) -> usize {
    let query = request.uri().query().unwrap();
    query.split('&').find_map(|pair| pair.strip_prefix("offset=")).unwrap().parse().unwrap()
}

/// A vendor that lists this number of keys in pages of two, with the fields that the function adds to each page.
fn paged(keys: usize, rest: fn(usize) -> Value) -> EdenAiV3 {
    let stub = Stub::by(move |request| {
        let from = offset(request);
        let page: Vec<_> = (from..keys.min(from + 2))
            .map(|n| json!({"id": format!("k{n}"), "name": format!("{n}")}))
            .collect();
        let mut body = rest(from);
        body["results"] = json!(page);
        (200, body.to_string().into())
    });
    EdenAiV3::new(stub.wire(V3_TOKEN))
}

/// Quirk 3. `total_count` takes precedence over `count`; without either, an empty page ends the listing.
#[tokio::test(start_paused = true)]
async fn a_listing_without_a_total_ends_with_an_empty_page() {
    let totals: [fn(usize) -> Value; 5] = [
        |_| json!({}),
        |_| json!({"total_count": null, "count": null}),
        |_| json!({"total_count": 5}),
        |_| json!({"count": 5}),
        |_| json!({"total_count": 5, "count": 2}),
    ];
    for rest in totals {
        let keys = paged(5, rest).list().await.unwrap();
        assert_eq!(names(&keys), ["0", "1", "2", "3", "4"], "{}", rest(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_ends_before_its_total_is_a_fault() {
    for total in [|_| json!({"total_count": 6}), |_| json!({"count": 1000})] {
        let fault = paged(5, total).list().await.unwrap_err();
        assert!(fault.kind.is_malformed(), "{fault}");
        assert_eq!(fault.effect, Consequence::NotApplied);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_comes_as_a_bare_array_does_not_take_the_place_of_those_before() {
    let stub = Stub::by(|request| {
        let key = json!({"id": format!("k{}", offset(request)), "name": format!("{}", offset(request))});
        let body = if offset(request) == 0 { json!({"results": [key], "count": 2}) } else { json!([key]) };
        (200, body.to_string().into())
    });
    let keys = EdenAiV3::new(stub.wire(V3_TOKEN)).list().await.unwrap();
    assert_eq!(names(&keys), ["0", "1"]);
}

/// The same page is not requested a thousand times.
#[tokio::test(start_paused = true)]
async fn a_vendor_that_shows_the_same_page_for_ever_is_noticed_at_once() {
    for total in ["", r#","total_count":5000"#] {
        let stub = Stub::always(200, format!(r#"{{"results":[{{"id":"k","name":"n"}}]{total}}}"#));
        let fault = EdenAiV3::new(stub.wire(V3_TOKEN)).list().await.unwrap_err();
        assert!(fault.kind.is_malformed(), "{fault}");
        assert_eq!(stub.count(), 2, "{total}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_without_end_ends_in_a_fault() {
    let stub = Stub::by(|request| {
        let body = json!({"results": [{"id": format!("k{}", offset(request))}]});
        (200, body.to_string().into())
    });
    let fault = EdenAiV3::new(stub.wire(V3_TOKEN)).list().await.unwrap_err();
    assert!(fault.kind.is_malformed(), "{fault}");
    assert!(stub.count() <= 1000, "{}", stub.count());
}

/// An offset is a number and not a record: a key created between two pages shifts the following pages.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_made_between_two_pages_neither_hides_nor_doubles_another() {
    for oldest_first in [false, true] {
        let stage = seven_keys();
        stage.v3_switch(|it| it.oldest_first = oldest_first);
        let late = Rule::once("GET", KEYS, Effect::Delay { millis: 1000 });
        stage.emulator.faults().add(Rule { skip: 1, ..late });
        let v3 = stage.v3();
        let making = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stage.emulator.edenai().v3().add_key(NewKey::named("late"));
        };
        let (listed, ()) = tokio::join!(v3.list(), making);
        let listed = listed.unwrap();
        let names: Vec<_> = names(&listed).into_iter().filter(|it| *it != "late").collect();
        assert_eq!(names, SEVEN, "{oldest_first}");
    }
}

/// Revoked keys stay listed, but a vendor that drops rows shifts the following rows out of the pages.
#[tokio::test(start_paused = true)]
async fn a_listing_that_grows_shorter_while_it_is_read_is_a_fault() {
    let stub = Stub::by(|request| {
        let rows = |from: usize, to: usize| -> Vec<Value> {
            (from..to).map(|n| json!({"id": format!("k{n}"), "name": format!("{n}")})).collect()
        };
        // The first of four keys disappears after the first page, so key 2 is never shown.
        let body = match offset(request) {
            0 => json!({"results": rows(0, 2), "total_count": 4}),
            _ => json!({"results": rows(3, 4), "total_count": 3}),
        };
        (200, body.to_string().into())
    });
    let fault = EdenAiV3::new(stub.wire(V3_TOKEN)).list().await.unwrap_err();
    assert!(fault.kind.is_malformed(), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_makes_the_listing_a_fault_and_never_a_shorter_list() {
    for effect in [
        Effect::Status { code: 500, retry_after: None },
        Effect::Status { code: 404, retry_after: None },
        Effect::Truncate,
        Effect::Html,
        Effect::DropAfter,
        Effect::Hang,
    ] {
        for skip in [1, 2] {
            let stage = seven_keys();
            let rule = Rule::once("GET", KEYS, effect.clone());
            stage.emulator.faults().add(Rule { skip, ..rule });
            let fault = stage.v3().list().await.unwrap_err();
            assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?} after {skip}");
        }
    }
}

/// Quirk 2.
#[tokio::test(start_paused = true)]
async fn revoked_keys_and_keys_without_an_id_are_not_listed() {
    let stage = seven_keys();
    stage.emulator.edenai().v3().add_key(NewKey { legacy: true, ..NewKey::named("of old") });
    let v3 = stage.v3();
    let gone = v3.mint(&order("gone")).await.unwrap().key.id;
    v3.revoke(&gone).await.unwrap();
    assert_eq!(stage.keys().len(), 9);
    assert_eq!(names(&v3.list().await.unwrap()), SEVEN);
    assert!(v3.get(&gone).await.unwrap().is_none());
}

const MARKED: &str = "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";

/// Fields of a key with malformed values.
fn odd() -> [(&'static str, Value); 8] {
    [
        ("expire_time", json!("tomorrow")),
        ("created_at", json!(-1)),
        ("balance", json!([])),
        ("balance_reset_amount", json!("ten")),
        ("balance_reset_period", json!(7)),
        ("revoked", json!("no")),
        ("active_balance", json!(1)),
        ("token_type", json!({})),
    ]
}

fn both_shapes(row: &Value) -> [Value; 2] {
    let rows = json!([{"id": "key_1", "name": "good"}, row]);
    [rows.clone(), json!({"results": rows, "total_count": 2})]
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_without_our_mark_is_skipped_and_counted() {
    let mut strangers = vec![
        json!({"id": 7, "name": "n"}),
        json!({"id": "k", "name": 7}),
        json!(["k"]),
        json!(null),
        json!(7),
    ];
    strangers.extend(odd().map(|(field, value)| json!({"id": "k", "name": "theirs", field: value})));
    for row in strangers {
        for body in both_shapes(&row) {
            let v3 = v3_saying(body.to_string());
            assert_eq!(names(&v3.list().await.unwrap()), ["good"], "{body}");
            assert_eq!((v3.take_skipped(), v3.take_skipped()), (1, 0), "{body}");
        }
    }
    // A legacy key does not count as malformed.
    let v3 = v3_saying(json!([{"id": null, "name": "of old"}]).to_string());
    assert!(v3.list().await.unwrap().is_empty());
    assert_eq!(v3.take_skipped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_with_our_mark_is_read_as_far_as_possible() {
    for (field, value) in odd() {
        let mut row = json!({"id": "k", "name": MARKED, "active_balance": true, "balance": 5,
            "balance_reset_period": "daily", "balance_reset_amount": 9, "expire_time": "2026-12-24T00:00:00Z"});
        row[field] = value;
        for body in both_shapes(&row) {
            let v3 = v3_saying(body.to_string());
            let keys = v3.list().await.unwrap();
            let key = keys.iter().find(|key| key.id == id("k")).expect(field);
            assert_eq!((key.name.as_str(), key.unread_fields().as_slice()), (MARKED, &[field][..]));
            assert_eq!(key.unread_expiry(), field == "expire_time", "{field}");
            assert_eq!(key.expires_at.is_none(), field == "expire_time", "{field}");
            let tells_budget = field.starts_with("balance") || field == "active_balance";
            assert_eq!(key.shown.budget == Setting::Hidden, tells_budget, "{field}");
            let tells_rest = field == "balance" || field == "active_balance";
            assert_eq!(key.remaining.is_none(), tells_rest, "{field}");
            assert_eq!((key.shown.capped, v3.take_skipped()), (None, 0), "{field}");
        }
        assert_eq!(v3_saying(row.to_string()).get(&id("k")).await.unwrap().unwrap().unread_fields(), [field]);
    }
}

/// An answer without a key does not say that the key is gone.
#[tokio::test(start_paused = true)]
async fn an_answer_without_an_id_is_not_taken_for_gone() {
    let nothing =
        [json!({}), json!({"name": "n"}), json!({"id": null}), json!({"id": ""}), json!([]), json!(null)];
    for body in nothing {
        let fault = v3_saying(body.to_string()).get(&id("k")).await.unwrap_err();
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
        let fault = v2_saying(body.to_string().replace("name", "nom")).get(&id("n")).await.unwrap_err();
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn undocumented_fields_are_ignored() {
    let key = json!({"id": "k", "name": "n", "masked": "sk-eden-…1", "member": null, "revoked_at": null,
        "default_tags": {"a": [1]}, "guardrails": [{"x": null}], "secret": "sk-eden-1"});
    let page =
        json!({"results": [key], "limit": 100, "offset": 0, "total_count": 1, "next": null, "facets": {}});
    assert_eq!(names(&v3_saying(page.to_string()).list().await.unwrap()), ["n"]);
    assert_eq!(v3_saying(key.to_string()).get(&id("k")).await.unwrap().unwrap().name, "n");
    v3_saying(key.to_string()).mint(&order("n")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_is_complete_for_its_time_and_a_direct_question_is_not_behind() {
    let stage = stage();
    let v3 = stage.v3();
    let minted = v3.mint(&order("young")).await.unwrap().key;
    stage.emulator.faults().add(Rule::always("GET", KEYS, Effect::LagListing { millis: 20_000 }));
    assert!(v3.list().await.unwrap().is_empty());
    assert!(v3.get(&minted.id).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(names(&v3.list().await.unwrap()), ["young"]);
}

/// Entries are numbered as the vendor lists them, revoked and legacy keys included.
#[tokio::test(start_paused = true)]
async fn a_fault_names_the_entry_by_its_place_in_the_vendors_listing() {
    let rows =
        json!([{"id": "a", "revoked": true}, {"id": null, "name": "of old"}, {"id": 7, "name": MARKED}]);
    let fault = v3_saying(rows.to_string()).list().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::MalformedField { entry: Some(3), field: "id" });
    assert!(fault.to_string().contains("id of entry 3"), "{fault}");
}

/// A listing of endless pages would take all memory: it ends at a bound, in rows or in bytes.
#[tokio::test(start_paused = true)]
async fn a_listing_without_an_end_is_given_up() {
    for (rows, padding) in [(100, 0), (1, 1_000_000)] {
        let page = std::sync::atomic::AtomicUsize::new(0);
        let stub = Stub::by(move |_| {
            let page = page.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let padding = "x".repeat(padding);
            let rows: Vec<_> = (0..rows)
                .map(|row| json!({"id": format!("{page}-{row}"), "name": format!("key {padding}")}))
                .collect();
            (200, Bytes::from(json!({"results": rows, "total_count": 1_000_000_000}).to_string()))
        });
        let fault = EdenAiV3::new(stub.wire(V3_TOKEN)).list().await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Malformed(_)), "{fault}");
        assert!(stub.count() <= 601, "{} pages", stub.count());
    }
}
