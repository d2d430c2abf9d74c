//! Cortecs: project settings. A PUT replaces them, so a client must send back what it does not change.

use jiff::SignedDuration;
use keysmith::emulator::cortecs::{Person, Role};
use serde_json::{Value, json};

use super::support::{World, world};

const TOKEN: &str = "cortecs-emulated-console-token";
const MEMBER: &str = "cortecs-emulated-member";
const PATH: &str = "/cortecs/v1/manage/project-configs";
const PROJECT: &str = "project_demo";

async fn read(world: &World) -> Value {
    let (status, body) = world.call(TOKEN, ("GET", PATH), Value::Null).await;
    assert_eq!(status, 200);
    body
}

async fn put(world: &World, token: &str, body: Value) -> (u16, Value) {
    world.call(token, ("PUT", PATH), body).await
}

fn with(role: Role) -> World {
    let world = world();
    world.emulator.cortecs().add_token_of(MEMBER, Person { role, ..Person::default() });
    world
}

#[tokio::test(start_paused = true)]
async fn settings_show_what_is_documented_and_the_inference_config() {
    let config = read(&world()).await;
    for field in ["_id", "project_id"] {
        assert!(config[field].is_string(), "{field}");
    }
    assert_eq!(config["allow_overwrite"], false);
    assert_eq!(config["created_at"], "2026-11-21T08:00:00.000Z");
    assert_eq!(config["inference_config"]["preference"], "balanced");
    assert!(config.get("active").is_none());
}

#[tokio::test(start_paused = true)]
async fn settings_sent_back_with_a_change_keep_everything_else_and_move_updated_at() {
    let world = world();
    assert!(world.emulator.cortecs().edit_project(PROJECT, |project| {
        project.fields.insert("brand_new".to_owned(), json!([1]));
    }));
    let mut config = read(&world).await;
    config["inference_config"]["eu_native"] = json!(true);
    world.emulator.advance(SignedDuration::from_secs(90));
    assert_eq!(put(&world, TOKEN, config.clone()).await, (200, json!({ "success": true })));
    let after = read(&world).await;
    assert_eq!(after["updated_at"], "2026-11-21T08:01:30.000Z");
    config["updated_at"] = after["updated_at"].clone();
    assert_eq!(after, config);
    let kept = world.emulator.cortecs().project(PROJECT).unwrap();
    assert_eq!(kept.created_at.to_string(), "2026-11-21T08:00:00Z");
    assert!(!kept.fields.contains_key("updated_at") && !kept.fields.contains_key("_id"));
}

#[tokio::test(start_paused = true)]
async fn a_put_wipes_what_it_leaves_out() {
    let world = world();
    let config = read(&world).await;
    let body = json!({ "created_at": config["created_at"], "updated_at": config["updated_at"] });
    assert_eq!(put(&world, TOKEN, body).await.0, 200);
    let after = read(&world).await;
    assert!(after.get("inference_config").is_none());
    assert_eq!(after["allow_overwrite"], false);
}

#[tokio::test(start_paused = true)]
async fn a_put_may_keep_the_inference_config_and_a_get_may_hide_it() {
    let world = world();
    let cortecs = world.emulator.cortecs();
    cortecs.set_switches(|switches| switches.inference_config_kept = true);
    let config = read(&world).await;
    let body = json!({ "created_at": config["created_at"], "updated_at": config["updated_at"] });
    put(&world, TOKEN, body).await;
    assert!(read(&world).await["inference_config"].is_object());
    cortecs.set_switches(|switches| switches.inference_config_shown = false);
    assert!(read(&world).await.get("inference_config").is_none());
    assert!(cortecs.project(PROJECT).unwrap().fields.contains_key("inference_config"));
}

#[tokio::test(start_paused = true)]
async fn both_times_are_required_and_the_inference_config_is_checked() {
    let world = world();
    let config = read(&world).await;
    let but = |field: &str, value: Value| {
        let mut config = config.clone();
        config[field] = value;
        config
    };
    for body in [
        but("created_at", json!(null)),
        but("updated_at", json!("today")),
        but("allow_overwrite", json!("yes")),
        but("inference_config", json!([])),
        but("inference_config", json!({ "preference": "fast" })),
        but("inference_config", json!({ "allowed_providers": "mistral" })),
        json!([]),
    ] {
        assert_eq!(put(&world, TOKEN, body.clone()).await.0, 400, "{body}");
    }
    let error = json!({ "error": "updated_at is required." });
    assert_eq!(put(&world, TOKEN, json!({ "created_at": config["created_at"] })).await, (400, error));
    assert_eq!(read(&world).await, config);
}

#[tokio::test(start_paused = true)]
async fn a_member_may_change_settings_only_while_they_can_be_overwritten() {
    let world = with(Role::Member);
    let mut config = read(&world).await;
    config["inference_config"]["preference"] = json!("speed");
    let refused = json!({ "error": "Only project admins may change these settings" });
    assert_eq!(put(&world, MEMBER, config.clone()).await, (403, refused));
    config["allow_overwrite"] = json!(true);
    assert_eq!(put(&world, TOKEN, config.clone()).await.0, 200);
    config["inference_config"]["preference"] = json!("cost");
    assert_eq!(put(&world, MEMBER, config.clone()).await.0, 200);
    assert_eq!(read(&world).await["inference_config"]["preference"], "cost");
    config["allow_overwrite"] = json!(false);
    assert_eq!(put(&world, MEMBER, config).await.0, 403);
    assert_eq!(read(&world).await["allow_overwrite"], true);
}

#[tokio::test(start_paused = true)]
async fn a_user_outside_the_project_changes_nothing() {
    let world = with(Role::Outsider);
    let mut config = read(&world).await;
    config["allow_overwrite"] = json!(true);
    assert_eq!(put(&world, TOKEN, config.clone()).await.0, 200);
    assert_eq!(put(&world, MEMBER, config).await.0, 403);
}

#[tokio::test(start_paused = true)]
async fn a_project_without_settings_is_not_found() {
    let world = world();
    let config = read(&world).await;
    assert!(world.emulator.cortecs().remove_project(PROJECT));
    assert_eq!(world.call(TOKEN, ("GET", PATH), Value::Null).await.0, 404);
    assert_eq!(put(&world, TOKEN, config).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_the_former_page_may_be_shown_and_required() {
    let world = world();
    world.emulator.cortecs().set_switches(|switches| switches.legacy_settings = true);
    let mut config = read(&world).await;
    assert_eq!((&config["active"], &config["schema_version"]), (&json!(true), &json!("v1")));
    assert_eq!(put(&world, TOKEN, config.clone()).await.0, 200);
    config.as_object_mut().unwrap().remove("active");
    assert_eq!(put(&world, TOKEN, config).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_stale_updated_at_is_a_conflict_where_the_vendor_locks() {
    let world = world();
    let stale = read(&world).await;
    world.emulator.advance(SignedDuration::from_secs(1));
    assert_eq!(put(&world, TOKEN, stale.clone()).await.0, 200);
    assert_eq!(put(&world, TOKEN, stale.clone()).await.0, 200);
    world.emulator.cortecs().set_switches(|switches| switches.optimistic_locking = true);
    assert_eq!(put(&world, TOKEN, stale).await.0, 409);
    let fresh = read(&world).await;
    assert_eq!(put(&world, TOKEN, fresh).await.0, 200);
}
