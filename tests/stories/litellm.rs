//! Stories that only a real data plane can tell: keys are proven by the answers that applications get.

use super::binary::{serve_vendor, token_at};
use super::command::orphans;
use super::rotating::{rotate, trigger};
use crate::support::litellm::server;
use crate::support::world::World;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Namespace;
use keysmith::cluster::ledger::Ledger;
use keysmith::plan::naming::{ClusterId, Mark, Serial};
use keysmith::runtime::metrics::Metrics;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

async fn secret(world: &World) -> String {
    world.entry("checkout", "key").await.expect("the Secret holds a key")
}

/// An application that reads its Secret again every half second, as one does with a mounted volume, and calls all the time:
/// by age, by trigger and by annotation its key is replaced, and no call is refused.
pub async fn an_application_that_calls_all_the_time_notices_no_replacement(world: &mut World) {
    world.token().await;
    let rotation =
        json!({"maxAge": "1m", "overlap": "5s", "brownOut": "1s", "maxOverlap": "6s", "trigger": "a"});
    world.key("checkout", json!({"rotation": rotation, "models": ["gpt-small"]})).await;
    let key = Arc::new(std::sync::Mutex::new(secret(world).await));
    let (calls, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let refused = Arc::new(std::sync::Mutex::new(Vec::new()));
    let application = {
        let (key, calls, stop, refused) = (key.clone(), calls.clone(), stop.clone(), refused.clone());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let secret = key.lock().unwrap().clone();
                let answer = server().complete(&secret, "gpt-small").await;
                calls.fetch_add(1, Ordering::Relaxed);
                if answer.0 != 200 {
                    refused.lock().unwrap().push(answer);
                }
            }
        })
    };
    let mut served = std::collections::BTreeSet::new();
    for second in 0..90 {
        if second == 5 {
            world.edit("GatewayApiKey", "checkout", trigger("b")).await.unwrap();
        }
        if second == 15 {
            let asked = json!({"metadata": {"annotations": {"keysmith.dev/rotate-requested-at": "now"}}});
            world.edit("GatewayApiKey", "checkout", asked).await.unwrap();
        }
        for _ in 0..2 {
            let now = secret(world).await;
            served.insert(now.clone());
            *key.lock().unwrap() = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    application.await.unwrap();
    assert_eq!(*refused.lock().unwrap(), Vec::<(u16, String)>::new());
    let calls = calls.load(Ordering::Relaxed);
    assert!(served.len() >= 4 && calls > 100, "{} keys, {calls} calls", served.len());
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["lastRotation"]["reason"], "MaxAge");
}

/// Models, switching off and rate limits are what applications meet.
pub async fn what_is_in_the_specification_is_what_the_data_plane_enforces(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"models": ["gpt-small"], "rateLimit": {"requestsPerMinute": 1000}})).await;
    let key = secret(world).await;
    let expect = async |model: &str, status: &[u16], kind: &str| {
        let (found, said) = server().complete(&key, model).await;
        assert!(status.contains(&found) && said == kind, "{model}: {found} {said}");
    };
    expect("gpt-small", &[200], "").await;
    expect("gpt-large", &[401, 403], "key_model_access_denied").await;
    let change = async |spec: Value| {
        world.edit("GatewayApiKey", "checkout", json!({ "spec": spec })).await.unwrap();
        world.ready("GatewayApiKey", "checkout").await;
    };
    change(json!({"models": null})).await;
    expect("gpt-large", &[200], "").await;
    change(json!({"active": false})).await;
    expect("gpt-small", &[401], "auth_error").await;
    change(json!({"active": true})).await;
    expect("gpt-small", &[200], "").await;
    change(json!({"rateLimit": {"requestsPerMinute": 1}})).await;
    // The window of a minute began with earlier calls.
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(server().complete(&key, "gpt-small").await.0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(secret(world).await, key, "it is the same key all the time");
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert_eq!(server().complete(&key, "gpt-small").await.0, 401);
}

/// Whatever an administrator changes, the specification comes back. Without the mark in its name a key is known by its id.
pub async fn drift_by_an_administrator_is_corrected_field_by_field(world: &mut World) {
    world.token().await;
    let spec = json!({
        "models": ["gpt-small"], "budget": {"amount": "50", "period": "Monthly"}, "expiresInDays": 60,
        "rateLimit": {"requestsPerMinute": 100, "parallel": 5},
    });
    world.key("checkout", spec).await;
    let id = world.only_key().id;
    let master = server().master.clone();
    let row = async || {
        let path = format!("/key/info?key={id}");
        server().call("GET", &path, &master, None).await.1["info"].clone()
    };
    let before = row().await;
    for change in [
        json!({"models": []}),
        json!({"max_budget": 9}),
        json!({"max_budget": null}),
        json!({"budget_duration": "14d"}),
        json!({"budget_duration": "1d"}),
        json!({"blocked": true}),
        json!({"duration": "400d"}),
        json!({"duration": "-1"}),
        json!({"rpm_limit": 7}),
        json!({"max_parallel_requests": null}),
        json!({"tpm_limit": 7}),
        json!({"key_alias": format!("renamed {id}")}),
    ] {
        let mut body = change.clone();
        body["key"] = json!(id);
        let answer = server().call("POST", "/key/update", &master, Some(body)).await;
        assert_eq!(answer.0, 200, "{change}: {}", answer.1);
        world
            .eventually(&format!("{change} is corrected"), async || {
                let now = row().await;
                let fields = [
                    "models",
                    "max_budget",
                    "budget_duration",
                    "rpm_limit",
                    "tpm_limit",
                    "max_parallel_requests",
                    "key_alias",
                ];
                for field in fields {
                    if now[field] != before[field] {
                        return Err(format!("{field}: {} instead of {}", now[field], before[field]));
                    }
                }
                if now["blocked"] == true {
                    return Err("it is off".to_owned());
                }
                let day = |it: &Value| {
                    it["expires"].as_str().unwrap_or_default().chars().take(10).collect::<String>()
                };
                if day(&now) == day(&before) { Ok(()) } else { Err(now["expires"].to_string()) }
            })
            .await;
    }
    assert_eq!(world.only_key().id, id, "it is the same key all the time");
}

/// Calls spend the budget until the data plane refuses; status says so; a new key has no more than what was left, and a
/// larger budget helps at once.
pub async fn a_spent_budget_is_reported_and_a_new_key_goes_on_with_it(world: &mut World) {
    world.token().await;
    // A call costs five cents.
    let spec = json!({"budget": {"amount": "0.12", "period": "Monthly"}, "rotation": {"trigger": "a", "overlap": "1s", "brownOut": "0s"}});
    world.key("checkout", spec).await;
    let key = secret(world).await;
    let exhausted = async |key: &str| {
        let (status, kind) = server().complete(key, "gpt-small").await;
        if status == 200 { Err(status.to_string()) } else { Ok((status, kind)) }
    };
    let (status, kind) = world.eventually("the budget is spent", async || exhausted(&key).await).await;
    assert!([400, 422, 429].contains(&status) && kind == "budget_exceeded", "{status} {kind}");
    world
        .eventually("status says so", async || {
            let found = world.condition("GatewayApiKey", "checkout", "BudgetExhausted").await;
            found.filter(|it| it.0 == "True").map(drop).ok_or_else(|| "not said".to_owned())
        })
        .await;
    rotate(world, "checkout", trigger("b")).await;
    let next = secret(world).await;
    assert_ne!(next, key);
    let made = world.keys().into_iter().find(|it| it.secret == next).unwrap();
    assert!(made.remaining_micros <= Some(20_000), "{made:?}");
    let more = json!({"spec": {"budget": {"amount": "5"}}});
    world.edit("GatewayApiKey", "checkout", more).await.unwrap();
    world
        .eventually("a larger budget helps", async || match server().complete(&next, "gpt-small").await.0 {
            200 => Ok(()),
            other => Err(other.to_string()),
        })
        .await;
    let now = world.keys().into_iter().find(|it| it.secret == next).unwrap();
    assert!(now.remaining_micros < Some(4_950_000), "what was spent counts on: {now:?}");
}

/// A token whose user loses its role sees fewer keys. None of them counts as gone.
pub async fn a_token_of_lower_rank_takes_no_key_away(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let key = secret(world).await;
    let user = format!("worker-{}", world.namespace);
    let master = server().master.clone();
    let body = json!({"user_id": user, "user_role": "internal_user", "auto_create_key": false});
    assert_eq!(server().call("POST", "/user/new", &master, Some(body)).await.0, 200);
    let body = json!({"user_id": user, "key_alias": format!("token of {user}")});
    let lower = server().call("POST", "/key/generate", &master, Some(body)).await.1;
    let lower = lower["key"].as_str().unwrap();
    world.write_secret("edgee-console", &[("token", lower)]).await;
    let message = world.reason("ConsoleToken", "edgee", "Forbidden").await;
    assert!(message.contains("proxy_admin"), "{message}");
    world.pass(Duration::ZERO, Duration::from_secs(10)).await;
    assert_eq!(secret(world).await, key);
    assert_eq!(world.keys().len(), 1);
    assert_eq!(server().complete(&key, "gpt-small").await.0, 200);
    world.write_secret("edgee-console", &[("token", crate::support::world::TOKEN)]).await;
    world.ready("ConsoleToken", "edgee").await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(secret(world).await, key);
}

/// The data plane ends a key at its expiry, while no operator runs; the next one replaces it.
pub async fn a_key_that_expires_is_refused_and_replaced(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"expiresInDays": 1, "rotation": {"overlap": "1s", "brownOut": "0s"}})).await;
    let old = secret(world).await;
    let id = world.served("checkout", "key").await;
    assert_eq!(server().complete(&old, "gpt-small").await.0, 200);
    world.stop().await;
    assert!(world.vendor().expire(&id, Some(world.clock.now() + SignedDuration::from_secs(2))));
    let ended = async || match server().complete(&old, "gpt-small").await {
        (401, kind) if kind == "expired_key" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    world.eventually("the key expired", ended).await;
    world.start().await;
    world.event("KeyExpired").await;
    world.ready("GatewayApiKey", "checkout").await;
    let new = secret(world).await;
    assert_ne!(new, old);
    assert_eq!(server().complete(&new, "gpt-small").await.0, 200);
    let only = async || match world.keys().as_slice() {
        [one] if one.secret == new => Ok(()),
        other => Err(format!("{other:?}")),
    };
    world.eventually("the expired one is deleted", only).await;
}

/// A key with this cluster's mark that no resource accounts for: the command names it, and deletes it when it is told to.
pub async fn an_orphan_is_found_and_deleted_by_the_command(world: &mut World) {
    world.stop().await;
    let vendor = serve_vendor(world).await;
    token_at(world, vendor).await;
    let namespaces: Api<Namespace> = Api::all(world.user.clone());
    let cluster = ClusterId(namespaces.get("kube-system").await.unwrap().uid().unwrap());
    // A key that is older than the ledger may have been kept on purpose.
    Ledger::new(world.user.clone(), &world.namespace, Metrics::default()).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mark = Mark::new(&cluster, &format!("gone from {}", world.namespace));
    let orphan = world.vendor().add_key(&mark.name("dropped", Serial(1)));
    let by_hand = world.vendor().add_key(&format!("by hand in {}", world.namespace));
    assert_eq!(server().complete(&orphan.secret, "gpt-small").await.0, 200);
    // Other stories have keys at the same server: this one asks for its own.
    let own = ["--key", orphan.id.as_str()];
    let (code, out, err) = orphans(world, vendor, &own).await;
    assert!(code == 3 && out.contains(&orphan.id), "{code} {out}{err}");
    let (code, _, err) = orphans(world, vendor, &[&own[..], &["--delete", "--yes"]].concat()).await;
    assert!(code == 0 && err.contains(&format!("{}: removed", orphan.id)), "{code} {err}");
    assert_eq!(server().complete(&orphan.secret, "gpt-small").await.0, 401);
    assert_eq!(server().complete(&by_hand.secret, "gpt-small").await.0, 200);
    assert!(world.vendor().delete_key(&by_hand.id));
}
