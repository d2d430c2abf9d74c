//! Quirks 1, 5, 6 and 7: the settings sent for a key and read from it.

use super::stub::Stub;
use super::world::{amendment, full_order, id, monthly, order, settings, world};
use jiff::SignedDuration;
use keysmith::emulator::edgee::{Blank, KeyKind};
use keysmith::gateway::Gateway;
use keysmith::plan::drift::{Field, Sent, drift};
use keysmith::plan::listing::Setting;
use keysmith::plan::settings::Settings;
use serde_json::json;

const EVERY_BLANK: [Blank; 4] = [Blank::Zero, Blank::Absent, Blank::Null, Blank::Empty];

#[tokio::test(start_paused = true)]
async fn an_order_arrives_at_the_vendor_with_every_field() {
    let world = world();
    let minted = world.edgee().mint(&full_order("agent")).await.unwrap();
    let key = world.only_key();
    assert_eq!((key.name.as_str(), key.kind), ("agent", KeyKind::CodingAgent));
    assert_eq!(key.coding_assistant.as_deref(), Some("claude_code"));
    assert_eq!(key.models, ["openai/gpt-5.2"]);
    assert_eq!(key.max_usage, Some(250));
    assert_eq!(key.email.as_deref(), Some("dev@example.com"));
    assert_eq!(key.expires_at.unwrap().duration_since(key.created_at), SignedDuration::from_hours(90 * 24));
    assert_eq!(minted.key.id, id(&key.id));
    assert_eq!(minted.key.expires_at, key.expires_at);
}

#[tokio::test(start_paused = true)]
async fn fields_that_are_not_ordered_are_not_sent() {
    let stub = Stub::always(200, r#"{"id":"key_1","name":"plain","key":"sk-edgee-1"}"#);
    stub.edgee().mint(&order("plain")).await.unwrap();
    assert_eq!(stub.sent(), json!({"name": "plain", "type": "api"}));
}

/// Quirk 1: a change by a human to a field that is not amended stays.
#[tokio::test(start_paused = true)]
async fn an_amendment_changes_its_fields_and_keeps_all_others() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&full_order("agent")).await.unwrap();
    let before = world.only_key();
    let changes: [(Field, Settings); 6] = [
        (Field::DisplayName, Settings { display_name: "other".to_owned(), ..settings() }),
        (Field::Active, Settings { active: false, ..settings() }),
        (Field::Models, Settings { models: vec!["mistral/mistral-large".to_owned()], ..settings() }),
        (Field::Budget, Settings { budget: Some(monthly(7)), ..settings() }),
        (Field::Email, Settings { email: Some("ops@example.com".to_owned()), ..settings() }),
        (Field::DebugMode, Settings { debug_mode: true, ..settings() }),
    ];
    let mut expected = before;
    for (field, to) in changes {
        edgee.amend(&minted.key.id, &amendment(&[field], to)).await.unwrap();
        match field {
            Field::DisplayName => expected.name = "other".to_owned(),
            Field::Active => expected.active = false,
            Field::Models => expected.models = vec!["mistral/mistral-large".to_owned()],
            Field::Budget => expected.max_usage = Some(7),
            Field::Email => expected.email = Some("ops@example.com".to_owned()),
            Field::DebugMode => expected.debug_mode = true,
            Field::Expiry | Field::RateLimit => panic!("it cannot be changed"),
        }
        assert!(world.only_key() == expected, "{field:?}: {:?}", world.only_key());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_amended_to_nothing_is_cleared_and_reads_as_nothing_however_the_vendor_shows_it() {
    for blank in EVERY_BLANK {
        let world = world();
        world.switch(|it| it.unset_limits = blank);
        let edgee = world.edgee();
        let minted = edgee.mint(&full_order("agent")).await.unwrap();
        let all = [Field::Models, Field::Budget, Field::Email];
        edgee.amend(&minted.key.id, &amendment(&all, settings())).await.unwrap();
        let key = world.only_key();
        assert!(key.models.is_empty() && key.max_usage.is_none() && key.email.is_none());
        let shown = edgee.get(&minted.key.id).await.unwrap().unwrap().shown;
        assert_eq!(shown.models, Some(Vec::new()), "{blank:?}");
        assert_eq!(shown.budget, Setting::Unset, "{blank:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_as_null_because_an_absent_field_would_be_kept() {
    let stub = Stub::always(200, "{}");
    let every = [Field::Models, Field::Budget, Field::Email];
    let edgee = stub.edgee();
    edgee.amend(&id("key_1"), &amendment(&every, settings())).await.unwrap();
    assert_eq!(stub.sent(), json!({"models": [], "max_usage": null, "email": null}));
}

#[tokio::test(start_paused = true)]
async fn an_amendment_that_the_vendor_ignores_shows_when_read_back() {
    let world = world();
    world.switch(|it| it.ignored_updates = ["models".to_owned()].into());
    let edgee = world.edgee();
    let minted = edgee.mint(&order("plain [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]")).await.unwrap();
    let wanted = Settings {
        display_name: "plain".to_owned(),
        models: vec!["openai/gpt-5.2".to_owned()],
        active: false,
        ..settings()
    };
    let both = amendment(&[Field::Models, Field::Active], wanted.clone());
    edgee.amend(&minted.key.id, &both).await.unwrap();
    let key = edgee.get(&minted.key.id).await.unwrap().unwrap();
    assert_eq!(drift(&wanted, &key, &Sent::default()), [Field::Models]);
}

/// Quirk 5.
#[tokio::test(start_paused = true)]
async fn a_new_key_is_active_without_debug_mode_until_an_amendment_says_otherwise() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&order("plain")).await.unwrap();
    assert_eq!(minted.key.shown.active, Some(true));
    assert_eq!(minted.key.shown.debug_mode, Some(false));
    let wanted = Settings { active: false, debug_mode: true, ..settings() };
    let both = [Field::Active, Field::DebugMode];
    edgee.amend(&minted.key.id, &amendment(&both, wanted)).await.unwrap();
    let key = world.only_key();
    assert!(!key.active && key.debug_mode);
}

/// Quirk 6.
#[tokio::test(start_paused = true)]
async fn a_budget_is_whole_dollars_by_month_both_ways() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&full_order("agent")).await.unwrap();
    assert_eq!(world.only_key().max_usage, Some(250));
    assert_eq!(minted.key.shown.budget, Setting::Set(monthly(250)));
    let to = Settings { budget: Some(monthly(3)), ..settings() };
    edgee.amend(&minted.key.id, &amendment(&[Field::Budget], to)).await.unwrap();
    let key = edgee.get(&minted.key.id).await.unwrap().unwrap();
    assert_eq!(key.shown.budget, Setting::Set(monthly(3)));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_vendor_never_documented_is_still_read_as_a_number_of_dollars() {
    let shown = |max_usage: &str| {
        let body = format!(r#"{{"id":"key_1","name":"n","max_usage":{max_usage}}}"#);
        async move {
            let edgee = super::stub::saying(body);
            edgee.get(&id("key_1")).await.map(|key| key.unwrap().shown.budget)
        }
    };
    for (max_usage, micros) in
        [("2.5", 2_500_000), ("1e3", 1_000_000_000), ("1e300", u64::MAX), ("\"250.00\"", 250_000_000)]
    {
        let budget = shown(max_usage).await.unwrap().value().unwrap();
        assert_eq!(budget.micros, micros, "{max_usage}");
    }
    for none in ["0", "0.0", "-1", "null", "\"\""] {
        assert_eq!(shown(none).await.unwrap(), Setting::Unset, "{none}");
    }
    // The field is unknown then, which does not mean that there is no limit.
    for no_number in ["\"a lot\"", "true", "[]"] {
        assert_eq!(shown(no_number).await.unwrap(), Setting::Hidden, "{no_number}");
    }
    assert!(shown("1e999").await.is_err());
}

/// Quirk 7.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_shown_is_compared_with_what_was_sent() {
    for echo in [true, false] {
        let world = world();
        world.switch(|it| it.email_echo = echo);
        let edgee = world.edgee();
        let minted = edgee.mint(&full_order("agent [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]")).await.unwrap();
        let sent = "dev@example.com".to_owned();
        let expected = if echo { Setting::Set(sent.clone()) } else { Setting::Hidden };
        assert_eq!(minted.key.shown.email, expected, "{echo}");
        assert_eq!(edgee.list().await.unwrap()[0].shown.email, expected, "{echo}");
        let wanted = Settings {
            display_name: "agent".to_owned(),
            models: vec!["openai/gpt-5.2".to_owned()],
            budget: Some(monthly(250)),
            email: Some(sent.clone()),
            ..settings()
        };
        assert_eq!(drift(&wanted, &minted.key, &Sent::all(&wanted)), [], "{echo}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_shown_as_null_or_empty_is_none_and_an_absent_one_is_not_shown() {
    for (rest, expected) in [
        (r#","email":null"#, Setting::Unset),
        (r#","email":"""#, Setting::Unset),
        (r#","email":"a@b.c""#, Setting::Set("a@b.c".to_owned())),
        ("", Setting::Hidden),
    ] {
        let edgee = super::stub::saying(format!(r#"[{{"id":"key_1","name":"n"{rest}}}]"#));
        assert_eq!(edgee.list().await.unwrap()[0].shown.email, expected, "{rest}");
    }
}

/// Quirk 11.
#[tokio::test(start_paused = true)]
async fn a_name_that_lost_its_mark_differs() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&order("plain")).await.unwrap();
    let wanted = Settings { display_name: "plain".to_owned(), ..settings() };
    assert_eq!(drift(&wanted, &minted.key, &Sent::default()), [Field::DisplayName]);
}

/// No call is needed: every path has the organization.
#[tokio::test(start_paused = true)]
async fn a_driver_is_of_the_organization_it_was_connected_with() {
    let world = world();
    assert_eq!(world.edgee().whose().await.unwrap().as_deref(), Some("org_demo"));
    assert_eq!(world.emulator.calls().len(), 0);
}
