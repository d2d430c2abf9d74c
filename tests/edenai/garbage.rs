//! Hundreds of answers that nobody should give, the same ones in every run, to every decoder of the three drivers:
//! nothing panics, everything is a fault of the right class, and no key comes out of garbage.

use super::world::{ISSUER_TOKEN, V2_TOKEN, V3_TOKEN, budgeted, clear, id, order};
use crate::support::canned::Canned;
use crate::support::garbage::{bytes, class, effect_of, fuzz, masked, month, need, text, wait};
use crate::support::ordeals::Asked;
use http::Method;
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use keysmith::gateway::http::LARGEST_EXPORT;
use keysmith::gateway::transport::LARGEST_ANSWER;
use keysmith::gateway::{Gateway, Minted};
use keysmith::plan::facts::Listed;
use keysmith::plan::fault::{Effect, Fault, FaultKind};
use proptest::strategy::Strategy;
use serde_json::{Value, json};
use std::sync::Arc;

fn v2(canned: &Arc<Canned>) -> EdenAiV2 {
    EdenAiV2::new(canned.wire(V2_TOKEN))
}

fn v3(canned: &Arc<Canned>) -> EdenAiV3 {
    EdenAiV3::new(canned.wire(V3_TOKEN))
}

fn issuer(canned: &Arc<Canned>) -> Issuer {
    Issuer::new(canned.wire(ISSUER_TOKEN))
}

/// A key of either surface, and what else a sound vendor would say.
fn sound() -> Vec<Value> {
    let key = json!({
        "id": "k", "name": "n", "token_type": "api_token", "member": "a@b.c", "masked": "sk-eden-…1",
        "active_balance": true, "balance": "50.000000000", "balance_reset_period": "monthly",
        "balance_reset_amount": 9.5, "expire_time": "2026-12-24T00:00:00Z", "created_at": null, "revoked": false,
        "revoked_at": null, "secret": "sk-eden-1", "token": "eden-1", "default_tags": {"a": 1},
    });
    let page =
        json!({"results": [key], "limit": 100, "offset": 0, "total_count": 1, "count": 1, "next": null});
    let data = json!({"2026-11-02": {"text__chat": {"total_cost": 11.3, "details": 381}}});
    let costs = json!({"usage": [{"token": "n", "data": data}], "credits": 42.5});
    vec![key, page, costs]
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    bytes(sound(), "results")
}

/// The rows of a listing, bare or paged, that are keys and not revoked.
fn rows(json: &Value) -> Vec<&Value> {
    let rows = json.as_array().or(json["results"].as_array()).into_iter().flatten();
    rows.filter(|row| row["revoked"] != json!(true)).collect()
}

/// Every key that is told stands in the answer, as often as it is told.
fn listed(outcome: Result<Vec<Listed>, Fault>, (json, field): (&Value, &str)) -> Result<(), String> {
    class(&outcome, Effect::None)?;
    let Ok(keys) = outcome else { return Ok(()) };
    let shown = rows(json);
    for key in &keys {
        let same = shown.iter().any(|row| text(row, field) == Some(key.id.0.as_str()));
        need(same, "a key that was not listed")?;
    }
    need(keys.len() <= shown.len(), "more keys than were listed")
}

fn got(outcome: Result<Option<Listed>, Fault>, (json, field): (&Value, &str)) -> Result<(), String> {
    class(&outcome, Effect::None)?;
    match outcome {
        Ok(Some(key)) => need(text(json, field) == Some(key.id.0.as_str()), "another id"),
        _ => Ok(()),
    }
}

fn minted(outcome: Result<Minted, Fault>, (json, fields): (&Value, &[&str])) -> Result<(), String> {
    class(&outcome, Effect::Unknown)?;
    let Ok(minted) = outcome else { return Ok(()) };
    let secret = clear(&minted.secret);
    let told = fields.iter().any(|field| text(json, field) == Some(secret));
    need(told && !masked(secret), "minted without a secret")?;
    need(!minted.key.id.0.is_empty(), "minted without an id")
}

async fn judge_v2(v2: &EdenAiV2, json: &Value) -> Result<(), String> {
    listed(v2.list().await, (json, "name"))?;
    got(v2.get(&id("n")).await, (json, "name"))?;
    minted(v2.mint(&order("n")).await, (json, &["token"]))?;
    let recovered = v2.recover(&id("n")).await;
    class(&recovered, Effect::None)?;
    if let Ok(Some(secret)) = recovered {
        need(text(json, "token") == Some(clear(&secret)) && !masked(clear(&secret)), "recovered no token")?;
    }
    class(&v2.amend(&id("n"), &budgeted(None)).await, Effect::Unknown)?;
    class(&v2.revoke(&id("n")).await, Effect::Unknown)?;
    class(&v2.spending(&month(), &[]).await, Effect::None)?;
    class(&v2.balance().await, Effect::None)
}

async fn judge_v3(v3: &EdenAiV3, json: &Value) -> Result<(), String> {
    listed(v3.list().await, (json, "id"))?;
    got(v3.get(&id("k")).await, (json, "id"))?;
    minted(v3.mint(&order("n")).await, (json, &["secret"]))?;
    match v3.reissue(&id("k"), &order("n")).await {
        Ok(Some(key)) => minted(Ok(key), (json, &["secret"]))?,
        Ok(None) => {}
        // The look at the key had no effect, the rest may have had one.
        Err(fault) => need(fault.kind.is_malformed(), &format!("{fault:?}"))?,
    }
    class(&v3.amend(&id("k"), &budgeted(None)).await, Effect::Unknown)?;
    class(&v3.revoke(&id("k")).await, Effect::Unknown)?;
    class(&v3.spending(&month(), &[]).await, Effect::None)
}

async fn judge_issuer(issuer: &Issuer, json: &Value) -> Result<(), String> {
    listed(issuer.list().await, (json, "id"))?;
    got(issuer.get(&id("k")).await, (rows(json).first().unwrap_or(&&Value::Null), "id"))?;
    class(&issuer.revoke(&id("k")).await, Effect::Unknown)
}

async fn judge(body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let canned = Canned::always(200, body.to_vec());
    judge_v2(&v2(&canned), &json).await?;
    judge_v3(&v3(&canned), &json).await?;
    judge_issuer(&issuer(&canned), &json).await?;
    // An answer to the create call that is garbage, and a listing that is sound.
    let created = body.to_vec();
    let half = Canned::by(move |request| match *request.method() {
        Method::POST => (200, created.clone().into()),
        _ => (200, sound()[1].to_string().into()),
    });
    minted(issuer(&half).mint(&order("n")).await, (&json, &["secret", "key", "token"]))
}

#[test]
fn a_sound_answer_is_read_by_every_decoder() {
    wait(async {
        let [key, page, costs] = &sound()[..] else { panic!() };
        let key_by = |canned: &Arc<Canned>| (v2(canned), v3(canned));
        for body in sound() {
            judge(body.to_string().as_bytes()).await.unwrap();
        }
        let (two, three) = key_by(&Canned::always(200, key.to_string()));
        two.mint(&order("n")).await.unwrap();
        two.recover(&id("n")).await.unwrap().unwrap();
        three.mint(&order("n")).await.unwrap();
        three.reissue(&id("k"), &order("n")).await.unwrap().unwrap();
        let (_, three) = key_by(&Canned::always(200, page.to_string()));
        assert_eq!(three.list().await.unwrap().len(), 1);
        let (two, _) = key_by(&Canned::always(200, format!("[{key}]")));
        assert_eq!(two.list().await.unwrap().len(), 1);
        let (two, three) = key_by(&Canned::always(200, costs.to_string()));
        assert_eq!(two.spending(&month(), &[]).await.unwrap(), three.spending(&month(), &[]).await.unwrap());
        assert_eq!(two.balance().await.unwrap().unwrap().micros, 42_500_000);
    });
}

#[test]
fn no_answer_makes_a_decoder_panic_or_believe() {
    fuzz(600, &garbage(), |body| wait(judge(&body)));
}

/// Whether a refused call had an effect follows from its status alone, whatever it comes with.
#[test]
fn no_body_changes_what_a_status_means() {
    let cases = (200..600_u16, garbage());
    fuzz(300, &cases, |(status, body)| {
        wait(async {
            let canned = Canned::always(status, body);
            let drivers: [Box<dyn Gateway>; 3] =
                [Box::new(v2(&canned)), Box::new(v3(&canned)), Box::new(issuer(&canned))];
            for driver in drivers {
                let mint = driver.mint(&order("n")).await.map(drop);
                let amend = if driver.capabilities().usage.spending.is_some() {
                    driver.amend(&id("n"), &budgeted(None)).await
                } else {
                    Ok(())
                };
                for outcome in [mint, amend, driver.revoke(&id("n")).await] {
                    if let Err(fault) = outcome {
                        need(fault.effect == effect_of(status), &format!("{fault:?}"))?;
                    }
                }
                for outcome in [
                    driver.list().await.map(drop),
                    driver.mint(&order("n")).await.map(drop),
                    driver.spending(&month(), &[]).await.map(drop),
                ] {
                    need(outcome.is_err() || status < 300, "a refusal was an answer")?;
                }
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
        of("[", r#"{"name":"n","token":"eden-1"}"#, "]"),
        of(r#"{"results":["#, r#"{"id":"k","name":"n"}"#, r#"],"total_count":1}"#),
        of(r#"{"id":"k","name":"n","secret":"sk-eden-1","token":"eden-1","x":["#, "1", "]}"),
    ];
    wait(async {
        for body in bodies {
            assert!(body.len() >= 10 << 20 && body.len() < LARGEST_EXPORT);
            let canned = Canned::always(200, body);
            let drivers: [Box<dyn Gateway>; 3] =
                [Box::new(v2(&canned)), Box::new(v3(&canned)), Box::new(issuer(&canned))];
            let too_large = FaultKind::TooLarge { limit: LARGEST_ANSWER };
            for driver in drivers {
                assert_eq!(driver.list().await.unwrap_err(), Fault::without_effect(too_large.clone()));
                assert_eq!(driver.get(&id("n")).await.unwrap_err(), Fault::without_effect(too_large.clone()));
                let minted = driver.mint(&order("n")).await.err().unwrap();
                assert_eq!(minted, Fault::ambiguous(too_large.clone()));
                assert_eq!(driver.revoke(&id("n")).await.unwrap_err(), Fault::ambiguous(too_large.clone()));
            }
            let fault = v2(&canned).balance().await.unwrap_err();
            assert_eq!(fault, Fault::without_effect(too_large.clone()));
            let fault = v3(&canned).reissue(&id("k"), &order("n")).await.err().unwrap();
            assert_eq!(fault, Fault::without_effect(too_large));
            // Within the limit of an export, and not one.
            assert!(v3(&canned).spending(&month(), &[]).await.is_err());
        }
    });
}
