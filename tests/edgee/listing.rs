//! Quirks 2, 3 and 11: everything is listed, or it is a fault.

use super::canned::{Canned, saying};
use super::world::{KEYS, World, full_order, id, order, world};
use bytes::Bytes;
use http::Request;
use keysmith::emulator::edgee::Blank;
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::Gateway;
use keysmith::gateway::account::Listing;
use keysmith::plan::facts::Listed;
use keysmith::plan::fault::{Effect as Consequence, FaultKind};
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
        assert_eq!(names(&world.edgee().list().await.unwrap()), SEVEN, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_array_is_a_whole_listing() {
    let world = seven_keys();
    world.switch(|it| it.raw_list = true);
    assert_eq!(names(&world.edgee().list().await.unwrap()), SEVEN);
}

#[tokio::test(start_paused = true)]
async fn an_empty_organization_has_an_empty_listing_in_both_shapes() {
    for raw in [false, true] {
        let world = world();
        world.switch(|it| it.raw_list = raw);
        assert!(world.edgee().list().await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_envelope_without_cursors_is_a_whole_listing() {
    for rest in ["", r#","has_more":false"#, r#","has_more":null,"last_key":null"#] {
        let edgee = saying(format!(r#"{{"data":[{{"id":"key_1","name":"n"}}]{rest}}}"#));
        assert_eq!(names(&edgee.list().await.unwrap()), ["n"], "{rest}");
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
            let fault = world.edgee().list().await.unwrap_err();
            assert_eq!(fault.effect, Consequence::None, "{effect:?} after {skip}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_says_there_is_more_but_not_where_is_a_fault() {
    for cursor in ["", r#","last_key":"""#, r#","last_key":null"#] {
        let edgee = saying(format!(r#"{{"data":[],"has_more":true{cursor}}}"#));
        let fault = edgee.list().await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Strange(_)), "{cursor}: {fault}");
    }
}

fn start_key(request: &Request<Bytes>) -> Option<&str> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("start_key="))
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_stands_still_is_noticed_at_once() {
    let canned = Canned::always(200, r#"{"data":[],"has_more":true,"last_key":"key_1"}"#);
    let fault = canned.edgee().list().await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Strange(_)), "{fault}");
    assert_eq!(canned.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn cursors_that_go_in_a_circle_end_in_a_fault() {
    let canned = Canned::by(|request| {
        let next = if start_key(request) == Some("key_1") { "key_2" } else { "key_1" };
        let page = format!(r#"{{"data":[{{"id":"k","name":"n"}}],"has_more":true,"last_key":"{next}"}}"#);
        (200, page.into())
    });
    let fault = canned.edgee().list().await.unwrap_err();
    assert!(matches!(fault.kind, FaultKind::Strange(_)), "{fault}");
    assert!(canned.count() <= 1000, "{} calls", canned.count());
}

#[tokio::test(start_paused = true)]
async fn a_cursor_goes_back_to_the_vendor_exactly_as_it_came() {
    let canned = Canned::by(|request| match start_key(request) {
        None => (200, Bytes::from(r#"{"data":[],"has_more":true,"last_key":"a&b=c /ü"}"#)),
        Some("a%26b%3Dc+%2F%C3%BC") => (200, Bytes::from(r#"{"data":[{"id":"k","name":"n"}]}"#)),
        Some(_) => (400, Bytes::new()),
    });
    assert_eq!(canned.edgee().list().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_key_that_cannot_be_read_makes_the_whole_listing_a_fault() {
    for bad in [
        r#"{"name":"no id"}"#,
        r#"{"id":"","name":"an empty id"}"#,
        r#"{"id":7,"name":"n"}"#,
        r#"{"id":"k","name":7}"#,
        r#"{"id":"k","name":"n","active":"yes"}"#,
        r#"{"id":"k","name":"n","models":"all"}"#,
        r#"{"id":"k","name":"n","expires_at":"tomorrow"}"#,
        "null",
    ] {
        for (open, close) in [("[", "]"), (r#"{"data":["#, "]}")] {
            let edgee = saying(format!(r#"{open}{{"id":"key_1","name":"good"}},{bad}{close}"#));
            let fault = edgee.list().await.expect_err(bad);
            assert!(matches!(fault.kind, FaultKind::Strange(_)), "{bad}: {fault}");
            assert_eq!(fault.effect, Consequence::None);
        }
    }
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
        let listed = edgee.list().await.unwrap().remove(0);
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
    let listed = edgee.list().await.unwrap().remove(0);
    assert_eq!(listed.expires_at, world.only_key().expires_at);
    assert_eq!(listed.last_used_at, Some(used));
}

/// Newer servers add fields freely (contract §1.3).
#[tokio::test(start_paused = true)]
async fn fields_that_nobody_told_us_of_do_no_harm() {
    let extra = r#""object":"ai_gateway_api_key","compression":{"a":null},"fallbacks":[{"model":"m"}],
        "byok_only":true,"created":false,"quota":{"daily":[1,2,{"x":"y"}]}"#;
    let key = format!(r#"{{"id":"key_1","name":"n","key":"sk-edgee-1",{extra}}}"#);
    let edgee = saying(key.clone());
    assert_eq!(edgee.mint(&order("n")).await.unwrap().key.id, id("key_1"));
    assert!(edgee.get(&id("key_1")).await.unwrap().is_some());
    assert!(edgee.recover(&id("key_1")).await.unwrap().is_some());
    let page = format!(r#"{{"object":"list","total":1,"data":[{key}],"has_more":false,"next":{{}}}}"#);
    for listing in [page, format!("[{key}]")] {
        assert_eq!(names(&saying(listing).list().await.unwrap()), ["n"]);
    }
}

/// Quirk 11.
#[tokio::test(start_paused = true)]
async fn of_keys_with_one_name_each_is_another_key_and_the_mark_tells_whose_they_are() {
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
    let keys = edgee.list().await.unwrap();
    assert_eq!(keys.len(), 5);
    let view = Listing { as_of: world.clock.now(), keys }.view(&mark.clone().into());
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
    assert!(edgee.list().await.unwrap().is_empty());
    assert!(edgee.get(&minted.id).await.unwrap().is_some());
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(names(&edgee.list().await.unwrap()), ["young"]);
}
