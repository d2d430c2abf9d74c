//! Authorization: tokens, organizations, unknown paths, and the API for console tokens.

use jiff::SignedDuration;
use serde_json::json;

use super::support::{KEYS, ORG, TOKEN, TOKENS, names, parsed, request, with_header, world};

#[tokio::test(start_paused = true)]
async fn a_call_without_a_known_token_is_unauthorized() {
    let world = world();
    let error = json!({ "error": { "type": "authentication_error", "message": "Unauthorized" } });
    assert_eq!(world.as_token("ek_live_other", KEYS).await, (401, error));
    let mut anonymous = request("GET", KEYS, json!(null));
    anonymous.headers_mut().clear();
    assert_eq!(parsed(&world.raw(anonymous).await.unwrap()).0, 401);
    let basic = with_header(request("GET", KEYS, json!(null)), "authorization", &format!("Basic {TOKEN}"));
    assert_eq!(parsed(&world.raw(basic).await.unwrap()).0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_stops_at_once_and_an_expired_one_at_its_time() {
    let world = world();
    let edgee = world.emulator.edgee();
    edgee.add_token("ek_two", &[ORG]);
    assert!(edgee.revoke_token(TOKEN));
    assert!(!edgee.revoke_token(TOKEN));
    assert_eq!(world.get(KEYS).await.0, 401);
    assert!(edgee.expire_token_at("ek_two", world.emulator.now() + SignedDuration::from_secs(60)));
    assert_eq!(world.as_token("ek_two", KEYS).await.0, 200);
    world.emulator.advance(SignedDuration::from_secs(60));
    assert_eq!(world.as_token("ek_two", KEYS).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_organization_is_forbidden_whether_it_exists_or_not() {
    let world = world();
    world.emulator.edgee().add_organization("org_other");
    let error = json!({ "error": {
        "type": "forbidden_error",
        "message": "Your token does not have permission to access this resource",
    } });
    for path in ["org_other/api_keys", "org_nowhere/api_keys", "org_other/api_keys/key_1", "org_other"] {
        let answer = world.get(&format!("/edgee/v1/organizations/{path}")).await;
        assert_eq!(answer, (403, error.clone()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_sees_the_organizations_it_is_bound_to() {
    let world = world();
    world.emulator.edgee().add_token("ek_two", &["org_a", "org_b"]);
    let (status, body) = world.as_token("ek_two", "/edgee/v1/organizations").await;
    assert_eq!((status, names(&body["data"])), (200, vec!["org_a", "org_b"]));
    let (status, body) = world.as_token("ek_two", "/edgee/v1/organizations/org_a").await;
    assert_eq!((status, &body["id"]), (200, &json!("org_a")));
    assert_eq!(world.as_token("ek_two", KEYS).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_not_found_in_the_vendors_58_bytes() {
    let world = world();
    let answer = world.raw(request("GET", "/edgee/v1/nothing", json!(null))).await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.body().len(), 58);
    assert_eq!(world.json("PATCH", &format!("{KEYS}/key_1"), json!({})).await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn errors_are_flat_when_the_switch_says_so() {
    let world = world();
    world.emulator.edgee().set_switches(|switches| switches.flat_errors = true);
    let documented = json!({ "error": "Unauthorized", "message": "Invalid or expired API token" });
    assert_eq!(world.as_token("ek_live_other", KEYS).await, (401, documented));
    let (status, body) = world.post(KEYS, json!({})).await;
    assert_eq!((status, body), (400, json!({ "error": "Bad Request", "message": "name is required." })));
}

#[tokio::test(start_paused = true)]
async fn the_model_catalog_is_a_raw_array() {
    let world = world();
    let (status, body) = world.get("/edgee/v1/models").await;
    assert_eq!(status, 200);
    assert!(body.as_array().unwrap().iter().any(|model| model["id"] == "openai/gpt-5.2"));
}

#[tokio::test(start_paused = true)]
async fn a_console_token_is_minted_shown_once_and_dies_when_deleted() {
    let world = world();
    let (status, minted) = world.post(TOKENS, json!({ "name": "ci" })).await;
    assert_eq!((status, &minted["object"]), (200, &json!("api_token")));
    assert_eq!(minted["expires_at"], "0001-01-01T00:00:00Z");
    let token = minted["token"].as_str().unwrap();
    assert_eq!(world.as_token(token, KEYS).await.0, 200);
    let path = format!("{TOKENS}/{}", minted["id"].as_str().unwrap());
    let (_, read) = world.get(&path).await;
    assert!(read.get("token").is_none() && read["user_id"] == minted["user_id"]);
    let (_, list) = world.get(&format!("{TOKENS}?name=ci")).await;
    assert_eq!(names(&list["data"]), ["ci"]);
    assert_eq!(world.delete(&path).await.1["deleted"], true);
    assert_eq!(world.as_token(token, KEYS).await.0, 401);
    assert_eq!(world.get(&path).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_console_token_expires_at_the_requested_time() {
    let world = world();
    assert_eq!(world.post(TOKENS, json!({ "name": "ci", "expires_at": "soon" })).await.0, 400);
    let (_, minted) = world.post(TOKENS, json!({ "name": "ci", "expires_at": "2026-11-22T08:00:00Z" })).await;
    assert_eq!(minted["expires_at"], "2026-11-22T08:00:00Z");
    world.emulator.advance(SignedDuration::from_hours(24));
    assert_eq!(world.as_token(minted["token"].as_str().unwrap(), KEYS).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_user_does_not_see_the_tokens_of_another() {
    let world = world();
    world.emulator.edgee().add_token("ek_two", &[ORG]);
    let id = world.emulator.edgee().tokens()[0].id.clone();
    assert_eq!(world.get(&format!("{TOKENS}/{id}")).await.0, 200);
    assert_eq!(world.as_token("ek_two", &format!("{TOKENS}/{id}")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn the_console_token_api_can_be_missing() {
    let world = world();
    world.emulator.edgee().set_switches(|switches| switches.console_tokens = false);
    assert_eq!(world.get(TOKENS).await.0, 404);
    assert_eq!(world.post(TOKENS, json!({ "name": "ci" })).await.0, 404);
}
