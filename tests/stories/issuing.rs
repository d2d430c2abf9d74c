//! From a manifest to a working Secret, and back.

use crate::support::cluster::{Effect as ClusterEffect, Rule as ClusterRule};
use crate::support::drivers::Driver;
use crate::support::world::{World, key_spec};
use keysmith::emulator::Effect;
use keysmith::emulator::edgee::{DataPlaneAnswer, KeyKind};
use keysmith::plan::naming::{Mark, NameStyle};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

pub async fn a_new_key_costs_three_writes_and_one_call_and_its_secret_works(world: &mut World) {
    world.token().await;
    let writes = world.writes().len();
    world.create("GatewayApiKey", "checkout", key_spec(json!({"displayName": "Production Backend"}))).await;
    world.ready("GatewayApiKey", "checkout").await;
    // A dry run says whether there is a Secret already; the answer to its creation, what is in it from then on.
    assert_eq!(world.looks_at_secret("checkout"), (0, 1), "reads and rehearsals of the Secret");
    world.served("checkout", "key").await;
    // Any further request would come within the next minute.
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    let mut writes = world.writes().split_off(writes);
    let held = writes
        .iter()
        .position(|it| it == "update secrets")
        .expect("the first key has the token's Secret held");
    writes.remove(held);
    // With the next poll the ConsoleToken stores the number of created keys for the next process.
    writes.retain(|it| it != "patch consoletokens/status");
    assert_eq!(
        writes,
        ["patch gatewayapikeys", "create secrets", "patch gatewayapikeys/status"],
        "Kubernetes writes of a new key"
    );
    assert_eq!(world.vendor_writes(), [world.creation()], "vendor calls of a new key");
    assert_eq!(
        world.looks_at_secret("checkout"),
        (0, 1),
        "what the watch shows of our own writes is no news"
    );
    let key = world.only_key();
    let begins = match world.vendor_id.capabilities().names {
        NameStyle::Title => "Production Backend [ks-",
        NameStyle::Slug => "production-backend-ks-",
    };
    assert!(key.name.starts_with(begins), "{}", key.name);
    assert_eq!(Mark::parse(&key.name).expect("a name of ours").1.0, 1, "{}", key.name);
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["id"], key.id.as_str());
    assert_eq!(status["serial"], 1);
    let mark = Mark::parse(&key.name).unwrap().0.to_string();
    assert_eq!(status["mark"], mark.as_str(), "a name in the vendor's console leads back");
    assert_eq!(status["active"] == true, world.vendor_id.capabilities().disable, "where keys can be off");
    assert_eq!(status["binding"]["name"], "checkout");
    assert!(status["createdAt"].is_string() && status["expiresAt"].is_null());
    world.event("Issued").await;
}

pub async fn a_settled_key_costs_nothing(world: &mut World) {
    world.token().await;
    for name in ["one", "two", "three"] {
        world.key(name, json!({})).await;
    }
    world.pass(Duration::from_secs(60), Duration::from_secs(2)).await;
    let (writes, calls) = (world.writes().len(), world.vendor_writes().len());
    let before = world.asked().len();
    let reads = |world: &World| ["one", "two", "three"].map(|name| world.looks_at_secret(name).0);
    world.pass(Duration::from_secs(86_400), Duration::from_secs(10)).await;
    assert_eq!(reads(world), [0; 3], "reads of Secrets that nobody changed");
    assert_eq!(world.writes()[writes..], Vec::<String>::new(), "writes at rest");
    assert_eq!(world.vendor_writes().len(), calls, "vendor calls at rest");
    // One listing per poll, whatever the number of keys: a day of five-minute polls, or ten seconds of two.
    let polls = world.asked().len() - before;
    let most = if world.is_simulated() { 86_400 / 270 + 1 } else { 7 };
    assert!(polls <= most, "{polls} calls");
}

/// A restart reads a Secret only if somebody changed it meanwhile, and what was changed is set right.
pub async fn a_restart_reads_only_the_secrets_that_somebody_changed(world: &mut World) {
    world.token().await;
    for name in ["untouched", "labelled", "edited"] {
        world.key(name, json!({})).await;
    }
    world.stop().await;
    for (name, edit) in [
        ("labelled", json!({"metadata": {"labels": {"team": "shop"}}})),
        ("edited", json!({"stringData": {"added": "by somebody"}})),
    ] {
        world.secrets().patch(name, &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
    }
    let (writes, calls) = (world.writes().len(), world.vendor_writes().len());
    world.start().await;
    world
        .eventually("the edited Secret is right again", async || match world.entry("edited", "added").await {
            None => Ok(()),
            Some(_) => Err("it has the entry that somebody added".to_owned()),
        })
        .await;
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    let [untouched, labelled, edited] =
        ["untouched", "labelled", "edited"].map(|name| world.looks_at_secret(name).0);
    assert_eq!((untouched, labelled), (0, 1), "reads of Secrets that are right");
    assert!(edited >= 1, "{edited} reads of the edited Secret");
    assert_eq!(world.writes()[writes..], ["update secrets"], "only the edited Secret is written");
    assert_eq!(world.vendor_writes().len(), calls, "calls that change something");
}

/// No pass begins before the list of the Secrets' metadata has come: a pass before that would read the Secret of each resource. Where the list is refused, Secrets are read by name, and nothing waits for it.
pub async fn a_restart_waits_for_the_list_of_secrets_unless_it_is_refused(world: &mut World) {
    world.token().await;
    for name in ["one", "two", "three"] {
        world.key(name, json!({})).await;
    }
    let slow = ClusterRule {
        actor: "operator".to_owned(),
        verb: "list".to_owned(),
        resource: "secrets".to_owned(),
        times: usize::MAX,
        ..ClusterRule::next(ClusterEffect::Delay(Duration::from_secs(20)))
    };
    world.stop().await;
    world.cluster().fault(slow.clone());
    world.start().await;
    let began = world.clock.now();
    let within = |world: &World, seconds| world.clock.now().duration_since(began).as_secs() <= seconds;
    world.key("four", json!({})).await;
    assert!(within(world, 25), "a pass begins as soon as the list is complete");
    world.pass(Duration::from_secs(60), Duration::ZERO).await;
    assert_eq!(["one", "two", "three"].map(|name| world.looks_at_secret(name).0), [0; 3], "reads");
    // A list that is put off comes in the end, and is waited for.
    world.stop().await;
    world.cluster().clear_faults();
    let throttled = ClusterEffect::Status { code: 429, reason: "TooManyRequests".to_owned() };
    world.cluster().fault(ClusterRule { effect: throttled, times: 3, ..slow.clone() });
    world.start().await;
    world.pass(Duration::from_secs(60), Duration::ZERO).await;
    assert_eq!(["one", "two", "three"].map(|name| world.looks_at_secret(name).0), [0; 3], "reads");
    // A list that never comes is not waited for.
    world.stop().await;
    world.cluster().clear_faults();
    world.cluster().fault(ClusterRule { effect: ClusterEffect::Hang, ..slow.clone() });
    world.start().await;
    let began = world.clock.now();
    let within = |world: &World, seconds| world.clock.now().duration_since(began).as_secs() <= seconds;
    world.key("five", json!({})).await;
    assert!(within(world, 70), "a list that hangs stops nothing");
    world.stop().await;
    world.cluster().clear_faults();
    let refused = ClusterEffect::Status { code: 403, reason: "Forbidden".to_owned() };
    world.cluster().fault(ClusterRule { effect: refused, ..slow });
    world.start().await;
    world.key("six", json!({})).await;
}

pub async fn every_field_reaches_the_vendor(world: &mut World) {
    world.token().await;
    let spec = json!({
        "displayName": "Agent", "type": "CodingAgent", "codingAssistant": "claude_code",
        "models": ["anthropic/claude-opus-4-6", "openai/gpt-5.2"],
        "budget": {"amount": "250", "period": "Monthly"},
        "expiresInDays": 90, "email": "team@example.com", "active": false, "debugMode": true,
        "secret": {"name": "agent-env", "preset": "ClaudeCode"},
    });
    world.create("GatewayApiKey", "agent", key_spec(spec)).await;
    world.ready("GatewayApiKey", "agent").await;
    let key = world.only_edgee_key();
    assert_eq!(key.kind, KeyKind::CodingAgent);
    assert_eq!(key.coding_assistant.as_deref(), Some("claude_code"));
    assert_eq!(key.models, ["anthropic/claude-opus-4-6", "openai/gpt-5.2"]);
    assert_eq!(key.max_usage, Some(250));
    assert_eq!(key.email.as_deref(), Some("team@example.com"));
    assert!(!key.active && key.debug_mode);
    let days = key.expires_at.unwrap().duration_since(key.created_at).as_hours() / 24;
    assert_eq!(days, 90);
    let (ready, reason, _) = world.condition("GatewayApiKey", "agent", "Ready").await.unwrap();
    assert_eq!((ready.as_str(), reason.as_str()), ("True", "Disabled"));
    assert_eq!(world.entry("agent-env", "ANTHROPIC_AUTH_TOKEN").await.unwrap(), key.secret);
    assert_eq!(
        world.entry("agent-env", "ANTHROPIC_BASE_URL").await.unwrap(),
        "http://emulator.test/edgee-gateway"
    );
    assert_eq!(world.entry("agent-env", "ANTHROPIC_MODEL").await.unwrap(), "anthropic/claude-opus-4-6");
    assert_eq!(world.edgee().check(&key.secret, None), DataPlaneAnswer::Inactive);
    world.edit("GatewayApiKey", "agent", json!({"spec": {"active": true}})).await.unwrap();
    world.served("agent-env", "ANTHROPIC_AUTH_TOKEN").await;
    world.ready("GatewayApiKey", "agent").await;
}

pub async fn a_secret_is_shaped_by_its_template(world: &mut World) {
    world.token().await;
    let spec = json!({"secret": {"template": {
        "type": "example.com/llm",
        "metadata": {"labels": {"team": "shop"}, "annotations": {"reloader.example/match": "true"}},
        "data": {"config.toml": "key = \"{{ key }}\"\nserial = {{ serial }}\n", "url": "{{ baseUrl }}/v1"},
    }}, "rotation": {"overlap": "1s", "brownOut": "0s"}});
    world.key("checkout", spec).await;
    let secret = world.secrets().get("checkout").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("example.com/llm"));
    assert_eq!(secret.metadata.labels.as_ref().unwrap()["team"], "shop");
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()["reloader.example/match"], "true");
    let key = world.only_key();
    let expected = format!("key = \"{}\"\nserial = 1\n", key.secret);
    assert_eq!(world.entry("checkout", "config.toml").await.unwrap(), expected);
    // A changed template is applied without a change of the key; entries that are not in it any more are removed.
    let patch = json!({"spec": {"secret": {"template": {"metadata": {"labels": null}, "data": {"url": null, "plain": "{{ key }}"}}}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
    world
        .eventually("the Secret follows", async || {
            let secret = world.secrets().get("checkout").await.unwrap();
            let labels = secret.metadata.labels.unwrap_or_default();
            let entries: Vec<_> = secret.data.unwrap_or_default().into_keys().collect();
            let right = !labels.contains_key("team") && entries == ["config.toml", "plain"];
            if right { Ok(()) } else { Err(format!("{labels:?} {entries:?}")) }
        })
        .await;
    assert_eq!(world.served("checkout", "plain").await, key.id);
    assert_eq!(world.creations(), 1, "the key stood in the Secret");
}

pub async fn an_edit_changes_the_key_in_place_and_only_what_was_edited(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"models": ["m-1"], "budget": {"amount": "100", "period": "Monthly"}})).await;
    let before = world.only_edgee_key();
    let patch = json!({"spec": {"budget": {"amount": "300"}, "models": null, "displayName": "Renamed"}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let after = world.only_edgee_key();
    assert_eq!((&after.id, &after.secret), (&before.id, &before.secret));
    assert_eq!(after.max_usage, Some(300));
    assert!(after.models.is_empty());
    assert!(after.name.starts_with("Renamed [ks-") && after.name.ends_with("-1]"), "{}", after.name);
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"budget": null}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.only_edgee_key().max_usage, None);
    assert_eq!(world.vendor_writes().len(), 3, "{:?}", world.vendor_writes());
    world.event("Updated").await;
}

pub async fn deleting_the_resource_revokes_the_key_and_leaves_nothing(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
    assert!(!world.accepts(&secret));
    world
        .eventually("the Secret is gone", async || match world.entry("checkout", "key").await {
            None => Ok(()),
            Some(_) => Err("it is still there".to_owned()),
        })
        .await;
}

pub async fn a_key_that_a_human_made_is_never_touched(world: &mut World) {
    let human = world.vendor().add_key("checkout");
    world.token().await;
    world.key("checkout", json!({})).await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert_eq!(world.only_key().id, human.id);
}

pub async fn a_resource_with_a_very_long_name_comes_to_rest(world: &mut World) {
    world.token().await;
    let name = "a".repeat(200);
    world.key(&name, json!({})).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let longest = match world.vendor_id.capabilities().names {
        NameStyle::Title => 100,
        NameStyle::Slug => 63,
    };
    assert!(world.only_key().name.chars().count() <= longest);
    assert_eq!(world.vendor_writes(), [world.creation()]);
}

pub async fn a_shutdown_in_the_middle_of_a_create_call_finishes_it_first(world: &mut World) {
    world.token().await;
    let slow = Effect::Delay { millis: if world.is_simulated() { 10_000 } else { 1_500 } };
    world.fail_once("POST", slow);
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world
        .eventually("the call is under way", async || match world.creations() {
            0 => Err("no call yet".to_owned()),
            _ => Ok(()),
        })
        .await;
    world.stop().await;
    world.served("checkout", "key").await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["serial"], 1);
}

pub async fn a_stop_right_after_the_start_ends_at_once(world: &mut World) {
    for _ in 0..3 {
        world.stop().await;
        world.start().await;
    }
}

pub async fn a_restart_with_settled_keys_writes_nothing_and_calls_once(world: &mut World) {
    world.token().await;
    for number in 0..20 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    for number in 0..20 {
        world.ready("GatewayApiKey", &format!("key-{number}")).await;
    }
    world.stop().await;
    let (writes, calls) = (world.writes().len(), world.asked().len());
    world.start().await;
    world.pass(Duration::from_secs(120), Duration::from_millis(1200)).await;
    assert_eq!(world.writes()[writes..], Vec::<String>::new());
    let reads: usize = (0..20).map(|number| world.looks_at_secret(&format!("key-{number}")).0).sum();
    assert_eq!(reads, 0, "reads of Secrets that nobody changed");
    let after: Vec<_> = world.asked()[calls..].iter().map(|it| it.method.clone()).collect();
    assert_eq!(after, ["GET"], "one listing verifies the token and every key");
}

pub async fn a_kill_in_the_middle_of_twenty_creations_leaves_exactly_twenty_keys_that_work(
    world: &mut World,
) {
    world.token().await;
    world.fail("POST", Effect::Delay { millis: 40 });
    for number in 0..20 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    world
        .eventually("some keys exist", async || match world.keys().len() {
            0..5 => Err("not yet".to_owned()),
            _ => Ok(()),
        })
        .await;
    world.kill();
    world.start().await;
    world.at_rest(&(0..20).map(|number| format!("key-{number}")).collect::<Vec<_>>()).await;
}
