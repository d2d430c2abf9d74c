//! The messages about the limits of ClusterConsoleTokens.

use super::{Book, at};
use keysmith::api::cluster_console_token::Limits;
use keysmith::api::{ClusterConsoleToken, GatewayApiKey, ProviderKey};
use keysmith::plan::identity::{AnyToken, TokenRef};
use keysmith::plan::limits::{self, Share};
use keysmith::plan::report;
use keysmith::plan::spec_error::SpecError;
use serde_json::{Value, json};

fn limit(value: Value) -> Limits {
    serde_json::from_value(value).unwrap()
}

fn key(spec: &Value) -> GatewayApiKey {
    let mut whole = json!({"consoleTokenRef": {"kind": "ClusterConsoleToken", "name": "edgee"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop"}, "spec": whole,
    }))
    .unwrap()
}

fn shared(allowed: &Value) -> AnyToken {
    let token: ClusterConsoleToken = serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "ClusterConsoleToken", "metadata": {"name": "edgee"},
        "spec": {
            "vendor": {"edgee": {"organizationId": "o"}}, "secretRef": {"name": "a", "key": "k"},
            "allowedNamespaces": allowed,
        },
    }))
    .unwrap();
    token.into()
}

pub fn all(book: &mut Book) {
    let token = TokenRef::shared("edgee");
    let mut tell =
        |answer: Result<(), SpecError>| book.ready(&answer.unwrap_err().verdict().still_ready(true));
    for allowed in [json!({"names": ["other"]}), json!({"selector": {}})] {
        tell(limits::of(&shared(&allowed), "shop", None).map(drop));
    }
    let budget = |amount: &str, period: &str| json!({"budget": {"amount": amount, "period": period}});
    let most = json!({"budget": {"maximum": {"amount": "100", "period": "Monthly"}}});
    for (limits, spec) in [
        (most.clone(), json!({})),
        (most.clone(), budget("250", "Monthly")),
        (most, budget("9", "Daily")),
        (json!({"budget": {"required": true}}), json!({})),
        (json!({"expiry": {"required": true}}), json!({})),
        (json!({"expiry": {"maximumDays": 90}}), json!({"expiresInDays": 365})),
        (json!({"types": ["Api", "Sandbox"]}), json!({"type": "CodingAgent", "codingAssistant": "codex"})),
        (json!({"models": ["anthropic/*"]}), json!({})),
        (json!({"models": ["anthropic/*"]}), json!({"models": ["openai/gpt"]})),
        (json!({"requiredLabels": ["cost-centre"]}), json!({})),
        (json!({}), json!({"externalId": "key_1", "deletionPolicy": "Retain", "debugMode": true})),
    ] {
        tell(limits::check_key(&limit(limits), &token, &key(&spec)));
    }
    let secret =
        json!({"secret": {"template": {"type": "example.com/x", "metadata": {"labels": {"team": "shop"}}}}});
    let only = limit(json!({"secret": {"types": ["Opaque"], "labels": ["example.com/*"]}}));
    tell(limits::check_secret(&only, &token, &key(&secret)));
    let provider: ProviderKey = serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "ProviderKey", "metadata": {"name": "a", "namespace": "shop"},
        "spec": {"consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "a"}},
    }))
    .unwrap();
    for providers in [json!([]), json!(["anthropic"])] {
        tell(limits::check_provider_key(&limit(json!({"providers": providers})), &token, &provider));
    }
    tell(limits::check_project(&limit(json!({})), &token, &provider.metadata));
    let sum = limit(
        json!({"budget": {"perNamespace": {"amount": "100", "period": "Monthly"}}, "keys": {"perNamespace": 1}}),
    );
    let other = Share {
        exists: true,
        fits: true,
        age: (None, "a".to_owned()),
        sent: 80_000_000,
        wanted: 80_000_000,
        open: false,
    };
    let own = Share {
        exists: false,
        fits: true,
        age: (None, "b".to_owned()),
        sent: 0,
        wanted: 30_000_000,
        open: false,
    };
    tell(limits::check_sum(&sum, &token, &own, [&other].into_iter()));
    tell(Err(report::token::namespace_stopped(&token, "shop", at(90))));
}
