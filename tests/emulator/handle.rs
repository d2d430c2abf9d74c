//! One table of vendors: the vendor handle and the control API do the same at each vendor.

use jiff::SignedDuration;
use keysmith::emulator::{VendorHandle, VendorId};
use serde_json::{Value, json};

use super::support::{World, parsed, request, with_header, world};

/// The requests of a client of each vendor: create a key, list keys, call the data plane.
struct Client {
    vendor_id: VendorId,
    keys: &'static str,
    chat: &'static str,
    limit: Value,
}

fn clients() -> [Client; 5] {
    let client = |vendor_id, keys, chat, limit| Client { vendor_id, keys, chat, limit };
    [
        client(
            VendorId::Edgee,
            "/edgee/v1/organizations/org_test/api_keys",
            "/edgee-gateway/v1/chat/completions",
            json!({ "max_usage": 2 }),
        ),
        client(
            VendorId::EdenAiV2,
            "/edenai/v2/user/custom_token/",
            "/edenai-gateway/v3/llm/chat/completions",
            json!({ "balance": "2", "active_balance": true }),
        ),
        client(
            VendorId::EdenAiV3,
            "/edenai/v3/manage/keys/",
            "/edenai-gateway/v3/llm/chat/completions",
            json!({ "balance": "2" }),
        ),
        client(
            VendorId::Cortecs,
            "/cortecs/v1/manage/api-keys",
            "/cortecs-gateway/v1/chat/completions",
            json!({}),
        ),
        client(
            VendorId::OpenRouter,
            "/openrouter/v1/keys",
            "/openrouter-gateway/v1/chat/completions",
            json!({ "limit": 2 }),
        ),
    ]
}

const STORY: &str = "canary-story-token";

fn handle(world: &World, vendor_id: VendorId) -> VendorHandle {
    let handle = world.emulator.vendor(vendor_id);
    handle.add_token(STORY);
    handle
}

async fn create(world: &World, client: &Client, name: &str) {
    let mut body = client.limit.clone();
    body["name"] = json!(name);
    let (status, answer) = world.call(STORY, ("POST", client.keys), body).await;
    assert!((200..300).contains(&status), "{}: {answer}", client.vendor_id.name());
}

#[test]
fn every_vendor_has_a_name_and_both_its_paths() {
    let names: Vec<_> = VendorId::ALL.iter().map(|it| (it.name(), it.path(), it.gateway_path())).collect();
    let expected = [
        ("edgee", "edgee", "edgee-gateway"),
        ("edenai-v2", "edenai", "edenai-gateway"),
        ("edenai-v3", "edenai", "edenai-gateway"),
        ("cortecs", "cortecs", "cortecs-gateway"),
        ("litellm", "litellm", "litellm-gateway"),
        ("openrouter", "openrouter", "openrouter-gateway"),
    ];
    assert_eq!(names, expected);
    for client in clients() {
        assert!(client.keys.starts_with(&format!("/{}/", client.vendor_id.path())));
        assert!(client.chat.starts_with(&format!("/{}/", client.vendor_id.gateway_path())));
    }
}

#[tokio::test(start_paused = true)]
async fn the_vendor_handle_sees_the_keys_that_a_client_makes_with_its_token() {
    let world = world();
    for client in clients() {
        let handle = handle(&world, client.vendor_id);
        let (a, b) = ("a", "b");
        create(&world, &client, a).await;
        world.emulator.advance(SignedDuration::from_secs(1));
        create(&world, &client, b).await;
        let keys = handle.keys();
        let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!((names, handle.created_total()), (vec![a, b], 2), "{}", client.vendor_id.name());
        assert!(keys[0].created_at < keys[1].created_at && keys.iter().all(|key| key.active));
        assert_eq!(world.ask(&keys[0].secret, client.chat, "0").await.0, 200, "{}", client.vendor_id.name());
        assert!(handle.credentials().is_empty());
        assert!(!format!("{keys:?}").contains("emulated"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_human_makes_works_until_the_human_deletes_it() {
    let world = world();
    for client in clients() {
        let handle = handle(&world, client.vendor_id);
        let key = handle.add_key("by-hand");
        assert!(handle.accepts(&key.secret), "{}", client.vendor_id.name());
        assert_eq!(
            (handle.keys(), handle.created_total()),
            (vec![key.clone()], 0),
            "{}",
            client.vendor_id.name()
        );
        assert!(handle.delete_key(&key.id) && !handle.delete_key(&key.id), "{}", client.vendor_id.name());
        assert!(handle.keys().is_empty() && !handle.accepts(&key.secret), "{}", client.vendor_id.name());
        assert_eq!(world.ask(&key.secret, client.chat, "0").await.0, 401, "{}", client.vendor_id.name());
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_key_spends_lowers_what_remains_until_it_is_refused() {
    let world = world();
    for client in clients().into_iter().filter(|client| client.vendor_id != VendorId::Cortecs) {
        let (handle, vendor) = (handle(&world, client.vendor_id), client.vendor_id.name());
        create(&world, &client, "a").await;
        let key = handle.keys().remove(0);
        let limits = (key.budget_micros, key.remaining_micros);
        assert_eq!(limits, (Some(2_000_000), Some(2_000_000)), "{vendor}");
        assert!(handle.spend(&key.id, 500_000) && !handle.spend("nobody", 1), "{vendor}");
        assert_eq!(handle.keys()[0].remaining_micros, Some(1_500_000), "{vendor}");
        assert!(handle.accepts(&key.secret), "{vendor}");
        assert!(handle.spend(&key.id, 1_500_000), "{vendor}");
        assert_eq!(handle.keys()[0].remaining_micros, Some(0), "{vendor}");
        assert!(!handle.accepts(&key.secret), "{vendor}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cortecs_key_has_no_limit_but_its_spending_is_in_the_usage() {
    let world = world();
    let handle = handle(&world, VendorId::Cortecs);
    let key = handle.add_key("a");
    assert_eq!((key.budget_micros, key.remaining_micros), (None, None));
    assert!(handle.spend(&key.id, 250_000) && !handle.spend("nobody", 1));
    let path = "/cortecs/v1/manage/usage?group_by=user_key";
    let (_, report) = world.call(STORY, ("GET", path), Value::Null).await;
    assert_eq!((&report["rows"][0]["key_name"], &report["rows"][0]["cost"]), (&json!("a"), &json!(0.25)));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_unauthorized_everywhere() {
    let world = world();
    for client in clients() {
        let handle = handle(&world, client.vendor_id);
        assert_eq!(world.call(STORY, ("GET", client.keys), Value::Null).await.0, 200);
        assert!(handle.revoke_token(STORY) && !handle.revoke_token(STORY), "{}", client.vendor_id.name());
        assert_eq!(world.call(STORY, ("GET", client.keys), Value::Null).await.0, 401);
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_mints_credentials_where_the_vendor_can() {
    let issuer = "canary-issuer-token";
    for (vendor_id, path, body) in [
        (VendorId::Edgee, "/edgee/v1/api_tokens", json!({ "name": "ci" })),
        (
            VendorId::EdenAiV3,
            "/edenai/v3/manage/auth-keys/",
            json!({ "name": "ci", "scopes": ["manage:read", "manage:write"] }),
        ),
        (
            VendorId::Cortecs,
            "/cortecs/v1/manage/api-keys",
            json!({ "name": "ci", "is_management_key": true }),
        ),
    ] {
        let world = world();
        let handle = world.emulator.vendor(vendor_id);
        handle.add_issuer(issuer);
        assert!(world.call(issuer, ("POST", path), body).await.0 < 300, "{}", vendor_id.name());
        let minted = handle.credentials();
        assert_eq!((minted.len(), minted[0].name.as_str()), (1, "ci"), "{}", vendor_id.name());
        assert!(handle.keys().is_empty() && handle.created_total() == 0, "{}", vendor_id.name());
        assert!(
            handle.revoke_token(&minted[0].secret) && handle.credentials().is_empty(),
            "{}",
            vendor_id.name()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_control_api_does_for_each_vendor_what_its_handle_does() {
    let world = world();
    for client in clients().into_iter().filter(|client| client.vendor_id != VendorId::Edgee) {
        let vendor = client.vendor_id.name();
        let base = format!("/_emulator/{vendor}");
        assert_eq!(world.post(&format!("{base}/tokens"), json!({ "token": "canary-token" })).await.0, 204);
        assert_eq!(world.call("canary-token", ("GET", client.keys), Value::Null).await.0, 200, "{vendor}");
        let (status, key) = world.post(&format!("{base}/keys"), json!({ "name": "by-hand" })).await;
        assert_eq!(status, 200, "{vendor}");
        let path = format!("{base}/keys/{}", key["id"].as_str().unwrap());
        assert_eq!(world.post(&format!("{path}/spend"), json!({ "micros": 1 })).await.0, 204, "{vendor}");
        let (_, keys) = world.get(&format!("{base}/keys")).await;
        assert_eq!(keys[0]["name"], "by-hand", "{vendor}");
        let (_, state) = world.get("/_emulator/state").await;
        assert_eq!(state[vendor]["keys"], 1, "{vendor}");
        for shown in [key, keys, state] {
            assert!(!shown.to_string().contains("emulated-"), "{vendor}");
        }
        assert_eq!((world.delete(&path).await.0, world.delete(&path).await.0), (204, 404), "{vendor}");
        let token = format!("{base}/tokens/canary-token");
        assert_eq!((world.delete(&token).await.0, world.delete(&token).await.0), (204, 404), "{vendor}");
    }
}

#[tokio::test(start_paused = true)]
async fn switches_of_each_vendor_are_patched_one_by_one() {
    let world = world();
    for (vendor, first, second) in [
        ("edenai-v2", "deleteOk", "strictQuery"),
        ("edenai-v3", "count", "flatErrors"),
        ("cortecs", "anyName", "wrappedBalance"),
    ] {
        let path = format!("/_emulator/{vendor}/switches");
        assert_eq!(world.json("PATCH", &path, json!({ first: true })).await.0, 200, "{vendor}");
        let (_, switches) = world.json("PATCH", &path, json!({ second: true })).await;
        assert_eq!((&switches[first], &switches[second]), (&json!(true), &json!(true)), "{vendor}");
        assert_eq!(world.json("PATCH", &path, json!({ "nonsense": true })).await.0, 400, "{vendor}");
    }
    let token = json!({ "token": "canary-x" });
    assert_eq!(world.post("/_emulator/edenai-v3/issuers", token.clone()).await.0, 204);
    assert_eq!(world.post("/_emulator/edenai-v2/sessions", token.clone()).await.0, 204);
    assert_eq!(world.post("/_emulator/cortecs/issuers", token).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn next_pages_name_the_host_that_was_asked() {
    let world = world();
    let handle = handle(&world, VendorId::EdenAiV3);
    handle.add_key("a");
    handle.add_key("b");
    let asked = request("GET", "/edenai/v3/manage/keys/?limit=1", Value::Null);
    let asked = with_header(asked, "authorization", &format!("Bearer {STORY}"));
    let (_, page) = parsed(&world.raw(with_header(asked, "host", "127.0.0.1:8787")).await.unwrap());
    assert_eq!(page["next"], "http://127.0.0.1:8787/edenai/v3/manage/keys/?limit=1&offset=1");
}
