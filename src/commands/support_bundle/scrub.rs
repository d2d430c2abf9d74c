//! Takes out of a support bundle what is of no use to a person who helps, and may do harm: credentials wherever they stand,
//! e-mail addresses, and the text of templates.

use regex_lite::{NoExpand, Regex};
use serde_json::Value;
use std::sync::LazyLock;

/// What stands in place of a text that was taken out.
const TAKEN_OUT: &str = "<taken out>";
/// Annotations that repeat a resource, or hold a hash of a key.
const COPIES: [&str; 3] =
    ["kubectl.kubernetes.io/last-applied-configuration", "keysmith.dev/content", "keysmith.dev/key-at"];

/// Patterns of what is never in a bundle.
#[expect(clippy::expect_used, reason = "the patterns are constants, which a test compiles")]
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        // Credentials by their prefix: OpenAI-like keys, Eden AI's, AWS's, Google's, GitHub's, Slack's.
        r"\b(sk|pk|ek|rk|sess|ghp|gho|ghs|glpat|xox[abpr])[-_][A-Za-z0-9_.-]{8,}",
        r"\b(AKIA|ASIA|AIza)[A-Za-z0-9_-]{12,}",
        // Tokens of three parts in base64, as of service accounts.
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?",
        // What follows an authorization scheme, and credentials in a URL.
        r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=_.~-]{8,}",
        r"//[^/\s@:]+:[^/\s@]*@",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
        // A word of letters and digits that is too long to be a name: a hash, a UID and a time are shorter or have separators.
        r"\b[A-Za-z0-9+/_]{48,}={0,2}",
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+",
    ];
    patterns.iter().map(|it| Regex::new(it).expect("a pattern")).collect()
});

/// A text without what is never in a bundle.
pub fn text(text: &str) -> String {
    PATTERNS
        .iter()
        .fold(text.to_owned(), |text, pattern| pattern.replace_all(&text, NoExpand(TAKEN_OUT)).into_owned())
}

/// A resource without what is never in a bundle, and without what is of no use.
pub fn resource(resource: &mut Value) {
    if let Some(metadata) = resource["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            for copy in COPIES {
                annotations.remove(copy);
            }
        }
    }
    // A template may hold more of a credential than the placeholder.
    if let Some(entries) = resource.pointer_mut("/spec/secret/template/data").and_then(Value::as_object_mut) {
        entries.values_mut().for_each(|it| *it = TAKEN_OUT.into());
    }
    // Kubernetes has no rule for what the environment of a container may hold.
    for container in ["containers", "initContainers"] {
        let path = format!("/spec/template/spec/{container}");
        for container in resource.pointer_mut(&path).and_then(Value::as_array_mut).into_iter().flatten() {
            for variable in container["env"].as_array_mut().into_iter().flatten() {
                let keeps = variable["name"].as_str().is_some_and(is_setting);
                if let Some(value) = variable.get_mut("value").filter(|_| !keeps) {
                    *value = TAKEN_OUT.into();
                }
            }
        }
    }
    strings(resource);
}

/// Whether a variable is a setting of Keysmith that holds no credential.
fn is_setting(name: &str) -> bool {
    name.starts_with("KEYSMITH_") && name != "KEYSMITH_HTTPS_PROXY"
}

fn strings(value: &mut Value) {
    match value {
        Value::String(it) => *it = text(it),
        Value::Array(items) => items.iter_mut().for_each(strings),
        Value::Object(fields) => fields.values_mut().for_each(strings),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_and_addresses_are_taken_out_wherever_they_stand() {
        for secret in [
            "sk-fake_0123456789abcdef",
            "ek_live_emulated-0-fake",
            "AKIAFAKEFAKEFAKEFAKE",
            "eyJhbGciOiJub25lIn0.eyJmYWtlIjoxfQ.fake",
            "Bearer fake-token-0123",
            "team@example.com",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "-----BEGIN PRIVATE KEY-----\nfake\n-----END PRIVATE KEY-----",
        ] {
            let said = text(&format!("level=warn error=\"{secret}\" more"));
            assert!(!said.contains(secret) && said.contains("more") && said.contains("level=warn"), "{said}");
        }
        assert_eq!(text("https://user:hidden@proxy:3128/"), "https:<taken out>proxy:3128/");
        for kept in [
            "2026-11-30T14:45:34Z shop/checkout serial=3",
            "0a1b2c3d-0000-4000-8000-0123456789ab",
            "checkout [ks-abcdef-abcdefghijklmnop-1]",
            "keysmith.dev/v1alpha1 GatewayApiKey",
            "org_12345 key_000001",
        ] {
            assert_eq!(text(kept), kept);
        }
    }

    #[test]
    fn a_resource_keeps_its_shape_and_loses_templates_and_variables() {
        let mut object = json!({
            "metadata": {"name": "a", "managedFields": [1], "annotations": {COPIES[0]: "x", "team": "shop"}},
            "spec": {
                "email": "a@example.com",
                "secret": {"template": {"data": {"url": "https://x:fake@db/{{ key }}"}}},
                "template": {"spec": {"containers": [{"env": [
                    {"name": "KEYSMITH_CONCURRENCY", "value": "8"}, {"name": "OTHER", "value": "fake"},
                    {"name": "KEYSMITH_HTTPS_PROXY", "value": "http://fake"},
                ]}]}},
            },
        });
        resource(&mut object);
        let text = object.to_string();
        assert!(
            !text.contains("fake") && !text.contains("managedFields") && !text.contains("example.com"),
            "{text}"
        );
        assert!(
            text.contains("\"8\"") && text.contains("\"team\":\"shop\"") && text.contains("\"url\""),
            "{text}"
        );
    }
}
