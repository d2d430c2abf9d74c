//! The control API: the functions of the handles over HTTP.

use serde_json::{Value, json};

use super::support::{KEYS, ORG, TOKEN, parsed, request, world};

#[tokio::test(start_paused = true)]
async fn the_help_page_lists_what_exists() {
    let world = world();
    let answer = world.raw(request("GET", "/", Value::Null)).await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(["/edgee/v1", "/edgee-gateway/v1", "/_emulator/faults"].iter().all(|path| text.contains(path)));
    assert_eq!(world.get("/edenai/v2").await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn control_calls_are_neither_logged_nor_subject_to_faults() {
    let world = world();
    let rule = json!({ "effect": { "kind": "dropBefore" } });
    assert_eq!(world.post("/_emulator/faults", rule).await.0, 204);
    assert_eq!(world.get("/_emulator/state").await.0, 200);
    assert!(world.raw(request("GET", KEYS, Value::Null)).await.is_err());
    assert_eq!(world.get("/_emulator/calls").await.1.as_array().unwrap().len(), 1);
    assert_eq!(world.get("/_emulator/faults").await.1[0]["effect"], json!({ "kind": "dropBefore" }));
    assert_eq!(world.delete("/_emulator/faults").await.0, 204);
    assert_eq!(world.get(KEYS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_be_carried_out_is_refused() {
    let world = world();
    for rule in [
        json!({ "effect": { "kind": "status", "code": 99 } }),
        json!({ "effect": { "kind": "redirect", "location": "a\nb" } }),
        json!({ "effect": { "kind": "explode" } }),
        json!({ "efect": { "kind": "hang" } }),
    ] {
        assert_eq!(world.post("/_emulator/faults", rule).await.0, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_shows_organizations_switches_and_clock_but_no_secret() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    let (_, state) = world.get("/_emulator/state").await;
    assert_eq!(state["now"].as_str().unwrap().get(..16), Some("2026-11-21T08:00"));
    let organization = json!({ "id": "org_demo", "keys": 1, "providerKeys": 0 });
    assert_eq!(state["edgee"]["organizations"], json!([organization]));
    assert_eq!(state["edgee"]["switches"]["pageSize"], 100);
    let (_, keys) = world.get("/_emulator/edgee/keys?organization=org_demo").await;
    let (_, calls) = world.get("/_emulator/calls").await;
    for shown in [state, keys, calls] {
        assert!(!shown.to_string().contains("emulated-"));
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_and_cleared() {
    let world = world();
    world.post(KEYS, json!({ "name": "a" })).await;
    world.get(KEYS).await;
    let (_, counts) = world.get("/_emulator/counts?method=POST&pathContains=api_keys").await;
    let edgee = json!({ "createdTotal": 1, "deletedTotal": 0, "revealsTotal": 0 });
    assert_eq!(counts, json!({ "calls": 1, "edgee": edgee }));
    assert_eq!(world.get("/_emulator/counts").await.1["calls"], 2);
    assert_eq!(world.delete("/_emulator/calls").await.0, 204);
    assert_eq!(world.get("/_emulator/calls").await.1, json!([]));
}

#[tokio::test(start_paused = true)]
async fn the_clock_moves_ahead() {
    let world = world();
    let (_, body) = world.post("/_emulator/clock", json!({ "advanceSeconds": 86_400 })).await;
    assert_eq!(body["now"].as_str().unwrap().get(..10), Some("2026-11-22"));
    assert_eq!(world.post("/_emulator/clock", json!({ "seconds": 1 })).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn organizations_and_tokens_come_and_go() {
    let world = world();
    assert_eq!(world.post("/_emulator/edgee/organizations", json!({ "id": "org_x" })).await.0, 204);
    let token = json!({ "token": "ek_x", "organizations": ["org_x"] });
    assert_eq!(world.post("/_emulator/edgee/tokens", token).await.0, 204);
    let path = "/edgee/v1/organizations/org_x/api_keys";
    assert_eq!(world.as_token("ek_x", path).await.0, 200);
    assert_eq!(world.delete("/_emulator/edgee/tokens/ek_x").await.0, 204);
    assert_eq!(world.as_token("ek_x", path).await.0, 401);
    assert_eq!(world.delete("/_emulator/edgee/tokens/ek_x").await.0, 404);
    assert_eq!(world.as_token(TOKEN, KEYS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn switches_are_patched_one_by_one() {
    let world = world();
    let path = "/_emulator/edgee/switches";
    let (status, switches) =
        world.json("PATCH", path, json!({ "flatErrors": true, "expiresAt": "null" })).await;
    assert_eq!((status, &switches["flatErrors"], &switches["emailEcho"]), (200, &json!(true), &json!(true)));
    assert!(world.emulator.edgee().switches().flat_errors);
    let (_, switches) = world.json("PATCH", path, json!({ "rawList": true })).await;
    assert_eq!((&switches["flatErrors"], &switches["rawList"]), (&json!(true), &json!(true)));
    for wrong in [json!({ "flatErors": true }), json!({ "pageSize": -1 }), json!([])] {
        assert_eq!(world.json("PATCH", path, wrong).await.0, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_human_edits_and_deletes_keys() {
    let world = world();
    world.post(KEYS, json!({ "name": "a", "max_usage": 5, "expires_in_days": 1 })).await;
    let path = "/_emulator/edgee/keys/key_000001";
    let edit = json!({ "name": "b", "active": false, "maxUsage": null, "models": ["m"], "expiresAt": null });
    assert_eq!(world.json("PATCH", path, edit).await.0, 204);
    let (_, keys) = world.get(&format!("/_emulator/edgee/keys?organization={ORG}")).await;
    let expected = (json!("b"), json!(false), json!(["m"]), json!(null), json!(null));
    let key = &keys[0];
    let shown = [&key["name"], &key["active"], &key["models"], &key["maxUsage"], &key["expiresAt"]];
    let expected = [&expected.0, &expected.1, &expected.2, &expected.3, &expected.4];
    assert_eq!(shown, expected);
    for wrong in [json!({ "activ": true }), json!({ "expiresAt": "soon" }), json!({ "name": "" })] {
        assert_eq!(world.json("PATCH", path, wrong).await.0, 400);
    }
    assert_eq!(world.delete(path).await.0, 204);
    assert_eq!(world.delete(path).await.0, 404);
    assert_eq!(parsed(&world.raw(request("GET", KEYS, Value::Null)).await.unwrap()).1["data"], json!([]));
}
