//! Settings of a whole project, at Cortecs.

use crate::support::world::World;
use keysmith::emulator::cortecs::ProjectRecord;
use keysmith::emulator::{Effect, Rule};
use serde_json::{Value, json};
use std::time::Duration;

const PROJECT: &str = "project_demo";

fn spec(settings: Value) -> Value {
    json!({"consoleTokenRef": {"name": "edgee"}, "settings": settings})
}

fn puts(world: &World) -> usize {
    world.emulator.count("PUT", "/project-configs")
}

fn loosen(project: &mut ProjectRecord) {
    project.fields.insert("allow_overwrite".to_owned(), json!(true));
}

fn inference(world: &World) -> Value {
    world.emulator.cortecs().project(PROJECT).unwrap().fields["inference_config"].clone()
}

pub async fn settings_reach_the_project_and_nothing_else_in_it_changes(world: &mut World) {
    world.token().await;
    let before = inference(world);
    world
        .create(
            "ProjectSettings",
            "eu",
            spec(json!({"euNative": true, "preference": "Cost", "allowOverwrite": false})),
        )
        .await;
    world.ready("ProjectSettings", "eu").await;
    let mut expected = before;
    expected["eu_native"] = json!(true);
    expected["preference"] = json!("cost");
    assert_eq!(inference(world), expected);
    assert_eq!(puts(world), 1, "everything in one call");
    let status = world.status("ProjectSettings", "eu").await;
    assert_eq!(status["observed"]["preference"], "Cost");
    assert_eq!(status["projectId"], PROJECT);
    // At rest nothing is written, neither to the vendor nor to Kubernetes.
    world.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
    let writes = world.writes().len();
    world.pass(Duration::from_secs(3600), Duration::from_secs(5)).await;
    assert_eq!((puts(world), &world.writes()[writes..]), (1, &[] as &[String]));
    world.delete("ProjectSettings", "eu").await;
    world.gone("ProjectSettings", "eu").await;
    assert_eq!(inference(world), expected, "what was set stays set");
}

pub async fn drift_in_the_console_is_corrected_or_only_shown(world: &mut World) {
    world.token().await;
    world.create("ProjectSettings", "eu", spec(json!({"allowOverwrite": false}))).await;
    world.ready("ProjectSettings", "eu").await;
    assert!(world.emulator.cortecs().edit_project(PROJECT, loosen));
    world
        .eventually("it is set right", async || {
            if world.emulator.cortecs().project(PROJECT).unwrap().fields["allow_overwrite"] == true {
                Err("not yet".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
    world.edit("ProjectSettings", "eu", json!({"spec": {"managementPolicy": "Observe"}})).await.unwrap();
    world.reason("ProjectSettings", "eu", "Applied").await;
    let before = puts(world);
    assert!(world.emulator.cortecs().edit_project(PROJECT, loosen));
    world
        .eventually("it is shown", async || match world.condition("ProjectSettings", "eu", "Drifted").await {
            Some((status, _, message)) if status == "True" => Ok(message),
            other => Err(format!("{other:?}")),
        })
        .await;
    assert_eq!(puts(world), before, "what is only looked at is not changed");
}

pub async fn a_token_without_the_administrator_role_is_reported(world: &mut World) {
    world.token().await;
    world.emulator.faults().add(Rule::always(
        "PUT",
        "/project-configs",
        Effect::Status { code: 403, retry_after: None },
    ));
    world.create("ProjectSettings", "eu", spec(json!({"euNative": true}))).await;
    let message = world.reason("ProjectSettings", "eu", "Forbidden").await;
    assert!(message.contains("no administrator"), "{message}");
    world.pass(Duration::from_secs(60), Duration::from_secs(2)).await;
    assert_eq!(
        world.condition("ConsoleToken", "edgee", "Ready").await.unwrap().0,
        "True",
        "keys do not suffer"
    );
}

pub async fn of_two_for_one_project_the_first_counts(world: &mut World) {
    world.token().await;
    world.create("ProjectSettings", "a-first", spec(json!({"euNative": true}))).await;
    world.ready("ProjectSettings", "a-first").await;
    world.pass(Duration::from_secs(2), Duration::from_millis(1100)).await;
    world.create("ProjectSettings", "b-second", spec(json!({"euNative": false}))).await;
    let message = world.reason("ProjectSettings", "b-second", "OwnershipConflict").await;
    assert!(message.contains("ProjectSettings a-first"), "{message}");
    assert_eq!(inference(world)["eu_native"], true);
}

pub async fn a_vendor_without_projects_is_refused_by_name(world: &mut World) {
    world.token().await;
    world.create("ProjectSettings", "eu", spec(json!({"euNative": true}))).await;
    let message = world.reason("ProjectSettings", "eu", "Unsupported").await;
    assert!(message.starts_with("spec.consoleTokenRef:"), "{message}");
}
