//! Hundreds of answers that nobody should give, the same ones in every run: nothing panics, everything is a
//! fault of the right class, and no key comes out of garbage.

use super::canned::Canned;
use super::world::{clear, deposit_order, id, order, renamed};
use crate::support::garbage::{bytes, class, effect_of, fuzz, masked, need, text, wait};
use crate::support::ordeals::Asked;
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::{Gateway, ProviderKeys};
use keysmith::plan::fault::Effect;
use proptest::strategy::Strategy;
use serde_json::{Value, json};

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

async fn judge(edgee: &Edgee, body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let listed = Gateway::list(edgee).await;
    class(&listed, Effect::None)?;
    if let Ok(keys) = listed {
        let shown = json.as_array().or(json["data"].as_array());
        let skipped = usize::try_from(edgee.take_skipped()).unwrap_or(usize::MAX);
        let all = shown.is_some_and(|shown| shown.len() == keys.len() + skipped);
        need(all, "not the keys that were listed")?;
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

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    bytes(vec![sound()], "data")
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
    fuzz(600, &garbage(), |body| {
        wait(async {
            let edgee = Canned::always(200, body.clone()).edgee();
            judge(&edgee, &body).await
        })
    });
}

/// Whether a refused call had an effect follows from its status alone, whatever it comes with.
#[test]
fn no_body_changes_what_a_status_means() {
    let cases = (200..600_u16, garbage());
    fuzz(300, &cases, |(status, body)| {
        let expected = effect_of(status);
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
