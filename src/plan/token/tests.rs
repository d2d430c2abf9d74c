use super::*;

#[test]
fn credentials_go_to_the_vendor_and_to_listed_origins_only() {
    let listed = Endpoints::parse(["http://127.0.0.1:8787", " https://proxy.example "]).unwrap();
    let default = Endpoint::Default("https://api.edgee.app");
    for (endpoint, admitted) in [
        (None, true),
        (Some("https://api.edgee.app"), true),
        (Some("https://API.edgee.app:443/"), true),
        (Some("http://127.0.0.1:8787/edgee"), true),
        (Some("https://proxy.example"), true),
        (Some("http://api.edgee.app"), false),
        (Some("https://api.edgee.app:8443"), false),
        (Some("https://api.edgee.app.evil.example"), false),
        (Some("https://api.edgee.app@evil.example"), false),
        (Some("http://127.0.0.1:8788"), false),
        (Some("http://127.1:8787"), true),
        (Some("http://169.254.169.254"), false),
        (Some("file:///etc/passwd"), false),
        (Some("api.edgee.app"), false),
        (Some("https://proxy.example?x=1"), false),
        (Some(""), false),
    ] {
        let answer = listed.admit(endpoint, default);
        assert_eq!(answer.is_ok(), admitted, "{endpoint:?}: {answer:?}");
        if let Err(refusal) = answer {
            assert_eq!(refusal.field, "spec.endpoint");
        }
    }
}

#[test]
fn where_a_vendor_has_no_origin_of_its_own_one_has_to_be_named_and_listed() {
    let listed = Endpoints::parse(["https://llm.example.com:4000"]).unwrap();
    let admit = |endpoint| listed.admit(endpoint, Endpoint::Required);
    assert_eq!(admit(Some("https://llm.example.com:4000/x")).unwrap().path(), "/x");
    let missing = admit(None).unwrap_err();
    assert_eq!((missing.reason, missing.field.as_str()), (Reason::InvalidSpec, "spec.endpoint"));
    assert!(missing.message.starts_with("is required"), "{missing}");
    let other = admit(Some("https://elsewhere.example.com")).unwrap_err();
    assert_eq!(other.reason, Reason::EndpointNotAdmitted);
    assert!(!other.message.contains("leave it out"), "{other}");
}

#[test]
fn applications_are_sent_to_admitted_gateways_only() {
    let listed = Gateways::parse(["https://gw.example.com"]).unwrap();
    let endpoint = Url::parse("http://127.0.0.1:8787/x").unwrap();
    for (gateway_url, admitted) in [
        (None, true),
        (Some("https://api.edgee.ai/v1"), true),
        (Some("https://gw.example.com/any/path"), true),
        (Some("http://127.0.0.1:8787/edgee-gateway"), true),
        (Some("http://gw.example.com"), false),
        (Some("http://api.edgee.ai"), false),
        (Some("https://gw.example.com:8443"), false),
        (Some("https://api.edgee.ai.attacker.test"), false),
        (Some("https://api.edgee.ai@attacker.test"), false),
        (Some("https://attacker.test"), false),
    ] {
        let answer = listed.admit(gateway_url, Some("https://api.edgee.ai"), &endpoint);
        assert_eq!(answer.is_ok(), admitted, "{gateway_url:?}: {answer:?}");
    }
    assert!(Gateways::parse(["http://gw.example.com"]).unwrap_err().contains("is not https"));
    assert!(Gateways::parse(["https://gw.example.com/path"]).is_err());
}

fn token(spec: serde_json::Value) -> AnyToken {
    let token: crate::api::ConsoleToken = serde_json::from_value(serde_json::json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "ConsoleToken", "metadata": {"name": "worker"}, "spec": spec,
    }))
    .unwrap();
    token.into()
}

#[test]
fn a_token_is_refused_by_the_field_that_cannot_be_or_has_no_effect() {
    use crate::gateway::cortecs::CAPABILITIES as CORTECS;
    use serde_json::json;
    let minted = |more: serde_json::Value| {
        let mut spec = json!({"vendor": {"cortecs": {}}, "mint": {"issuerRef": {"name": "root"}, "secret": {"name": "a"}}});
        let (own, mint) = (more["own"].clone(), more["mint"].clone());
        spec.as_object_mut().unwrap().extend(own.as_object().cloned().unwrap_or_default());
        spec["mint"].as_object_mut().unwrap().extend(mint.as_object().cloned().unwrap_or_default());
        token(spec)
    };
    for (spec, field) in [
        (json!({"mint": {"secret": {"name": "a..b"}}}), Some("spec.mint.secret.name")),
        (json!({"mint": {"secret": {"name": "a", "key": "a b"}}}), Some("spec.mint.secret.key")),
        (json!({"mint": {"rotation": {"renewBefore": "1h"}}}), Some("spec.mint.rotation.renewBefore")),
        (json!({"own": {"expiresAt": "2027-01-01T00:00:00Z"}}), Some("spec.expiresAt")),
        (json!({"mint": {"scopes": ["a"]}}), Some("spec.mint.scopes")),
        (json!({"mint": {"rotation": {"maxAge": "720h"}}}), None),
    ] {
        let token = minted(spec.clone());
        let mint = token.spec().mint.as_ref().unwrap();
        let refusal = check_mint(&token, mint, &CORTECS, Some(&CORTECS)).err();
        assert_eq!(refusal.map(|it| it.field), field.map(str::to_owned), "{spec}");
    }
    for (spec, field) in [
        (
            json!({"vendor": {"cortecs": {}}, "secretRef": {"name": "a-.b", "key": "k"}}),
            Some("spec.secretRef.name"),
        ),
        (
            json!({"vendor": {"cortecs": {}}, "secretRef": {"name": "a", "key": "k y"}}),
            Some("spec.secretRef.key"),
        ),
        (
            json!({"vendor": {"cortecs": {}}, "secretRef": {"name": "a", "key": "k"}, "gatewayUrl": "nowhere"}),
            Some("spec.gatewayUrl"),
        ),
        (
            json!({"vendor": {"cortecs": {}}, "secretRef": {"name": "a.b", "key": "k"}, "gatewayUrl": "https://a"}),
            None,
        ),
    ] {
        let refusal = check_spec(token(spec.clone()).spec()).err();
        assert_eq!(refusal.map(|it| it.field), field.map(str::to_owned), "{spec}");
    }
}

#[test]
fn a_list_of_origins_holds_origins_only() {
    for (text, words) in [
        ("ftp://x", "ftp://x must begin with https:// or http:// and name a host"),
        ("https://x/edgee", "has a path; write the origin only (scheme, host, port): https://x"),
        ("http://x:8080/a/", "http://x:8080"),
        ("x.example", "is not a URL"),
        ("https://x?y", "must be scheme, host, port"),
        ("https://user:hidden@x", "an entry must be"),
    ] {
        let error = Endpoints::parse(["https://fine.example", text]).unwrap_err();
        assert!(error.contains(words) && !error.contains("hidden"), "{text}: {error}");
    }
    let listed = Endpoints::parse(["https://X.example:443/", "http://127.0.0.1:1"]).unwrap();
    assert_eq!(listed.shown(), "https://x.example,http://127.0.0.1:1");
}

#[test]
fn bytes_that_cannot_be_a_token_are_refused_without_repeating_them() {
    for (bytes, words) in [
        (&b""[..], "is empty"),
        (b" \t ", "white space"),
        (b"ek_fake_1\n\n", "line break"),
        (b"ek_fake_1\r\nX-Evil: 1", "line break"),
        (b"ek fake", "a blank"),
        (b"\xef\xbb\xbfek_fake", "byte order mark"),
        (b"Bearer ek_fake", "Bearer"),
        (b"ek_\xff\xfe", "not text"),
        ("ek_fake_\u{e9}".as_bytes(), "no token and no key has"),
    ] {
        let refusal = check_token(bytes, "Secret a, key b").unwrap_err();
        assert!(refusal.message.starts_with("Secret a, key b "), "{refusal}");
        assert!(refusal.message.contains(words), "{refusal}");
        assert!(!refusal.message.contains("fake"), "{refusal}");
    }
    assert_eq!(check_token(b"ek_fake_1\n", "x").unwrap(), "ek_fake_1");
    assert_eq!(check_token(b"ek_fake_1", "x").unwrap(), "ek_fake_1");
}
