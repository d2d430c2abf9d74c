//! The refusals of specifications by field, before any call. The CEL rules in the definitions use the same words.

use super::Book;
use keysmith::api::console_token::UsageSpec;
use keysmith::api::{ConsoleToken, GatewayApiKey, Verdict};
use keysmith::gateway::{cortecs, edenai_v2, edenai_v3, edgee};
use keysmith::plan::capability::{Capabilities, CredentialFormat, Endpoint};
use keysmith::plan::identity::AnyToken;
use keysmith::plan::spec_error::SpecError;
use keysmith::plan::token::{self, Endpoints, Gateways};
use keysmith::plan::{credentials, desired, project, usage};
use serde_json::{Value, json};
use url::Url;

fn key(spec: Value) -> GatewayApiKey {
    let mut whole = json!({"consoleTokenRef": {"name": "edgee"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop"}, "spec": whole,
    }))
    .unwrap()
}

fn verdict(refusal: &SpecError) -> Verdict {
    refusal.verdict()
}

pub fn all(book: &mut Book) {
    keys(book);
    secrets(book);
    tokens(book);
    provider_credentials(book);
}

fn keys(book: &mut Book) {
    let table: Vec<(&Capabilities, Value)> = vec![
        (&edgee::CAPABILITIES, json!({"budget": {"amount": "250", "period": "Weekly"}})),
        (&edgee::CAPABILITIES, json!({"budget": {"amount": "2.50", "period": "Monthly"}})),
        (&edgee::CAPABILITIES, json!({"budget": {"amount": "ten", "period": "Monthly"}})),
        (&edgee::CAPABILITIES, json!({"budget": {"amount": "0", "period": "Monthly"}})),
        (&edenai_v3::CAPABILITIES, json!({"budget": {"amount": "0", "period": "Monthly"}})),
        (
            &edenai_v3::CAPABILITIES,
            json!({"email": "a@example.com", "codingAssistant": "codex", "models": ["m"]}),
        ),
        (&cortecs::CAPABILITIES, json!({"budget": {"amount": "5", "period": "Monthly"}})),
        (&edgee::CAPABILITIES, json!({"type": "Sandbox"})),
        (&edgee::CAPABILITIES, json!({"type": "CodingAgent"})),
        (&edgee::CAPABILITIES, json!({"type": "Management"})),
        (&edgee::CAPABILITIES, json!({"managementPolicy": "Observe"})),
        (&edgee::CAPABILITIES, json!({"rotation": {"renewBefore": "24h"}})),
        (&edgee::CAPABILITIES, json!({"expiresInDays": 1, "rotation": {"renewBefore": "48h"}})),
        (&edgee::CAPABILITIES, json!({"rotation": {"renewBeforePercentage": 10}})),
        (&edgee::CAPABILITIES, json!({"rotation": {"maxAge": "1h"}})),
        (&edgee::CAPABILITIES, json!({"rotation": {"overlap": "1d"}})),
        (&edgee::CAPABILITIES, json!({"rotation": {"overlap": "48h", "maxOverlap": "24h"}})),
        (&edgee::CAPABILITIES, json!({"rotation": {"windows": [{"from": "02:00", "until": "04:00"}]}})),
        (
            &edgee::CAPABILITIES,
            json!({
                "rotation": {"maxAge": "720h", "windows": [{"from": "02:00", "until": "04:00", "timeZone": "Europe/Berln"}]},
            }),
        ),
        (&edenai_v3::CAPABILITIES, json!({"rotation": {"brownOut": "1h"}})),
        (&edenai_v2::CAPABILITIES, json!({"externalId": "mine"})),
        (&cortecs::CAPABILITIES, json!({"deletionPolicy": "Disable"})),
    ];
    for (vendor, spec) in table {
        book.ready(&verdict(
            &desired::desired(&key(spec.clone()), vendor, None).expect_err(&spec.to_string()),
        ));
    }
    book.ready(&verdict(&project::check(&serde_json::from_value(json!({})).unwrap(), None).unwrap_err()));
}

fn secrets(book: &mut Book) {
    let template = |template: Value| json!({"secret": {"template": template}});
    let table = [
        template(json!({"metadata": {"labels": {"team": "Search and Ads"}}})),
        template(json!({"metadata": {"labels": {"team name": "search"}}})),
        template(json!({"metadata": {"annotations": {"bad key": "x"}}})),
        template(json!({"metadata": {"labels": {"keysmith.dev/mine": "x"}}})),
        template(json!({"type": "kubernetes.io/tls", "data": {"key": "{{ key }}"}})),
        template(
            json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "{{ key }}"}}),
        ),
        template(json!({"type": "helm.sh/release.v1"})),
        template(json!({"data": {"a b": "{{ key }}"}})),
        template(json!({"data": {"key": "{{ keyy }}"}})),
        template(json!({"data": {"key": "{{ key"}})),
        template(json!({"data": {"key": "x".repeat(1_100_000)}})),
        json!({"secret": {"name": "a..b"}}),
        json!({"secret": {"keepPrevious": true, "template": {"data": {"previous_notice": "x", "key": "{{ key }}"}}}}),
        json!({"secret": {"preset": "Anthropic"}}),
    ];
    for (number, spec) in table.iter().enumerate() {
        let vendor = if number == table.len() - 1 { &cortecs::CAPABILITIES } else { &edgee::CAPABILITIES };
        book.ready(&verdict(
            &desired::desired(&key(spec.clone()), vendor, None).expect_err(&spec.to_string()),
        ));
    }
}

fn tokens(book: &mut Book) {
    let place = "Secret edgee-console, entry token";
    let twice = "ZWtfbGl2ZV9mYWtlX2Zha2VfZmFrZQ==";
    for bytes in [
        &b""[..],
        b" \t ",
        b"ek_live_fake\r\nX-Evil: 1",
        "\u{feff}ek_live_fake".as_bytes(),
        "ek_live\u{a0}fake".as_bytes(),
        "ek_live\u{200b}fake".as_bytes(),
        b"\xff\xfee\0k\0",
        b"Bearer ek_live_fake",
        b"\"ek_live_fake\"",
        "\u{201c}ek_live_fake\u{201d}".as_bytes(),
        b"EDGEE_TOKEN=ek_live_fake",
        b"{\"token\": \"ek_live_fake\"}",
        twice.as_bytes(),
    ] {
        book.ready(&verdict(&token::check_token(bytes, place).unwrap_err()));
    }
    book.ready(&verdict(&token::secret_missing("edgee-console", "shop")));
    book.ready(&verdict(&token::entry_missing("edgee-console", "token")));
    let listed = Endpoints::parse(["https://llm.example.com"]).unwrap();
    for endpoint in ["https://proxy.example.com", "ftp://x", "api.edgee.app", "https://a:b@x.example.com"] {
        book.ready(&verdict(&listed.admit(Some(endpoint), edgee::CAPABILITIES.endpoint).unwrap_err()));
        let own = Url::parse("https://api.edgee.app").unwrap();
        let gateways = Gateways::parse(["https://gw.example.com"]).unwrap();
        let refused = gateways.admit(Some(endpoint), edgee::CAPABILITIES.gateway_url.own(), &own);
        book.ready(&verdict(&refused.unwrap_err()));
    }
    for endpoint in [None, Some("https://proxy.example.com")] {
        book.ready(&verdict(&listed.admit(endpoint, Endpoint::Required).unwrap_err()));
    }
    let usage = |path: Option<&str>, low: Option<&str>, interval: &str| UsageSpec {
        interval: interval.to_owned(),
        path: path.map(str::to_owned),
        low_balance: low.map(str::to_owned),
    };
    for (vendor, spec) in [
        (&edgee::CAPABILITIES, usage(None, Some("20"), "15m")),
        (&edenai_v2::CAPABILITIES, usage(Some("/x"), None, "15m")),
        (&edgee::CAPABILITIES, usage(None, None, "1s")),
    ] {
        book.ready(&verdict(&usage::interval(&spec, vendor).unwrap_err()));
    }
    minted(book);
}

fn minted(book: &mut Book) {
    let table: Vec<(Value, Value, &Capabilities, Option<&Capabilities>)> = vec![
        (json!({"edgee": {"organizationId": "o"}}), json!({}), &edgee::CAPABILITIES, None),
        (
            json!({"cortecs": {}}),
            json!({"scopes": ["x"]}),
            &cortecs::CAPABILITIES,
            Some(&cortecs::CAPABILITIES),
        ),
        (json!({"edenAi": {}}), json!({}), &edenai_v3::CAPABILITIES, None),
        (json!({"edenAi": {}}), json!({}), &edenai_v3::CAPABILITIES, Some(&edenai_v3::CAPABILITIES)),
        (
            json!({"cortecs": {}}),
            json!({"rotation": {"renewBefore": "24h"}}),
            &cortecs::CAPABILITIES,
            Some(&cortecs::CAPABILITIES),
        ),
    ];
    for (vendor, mint, own, issuer) in table {
        let mut whole = json!({"issuerRef": {"name": "root"}, "secret": {"name": "minted"}});
        whole.as_object_mut().unwrap().extend(mint.as_object().unwrap().clone());
        let token: ConsoleToken = serde_json::from_value(json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "ConsoleToken",
            "metadata": {"name": "minted", "namespace": "shop"}, "spec": {"vendor": vendor, "mint": whole},
        }))
        .unwrap();
        let token = AnyToken::from(token);
        let mint = token.spec().mint.clone().unwrap();
        book.ready(&verdict(&token::check_mint(&token, &mint, own, issuer).unwrap_err()));
    }
}

fn provider_credentials(book: &mut Book) {
    let azure = |endpoint: &str| vec![("endpoint", endpoint.to_owned()), ("api_key", "fake".to_owned())];
    let one = |entry: &'static str, text: &str| vec![(entry, text.to_owned())];
    let account = |key: &str| {
        let document = json!({"type": "service_account", "project_id": "p-1", "private_key": key, "client_email": "a@p.iam.example.com"});
        one("service_account.json", &document.to_string())
    };
    let table = vec![
        ("openai", vec![]),
        ("openai", one("api_key", "  \n")),
        ("openai", one("api_key", "Bearer sk-fake")),
        ("azure", azure("https://x.openai.azure.com/openai/deployments/gpt-4o?api-version=1")),
        ("azure", azure("https://me:pw@x.openai.azure.com/")),
        ("azure", azure("http://x.openai.azure.com/")),
        ("bedrock", one("api_key", "fake")),
        ("bedrock", one("us-east-1.access_key_id", "AKIAFAKE")),
        (
            "bedrock",
            vec![
                ("US_EAST_1.access_key_id", "AKIAFAKE".to_owned()),
                ("US_EAST_1.secret_access_key", "fake".to_owned()),
            ],
        ),
        (
            "bedrock",
            vec![
                ("us-east-1.access_key_id", "AKIAFAKE".to_owned()),
                ("us-east-1.secret_access_key", "fake".to_owned()),
                ("us-east-1.session_token", "fake".to_owned()),
            ],
        ),
        ("google_vertex_ai", one("service_account.json", "{")),
        ("google_vertex_ai", account("secret-that-is-not-a-key")),
        ("google_vertex_ai", account("-----BEGIN PRIVATE KEY-----\\nRkFLRQ==\\n-----END PRIVATE KEY-----")),
        (
            "google_vertex_ai",
            account("-----BEGIN ENCRYPTED PRIVATE KEY-----\nRkFLRQ==\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        ),
    ];
    for (provider, entries) in table {
        let entries = entries.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
        let refusal = credentials::assemble(CredentialFormat::Assembled, provider, "byok", None, &entries);
        book.ready(&verdict(&refusal.unwrap_err()));
    }
}
