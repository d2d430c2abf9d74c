//! Quirk 11: settings of the project are read, one is changed, and all others are written back unchanged.

use super::world::{PROJECT, TOKEN, saying, stage};
use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use jiff::SignedDuration;
use keysmith::api::project_settings::{Preference, ProjectValues};
use keysmith::emulator::Effect;
use keysmith::emulator::cortecs::{ProjectRecord, Role};
use keysmith::gateway::cortecs::Cortecs;
use keysmith::gateway::{Gateway, Project};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use serde_json::{Value, json};

const CONFIGURATION: &str = "/v1/manage/project-configs";

fn held(stage: &Stage) -> ProjectRecord {
    stage.emulator.cortecs().project(PROJECT).unwrap()
}

async fn read(cortecs: &Cortecs) -> Project {
    cortecs.projects().unwrap().read().await.unwrap()
}

/// Reads the project and writes it with these settings.
async fn change(cortecs: &Cortecs, wanted: &ProjectValues) -> Result<(), Fault> {
    let project = read(cortecs).await;
    cortecs.projects().unwrap().write(project, wanted).await
}

fn cheap() -> ProjectValues {
    ProjectValues { preference: Some(Preference::Cost), ..ProjectValues::default() }
}

fn every_setting() -> ProjectValues {
    ProjectValues {
        allow_overwrite: Some(true),
        allowed_providers: Some(vec!["mistral".to_owned(), "scaleway".to_owned()]),
        blacklisted_models: Some(vec!["m".to_owned()]),
        eu_native: Some(true),
        include_metadata: Some(false),
        preference: Some(Preference::Speed),
    }
}

/// A human added undocumented fields.
fn enriched(stage: &Stage) {
    let edited = stage.emulator.cortecs().edit_project(PROJECT, |it| {
        it.fields.insert("brand_new".to_owned(), json!({"a": [1, null], "b": "ü"}));
        it.fields["inference_config"]["routing"] = json!({"weights": [0.25, 1e3]});
    });
    assert!(edited);
}

#[tokio::test(start_paused = true)]
async fn a_project_is_read_as_the_vendor_keeps_it() {
    let stage = stage();
    let project = read(&stage.cortecs()).await;
    assert_eq!(project.id, PROJECT);
    let first = ProjectValues {
        allow_overwrite: Some(false),
        allowed_providers: Some(Vec::new()),
        blacklisted_models: Some(Vec::new()),
        eu_native: Some(false),
        include_metadata: Some(true),
        preference: Some(Preference::Balanced),
    };
    assert_eq!(project.shown, first);
}

#[tokio::test(start_paused = true)]
async fn every_setting_arrives_and_is_read_back() {
    for legacy in [false, true] {
        let stage = stage();
        stage.switch(|it| it.legacy_settings = legacy);
        let cortecs = stage.cortecs();
        change(&cortecs, &every_setting()).await.unwrap();
        assert_eq!(read(&cortecs).await.shown, every_setting(), "{legacy}");
        let emptied = ProjectValues {
            allowed_providers: Some(Vec::new()),
            blacklisted_models: Some(Vec::new()),
            ..every_setting()
        };
        change(&cortecs, &emptied).await.unwrap();
        assert_eq!(read(&cortecs).await.shown, emptied, "{legacy}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_setting_is_changed_and_everything_else_goes_back_as_it_came() {
    let one: [(&str, Value, ProjectValues); 6] = [
        ("/inference_config/preference", json!("cost"), cheap()),
        (
            "/inference_config/eu_native",
            json!(true),
            ProjectValues { eu_native: Some(true), ..ProjectValues::default() },
        ),
        (
            "/inference_config/include_metadata",
            json!(false),
            ProjectValues { include_metadata: Some(false), ..ProjectValues::default() },
        ),
        (
            "/inference_config/allowed_providers",
            json!(["mistral"]),
            ProjectValues { allowed_providers: Some(vec!["mistral".to_owned()]), ..ProjectValues::default() },
        ),
        (
            "/inference_config/blacklisted_models",
            json!(["m"]),
            ProjectValues { blacklisted_models: Some(vec!["m".to_owned()]), ..ProjectValues::default() },
        ),
        (
            "/allow_overwrite",
            json!(true),
            ProjectValues { allow_overwrite: Some(true), ..ProjectValues::default() },
        ),
    ];
    for (place, value, wanted) in one {
        for (legacy, kept) in [(false, false), (true, false), (false, true)] {
            let stage = stage();
            stage.switch(|it| (it.legacy_settings, it.inference_config_kept) = (legacy, kept));
            enriched(&stage);
            let mut expected = Value::Object(held(&stage).fields);
            *expected.pointer_mut(place).unwrap() = value.clone();
            change(&stage.cortecs(), &wanted).await.unwrap();
            assert_eq!(Value::Object(held(&stage).fields), expected, "{place} {legacy} {kept}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_to_nothing_changes_nothing() {
    let stage = stage();
    enriched(&stage);
    let before = held(&stage).fields;
    change(&stage.cortecs(), &ProjectValues::default()).await.unwrap();
    assert_eq!(held(&stage).fields, before);
}

/// The effect of omitted settings is not documented (§3.8).
#[tokio::test(start_paused = true)]
async fn a_vendor_that_does_not_show_the_settings_is_not_written_to() {
    let unwanted = ProjectValues { allow_overwrite: Some(true), ..ProjectValues::default() };
    for wanted in [cheap(), unwanted, ProjectValues::default()] {
        let stage = stage();
        stage.switch(|it| it.inference_config_shown = false);
        let before = held(&stage);
        let fault = change(&stage.cortecs(), &wanted).await.unwrap_err();
        assert_eq!(fault.effect, Consequence::NotApplied);
        assert!(fault.to_string().contains("inference_config"), "{fault}");
        assert_eq!(stage.emulator.count("PUT", ""), 0);
        assert_eq!(held(&stage).fields, before.fields);
    }
    for odd in [json!(null), json!([]), json!("cost"), json!(7)] {
        let stub = Stub::always(200, json!({"project_id": "p", "inference_config": odd}).to_string());
        let cortecs = Cortecs::new(stub.wire(TOKEN));
        let fault = change(&cortecs, &cheap()).await.unwrap_err();
        assert_eq!((fault.effect, stub.count()), (Consequence::NotApplied, 1), "{odd}");
    }
}

/// §3.3: members change settings while these can be overwritten, and never whether they can.
#[tokio::test(start_paused = true)]
async fn a_non_administrator_changes_only_the_overwritable_settings() {
    let open = ProjectValues { allow_overwrite: Some(true), ..ProjectValues::default() };
    let forbidden = Err(Fault::without_effect(FaultKind::Forbidden));
    for (role, overwrite, wanted, allowed) in [
        (Role::Admin, false, cheap(), true),
        (Role::Admin, false, open.clone(), true),
        (Role::Member, false, cheap(), false),
        (Role::Member, false, open.clone(), false),
        (Role::Member, true, cheap(), true),
        (Role::Member, true, ProjectValues { allow_overwrite: Some(false), ..cheap() }, false),
        (Role::Outsider, true, cheap(), false),
        (Role::Outsider, false, ProjectValues::default(), false),
    ] {
        let stage = stage();
        let colleague = stage.colleague(role);
        let set =
            |it: &mut ProjectRecord| drop(it.fields.insert("allow_overwrite".to_owned(), json!(overwrite)));
        assert!(stage.emulator.cortecs().edit_project(PROJECT, set));
        let before = held(&stage).fields;
        let outcome = change(&colleague, &wanted).await;
        assert_eq!(
            outcome,
            if allowed { Ok(()) } else { forbidden.clone() },
            "{role:?} {overwrite} {wanted:?}"
        );
        assert_eq!(held(&stage).fields == before, !allowed, "{role:?} {overwrite} {wanted:?}");
    }
}

/// Whether a PUT is compared with the version that was read is not documented. If it is, a change by a human in between
/// is not lost.
#[tokio::test(start_paused = true)]
async fn settings_that_were_changed_meanwhile_are_a_conflict_and_are_read_again() {
    let stage = stage();
    stage.switch(|it| it.optimistic_locking = true);
    let cortecs = stage.cortecs();
    let old = read(&cortecs).await;
    stage.emulator.advance(SignedDuration::from_secs(5));
    enriched(&stage);
    let before = held(&stage).fields;
    let fault = cortecs.projects().unwrap().write(old, &cheap()).await.unwrap_err();
    assert_eq!(fault, Fault::without_effect(FaultKind::Conflict));
    assert_eq!(held(&stage).fields, before);
    change(&cortecs, &cheap()).await.unwrap();
    assert_eq!(held(&stage).fields["inference_config"]["preference"], json!("cost"));
    assert_eq!(held(&stage).fields["brand_new"], before["brand_new"]);
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_missing_are_not_made() {
    let stage = stage();
    let cortecs = stage.cortecs();
    let project = read(&cortecs).await;
    assert!(stage.emulator.cortecs().remove_project(PROJECT));
    let missing = Fault::without_effect(FaultKind::NoSettings);
    assert_eq!(cortecs.projects().unwrap().read().await.err().unwrap(), missing);
    assert_eq!(cortecs.projects().unwrap().write(project, &cheap()).await.unwrap_err(), missing);
    assert!(stage.emulator.cortecs().project(PROJECT).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_goes_wrong_says_whether_it_may_have_arrived() {
    let status = |code| Effect::Status { code, retry_after: None };
    for (effect, consequence, applied) in [
        (status(400), Consequence::NotApplied, false),
        (status(401), Consequence::NotApplied, false),
        (status(429), Consequence::NotApplied, false),
        (status(500), Consequence::Unknown, false),
        (Effect::AppliedStatus { code: 502 }, Consequence::Unknown, true),
        (Effect::DropBefore, Consequence::Unknown, false),
        (Effect::DropAfter, Consequence::Unknown, true),
        (Effect::Hang, Consequence::Unknown, false),
        (Effect::HangAfter, Consequence::Unknown, true),
        (Effect::Html, Consequence::Unknown, false),
        (Effect::Truncate, Consequence::Unknown, true),
        (Effect::Oversize { bytes: 10 << 20 }, Consequence::Unknown, false),
    ] {
        let stage = stage();
        stage.fault_once("PUT", CONFIGURATION, effect.clone());
        let fault = change(&stage.cortecs(), &cheap()).await.unwrap_err();
        assert_eq!(fault.effect, consequence, "{effect:?}: {fault}");
        let preference = &held(&stage).fields["inference_config"]["preference"];
        assert_eq!(*preference == json!("cost"), applied, "{effect:?}");
        assert_eq!(stage.emulator.count("PUT", ""), 1, "{effect:?}");
        let stage = super::world::stage();
        stage.fault_once("GET", CONFIGURATION, effect.clone());
        let fault = stage.cortecs().projects().unwrap().read().await.err().unwrap();
        assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_of_other_types_are_not_shown_and_a_project_without_an_id_is_none() {
    let odd = json!({"project_id": "p", "allow_overwrite": "yes", "inference_config": {
        "allowed_providers": "all", "blacklisted_models": {}, "eu_native": 1, "include_metadata": null,
        "preference": "fastest"}});
    assert_eq!(read(&saying(odd.to_string())).await.shown, ProjectValues::default());
    let nobodys = [
        json!("p"),
        json!({"project_id": null}),
        json!({"project_id": ""}),
        json!({"project_id": ["p"]}),
        json!({"project_id": "a b"}),
        json!({"project_id": "x".repeat(129)}),
        json!({"project_id": TOKEN}),
        json!(["p"]),
    ];
    for nobodys in nobodys {
        let fault = saying(nobodys.to_string()).projects().unwrap().read().await.err().expect("no project");
        assert_eq!(fault.effect, Consequence::NotApplied, "{nobodys}");
        assert!(fault.kind.is_malformed(), "{nobodys}: {fault}");
    }
}

/// A project that is not configured yet is neither an unknown path nor a malformed answer.
#[tokio::test(start_paused = true)]
async fn a_project_without_a_configuration_is_a_fault_that_says_what_to_do() {
    for (status, body) in [(404, "{}"), (404, ""), (200, "null"), (200, "{}"), (200, "[]"), (200, "")] {
        let cortecs = Cortecs::new(Stub::always(status, body).wire(TOKEN));
        let fault = cortecs.projects().unwrap().read().await.err().expect(body);
        assert_eq!(fault, Fault::without_effect(FaultKind::NoSettings), "{status} {body}");
        assert!(fault.to_string().contains("console"), "{fault}");
        assert_eq!(
            cortecs.whose().await.ok(),
            (!body.is_empty() || status == 404).then_some(None),
            "{status} {body}"
        );
    }
}

/// The account of a token is read from the project's settings.
#[tokio::test(start_paused = true)]
async fn a_token_leads_to_the_project_of_its_settings() {
    let stage = stage();
    assert_eq!(stage.cortecs().whose().await.unwrap().as_deref(), Some("project_demo"));
    let handle = stage.emulator.vendor(keysmith::emulator::VendorId::Cortecs);
    handle.add_token_of(TOKEN, "user_ada/globex");
    assert_eq!(stage.cortecs().whose().await.unwrap().as_deref(), Some("globex"));
}

#[tokio::test]
async fn a_project_that_the_vendor_does_not_show_is_none_and_a_refused_token_is_a_fault() {
    let saying = |status, body: &str| Cortecs::new(Stub::always(status, body.to_owned()).wire(TOKEN));
    for (status, body) in [
        (403, "{}"),
        (404, "{}"),
        (200, "{}"),
        (200, "[]"),
        (200, r#"{"project_id": null}"#),
        (200, r#"{"project_id": "a b"}"#),
        (200, r#"{"project_id": ""}"#),
    ] {
        assert_eq!(saying(status, body).whose().await, Ok(None), "{status} {body}");
    }
    let refused = Err(Fault::without_effect(FaultKind::TokenRefused));
    assert_eq!(saying(401, "{}").whose().await, refused);
    for (status, body) in [(500, "{}"), (200, "<html>"), (200, "")] {
        assert!(saying(status, body).whose().await.is_err(), "{status} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_change_that_is_none_is_not_believed() {
    let configuration = json!({"project_id": "p", "inference_config": {}}).to_string();
    let saying = |answer: &'static str| {
        let configuration = configuration.clone();
        let stub = Stub::by(move |request| match *request.method() {
            http::Method::PUT => (200, answer.into()),
            _ => (200, configuration.clone().into()),
        });
        Cortecs::new(stub.wire(TOKEN))
    };
    for lie in ["<html></html>", "[]", "null", "true", r#"{"error":"no"}"#, r#"{"success":"#] {
        let fault = change(&saying(lie), &cheap()).await.expect_err(lie);
        assert!(fault.kind.is_malformed() && fault.effect == Consequence::Unknown, "{lie}: {fault}");
    }
    for answer in ["", "{}", r#"{"success":true}"#] {
        change(&saying(answer), &cheap()).await.expect(answer);
    }
}
