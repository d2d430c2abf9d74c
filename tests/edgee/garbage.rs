//! Hundreds of answers that nobody should give, the same ones in every run: nothing panics, everything is a
//! fault of the right class, and no key comes out of garbage.

use super::canned::Canned;
use super::world::{clear, deposit_order, id, order, renamed};
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::{Gateway, ProviderKeys};
use keysmith::plan::fault::{Effect, Fault, FaultKind};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::fmt::Debug;

/// What a sound vendor would say to everything at once.
fn sound() -> Value {
    json!({
        "object": "ai_gateway_api_key", "id": "key_1", "organization_id": "org_demo", "name": "n",
        "type": "api", "models": ["m"], "max_usage": 5, "active": true, "debug_mode": false,
        "email": "a@b.c", "created_at": "2026-04-08T10:00:00Z", "expires_at": "0001-01-01T00:00:00Z",
        "last_used_at": null, "key": "sk-edgee-1", "api_key_ids": ["key_1"],
        "data": [{"id": "key_1", "name": "n"}], "has_more": false, "last_key": "key_1", "deleted": true,
    })
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[0-9]{1,40}".prop_map(Value::from),
        proptest::sample::select(vec!["", "true", "null", "9999-99-99T99:99:99Z", "-1", "\u{0}", "\u{feff}"])
            .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map("\\PC{0,8}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// A sound answer with one field of another value, without one, or with one too many; alone, listed or paged.
fn almost_sound() -> impl Strategy<Value = Value> {
    let names: Vec<String> = sound().as_object().unwrap().keys().cloned().collect();
    let change = (proptest::sample::select(names), value(), 0..8_u8, 0..4_u8);
    change.prop_map(|(name, value, how, shape)| {
        let mut body = sound();
        match how {
            0 => drop(body.as_object_mut().unwrap().remove(&name)),
            1 => body[format!("{name}x")] = value,
            _ => body[name] = value,
        }
        match shape {
            0 => json!([body]),
            1 => json!({"data": [body], "has_more": false}),
            _ => body,
        }
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let text = |value: Value| value.to_string().into_bytes();
    let cut = (almost_sound(), any::<proptest::sample::Index>());
    let nested = (1..600_usize, proptest::sample::select(vec!["[", "{\"data\":", "{\"id\":[", "[{\"key\":"]));
    prop_oneof![
        2 => value().prop_map(text),
        5 => almost_sound().prop_map(text),
        2 => cut.prop_map(move |(value, at)| {
            let mut bytes = text(value);
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        1 => vec(any::<u8>(), 0..200),
        1 => nested.prop_map(|(depth, open)| open.repeat(depth).into_bytes()),
        1 => "-?[0-9]{1,200}(e[+-]?[0-9]{1,2})?".prop_map(|number| {
            format!(r#"{{"id":"k","key":"sk-edgee-1","max_usage":{number},"data":[{{"id":{number}}}]}}"#).into_bytes()
        }),
    ]
}

/// Runs the cases of a fixed seed. Nothing is written to disk.
fn fuzz<T: Debug>(cases: u32, strategy: &impl Strategy<Value = T>, check: impl Fn(T) -> Result<(), String>) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(strategy, |case| check(case).map_err(TestCaseError::fail));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}: {case:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

fn need(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// The fault of a 2xx answer that says nothing: strange, and with an effect only where there was one to have.
fn class<T>(outcome: &Result<T, Fault>, effect: Effect) -> Result<(), String> {
    match outcome {
        Err(fault) => {
            need(matches!(fault.kind, FaultKind::Strange(_)) && fault.effect == effect, &format!("{fault:?}"))
        }
        Ok(_) => Ok(()),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body[name].as_str().filter(|it| !it.is_empty())
}

fn masked(secret: &str) -> bool {
    !secret.bytes().all(|byte| byte.is_ascii_graphic()) || secret.contains('*') || secret.contains("...")
}

async fn judge(edgee: &Edgee, body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let listed = Gateway::list(edgee).await;
    class(&listed, Effect::None)?;
    if let Ok(keys) = listed {
        let shown = json.as_array().or(json["data"].as_array());
        need(shown.is_some_and(|shown| shown.len() == keys.len()), "not the keys that were listed")?;
        need(json["has_more"] != json!(true), "a page was taken for all")?;
    }
    let got = edgee.get(&id("key_1")).await;
    class(&got, Effect::None)?;
    if let Ok(got) = got {
        need(got.map(|it| it.id.0).as_deref() == text(&json, "id"), "another id")?;
    }
    let minted = edgee.mint(&order("n")).await;
    class(&minted, Effect::Unknown)?;
    if let Ok(minted) = minted {
        let secret = clear(&minted.secret);
        need(Some(minted.key.id.0.as_str()) == text(&json, "id"), "minted without an id")?;
        need(Some(secret) == text(&json, "key") && !masked(secret), "minted without a key")?;
    }
    let revealed = edgee.recover(&id("key_1")).await;
    class(&revealed, Effect::None)?;
    if let Ok(revealed) = revealed {
        let secret = revealed.as_ref().map(clear).ok_or("a 2xx was taken for gone")?;
        need(Some(secret) == text(&json, "key") && !masked(secret), "revealed without a key")?;
    }
    let deposited = edgee.deposit(&deposit_order("n", &[])).await;
    class(&deposited, Effect::Unknown)?;
    if let Ok(deposited) = deposited {
        need(Some(deposited.id.0.as_str()) == text(&json, "id"), "deposited without an id")?;
    }
    class(&ProviderKeys::list(edgee).await, Effect::None)?;
    class(&edgee.amend(&id("key_1"), &renamed("x")).await, Effect::Unknown)?;
    class(&edgee.revoke(&id("key_1")).await, Effect::Unknown)?;
    class(&edgee.remove(&id("key_1")).await, Effect::Unknown)
}

#[test]
fn a_sound_answer_is_read_by_every_decoder() {
    wait(async {
        let body = sound().to_string();
        let edgee = Canned::always(200, body.clone()).edgee();
        judge(&edgee, body.as_bytes()).await.unwrap();
        assert_eq!(Gateway::list(&edgee).await.unwrap().len(), 1);
        edgee.mint(&order("n")).await.unwrap();
        edgee.deposit(&deposit_order("n", &[])).await.unwrap();
    });
}

#[test]
fn no_answer_makes_a_decoder_panic_or_believe() {
    fuzz(600, &bytes(), |body| {
        wait(async {
            let edgee = Canned::always(200, body.clone()).edgee();
            judge(&edgee, &body).await
        })
    });
}

/// Whether a refused call had an effect follows from its status alone, whatever it comes with.
#[test]
fn no_body_changes_what_a_status_means() {
    let cases = (200..600_u16, bytes());
    fuzz(300, &cases, |(status, body)| {
        let certain = [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429];
        let expected = if certain.contains(&status) { Effect::None } else { Effect::Unknown };
        wait(async {
            let edgee = Canned::always(status, body).edgee();
            for outcome in [
                edgee.mint(&order("n")).await.map(drop),
                edgee.amend(&id("key_1"), &renamed("x")).await,
                edgee.revoke(&id("key_1")).await,
            ] {
                match outcome {
                    Ok(()) => {
                        need(status < 300 || status == 404 || status == 410, "a refusal was a success")?;
                    }
                    Err(fault) => need(fault.effect == expected, &format!("{fault:?}"))?,
                }
            }
            let listed = Gateway::list(&edgee).await;
            need(listed.is_ok_and(|_| status >= 300).eq(&false), "a refusal was a listing")
        })
    });
}
