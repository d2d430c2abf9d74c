//! Status and events: they are true, in time, and enough to act on.

use crate::support::cluster::{Effect as Broken, Rule};
use crate::support::drivers::Driver;
use crate::support::world::{TOKEN, World, key_spec, merged};
use k8s_openapi::api::apps::v1::Deployment;
use keysmith::emulator::{Effect, VendorId};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::time::Duration;

/// Waits until a condition has that status. Returns reason and message.
pub(super) async fn wait_for_condition(
    world: &World,
    kind: &str,
    name: &str,
    condition: &str,
    status: &str,
) -> (String, String) {
    world
        .eventually(&format!("{condition} of {kind} {name} is {status}"), async || {
            match world.condition(kind, name, condition).await {
                Some((now, reason, message)) if now == status => Ok((reason, message)),
                other => Err(format!("{other:?}")),
            }
        })
        .await
}

async fn notes(world: &World, reason: &str) -> Vec<String> {
    world.events().await.into_iter().filter(|(it, _)| it == reason).map(|(_, note)| note).collect()
}

/// As `kubectl describe` shows it: two edits in quick succession have two texts.
pub async fn two_events_of_one_reason_keep_their_own_texts(world: &mut World) {
    world.token().await;
    let spec =
        world.vendor_id.full(json!({"budget": {"amount": "20", "period": "Monthly"}, "models": ["m-1"]}));
    world.key("checkout", spec).await;
    let edits = world.vendor_id.changeable(json!({
        "budget": {"amount": "30", "period": "Monthly"}, "models": ["m-2"], "expiresInDays": 30, "email": "a@example.com",
    }));
    let edits: Vec<_> = edits.as_object().unwrap().clone().into_iter().collect();
    for (field, value) in &edits {
        world.edit("GatewayApiKey", "checkout", json!({"spec": {field: value}})).await.unwrap();
        world
            .eventually(&format!("an event about spec.{field}"), async || {
                let notes = notes(world, "Updated").await;
                let found = notes.iter().any(|note| note.contains(&format!("spec.{field}")));
                if found { Ok(()) } else { Err(format!("{notes:?}")) }
            })
            .await;
    }
    assert_eq!(notes(world, "Updated").await.len(), edits.len());
}

/// A refused event is counted, and the reconciliation goes on.
pub async fn an_event_that_is_refused_is_counted(world: &mut World) {
    let refused = Broken::Status { code: 422, reason: "Invalid".to_owned() };
    world.cluster().fault(Rule {
        actor: "operator".to_owned(),
        verb: "create".to_owned(),
        resource: "events".to_owned(),
        ..Rule::next(refused)
    });
    world.token().await;
    world
        .eventually("the refusal is counted", async || {
            let text = world.metrics.text();
            let line = text.lines().find(|it| it.starts_with("keysmith_events_refused_total"));
            line.filter(|it| it.ends_with(" 1")).map(drop).ok_or(text.clone())
        })
        .await;
    world.key("checkout", json!({})).await;
}

/// External Secrets and Argo CD create references seconds later, which is no failure.
pub async fn a_missing_reference_is_waited_for_five_minutes_and_stalls_then(world: &mut World) {
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    world
        .create(
            "GatewayApiKey",
            "lost",
            merged(key_spec(json!({})), json!({"consoleTokenRef": {"name": "no"}})),
        )
        .await;
    let provider = json!({"consoleTokenRef": {"name": "no"}, "provider": "openai", "scope": "Organization",
                          "credentialsRef": {"name": "byok"}});
    world.create("ProviderKey", "lost", provider).await;
    let settings = json!({"consoleTokenRef": {"name": "no"}, "settings": {"euNative": true}});
    world.create("ProjectSettings", "lost", settings).await;
    let all = [
        ("ConsoleToken", "edgee", "SecretMissing"),
        ("GatewayApiKey", "lost", "ConsoleTokenMissing"),
        ("ProviderKey", "lost", "ConsoleTokenMissing"),
        ("ProjectSettings", "lost", "ConsoleTokenMissing"),
    ];
    for (kind, name, reason) in all {
        let (because, message) = wait_for_condition(world, kind, name, "Reconciling", "True").await;
        assert_eq!(because, reason, "{kind}");
        assert!(message.ends_with("see condition Ready"), "{message}");
        assert_eq!(world.condition(kind, name, "Stalled").await, None, "{kind}");
    }
    tokio::time::sleep(Duration::from_secs(240)).await;
    for (kind, name, _) in all {
        assert_eq!(world.condition(kind, name, "Stalled").await, None, "{kind} after four minutes");
    }
    // A restart of the operator does not restart the wait.
    world.stop().await;
    world.start().await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    for (kind, name, reason) in all {
        let (because, _) = wait_for_condition(world, kind, name, "Stalled", "True").await;
        assert_eq!(because, reason, "{kind}");
        assert_eq!(world.condition(kind, name, "Reconciling").await, None, "{kind}");
        let status = world.status(kind, name).await;
        assert_eq!(
            status["observedGeneration"], 1,
            "kstatus looks at Stalled only in a status of this generation"
        );
    }
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.ready("ConsoleToken", "edgee").await;
    assert_eq!(world.condition("ConsoleToken", "edgee", "Stalled").await, None);
}

/// A served key works without its ConsoleToken, so applications are not affected.
pub async fn a_served_key_stays_ready_while_its_token_is_missing(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let force = json!({"metadata": {"annotations": {"keysmith.dev/force-orphan": "yes"}}});
    world.edit("ConsoleToken", "edgee", force).await.unwrap();
    world.delete("ConsoleToken", "edgee").await;
    world.gone("ConsoleToken", "edgee").await;
    world.reason("GatewayApiKey", "checkout", "ConsoleTokenMissing").await;
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
}

/// One refusal may be a mistake of the vendor; two need a person, which Argo CD and Flux show.
pub async fn a_refused_token_stalls_when_a_second_probe_confirms_it(world: &mut World) {
    world.write_secret("edgee-console", &[("token", "ek_live_canary-wrong")]).await;
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let (reason, message) = wait_for_condition(world, "ConsoleToken", "edgee", "Stalled", "True").await;
    assert!(["TokenRefused", "Forbidden"].contains(&reason.as_str()), "{reason}: {message}");
    // The dependents of the token report the same.
    let (reason, _) = wait_for_condition(world, "GatewayApiKey", "checkout", "Stalled", "True").await;
    assert_eq!(reason, "ConsoleTokenNotReady");
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.ready("ConsoleToken", "edgee").await;
    world.ready("GatewayApiKey", "checkout").await;
    for (kind, name) in [("ConsoleToken", "edgee"), ("GatewayApiKey", "checkout")] {
        assert_eq!(world.condition(kind, name, "Stalled").await, None, "{kind}");
    }
}

/// For vendors that list the rest of a budget, or report spending.
pub async fn conditions_report_a_budget_that_is_low_exhausted_and_available_again(world: &mut World) {
    world.token().await;
    if world.vendor_id == VendorId::Edgee {
        let usage = json!({"spec": {"usage": {"interval": "1m"}}});
        world.edit("ConsoleToken", "edgee", usage).await.unwrap();
    }
    world.key("checkout", json!({"budget": {"amount": "20", "period": "Monthly"}})).await;
    wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetLow", "False").await;
    wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetExhausted", "False").await;
    let id = world.status("GatewayApiKey", "checkout").await["id"].as_str().unwrap().to_owned();
    assert!(world.vendor().spend(&id, 16_500_000));
    wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetLow", "True").await;
    assert!(world.event("BudgetLow").await.contains("of 20 USD a month"));
    assert_eq!(world.status("GatewayApiKey", "checkout").await["budgetUsed"], "80%");
    world.ready("GatewayApiKey", "checkout").await;
    assert!(world.vendor().spend(&id, 8_500_000));
    let (reason, message) =
        wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetExhausted", "True").await;
    assert_eq!(reason, "BudgetSpent");
    assert!(message.contains("REFUSES the key until") && message.contains("spec.budget.amount"), "{message}");
    world.event("BudgetExhausted").await;
    world.reason("GatewayApiKey", "checkout", "BudgetSpent").await;
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "False");
    // The next period begins without an action of a user.
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Stalled").await, None);
    // A larger budget is carried out, and every condition recovers.
    let more = json!({"spec": {"budget": {"amount": "200", "period": "Monthly"}}});
    world.edit("GatewayApiKey", "checkout", more).await.unwrap();
    wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetExhausted", "False").await;
    world.ready("GatewayApiKey", "checkout").await;
    world.event("BudgetAvailable").await;
}

/// The spending is unknown, and the condition says so.
pub async fn a_budget_whose_spending_is_not_read_is_unknown(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"budget": {"amount": "20", "period": "Monthly"}})).await;
    for (condition, words) in
        [("BudgetLow", "see condition BudgetExhausted"), ("BudgetExhausted", "spec.usage")]
    {
        let (reason, message) =
            wait_for_condition(world, "GatewayApiKey", "checkout", condition, "Unknown").await;
        assert!(reason == "SpendingNotRead" && message.contains(words), "{message}");
    }
    assert_eq!(world.status("GatewayApiKey", "checkout").await["budgetUsed"], "unknown");
    world.key("free", json!({})).await;
    assert_eq!(
        world.condition("GatewayApiKey", "free", "BudgetLow").await,
        None,
        "without a budget nothing is said"
    );
}

/// A key whose budget is spent is reconciled like any other.
pub async fn drift_of_a_key_with_an_exhausted_budget_is_corrected(world: &mut World) {
    world.token().await;
    let usage = json!({"spec": {"usage": {"interval": "1m"}}});
    world.edit("ConsoleToken", "edgee", usage).await.unwrap();
    world.key("checkout", json!({"budget": {"amount": "20", "period": "Monthly"}})).await;
    let id = world.status("GatewayApiKey", "checkout").await["id"].as_str().unwrap().to_owned();
    assert!(world.vendor().spend(&id, 21_000_000));
    world.reason("GatewayApiKey", "checkout", "BudgetSpent").await;
    assert!(world.edgee().edit_key(&id, |key| key.active = false));
    world.event("DriftCorrected").await;
}

/// The messages that an on-call person reads.
pub async fn a_suspended_key_says_whether_applications_have_it(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"suspend": true}})).await.unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "Suspended").await;
    assert!(message.contains("the key in Secret checkout works"), "{message}");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    world.secrets().delete("checkout", &kube::api::DeleteParams::default()).await.unwrap();
    world
        .eventually("the loss is said", async || {
            let message = world.reason("GatewayApiKey", "checkout", "Suspended").await;
            if message.contains("does not exist: applications have no key") { Ok(()) } else { Err(message) }
        })
        .await;
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "False");
}

/// The message names the danger: the retained key still works.
pub async fn a_deletion_that_is_blocked_names_the_key_that_works(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.status("GatewayApiKey", "checkout").await["id"].as_str().unwrap().to_owned();
    world.fail("POST", Effect::Status { code: 429, retry_after: Some("600".to_owned()) });
    world.create("GatewayApiKey", "never", key_spec(json!({}))).await;
    world.reason("GatewayApiKey", "never", "VendorThrottled").await;
    assert!(world.vendor().revoke_token(TOKEN));
    for name in ["never", "checkout"] {
        world.delete("GatewayApiKey", name).await;
    }
    let message = world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    assert!(message.contains(&format!("leave {id} WORKING at the vendor")), "{message}");
    let message = world.reason("GatewayApiKey", "never", "DeletionBlocked").await;
    assert!(message.starts_with("no key of this resource is known"), "{message}");
    world.emulator.faults().clear();
    world.vendor().add_token(TOKEN);
    for name in ["never", "checkout"] {
        world.gone("GatewayApiKey", name).await;
    }
}

/// A 503 is reported as a 503, without the claim that a key was lost.
pub async fn a_failed_create_call_is_reported_with_its_cause(world: &mut World) {
    world.token().await;
    world.fail_once("POST", Effect::Status { code: 503, retry_after: None });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "Recovering").await;
    assert!(message.contains("(the vendor failed (503))") && !message.contains("lost"), "{message}");
    world.ready("GatewayApiKey", "checkout").await;
}

/// Copying a manifest with `kubectl get -o yaml` is common, and no claim of the original concerns the copy.
pub async fn a_copied_manifest_gets_its_key_at_once(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let original = world.api("GatewayApiKey").get("checkout").await.unwrap();
    let mut copy = original.clone();
    copy.metadata = kube::core::ObjectMeta {
        name: Some("copy".to_owned()),
        namespace: original.metadata.namespace.clone(),
        annotations: original.metadata.annotations.clone(),
        finalizers: original.metadata.finalizers.clone(),
        ..kube::core::ObjectMeta::default()
    };
    copy.data["status"] = Value::Null;
    let began = world.clock.now();
    world.api("GatewayApiKey").create(&PostParams::default(), &copy).await.unwrap();
    world.ready("GatewayApiKey", "copy").await;
    let took = world.clock.now().duration_since(began);
    assert!(took.as_secs() < 30, "{took:?}");
    assert_eq!(world.keys().len(), 2);
    let events = world.events().await;
    assert!(!events.iter().any(|(reason, _)| reason == "Recovering"), "{events:?}");
}

/// A missing right is reported on the resource, and no key is created meanwhile.
pub async fn a_secret_that_may_not_be_read_is_reported(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let forbidden = Broken::Status { code: 403, reason: "Forbidden".to_owned() };
    world.cluster().fault(Rule {
        actor: "operator".to_owned(),
        verb: "get".to_owned(),
        resource: "secrets".to_owned(),
        name_contains: "checkout".to_owned(),
        times: 8,
        ..Rule::next(forbidden)
    });
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"displayName": "Other"}})).await.unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "SecretRefused").await;
    assert!(message.contains("grant Keysmith's ServiceAccount get on Secrets"), "{message}");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    world.reason("GatewayApiKey", "checkout", "Issued").await;
    assert_eq!(world.keys().len(), 1);
}

/// Missing workloads are reported before the first rotation needs them.
pub async fn workloads_that_do_not_exist_are_named_at_once(world: &mut World) {
    world.token().await;
    let restart = json!([
        {"kind": "Deployment", "name": "web"},
        {"kind": "StatefulSet", "selector": {"matchLabels": {"app": "nothing"}}},
    ]);
    world.key("checkout", json!({"rotation": {"restart": restart}})).await;
    let (_, message) =
        wait_for_condition(world, "GatewayApiKey", "checkout", "ConsumersMissing", "True").await;
    assert!(message.contains("Deployment/web, StatefulSet app=nothing"), "{message}");
    world.event("ConsumersMissing").await;
    world.ready("GatewayApiKey", "checkout").await;
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "example.com/web"}]},
            },
        },
    });
    let deployments: Api<Deployment> = Api::namespaced(world.user.clone(), &world.namespace);
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let one = json!({"spec": {"rotation": {"restart": [{"kind": "Deployment", "name": "web"}]}}});
    world.edit("GatewayApiKey", "checkout", one).await.unwrap();
    world
        .eventually("nothing is missing any more", async || {
            match world.condition("GatewayApiKey", "checkout", "ConsumersMissing").await {
                Some((status, ..)) if status == "False" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}
