use super::*;
use crate::api::GatewayApiKey;
use serde_json::{Value, json};

fn key(reference: &Value) -> Result<GatewayApiKey, String> {
    let key = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop"}, "spec": {"consoleTokenRef": reference},
    });
    serde_json::from_value(key).map_err(|error| error.to_string())
}

#[test]
fn a_reference_has_the_namespace_of_its_resource() {
    let expected = TokenRef::beside(Some("shop".to_owned()), "edgee");
    for reference in [json!({"name": "edgee"}), json!({"name": "edgee", "kind": "ConsoleToken"})] {
        let key = key(&reference).unwrap();
        assert_eq!(TokenRef::named_by(&key), expected);
        assert!(expected.is_named(&key.spec.console_token_ref, Some("shop")));
        assert!(!expected.is_named(&key.spec.console_token_ref, Some("other")));
    }
    assert_eq!(expected.to_string(), "shop/edgee");
    assert_eq!(TokenRef { namespace: None, ..expected }.to_string(), "edgee");
}

#[test]
fn a_shared_token_is_one_for_all_namespaces_and_no_namespaced_one_of_its_name() {
    let key = key(&json!({"name": "edgee", "kind": "ClusterConsoleToken"})).unwrap();
    let shared = TokenRef::named_by(&key);
    assert_eq!(shared, TokenRef::shared("edgee"));
    assert_eq!(shared.reference(), key.spec.console_token_ref);
    for namespace in [Some("shop"), Some("other")] {
        assert!(shared.is_named(&key.spec.console_token_ref, namespace));
        let beside = TokenRef::beside(namespace.map(str::to_owned), "edgee");
        assert!(!beside.is_named(&key.spec.console_token_ref, namespace));
        assert!(!shared.is_named(&beside.reference(), namespace));
    }
    assert_eq!(
        (shared.to_string(), shared.titled()),
        ("edgee".to_owned(), "ClusterConsoleToken edgee".to_owned())
    );
}

#[test]
fn a_kind_that_is_not_known_is_refused_by_name_and_is_no_console_token_of_that_name() {
    let why = key(&json!({"name": "edgee", "kind": "GalaxyConsoleToken"})).unwrap_err();
    assert!(why.contains("GalaxyConsoleToken"), "{why}");
    assert_eq!(TokenKind::read(Some("GalaxyConsoleToken")), None);
    for kind in [TokenKind::ConsoleToken, TokenKind::ClusterConsoleToken] {
        assert_eq!(TokenKind::read(Some(kind.name())), Some(kind));
    }
    assert_eq!(TokenKind::read(None), Some(TokenKind::ConsoleToken));
}

#[test]
fn one_address_is_one_however_it_is_spelt() {
    let api = |endpoint: &str| VendorApi::new("v", endpoint);
    assert_eq!(api("https://api.example.com"), api("https://API.example.com:443/"));
    assert_eq!(api("https://a.example/x"), api("https://a.example/x/"));
    assert_ne!(api("https://a.example/x"), api("https://a.example/y"));
    assert_ne!(api("https://a.example"), VendorApi::new("w", "https://a.example"));
    assert_eq!(api(""), api(""));
}

#[test]
fn two_routes_meet_by_the_account_or_are_one_console_token() {
    let api = || VendorApi::new("v", "https://v");
    let route = |id: &str, namespace: &str| {
        let token = TokenRef::beside(Some(namespace.to_owned()), "main");
        Route { account: AccountId::of(api(), id, token.clone()), token }
    };
    for (one, other, expected) in [
        (route("o", "a"), route("o", "b"), true),
        (route("o", "a"), route("p", "a"), false),
        (route("", "a"), route("", "a"), true),
        (route("", "a"), route("", "b"), false),
        (route("", "a"), route("o", "a"), true),
        (route("", "a"), route("o", "b"), false),
    ] {
        assert_eq!((one.meets(&other), other.meets(&one)), (expected, expected), "{one:?} {other:?}");
    }
    let elsewhere = AccountId::organization(VendorApi::new("v", "https://w"), "o");
    assert!(!route("o", "a").meets(&Route { account: elsewhere, ..route("o", "a") }));
}
