//! Several accounts at every vendor: a token sees only its own account.

use keysmith::emulator::VendorId;
use serde_json::{Value, json};

use super::support::{World, names, world};

struct Vendor {
    id: VendorId,
    keys: &'static str,
    rows: &'static str,
}

const VENDORS: [Vendor; 3] = [
    Vendor { id: VendorId::EdenAiV2, keys: "/edenai/v2/user/custom_token/", rows: "" },
    Vendor { id: VendorId::EdenAiV3, keys: "/edenai/v3/manage/keys/", rows: "/results" },
    Vendor { id: VendorId::Cortecs, keys: "/cortecs/v1/manage/api-keys", rows: "/api_keys" },
];

async fn listed(world: &World, vendor: &Vendor, token: &str) -> Vec<String> {
    let (status, body) = world.call(token, ("GET", vendor.keys), Value::Null).await;
    assert_eq!(status, 200, "{body}");
    let mut rows = body.pointer(vendor.rows).unwrap().clone();
    // Cortecs lists the management key as well.
    rows.as_array_mut().unwrap().retain(|row| row["is_management_key"] != json!(true));
    names(&rows).into_iter().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn two_accounts_have_keys_of_the_same_name_and_see_only_their_own() {
    for vendor in VENDORS {
        let world = world();
        let control = format!("/_emulator/{}/tokens", vendor.id.name());
        for account in ["acme", "globex"] {
            let body = json!({ "token": format!("t-{account}"), "account": account });
            assert_eq!(world.post(&control, body).await.0, 204);
            let token = format!("t-{account}");
            let made = world.call(&token, ("POST", vendor.keys), json!({ "name": "same" })).await;
            assert!((200..300).contains(&made.0), "{made:?}");
            assert_eq!(listed(&world, &vendor, &token).await, ["same"]);
        }
        let handle = world.emulator.vendor(vendor.id);
        let (acme, globex) = (handle.keys_of("acme"), handle.keys_of("globex"));
        assert_eq!((acme.len(), globex.len(), handle.keys().len()), (1, 1, 2), "{control}");
        assert_ne!(acme[0].secret, globex[0].secret);
        let shown = world.get(&format!("/_emulator/{}/keys?account=acme", vendor.id.name())).await.1;
        assert_eq!(names(&shown), ["same"]);
        assert_eq!(shown[0]["account"], json!(acme[0].account));
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_token_changes_hands() {
    for vendor in VENDORS {
        let world = world();
        let handle = world.emulator.vendor(vendor.id);
        handle.add_token_of("t", "acme");
        world.call("t", ("POST", vendor.keys), json!({ "name": "old" })).await;
        handle.add_token_of("t", "globex");
        assert!(listed(&world, &vendor, "t").await.is_empty(), "{}", vendor.keys);
        handle.add_token_of("t", "acme");
        assert_eq!(listed(&world, &vendor, "t").await, ["old"], "{}", vendor.keys);
    }
}

#[tokio::test(start_paused = true)]
async fn the_account_is_shown_where_the_vendor_shows_it() {
    let world = world();
    let issuer = json!({ "token": "i", "account": "initech" });
    assert_eq!(world.post("/_emulator/edenai-v3/issuers", issuer).await.0, 204);
    let (_, whoami) = world.call("i", ("GET", "/edenai/v3/manage/whoami/"), Value::Null).await;
    assert_eq!(whoami["organization"], json!("initech"));
    let token = json!({ "token": "t", "account": "user_ada/project_b" });
    assert_eq!(world.post("/_emulator/cortecs/tokens", token).await.0, 204);
    let (_, project) = world.call("t", ("GET", "/cortecs/v1/manage/project-configs"), Value::Null).await;
    assert_eq!(project["project_id"], json!("project_b"));
    let wrong = json!({ "token": "t", "acount": "x" });
    assert_eq!(world.post("/_emulator/cortecs/tokens", wrong).await.0, 400);
}

/// A minted auth key belongs to the organization of its issuer.
#[tokio::test(start_paused = true)]
async fn an_auth_key_is_of_the_organization_of_its_issuer() {
    let world = world();
    world.emulator.edenai().v3().add_issuer_of("i", "initech");
    let body = json!({ "name": "worker", "scopes": ["manage:read"] });
    let (_, minted) = world.call("i", ("POST", "/edenai/v3/manage/auth-keys/"), body).await;
    let token = minted["secret"].as_str().unwrap();
    let (_, whoami) = world.call(token, ("GET", "/edenai/v3/manage/whoami/"), Value::Null).await;
    assert_eq!(whoami["organization"], json!("initech"));
}
