//! Quirk 4: the answers in which a secret is accepted.

use super::stub::saying;
use super::world::{clear, id, order, world};
use keysmith::gateway::{Gateway, Reveal};
use keysmith::plan::fault::Outcome;

/// Placeholders that vendors show instead of a secret.
const MASKS: [&str; 10] = [
    "",
    "sk-edgee-****abcd",
    "sk-edgee-...abcd",
    "sk-edgee-…abcd",
    "••••••••",
    "*",
    " ",
    "sk-edgee-1\\n",
    "sk edgee 1",
    "sk-edgee-\\u0000",
];

#[tokio::test(start_paused = true)]
async fn a_new_key_comes_with_the_secret_that_works() {
    for status in [200, 201, 202] {
        let world = world();
        world.switch(|it| it.create_status = status);
        let minted = world.edgee().mint(&order("plain")).await.unwrap();
        assert_eq!(clear(&minted.secret), world.only_key().secret, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revealed_key_is_the_secret_that_works_whatever_else_the_answer_shows() {
    for only in [false, true] {
        let world = world();
        world.switch(|it| (it.reveal_key_only, it.masked_key) = (only, true));
        let key = world.key_by_hand("by hand");
        let secret = world.edgee().recover(&id(&key.id)).await.unwrap().unwrap();
        assert_eq!(clear(&secret), key.secret, "{only}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_shown_in_a_listing_goes_nowhere_masked_or_not() {
    let world = world();
    let key = world.key_by_hand("by hand");
    world.switch(|it| it.masked_key = true);
    let edgee = world.edgee();
    let masked = edgee.list().await.unwrap();
    assert_eq!(masked.len(), 1);
    world.switch(|it| it.masked_key = false);
    assert_eq!(edgee.list().await.unwrap(), masked);
    let clear = format!(r#"{{"id":"{0}","name":"n","key":"{1}"}}"#, key.id, key.secret);
    let (listed, got) = (saying(format!("[{clear}]")), saying(clear));
    for shown in [
        format!("{:?}", listed.list().await.unwrap()),
        format!("{:?}", got.get(&id(&key.id)).await.unwrap()),
        format!("{masked:?}"),
    ] {
        assert!(!shown.contains("sk-edgee"), "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_any_type_in_a_listing_is_not_even_read() {
    for key in ["null", "7", "{}", r#""sk-edgee-****abcd""#, "[]"] {
        let edgee = saying(format!(r#"[{{"id":"key_1","name":"n","key":{key}}}]"#));
        assert_eq!(edgee.list().await.unwrap().len(), 1, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_mask_is_never_revealed_as_a_secret() {
    for mask in MASKS {
        let edgee = saying(format!(r#"{{"id":"key_1","key":"{mask}"}}"#));
        let fault = edgee.recover(&id("key_1")).await.expect_err(mask);
        assert_eq!(fault.effect, Outcome::NotApplied, "{mask}");
        assert!(fault.kind.is_malformed(), "{mask}: {fault}");
    }
}

/// The key exists, only its secret is unknown: it is recovered by reveal, and no second key is created.
#[tokio::test(start_paused = true)]
async fn a_mask_in_the_answer_to_create_leaves_open_whether_there_is_a_key() {
    for mask in MASKS {
        let edgee = saying(format!(r#"{{"id":"key_1","name":"n","key":"{mask}"}}"#));
        let fault = edgee.mint(&order("n")).await.err().expect(mask);
        assert_eq!(fault.effect, Outcome::Unknown, "{mask}");
        assert!(fault.kind.is_malformed(), "{mask}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_create_without_a_whole_key_leaves_open_whether_there_is_one() {
    for body in [
        "",
        "{}",
        "null",
        "[]",
        r#"{"id":"key_1","name":"n"}"#,
        r#"{"id":"key_1","name":"n","key":null}"#,
        r#"{"id":"key_1","name":"n","key":["sk-edgee-1"]}"#,
        r#"{"name":"n","key":"sk-edgee-1"}"#,
        r#"{"id":null,"name":"n","key":"sk-edgee-1"}"#,
        r#"{"id":"","name":"n","key":"sk-edgee-1"}"#,
        r#"{"data":{"id":"key_1","name":"n","key":"sk-edgee-1"}}"#,
    ] {
        let fault = saying(body).mint(&order("n")).await.err().expect(body);
        assert_eq!(fault.effect, Outcome::Unknown, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_gone_has_nothing_to_reveal() {
    let world = world();
    let key = world.key_by_hand("by hand");
    assert!(world.emulator.edgee().delete_key(&key.id));
    let edgee = world.edgee();
    assert!(edgee.recover(&id(&key.id)).await.unwrap().is_none());
    assert!(edgee.get(&id(&key.id)).await.unwrap().is_none());
}
