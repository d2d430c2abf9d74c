//! Quirks 2, 3 and 11: every key is listed, or the listing is a fault.

use super::stub::{Stub, saying};
use super::world::{KEYS, World, full_order, id, order, world};
use bytes::Bytes;
use http::Request;
use keysmith::emulator::edgee::Blank;
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::account::Listing;
use keysmith::gateway::{Gateway, ProviderKeys, Reveal};
use keysmith::plan::fault::{FaultKind, Outcome as Consequence};
use keysmith::plan::listing::{Listed, Setting};
use keysmith::plan::naming::{ClusterId, Mark, Serial};

fn names(keys: &[Listed]) -> Vec<&str> {
    let mut names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// Seven keys in pages of three: the last page is not full.
fn seven_keys() -> World {
    let world = world();
    for number in 1..=7 {
        world.key_by_hand(&format!("key {number}"));
    }
    world.switch(|it| it.page_size = 3);
    world
}

const SEVEN: [&str; 7] = ["key 1", "key 2", "key 3", "key 4", "key 5", "key 6", "key 7"];

#[tokio::test(start_paused = true)]
async fn pages_are_followed_to_the_end_however_small_they_are() {
    for size in [1, 2, 3, 6, 7, 8, 100] {
        let world = seven_keys();
        world.switch(|it| it.page_size = size);
        assert_eq!(names(&Gateway::list(&world.edgee()).await.unwrap()), SEVEN, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_array_is_a_whole_listing() {
    let world = seven_keys();
    world.switch(|it| it.raw_list = true);
    assert_eq!(names(&Gateway::list(&world.edgee()).await.unwrap()), SEVEN);
}

#[tokio::test(start_paused = true)]
async fn an_empty_organization_has_an_empty_listing_in_both_shapes() {
    for raw in [false, true] {
        let world = world();
        world.switch(|it| it.raw_list = raw);
        assert!(Gateway::list(&world.edgee()).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_envelope_without_cursors_is_a_whole_listing() {
    for rest in ["", r#","has_more":false"#, r#","has_more":null,"last_key":null"#] {
        let edgee = saying(format!(r#"{{"data":[{{"id":"key_1","name":"n"}}]{rest}}}"#));
        assert_eq!(names(&Gateway::list(&edgee).await.unwrap()), ["n"], "{rest}");
    }
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
            let world = seven_keys();
            let rule = Rule::once("GET", KEYS, effect.clone());
            world.emulator.faults().add(Rule { skip, ..rule });
            let fault = Gateway::list(&world.edgee()).await.unwrap_err();
            assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?} after {skip}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_says_there_is_more_but_not_where_is_a_fault() {
    for cursor in ["", r#","last_key":"""#, r#","last_key":null"#] {
        let edgee = saying(format!(r#"{{"data":[],"has_more":true{cursor}}}"#));
        let fault = Gateway::list(&edgee).await.unwrap_err();
        assert!(fault.kind.is_malformed(), "{cursor}: {fault}");
    }
}

fn start_key(request: &Request<Bytes>) -> Option<&str> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("start_key="))
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_stands_still_is_noticed_at_once() {
    let stub = Stub::always(200, r#"{"data":[],"has_more":true,"last_key":"key_1"}"#);
    let fault = Gateway::list(&stub.edgee()).await.unwrap_err();
    assert!(fault.kind.is_malformed(), "{fault}");
    assert_eq!(stub.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn cursors_that_go_in_a_circle_end_in_a_fault() {
    let stub = Stub::by(|request| {
        let next = if start_key(request) == Some("key_1") { "key_2" } else { "key_1" };
        let page = format!(r#"{{"data":[{{"id":"k","name":"n"}}],"has_more":true,"last_key":"{next}"}}"#);
        (200, page.into())
    });
    let fault = Gateway::list(&stub.edgee()).await.unwrap_err();
    assert!(fault.kind.is_malformed(), "{fault}");
    assert!(stub.count() <= 1000, "{} calls", stub.count());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_goes_back_to_the_vendor_exactly_as_it_came() {
    let stub = Stub::by(|request| match start_key(request) {
        None => (200, Bytes::from(r#"{"data":[],"has_more":true,"last_key":"a&b=c /ü"}"#)),
        Some("a%26b%3Dc+%2F%C3%BC") => (200, Bytes::from(r#"{"data":[{"id":"k","name":"n"}]}"#)),
        Some(_) => (400, Bytes::new()),
    });
    assert_eq!(Gateway::list(&stub.edgee()).await.unwrap().len(), 1);
}

const MARKED: &str = "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";

/// Entries with one malformed field, and the name of that field; `NAME` is replaced by the name of the key.
const ODD: [(&str, &str); 7] = [
    (r#"{"id":"k","name":"NAME","active":"yes"}"#, "active"),
    (r#"{"id":"k","name":"NAME","models":"*"}"#, "models"),
    (r#"{"id":"k","name":"NAME","max_usage":"a lot"}"#, "max_usage"),
    (r#"{"id":"k","name":"NAME","debug_mode":0}"#, "debug_mode"),
    (r#"{"id":"k","name":"NAME","email":["a"]}"#, "email"),
    (r#"{"id":"k","name":"NAME","expires_at":"tomorrow"}"#, "expires_at"),
    (r#"{"id":"k","name":"NAME","last_used_at":-5}"#, "last_used_at"),
];

fn both_shapes(odd: &str) -> [String; 2] {
    [("[", "]"), (r#"{"data":["#, "]}")]
        .map(|(open, close)| format!(r#"{open}{{"id":"key_1","name":"good"}},{odd}{close}"#))
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_without_our_mark_is_skipped_and_counted() {
    let nobodys = [r#"{"name":"no id"}"#, r#"{"id":"","name":"n"}"#, r#"{"id":7,"name":"n"}"#, "null", "7"];
    let nameless = [r#"{"id":"k","name":7}"#];
    let odd = ODD.iter().map(|(row, _)| row.replace("NAME", "theirs"));
    for bad in nobodys.iter().chain(&nameless).map(|it| (*it).to_owned()).chain(odd) {
        for listing in both_shapes(&bad) {
            let edgee = saying(listing);
            assert_eq!(names(&Gateway::list(&edgee).await.expect(&bad)), ["good"], "{bad}");
            assert_eq!((edgee.take_skipped(), edgee.take_skipped()), (1, 0), "{bad}");
        }
    }
}

/// A malformed field is unknown: neither absent nor "never".
#[tokio::test(start_paused = true)]
async fn a_malformed_entry_with_our_mark_is_read_as_far_as_possible() {
    for (row, field) in ODD {
        let row = row.replace("NAME", MARKED);
        // The malformed value comes last, so it is the one that counts.
        let all = format!(
            r#"{{"active":true,"models":[],"max_usage":5,"debug_mode":false,"email":"a",{}"#,
            &row[1..]
        );
        for listing in both_shapes(&all) {
            let edgee = saying(listing);
            let keys = Gateway::list(&edgee).await.expect(field);
            let key = keys.iter().find(|key| key.id == id("k")).expect(field);
            assert_eq!((key.name.as_str(), key.unread_fields().as_slice()), (MARKED, &[field][..]));
            assert_eq!(key.unread_expiry(), field == "expires_at", "{field}");
            let shown = &key.shown;
            assert_eq!(shown.active.is_none(), field == "active", "{field}");
            assert_eq!(shown.models.is_none(), field == "models", "{field}");
            assert_eq!(shown.budget == Setting::Hidden, field == "max_usage", "{field}");
            assert_eq!(shown.debug_mode.is_none(), field == "debug_mode", "{field}");
            assert_eq!(shown.email == Setting::Hidden, field == "email", "{field}");
            assert_eq!(edgee.take_skipped(), 0, "{field}");
        }
        let got = saying(row).get(&id("k")).await.expect(field).expect(field);
        assert_eq!(got.unread_fields(), [field]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_one_key_without_an_id_is_a_fault_that_names_the_field() {
    for body in [r#"{"name":"n"}"#, r#"{"id":null}"#, r#"{"id":7}"#, r#"{"id":".."}"#] {
        let fault = saying(body).get(&id("k")).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::MalformedField { entry: None, field: "id" }, "{body}");
        let created = body.replace('}', r#","key":"sk-edgee-1"}"#);
        let fault = saying(created).mint(&order("n")).await.err().unwrap();
        assert_eq!(fault.kind, FaultKind::MalformedField { entry: None, field: "id" }, "{body}");
        assert_eq!(fault.effect, Consequence::Unknown, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_key_with_our_mark_and_an_id_that_cannot_be_read_is_a_fault() {
    let listing =
        |name: &str| saying(format!(r#"[{{"id":7,"name":"{name}"}},{{"id":"pk_1"}},{{"provider":"x"}}]"#));
    let fault = ProviderKeys::list(&listing(MARKED)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::MalformedField { entry: Some(1), field: "id" });
    let theirs = listing("theirs");
    let ids: Vec<_> = ProviderKeys::list(&theirs).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!((ids, theirs.take_skipped()), (vec![Some(id("pk_1")), None], 1));
}

/// Quirk 3.
#[tokio::test(start_paused = true)]
async fn never_is_never_however_the_vendor_writes_it() {
    for blank in [Blank::Zero, Blank::Absent, Blank::Null, Blank::Empty] {
        let world = world();
        world.switch(|it| (it.expires_at, it.last_used_at) = (blank, blank));
        let edgee = world.edgee();
        let minted = edgee.mint(&order("plain")).await.unwrap().key;
        let got = edgee.get(&minted.id).await.unwrap().unwrap();
        let listed = Gateway::list(&edgee).await.unwrap().remove(0);
        let created = Some(world.only_key().created_at);
        for key in [minted, got, listed] {
            assert_eq!((key.expires_at, key.last_used_at), (None, None), "{blank:?}");
            assert_eq!(key.created_at, created, "{blank:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn times_are_read_as_the_vendor_keeps_them() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&full_order("agent")).await.unwrap().key;
    let used = world.emulator.now();
    assert!(world.emulator.edgee().edit_key(&minted.id.0, |key| key.last_used_at = Some(used)));
    let listed = Gateway::list(&edgee).await.unwrap().remove(0);
    assert_eq!(listed.expires_at, world.only_key().expires_at);
    assert_eq!(listed.last_used_at, Some(used));
}

/// Newer servers add fields without notice (contract §1.3).
#[tokio::test(start_paused = true)]
async fn undocumented_fields_are_ignored() {
    let extra = r#""object":"ai_gateway_api_key","compression":{"a":null},"fallbacks":[{"model":"m"}],
        "byok_only":true,"created":false,"quota":{"daily":[1,2,{"x":"y"}]}"#;
    let key = format!(r#"{{"id":"key_1","name":"n","key":"sk-edgee-1",{extra}}}"#);
    let edgee = saying(key.clone());
    assert_eq!(edgee.mint(&order("n")).await.unwrap().key.id, id("key_1"));
    assert!(edgee.get(&id("key_1")).await.unwrap().is_some());
    assert!(edgee.recover(&id("key_1")).await.unwrap().is_some());
    let page = format!(r#"{{"object":"list","total":1,"data":[{key}],"has_more":false,"next":{{}}}}"#);
    for listing in [page, format!("[{key}]")] {
        assert_eq!(names(&Gateway::list(&saying(listing)).await.unwrap()), ["n"]);
    }
}

/// Quirk 11.
#[tokio::test(start_paused = true)]
async fn keys_with_equal_names_are_distinct_and_the_mark_identifies_their_owner() {
    let world = world();
    let edgee = world.edgee();
    let (cluster, other) = (ClusterId("c-1".to_owned()), ClusterId("c-2".to_owned()));
    let mark = Mark::new(&cluster, "uid-1");
    let name = mark.name("checkout", Serial(1));
    let first = edgee.mint(&order(&name)).await.unwrap().key;
    let second = edgee.mint(&order(&name)).await.unwrap().key;
    assert_ne!(first.id, second.id);
    world.key_by_hand("checkout");
    world.key_by_hand(&Mark::new(&cluster, "uid-2").name("checkout", Serial(1)));
    world.key_by_hand(&Mark::new(&other, "uid-1").name("checkout", Serial(1)));
    let keys = Gateway::list(&edgee).await.unwrap();
    assert_eq!(keys.len(), 5);
    let view = Listing::new(world.clock.now(), keys).view(&mark.clone().into());
    let mut own: Vec<_> = view.own.iter().map(|own| own.key.id.clone()).collect();
    own.sort();
    assert_eq!(own, [first.id, second.id]);
    assert!(view.own.iter().all(|own| own.serial == Serial(1)));
    assert_eq!(view.own[0].key.shown.display_name.as_deref(), Some("checkout"));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_is_complete_for_its_time_and_a_direct_question_is_not_behind() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&order("young")).await.unwrap().key;
    world.fault_always("GET", KEYS, Effect::LagListing { millis: 20_000 });
    assert!(Gateway::list(&edgee).await.unwrap().is_empty());
    assert!(edgee.get(&minted.id).await.unwrap().is_some());
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(names(&Gateway::list(&edgee).await.unwrap()), ["young"]);
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
                .map(|row| serde_json::json!({"id": format!("{page}-{row}"), "name": format!("key {padding}")}))
                .collect();
            let body = serde_json::json!({"data": rows, "has_more": true, "last_key": page.to_string()});
            (200, Bytes::from(body.to_string()))
        });
        let fault = Gateway::list(&stub.edgee()).await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Malformed(_)), "{fault}");
        assert!(stub.count() <= 601, "{} pages", stub.count());
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_listed_bare_or_in_an_envelope() {
    let world = world();
    world.switch(|it| it.more_models = vec!["openai/gpt-9".to_owned()]);
    let listed = world.edgee().models().unwrap().catalog().await.unwrap().unwrap();
    assert!(
        listed.contains(&"anthropic/claude-opus-4-6".to_owned())
            && listed.contains(&"openai/gpt-9".to_owned())
    );
    for body in [r#"[{"id":"a"},7,{"id":7},{"id":"b"}]"#, r#"{"data":[{"id":"a"},{"id":"b"}]}"#] {
        let edgee = Stub::always(200, body).edgee();
        assert_eq!(edgee.models().unwrap().catalog().await.unwrap().unwrap(), ["a", "b"], "{body}");
    }
    for body in ["7", "null", r#"{"models":[]}"#, r#"{"data":{}}"#] {
        let edgee = Stub::always(200, body).edgee();
        assert!(edgee.models().unwrap().catalog().await.is_err(), "{body}");
    }
}
