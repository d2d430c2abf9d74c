//! Eden AI v3: authorization, and the life of auth keys.

use jiff::SignedDuration;
use keysmith::emulator::edenai::v3::{Scope, SecretField};
use keysmith::emulator::{Effect, Rule};
use serde_json::{Value, json};

use super::support::{World, names, world};

const TOKEN: &str = "mgmt-eden-emulated-console-token";
const ISSUER: &str = "mgmt-eden-emulated-issuer-token";
const KEYS: &str = "/edenai/v3/manage/keys/";
const AUTH_KEYS: &str = "/edenai/v3/manage/auth-keys/";
const WHOAMI: &str = "/edenai/v3/manage/whoami/";

async fn get(world: &World, token: &str, path: &str) -> (u16, Value) {
    world.call(token, ("GET", path), Value::Null).await
}

async fn mint(world: &World, body: Value) -> (u16, Value) {
    world.call(ISSUER, ("POST", AUTH_KEYS), body).await
}

fn worker() -> Value {
    json!({ "name": "ci-worker", "scopes": ["manage:read", "manage:write"] })
}

#[tokio::test(start_paused = true)]
async fn an_inference_key_is_refused_by_the_management_api_in_the_vendors_words() {
    let world = world();
    let (_, key) = world.call(TOKEN, ("POST", KEYS), json!({ "name": "a" })).await;
    let (status, error) = get(&world, key["secret"].as_str().unwrap(), KEYS).await;
    let words = "This endpoint needs a management key. An inference key (sk-eden...) cannot manage an organization; \
                 mint a management key from the dashboard and use it here.";
    assert_eq!((status, error), (401, json!({ "detail": words })));
    assert_eq!(get(&world, "sk-eden-emulated-9-0", KEYS).await, (401, json!({ "detail": "Invalid token." })));
    assert_eq!(world.anonymous(KEYS).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_mints_and_nothing_else() {
    let world = world();
    for (method, path) in [("GET", KEYS), ("POST", KEYS), ("GET", "/edenai/v3/manage/usage/")] {
        let (status, error) = world.call(ISSUER, (method, path), json!({ "name": "a" })).await;
        assert_eq!((status, error["detail"].is_string()), (403, true), "{method} {path}");
    }
    assert_eq!(get(&world, ISSUER, AUTH_KEYS).await.0, 200);
    for method in ["GET", "POST"] {
        assert_eq!(world.call(TOKEN, (method, AUTH_KEYS), worker()).await.0, 403, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_only_read_changes_nothing_and_one_that_may_only_write_reads_nothing() {
    let world = world();
    let v3 = world.emulator.edenai().v3();
    v3.add_management_key("mgmt-eden-emulated-reader", &[Scope::Read]);
    v3.add_management_key("mgmt-eden-emulated-writer", &[Scope::Write]);
    let body = json!({ "name": "a" });
    assert_eq!(get(&world, "mgmt-eden-emulated-reader", KEYS).await.0, 200);
    assert_eq!(world.call("mgmt-eden-emulated-reader", ("POST", KEYS), body.clone()).await.0, 403);
    assert_eq!(get(&world, "mgmt-eden-emulated-writer", KEYS).await.0, 403);
    assert_eq!(world.call("mgmt-eden-emulated-writer", ("POST", KEYS), body).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn every_management_key_can_ask_who_it_is() {
    let world = world();
    let (status, me) = get(&world, TOKEN, WHOAMI).await;
    assert_eq!((status, &me["scopes"]), (200, &json!(["manage:read", "manage:write"])));
    assert_eq!(get(&world, ISSUER, WHOAMI).await.1["scopes"], json!(["manage:mint"]));
}

#[tokio::test(start_paused = true)]
async fn a_minted_auth_key_shows_its_secret_once_and_works_until_it_is_deleted() {
    let world = world();
    let (status, minted) = mint(&world, worker()).await;
    let secret = minted["secret"].as_str().unwrap();
    assert_eq!((status, secret.starts_with("mgmt-eden-emulated-")), (200, true));
    assert_eq!(get(&world, secret, KEYS).await.0, 200);
    let (_, list) = get(&world, ISSUER, AUTH_KEYS).await;
    assert!(names(&list["results"]).contains(&"ci-worker"));
    assert!(!list.to_string().contains(secret));
    let path = format!("{AUTH_KEYS}{}/", minted["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(world.call(ISSUER, ("DELETE", &path), Value::Null).await, (204, json!("")));
    }
    assert_eq!(get(&world, secret, KEYS).await.0, 401);
    let missing = format!("{AUTH_KEYS}00000000-0000-4000-9000-000000000000/");
    assert_eq!(world.call(ISSUER, ("DELETE", &missing), Value::Null).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_can_be_neither_minted_nor_deleted() {
    let world = world();
    for scopes in [json!(["manage:mint"]), json!(["manage:read", "manage:mint"]), json!([]), json!("all")] {
        assert_eq!(mint(&world, json!({ "name": "x", "scopes": scopes })).await.0, 400, "{scopes}");
    }
    assert_eq!(mint(&world, json!({ "scopes": ["manage:read"] })).await.0, 400);
    let keys = world.emulator.edenai().v3().management_keys();
    let issuer = keys.iter().find(|key| key.secret == ISSUER).unwrap();
    let path = format!("{AUTH_KEYS}{}/", issuer.id);
    assert_eq!(world.call(ISSUER, ("DELETE", &path), Value::Null).await.0, 403);
    assert_eq!(get(&world, ISSUER, WHOAMI).await.0, 200);
    assert_eq!(world.emulator.edenai().v3().counts().minted_total, 0);
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_an_auth_key_may_have_another_name_and_the_mint_another_status() {
    let world = world();
    let v3 = world.emulator.edenai().v3();
    for (field, name) in [(SecretField::Key, "key"), (SecretField::Token, "token")] {
        v3.set_switches(|switches| {
            switches.auth_key_secret = field;
            switches.auth_key_status = 201;
        });
        let (status, minted) = mint(&world, worker()).await;
        assert_eq!((status, minted[name].is_string(), minted.get("secret")), (201, true, None), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn auth_keys_may_be_listed_raw_and_without_the_revoked() {
    let world = world();
    let v3 = world.emulator.edenai().v3();
    let (_, minted) = mint(&world, worker()).await;
    assert!(v3.revoke_token(minted["secret"].as_str().unwrap()));
    let (_, list) = get(&world, ISSUER, AUTH_KEYS).await;
    assert_eq!((&list["total_count"], &list["results"][0]["revoked"]), (&json!(3), &json!(true)));
    v3.set_switches(|switches| {
        switches.auth_keys_raw = true;
        switches.auth_keys_revoked = false;
    });
    let (_, list) = get(&world, ISSUER, AUTH_KEYS).await;
    assert_eq!(names(&list), ["dashboard-2", "dashboard-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_list_of_auth_keys_omits_the_new() {
    let world = world();
    world.emulator.advance(SignedDuration::from_secs(60));
    world.emulator.faults().add(Rule::always("GET", "auth-keys", Effect::LagListing { millis: 5_000 }));
    mint(&world, worker()).await;
    assert_eq!(get(&world, ISSUER, AUTH_KEYS).await.1["total_count"], 2);
    world.emulator.advance(SignedDuration::from_secs(5));
    assert_eq!(get(&world, ISSUER, AUTH_KEYS).await.1["total_count"], 3);
}

#[tokio::test(start_paused = true)]
async fn an_auth_key_expires_at_the_requested_time() {
    let world = world();
    let mut body = worker();
    body["expire_time"] = json!("2026-11-22T08:00:00Z");
    let (_, minted) = mint(&world, body).await;
    world.emulator.advance(SignedDuration::from_hours(24));
    assert_eq!(get(&world, minted["secret"].as_str().unwrap(), WHOAMI).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_stops_at_once_and_an_expired_one_at_its_time() {
    let world = world();
    let v3 = world.emulator.edenai().v3();
    assert!(v3.expire_token_at(TOKEN, world.emulator.now() + SignedDuration::from_secs(60)));
    assert_eq!(get(&world, TOKEN, KEYS).await.0, 200);
    world.emulator.advance(SignedDuration::from_secs(60));
    assert_eq!(get(&world, TOKEN, KEYS).await.0, 401);
    assert!(v3.revoke_token(ISSUER) && !v3.revoke_token(ISSUER));
    assert_eq!(get(&world, ISSUER, WHOAMI).await.0, 401);
    v3.add_issuer(ISSUER);
    assert_eq!(get(&world, ISSUER, WHOAMI).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_path_without_its_slash_works_only_where_the_switch_says_so() {
    let world = world();
    let bare = KEYS.trim_end_matches('/');
    assert_eq!(get(&world, TOKEN, bare).await, (404, json!({ "detail": "Not found." })));
    world.emulator.edenai().v3().set_switches(|switches| switches.bare_paths = true);
    assert_eq!(get(&world, TOKEN, bare).await.0, 200);
    assert_eq!(world.call(ISSUER, ("POST", AUTH_KEYS.trim_end_matches('/')), worker()).await.0, 200);
    assert_eq!(world.call(TOKEN, ("PUT", KEYS), json!({})).await.0, 405);
}
