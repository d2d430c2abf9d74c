//! Gateway keys one at a time: create, read, update, delete, reveal, get-or-create.

use keysmith::emulator::edgee::{Blank, KeyKind, NewKey};
use serde_json::json;

use super::support::{KEYS, ORG, parsed, request, with_header, world};

#[tokio::test(start_paused = true)]
async fn a_created_key_shows_its_secret_and_what_was_asked_for() {
    let world = world();
    let (status, key) = world
        .post(
            KEYS,
            json!({
                "name": "Production Backend", "models": ["openai/gpt-5.2"], "max_usage": 250,
                "expires_in_days": 90, "email": "team@example.com", "active": false, "debug_mode": true,
            }),
        )
        .await;
    assert_eq!(status, 200);
    let expected = json!({
        "object": "ai_gateway_api_key", "id": "key_000001", "organization_id": "org_demo",
        "name": "Production Backend", "type": "api", "models": ["openai/gpt-5.2"], "max_usage": 250,
        "active": true, "debug_mode": false, "email": "team@example.com",
        "created_at": "2026-11-21T08:00:00Z", "expires_at": "2027-02-19T08:00:00Z",
        "last_used_at": "0001-01-01T00:00:00Z", "key": world.only_key().secret,
    });
    assert_eq!(key, expected);
    assert!(world.only_key().secret.starts_with("sk-edgee-emulated-1-"));
}

#[tokio::test(start_paused = true)]
async fn a_bare_key_leaves_out_what_is_unset() {
    let world = world();
    let (_, key) = world.post(KEYS, json!({ "name": "a", "models": [], "max_usage": null })).await;
    for name in ["models", "max_usage", "email", "coding_assistant"] {
        assert!(key.get(name).is_none(), "{name} is there");
    }
    assert_eq!(key["expires_at"], "0001-01-01T00:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn every_invalid_field_of_a_create_is_named() {
    let world = world();
    let (status, body) = world
        .post(
            KEYS,
            json!({
                "name": " ", "type": "coding_agent", "models": [1], "max_usage": -1,
                "expires_in_days": 0, "email": 7,
            }),
        )
        .await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("invalid_request_error")));
    let params = body["error"]["params"].as_array().unwrap();
    let params: Vec<_> = params.iter().map(|param| param["param"].as_str().unwrap()).collect();
    assert_eq!(params, ["name", "coding_assistant", "models", "max_usage", "email", "expires_in_days"]);
    assert!(world.emulator.edgee().keys(ORG).is_empty());
}

#[tokio::test(start_paused = true)]
async fn numbers_types_and_bodies_of_the_wrong_kind_are_refused() {
    let world = world();
    for body in [
        json!({ "name": "a", "max_usage": 1.5 }),
        json!({ "name": "a", "max_usage": "10" }),
        json!({ "name": "a", "expires_in_days": 1.5 }),
        json!({ "name": "a", "type": "robot" }),
        json!({ "name": null }),
        json!(["name"]),
    ] {
        assert_eq!(world.post(KEYS, body.clone()).await.0, 400, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_coding_agent_takes_any_assistant_and_shows_it() {
    let world = world();
    let body = json!({ "name": "a", "type": "coding_agent", "coding_assistant": "something_new" });
    let (status, key) = world.post(KEYS, body).await;
    assert_eq!((status, &key["type"]), (200, &json!("coding_agent")));
    assert_eq!(key["coding_assistant"], "something_new");
    assert_eq!(world.only_key().kind, KeyKind::CodingAgent);
}

#[tokio::test(start_paused = true)]
async fn a_retried_create_makes_a_second_key() {
    let world = world();
    world.post(KEYS, json!({ "name": "same" })).await;
    world.post(KEYS, json!({ "name": "same" })).await;
    let keys = world.emulator.edgee().keys(ORG);
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0].secret, keys[1].secret);
    assert_eq!(world.emulator.edgee().counts().created_total, 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_never_shows_the_secret_and_an_unknown_key_is_not_found() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let (status, key) = world.get(&format!("{KEYS}/key_000001")).await;
    assert_eq!((status, key.get("key")), (200, None));
    let missing = json!({ "error": { "type": "not_found_error", "message": "Not Found" } });
    for id in ["key_000002", "key_1", "nonsense"] {
        assert_eq!(world.get(&format!("{KEYS}/{id}")).await, (404, missing.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_not_found_through_another_organization() {
    let world = world();
    let key = world.emulator.edgee().add_key("org_other", NewKey::named("theirs"));
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(world.json(method, &format!("{KEYS}/{}", key.id), json!(null)).await.0, 404);
    }
    assert_eq!(world.emulator.edgee().keys("org_other").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn reads_may_carry_a_masked_key() {
    let world = world();
    world.emulator.edgee().set_switches(|switches| switches.masked_key = true);
    world.post(KEYS, json!({ "name": "a" })).await;
    let (_, key) = world.get(&format!("{KEYS}/key_000001")).await;
    let masked = key["key"].as_str().unwrap();
    assert!(masked.contains("****"));
    assert_ne!(masked, world.only_key().secret);
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_what_it_names_and_null_clears() {
    let world = world();
    let full = json!({ "name": "a", "models": ["m"], "max_usage": 5, "email": "a@example.com" });
    world.post(KEYS, full).await;
    let path = format!("{KEYS}/key_000001");
    let (status, key) = world.post(&path, json!({ "active": false, "debug_mode": true })).await;
    assert_eq!((status, &key["active"], &key["debug_mode"]), (200, &json!(false), &json!(true)));
    assert_eq!((&key["max_usage"], key.get("key")), (&json!(5), None));
    world.post(&path, json!({ "name": "b", "models": [], "max_usage": null, "email": null })).await;
    let key = world.only_key();
    assert_eq!((key.name.as_str(), key.active), ("b", false));
    assert_eq!((key.models.len(), key.max_usage, key.email), (0, None, None));
}

#[tokio::test(start_paused = true)]
async fn an_update_ignores_immutable_and_unknown_fields_without_a_word() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let before = world.only_key();
    let body = json!({ "expires_in_days": 1, "type": "coding_agent", "id": "x", "colour": "red" });
    assert_eq!(world.post(&format!("{KEYS}/key_000001"), body).await.0, 200);
    assert_eq!(world.only_key(), before);
}

#[tokio::test(start_paused = true)]
async fn an_update_refuses_a_blank_name_and_wrong_types_as_a_whole() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let path = format!("{KEYS}/key_000001");
    for body in [json!({ "name": "", "active": false }), json!({ "name": null }), json!({ "active": "no" })] {
        assert_eq!(world.post(&path, body).await.0, 400);
    }
    assert!(world.only_key().active);
}

#[tokio::test(start_paused = true)]
async fn an_update_may_ignore_more_fields_than_documented() {
    let world = world();
    world.emulator.edgee().set_switches(|switches| {
        switches.ignored_updates.insert("max_usage".to_owned());
    });
    world.post(KEYS, json!({ "name": "a", "max_usage": 5 })).await;
    world.post(&format!("{KEYS}/key_000001"), json!({ "max_usage": 9, "name": "b" })).await;
    assert_eq!((world.only_key().max_usage, world.only_key().name.as_str()), (Some(5), "b"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_key_is_gone_for_good() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let path = format!("{KEYS}/key_000001");
    let deleted = json!({ "object": "ai_gateway_api_key", "id": "key_000001", "deleted": true });
    assert_eq!(world.delete(&path).await, (200, deleted));
    for path in [path.clone(), format!("{path}/reveal")] {
        assert_eq!(world.get(&path).await.0, 404);
    }
    assert_eq!(world.delete(&path).await.0, 404);
    assert_eq!(world.emulator.edgee().counts().deleted_total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_delete_may_answer_204_and_a_create_201() {
    let world = world();
    world.emulator.edgee().set_switches(|switches| {
        switches.delete_no_content = true;
        switches.create_status = 201;
    });
    assert_eq!(world.post(KEYS, json!({ "name": "a" })).await.0, 201);
    assert_eq!(world.delete(&format!("{KEYS}/key_000001")).await, (204, json!("")));
}

#[tokio::test(start_paused = true)]
async fn reveal_shows_the_secret_as_often_as_asked() {
    let world = world();
    let (_, created) = world.post(KEYS, json!({ "name": "a" })).await;
    let path = format!("{KEYS}/key_000001/reveal");
    assert_eq!(world.get(&path).await, (200, created.clone()));
    world.emulator.edgee().set_switches(|switches| switches.reveal_key_only = true);
    assert_eq!(world.get(&path).await, (200, json!({ "key": created["key"] })));
    assert_eq!(world.emulator.edgee().counts().reveals_total, 2);
}

#[tokio::test(start_paused = true)]
async fn get_or_create_gives_one_key_per_token_and_assistant() {
    let world = world();
    world.emulator.edgee().add_token("ek_two", &[ORG]);
    let path = format!("{KEYS}/get-or-create");
    let body = json!({ "coding_assistant": "claude_code", "compression": true });
    let (status, first) = world.post(&path, body.clone()).await;
    assert_eq!((status, &first["created"]), (200, &json!(true)));
    let (_, again) = world.post(&path, body.clone()).await;
    assert_eq!((&again["created"], &again["key"]), (&json!(false), &first["key"]));
    let other = with_header(request("POST", &path, body), "authorization", "Bearer ek_two");
    assert_eq!(parsed(&world.raw(other).await.unwrap()).1["created"], true);
    world.post(&path, json!({ "coding_assistant": "codex" })).await;
    assert_eq!(world.emulator.edgee().counts().created_total, 3);
    let (status, error) = world.post(&path, json!({ "coding_assistant": "hal" })).await;
    let message = error["error"]["params"][0]["message"].as_str().unwrap();
    assert!(status == 400 && message.starts_with("Must be one of "));
}

#[tokio::test(start_paused = true)]
async fn email_may_not_be_echoed() {
    let world = world();
    world.emulator.edgee().set_switches(|switches| switches.email_echo = false);
    let (_, key) = world.post(KEYS, json!({ "name": "a", "email": "a@example.com" })).await;
    assert!(key.get("email").is_none());
    assert_eq!(world.only_key().email.as_deref(), Some("a@example.com"));
}

#[tokio::test(start_paused = true)]
async fn what_is_unset_shows_in_any_of_four_ways() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let zero = json!("0001-01-01T00:00:00Z");
    let ways = [
        (Blank::Zero, Some(zero), Some(json!([])), Some(json!(0))),
        (Blank::Absent, None, None, None),
        (Blank::Null, Some(json!(null)), Some(json!(null)), Some(json!(null))),
        (Blank::Empty, Some(json!("")), Some(json!([])), Some(json!(0))),
    ];
    for (blank, time, list, number) in ways {
        world.emulator.edgee().set_switches(|switches| {
            switches.expires_at = blank;
            switches.last_used_at = blank;
            switches.unset_limits = blank;
        });
        let (_, key) = world.get(&format!("{KEYS}/key_000001")).await;
        assert_eq!(key.get("expires_at"), time.as_ref());
        assert_eq!(key.get("last_used_at"), time.as_ref());
        assert_eq!(key.get("models"), list.as_ref());
        assert_eq!(key.get("max_usage"), number.as_ref());
    }
}

#[tokio::test(start_paused = true)]
async fn a_human_in_the_console_edits_makes_and_deletes_keys_uncounted() {
    let world = world();
    let edgee = world.emulator.edgee();
    let key = edgee.add_key(ORG, NewKey { max_usage: Some(3), ..NewKey::named("by hand") });
    assert!(edgee.edit_key(&key.id, |key| key.active = false));
    let (_, read) = world.get(&format!("{KEYS}/{}", key.id)).await;
    assert_eq!((&read["active"], &read["max_usage"]), (&json!(false), &json!(3)));
    assert!(edgee.delete_key(&key.id));
    assert!(!edgee.delete_key(&key.id) && !edgee.edit_key(&key.id, |_| ()));
    assert_eq!(edgee.counts(), keysmith::emulator::edgee::Counts::default());
}

#[tokio::test(start_paused = true)]
async fn no_debug_output_shows_a_secret() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let edgee = world.emulator.edgee();
    let printed = format!("{:?} {:?} {:?}", edgee.keys(ORG), edgee.tokens(), world.emulator.calls());
    assert!(!printed.contains("emulated-"), "{printed}");
}
