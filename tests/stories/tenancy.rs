//! ClusterConsoleTokens: shared with namespaces, within limits.

use crate::support::world::{TOKEN, World, key_spec, merged};
use keysmith::emulator::{Effect, Rule, VendorId};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;

const SHARED: &str = "ClusterConsoleToken";
const ROOT: &str = "sk-ek_live_emulated-story-token-root";

/// An operator of all namespaces, the Secret of the shared token in its namespace, and two namespaces of teams.
async fn platform(world: &mut World) {
    world.stop().await;
    world.everywhere = true;
    world.start().await;
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    for team in ["team-a", "team-b"] {
        world.cluster().add_namespace(team);
    }
}

/// A shared token with these limits, for namespaces with the label `tier: gold`.
async fn share(world: &World, limits: Value) {
    let more =
        json!({"allowedNamespaces": {"selector": {"matchLabels": {"tier": "gold"}}}, "limits": limits});
    world.create(SHARED, "edgee", merged(world.token_spec(), more)).await;
    world.ready(SHARED, "edgee").await;
}

async fn label(world: &World, namespace: &str, tier: Option<&str>) {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(world.user.clone());
    let patch = json!({"metadata": {"labels": {"tier": tier}}});
    namespaces.patch(namespace, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn shared(more: Value) -> Value {
    merged(key_spec(json!({"consoleTokenRef": {"kind": SHARED, "name": "edgee"}})), more)
}

/// The world as seen from another namespace.
async fn within<T>(world: &mut World, namespace: &str, story: impl AsyncFnOnce(&mut World) -> T) -> T {
    let own = std::mem::replace(&mut world.namespace, namespace.to_owned());
    let result = story(world).await;
    world.namespace = own;
    result
}

async fn limit(world: &World, limits: Value) {
    world.edit(SHARED, "edgee", json!({"spec": {"limits": limits}})).await.unwrap();
}

/// A ConsoleToken of a namespace is not needed by keys of the ClusterConsoleToken of the same name.
pub async fn a_token_is_not_kept_for_keys_of_the_shared_token_of_the_same_name(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({})).await;
    within(world, "team-a", async |world| {
        world.write_secret("edgee-console", &[("token", TOKEN)]).await;
        world.create("ConsoleToken", "edgee", world.token_spec()).await;
        world.ready("ConsoleToken", "edgee").await;
        world.create("GatewayApiKey", "checkout", shared(json!({}))).await;
        world.create("GatewayApiKey", "own", key_spec(json!({}))).await;
        for key in ["checkout", "own"] {
            world.ready("GatewayApiKey", key).await;
        }
        world.delete("ConsoleToken", "edgee").await;
        world.pass(Duration::from_secs(60), Duration::ZERO).await;
        let (_, _, said) = world.condition("ConsoleToken", "edgee", "Ready").await.unwrap();
        assert!(said.contains("GatewayApiKey own") && !said.contains("checkout"), "{said}");
        world.delete("GatewayApiKey", "own").await;
        world.gone("GatewayApiKey", "own").await;
        world.gone("ConsoleToken", "edgee").await;
        world.ready("GatewayApiKey", "checkout").await;
    })
    .await;
}

pub async fn a_shared_token_serves_the_namespaces_that_it_allows(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({})).await;
    for team in ["team-a", "team-b"] {
        within(world, team, async |world| world.create("GatewayApiKey", "checkout", shared(json!({}))).await)
            .await;
    }
    within(world, "team-a", async |world| world.ready("GatewayApiKey", "checkout").await).await;
    let said = within(world, "team-b", async |world| {
        world.reason("GatewayApiKey", "checkout", "NamespaceNotAllowed").await
    });
    assert!(said.await.contains("does not allow namespace team-b"));
    assert_eq!(world.vendor().created_total(), 1);
    // The label is all that a namespace needs.
    label(world, "team-b", Some("gold")).await;
    within(world, "team-b", async |world| world.ready("GatewayApiKey", "checkout").await).await;
    world.pass(Duration::from_secs(400), Duration::ZERO).await;
    let status = world.status(SHARED, "edgee").await;
    assert_eq!(
        status["namespaces"],
        json!([{"namespace": "team-a", "keys": 1}, {"namespace": "team-b", "keys": 1}])
    );
    // One listing serves both.
    let before = world.emulator.calls().len();
    world.pass(Duration::from_secs(3600), Duration::ZERO).await;
    let calls = world.emulator.calls().len() - before;
    assert!((10..=14).contains(&calls), "{calls} calls in an hour");
}

pub async fn a_namespace_that_is_not_allowed_any_more_keeps_its_key_and_gets_nothing_new(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({})).await;
    within(world, "team-a", async |world| {
        world.create("GatewayApiKey", "checkout", shared(json!({"rotation": {"trigger": "a"}}))).await;
        world.ready("GatewayApiKey", "checkout").await;
        let id = world.status("GatewayApiKey", "checkout").await["id"].clone();
        label(world, "team-a", None).await;
        world.reason("GatewayApiKey", "checkout", "NamespaceNotAllowed").await;
        let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
        assert_eq!(ready.0, "True", "{ready:?}");
        // Neither a rotation nor a change reaches the vendor.
        let edit = json!({"spec": {"rotation": {"trigger": "b"}, "displayName": "Another name"}});
        world.edit("GatewayApiKey", "checkout", edit).await.unwrap();
        world.pass(Duration::from_secs(3600), Duration::ZERO).await;
        assert_eq!(world.status("GatewayApiKey", "checkout").await["id"], id);
        assert_eq!(world.vendor().created_total(), 1);
        assert!(world.keys().iter().all(|it| !it.name.contains("Another")), "{:?}", world.keys());
        // Where the vendor reveals the key, a lost Secret is restored all the same: that makes nothing new.
        if world.vendor_id == VendorId::Edgee {
            world.lose_secret("checkout").await;
            let back = async || world.entry("checkout", "key").await.map(drop).ok_or_else(String::new);
            world.eventually("the Secret is back", back).await;
        }
        // What was asked for is done when the namespace is allowed again.
        label(world, "team-a", Some("gold")).await;
        world
            .eventually("the key is replaced", async || {
                let now = world.status("GatewayApiKey", "checkout").await["id"].clone();
                if now == id { Err(now.to_string()) } else { Ok(()) }
            })
            .await;
        world.ready("GatewayApiKey", "checkout").await;
    })
    .await;
}

pub async fn a_key_that_leaked_is_revoked_although_nothing_new_is_permitted(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({})).await;
    within(world, "team-a", async |world| {
        world.create("GatewayApiKey", "checkout", shared(json!({}))).await;
        world.ready("GatewayApiKey", "checkout").await;
        label(world, "team-a", None).await;
        world.reason("GatewayApiKey", "checkout", "NamespaceNotAllowed").await;
        let leaked = json!({"metadata": {"annotations": {"keysmith.dev/leaked": "yes"}}});
        world.edit("GatewayApiKey", "checkout", leaked).await.unwrap();
        world
            .eventually("the key is revoked", async || {
                if world.keys().is_empty() { Ok(()) } else { Err(String::new()) }
            })
            .await;
        let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
        assert_eq!(ready.0, "False", "{ready:?}");
        assert_eq!(world.vendor().created_total(), 1);
    })
    .await;
}

pub async fn budgets_of_a_namespace_add_up_to_at_most_its_limit(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    let most = |amount: &str| json!({"amount": amount, "period": "Monthly"});
    share(world, json!({"budget": {"maximum": most("60"), "perNamespace": most("100")}})).await;
    within(world, "team-a", async |world| {
        world.create("GatewayApiKey", "none", shared(json!({}))).await;
        world.create("GatewayApiKey", "large", shared(json!({"budget": most("61")}))).await;
        for name in ["none", "large"] {
            world.reason("GatewayApiKey", name, "LimitExceeded").await;
        }
        world.create("GatewayApiKey", "first", shared(json!({"budget": most("60")}))).await;
        world.ready("GatewayApiKey", "first").await;
        world.create("GatewayApiKey", "second", shared(json!({"budget": most("50")}))).await;
        let said = world.reason("GatewayApiKey", "second", "LimitExceeded").await;
        assert!(said.contains("must be at most 40"), "{said}");
        world.edit("GatewayApiKey", "second", json!({"spec": {"budget": {"amount": "40"}}})).await.unwrap();
        world.ready("GatewayApiKey", "second").await;
        // A larger budget of a key that exists is not sent, and the key works on.
        world.edit("GatewayApiKey", "second", json!({"spec": {"budget": {"amount": "41"}}})).await.unwrap();
        world.reason("GatewayApiKey", "second", "LimitExceeded").await;
        assert_eq!(world.condition("GatewayApiKey", "second", "Ready").await.unwrap().0, "True");
        assert_eq!(world.status("GatewayApiKey", "second").await["budget"]["amount"], "40");
        // Room that another key makes is found.
        world.edit("GatewayApiKey", "first", json!({"spec": {"budget": {"amount": "59"}}})).await.unwrap();
        world.pass(Duration::from_secs(700), Duration::ZERO).await;
        world.ready("GatewayApiKey", "second").await;
        assert_eq!(world.vendor().created_total(), 2);
    })
    .await;
    let status = world.status(SHARED, "edgee").await;
    assert_eq!(status["namespaces"][0]["budgets"], json!([most("100")]), "{status}");
}

pub async fn keys_of_a_day_are_counted_however_often_they_are_created_again(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({"keys": {"perNamespace": 2, "perNamespaceAndDay": 3}})).await;
    within(world, "team-a", async |world| {
        for name in ["a", "b", "c"] {
            world.create("GatewayApiKey", name, shared(json!({}))).await;
            if name != "c" {
                world.ready("GatewayApiKey", name).await;
            }
        }
        let said = world.reason("GatewayApiKey", "c", "LimitExceeded").await;
        assert!(said.contains("has 2 keys with this token, and may have 2"), "{said}");
        world.delete("GatewayApiKey", "a").await;
        world.gone("GatewayApiKey", "a").await;
        world.pass(Duration::from_secs(400), Duration::ZERO).await;
        world.ready("GatewayApiKey", "c").await;
        // Three keys were made within a day; the count outlives resources and processes.
        world.delete("GatewayApiKey", "b").await;
        world.gone("GatewayApiKey", "b").await;
        world.pass(Duration::from_secs(400), Duration::ZERO).await;
        world.stop().await;
        world.start().await;
        world.create("GatewayApiKey", "b", shared(json!({}))).await;
        let said = world.reason("GatewayApiKey", "b", "LimitExceeded").await;
        assert!(said.contains("within a day"), "{said}");
        world.pass(Duration::from_secs(25 * 3600), Duration::ZERO).await;
        world.ready("GatewayApiKey", "b").await;
    })
    .await;
}

pub async fn rotations_that_a_user_requests_keep_their_distance(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({"rotation": {"minimumInterval": "6h"}})).await;
    within(world, "team-a", async |world| {
        world.create("GatewayApiKey", "checkout", shared(json!({"rotation": {"trigger": "0"}}))).await;
        world.ready("GatewayApiKey", "checkout").await;
        for trigger in 1..20 {
            let edit = json!({"spec": {"rotation": {"trigger": trigger.to_string()}}});
            world.edit("GatewayApiKey", "checkout", edit).await.unwrap();
            world.pass(Duration::from_secs(3600), Duration::ZERO).await;
        }
        assert_eq!(world.vendor().created_total(), 4, "one key, and three replacements in 19 hours");
        let leaked = json!({"metadata": {"annotations": {"keysmith.dev/leaked": "yes"}}});
        world.edit("GatewayApiKey", "checkout", leaked).await.unwrap();
        world.pass(Duration::from_secs(60), Duration::ZERO).await;
        assert_eq!(world.vendor().created_total(), 5, "a leak does not wait");
    })
    .await;
}

pub async fn a_shared_token_and_its_secret_are_kept_until_no_namespace_needs_them(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({})).await;
    within(world, "team-a", async |world| {
        world.create("GatewayApiKey", "checkout", shared(json!({}))).await;
        world.ready("GatewayApiKey", "checkout").await;
    })
    .await;
    world.delete(SHARED, "edgee").await;
    let said = world.reason(SHARED, "edgee", "InUse").await;
    assert!(said.contains("GatewayApiKey team-a/checkout"), "{said}");
    world.secrets().delete("edgee-console", &kube::api::DeleteParams::default()).await.unwrap();
    world.pass(Duration::from_secs(60), Duration::ZERO).await;
    assert!(world.secrets().get("edgee-console").await.unwrap().metadata.deletion_timestamp.is_some());
    within(world, "team-a", async |world| {
        world.delete("GatewayApiKey", "checkout").await;
        world.gone("GatewayApiKey", "checkout").await;
    })
    .await;
    world.gone(SHARED, "edgee").await;
    assert!(world.keys().is_empty());
    world
        .eventually("the Secret is let go", async || {
            match world.secrets().get_opt("edgee-console").await.unwrap() {
                None => Ok(()),
                Some(secret) => Err(format!("{:?}", secret.finalizers())),
            }
        })
        .await;
}

pub async fn what_is_not_permitted_has_no_effect(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({"permitted": ["Retain"]})).await;
    within(world, "team-a", async |world| {
        let own = world.vendor().add_key("made by a person").id;
        world.create("GatewayApiKey", "taken", shared(json!({"externalId": own}))).await;
        world.reason("GatewayApiKey", "taken", "LimitExceeded").await;
        let observed = json!({"externalId": own, "managementPolicy": "Observe"});
        world.create("GatewayApiKey", "observed", shared(observed)).await;
        world.reason("GatewayApiKey", "observed", "LimitExceeded").await;
        assert_eq!(world.keys().iter().find(|it| it.id == own).unwrap().name, "made by a person");
        world.create("GatewayApiKey", "kept", shared(json!({"deletionPolicy": "Retain"}))).await;
        world.ready("GatewayApiKey", "kept").await;
        limit(world, json!({"permitted": null})).await;
        world.reason("GatewayApiKey", "kept", "LimitExceeded").await;
        // While the vendor is down, force-orphan would be the way out; it is not permitted.
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let down = Effect::Status { code: 503, retry_after: None };
            world.emulator.faults().add(Rule::always(method, "/", down));
        }
        world.delete("GatewayApiKey", "kept").await;
        let forced = json!({"metadata": {"annotations": {"keysmith.dev/force-orphan": "yes"}}});
        world.edit("GatewayApiKey", "kept", forced).await.unwrap();
        world.pass(Duration::from_secs(120), Duration::ZERO).await;
        let said = world.reason("GatewayApiKey", "kept", "DeletionBlocked").await;
        assert!(said.contains("do not permit keysmith.dev/force-orphan"), "{said}");
        world.emulator.faults().clear();
        world.gone("GatewayApiKey", "kept").await;
        let left: Vec<_> = world.keys().into_iter().map(|it| it.id).collect();
        assert_eq!(left, [own], "the key that may not be retained is revoked");
        for name in ["taken", "observed"] {
            world.delete("GatewayApiKey", name).await;
            world.gone("GatewayApiKey", name).await;
        }
    })
    .await;
}

pub async fn console_tokens_are_refused_where_only_shared_ones_are_used(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "a"}})).await;
    world.stop().await;
    (world.everywhere, world.cluster_tokens_only) = (true, true);
    world.start().await;
    world.reason("ConsoleToken", "edgee", "KindNotAdmitted").await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"rotation": {"trigger": "b"}}})).await.unwrap();
    world.reason("GatewayApiKey", "checkout", "ConsoleTokenNotReady").await;
    assert_eq!(world.vendor().created_total(), 1);
    assert_eq!(world.keys().len(), 1, "what exists keeps working");
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty(), "a key can be deleted with its token as ever");
}

pub async fn an_operator_of_listed_namespaces_uses_no_shared_tokens_and_says_so(world: &mut World) {
    world.create("GatewayApiKey", "checkout", shared(json!({}))).await;
    let said = world.reason("GatewayApiKey", "checkout", "Unsupported").await;
    assert!(said.contains("watches listed namespaces only"), "{said}");
}

pub async fn a_shared_token_is_minted_with_another(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    world.vendor().add_issuer(ROOT);
    world.write_secret("root", &[("token", ROOT)]).await;
    let mut issuer = world.token_spec();
    if world.vendor_id == VendorId::EdenAiV3 {
        issuer["vendor"] = json!({"edenAi": {"tier": "Issuer"}});
    }
    issuer["secretRef"] = json!({"name": "root", "key": "token"});
    world.create(SHARED, "root", issuer).await;
    world.ready(SHARED, "root").await;
    let mut spec = world.token_spec();
    spec.as_object_mut().unwrap().remove("secretRef");
    let mint = json!({
        "mint": {"issuerRef": {"name": "root"}, "secret": {"name": "minted"}},
        "allowedNamespaces": {"names": ["team-a"]},
    });
    world.create(SHARED, "edgee", merged(spec, mint)).await;
    world.ready(SHARED, "edgee").await;
    world.ready("GatewayApiKey", "edgee-console-token").await;
    within(world, "team-a", async |world| {
        world.create("GatewayApiKey", "checkout", shared(json!({}))).await;
        world.ready("GatewayApiKey", "checkout").await;
        world.delete("GatewayApiKey", "checkout").await;
        world.gone("GatewayApiKey", "checkout").await;
    })
    .await;
    world.delete(SHARED, "edgee").await;
    world.gone(SHARED, "edgee").await;
    world.gone("GatewayApiKey", "edgee-console-token").await;
    world.delete(SHARED, "root").await;
    world.gone(SHARED, "root").await;
}

/// Observing a key that was managed is no way to retain it where Retain is not permitted.
pub async fn a_managed_key_that_is_only_observed_is_revoked_where_it_may_not_be_retained(world: &mut World) {
    platform(world).await;
    label(world, "team-a", Some("gold")).await;
    share(world, json!({"permitted": ["ExternalId"]})).await;
    within(world, "team-a", async |world| {
        for (permitted, stays) in [(json!(["ExternalId"]), false), (json!(["ExternalId", "Retain"]), true)] {
            limit(world, json!({ "permitted": permitted })).await;
            let id = world.vendor().add_key("made by a person").id;
            world.create("GatewayApiKey", "taken", shared(json!({"externalId": id}))).await;
            world.ready("GatewayApiKey", "taken").await;
            let observe = json!({"spec": {"managementPolicy": "Observe"}});
            world.edit("GatewayApiKey", "taken", observe).await.unwrap();
            world.reason("GatewayApiKey", "taken", "Observed").await;
            world.delete("GatewayApiKey", "taken").await;
            world.gone("GatewayApiKey", "taken").await;
            assert_eq!(world.keys().iter().any(|it| it.id == id), stays, "{permitted}");
        }
    })
    .await;
}

/// ProjectSettings of a namespace that may not use the token have no effect, and stand in nobody's way.
pub async fn project_settings_that_are_not_permitted_stand_in_nobodys_way(world: &mut World) {
    platform(world).await;
    label(world, "team-b", Some("gold")).await;
    share(world, json!({"permitted": ["ProjectSettings"]})).await;
    let settings = json!({"settings": {"euNative": true}});
    within(world, "team-a", async |world| {
        world.create("ProjectSettings", "first", shared(settings.clone())).await;
        world.reason("ProjectSettings", "first", "NamespaceNotAllowed").await;
    })
    .await;
    world.pass(Duration::from_secs(10), Duration::ZERO).await;
    within(world, "team-b", async |world| {
        world.create("ProjectSettings", "second", shared(settings.clone())).await;
        world.ready("ProjectSettings", "second").await;
    })
    .await;
    let project = world.emulator.cortecs().project("project_demo").unwrap().fields;
    assert_eq!(project["inference_config"]["eu_native"], true);
}
