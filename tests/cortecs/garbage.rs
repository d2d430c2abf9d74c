//! Hundreds of answers that nobody should give, the same ones in every run: nothing panics, everything is a fault of
//! the right class, and no key comes out of garbage.

use super::world::{TOKEN, clear, id, order};
use crate::support::canned::Canned;
use crate::support::garbage::{bytes, class, effect_of, fuzz, masked, month, need, text, wait};
use crate::support::ordeals::Asked;
use http::Method;
use keysmith::api::project_settings::{Preference, ProjectValues};
use keysmith::gateway::Gateway;
use keysmith::gateway::cortecs::Cortecs;
use keysmith::gateway::http::LARGEST_EXPORT;
use keysmith::gateway::transport::LARGEST_ANSWER;
use keysmith::plan::fault::{Effect, Fault, FaultKind};
use keysmith::plan::usage::Span;
use proptest::strategy::Strategy;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What a sound vendor would say to everything.
fn sound() -> Vec<Value> {
    let key =
        json!({"name": "n", "created_at": 1_767_225_600, "is_management_key": false, "api_key": "cortecs-1"});
    let keys = json!({"api_keys": [{"name": "n", "created_at": 1_767_225_600, "is_management_key": false}]});
    let usage = json!({"from": "a", "until": "b", "bucket": "1d", "group_by": "user_key",
        "rows": [{"user_id": "u", "key_name": "n", "requests": 3, "cost": 1.25}]});
    let purse = json!({"current_balance": 1234.56, "currency": "EUR", "data": {"current_balance": -5, "currency": "EUR"}});
    let project = json!({"_id": "c", "project_id": "p", "allow_overwrite": false, "created_at": "a", "updated_at": "b",
        "inference_config": {"allowed_providers": ["m"], "blacklisted_models": [], "eu_native": false,
            "include_metadata": true, "preference": "speed"}});
    vec![key, keys, usage, purse, project]
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    bytes(sound(), "api_keys")
}

fn span() -> Span {
    Span { path: Some("manage/usage".to_owned()), ..month() }
}

fn wanted() -> ProjectValues {
    ProjectValues { preference: Some(Preference::Cost), ..ProjectValues::default() }
}

async fn judge_project(body: &[u8], json: &Value) -> Result<(), String> {
    let put = Arc::new(Mutex::new(None));
    let (answer, seen) = (body.to_vec(), Arc::clone(&put));
    let canned = Canned::by(move |request| match *request.method() {
        Method::PUT => {
            *seen.lock().unwrap() = serde_json::from_slice::<Value>(request.body()).ok();
            (200, "{}".into())
        }
        _ => (200, answer.clone().into()),
    });
    let cortecs = Cortecs::new(canned.wire(TOKEN));
    let projects = cortecs.projects().ok_or("no projects")?;
    let read = projects.read().await;
    // Nothing at all is no configuration.
    if matches!(&read, Err(fault) if fault.kind == FaultKind::NoSettings) {
        let nothing =
            json.is_null() || *json == json!({}) || *json == json!([]) || body.trim_ascii().is_empty();
        return need(nothing, "a configuration is taken for none");
    }
    class(&read, Effect::None)?;
    let Ok(project) = read else { return Ok(()) };
    let outcome = projects.write(project, &wanted()).await;
    class(&outcome, Effect::None)?;
    let sent = put.lock().unwrap().take();
    need(sent.is_some() == outcome.is_ok(), "refused, and written all the same")?;
    let Some(sent) = sent else { return Ok(()) };
    // Whatever else there was, it went back as it came; the last digit of a number of seventeen is read as well as
    // `serde_json` does.
    let mut expected = json.clone();
    expected["inference_config"]["preference"] = json!("cost");
    let expected: Value = serde_json::from_str(&expected.to_string()).unwrap_or_default();
    need(sent == expected, "something else was written")
}

async fn judge(body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let cortecs = Cortecs::new(Canned::always(200, body.to_vec()).wire(TOKEN));
    let listed = cortecs.list().await;
    class(&listed, Effect::None)?;
    if let Ok(keys) = listed {
        let shown = json["api_keys"].as_array();
        let skipped = usize::try_from(cortecs.take_skipped()).unwrap_or(usize::MAX);
        need(shown.is_some_and(|shown| shown.len() == keys.len() + skipped), "not what was listed")?;
    }
    let got = cortecs.get(&id("n")).await;
    class(&got, Effect::None)?;
    if let Ok(Some(key)) = got {
        let named =
            json["api_keys"].as_array().is_some_and(|it| it.iter().any(|row| text(row, "name") == Some("n")));
        need(key.id == id("n") && named, "another key")?;
    }
    let minted = cortecs.mint(&order("n")).await;
    class(&minted, Effect::Unknown)?;
    if let Ok(minted) = minted {
        let secret = clear(&minted.secret);
        need(text(&json, "api_key") == Some(secret) && !masked(secret), "minted without a key")?;
    }
    class(&cortecs.revoke(&id("n")).await, Effect::Unknown)?;
    class(&cortecs.spending(&span(), &[]).await, Effect::None)?;
    let balance = cortecs.balance().await;
    class(&balance, Effect::None)?;
    if let Ok(Some(money)) = balance {
        let purse =
            [&json, &json["data"]].into_iter().any(|it| text(it, "currency") == Some(&money.currency));
        need(purse, "money out of nothing")?;
    }
    judge_project(body, &json).await
}

#[test]
fn a_sound_answer_is_read_by_every_decoder() {
    wait(async {
        let by = |body: &Value| Cortecs::new(Canned::always(200, body.to_string()).wire(TOKEN));
        let [key, keys, usage, purse, project] = &sound()[..] else { panic!() };
        for body in sound() {
            judge(body.to_string().as_bytes()).await.unwrap();
        }
        by(key).mint(&order("n")).await.unwrap();
        assert_eq!(by(keys).list().await.unwrap().len(), 1);
        assert_eq!(by(usage).spending(&span(), &[]).await.unwrap()[0].micros, 1_250_000);
        assert_eq!(by(purse).balance().await.unwrap().unwrap().micros, -5_000_000);
        assert_eq!(by(project).projects().unwrap().read().await.unwrap().id, "p");
    });
}

#[test]
fn no_answer_makes_a_decoder_panic_or_believe() {
    fuzz(1000, &garbage(), |body| wait(judge(&body)));
}

/// Whether a refused call had an effect follows from its status alone, whatever it comes with. A 400 to a create call is
/// looked into, and the listing is garbage as well.
#[test]
fn no_body_changes_what_a_status_means() {
    let cases = (200..600_u16, garbage());
    fuzz(300, &cases, |(status, body)| {
        wait(async {
            let cortecs = Cortecs::new(Canned::always(status, body).wire(TOKEN));
            for outcome in [cortecs.mint(&order("n")).await.map(drop), cortecs.revoke(&id("n")).await] {
                match outcome {
                    Ok(()) => {
                        need(status < 300 || status == 404 || status == 410, "a refusal was a success")?;
                    }
                    Err(fault) => need(fault.effect == effect_of(status), &format!("{fault:?}"))?,
                }
            }
            let read = cortecs.projects().ok_or("no projects")?.read().await.map(drop);
            for outcome in [
                cortecs.list().await.map(drop),
                cortecs.mint(&order("n")).await.map(drop),
                cortecs.spending(&span(), &[]).await.map(drop),
                cortecs.balance().await.map(drop),
                read,
            ] {
                need(outcome.is_err() || status < 300, "a refusal was an answer")?;
            }
            Ok(())
        })
    });
}

/// However many bytes come, no more than the limit is looked at.
#[test]
fn ten_megabytes_of_anything_are_too_large_for_every_decoder() {
    let of = |open: &str, row: &str, close: &str| {
        let rows = vec![row; (10 << 20) / (row.len() + 1) + 1];
        format!("{open}{}{close}", rows.join(","))
    };
    let bodies = [
        "[".repeat(10 << 20),
        of(r#"{"api_keys":["#, r#"{"name":"n"}"#, "]}"),
        of(
            r#"{"api_key":"cortecs-1","project_id":"p","current_balance":5,"currency":"EUR","x":["#,
            "1",
            "]}",
        ),
        of(r#"{"rows":["#, r#"{"key_name":"n","cost":"x"}"#, "]}"),
    ];
    wait(async {
        for body in bodies {
            assert!(body.len() >= 10 << 20 && body.len() < LARGEST_EXPORT);
            let cortecs = Cortecs::new(Canned::always(200, body).wire(TOKEN));
            let kind = FaultKind::TooLarge { limit: LARGEST_ANSWER };
            let (certain, unsure) = (Fault::without_effect(kind.clone()), Fault::ambiguous(kind));
            assert_eq!(cortecs.list().await.unwrap_err(), certain);
            assert_eq!(cortecs.get(&id("n")).await.unwrap_err(), certain);
            assert_eq!(cortecs.balance().await.unwrap_err(), certain);
            assert_eq!(cortecs.projects().unwrap().read().await.err().unwrap(), certain);
            assert_eq!(cortecs.mint(&order("n")).await.err().unwrap(), unsure);
            assert_eq!(cortecs.revoke(&id("n")).await.unwrap_err(), unsure);
            // Within the limit of an export, and not one.
            assert!(cortecs.spending(&span(), &[]).await.is_err());
        }
    });
}
