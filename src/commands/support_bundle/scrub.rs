//! Takes out of a support bundle what is of no use to a person who helps, and may do harm: credentials wherever they stand,
//! e-mail addresses, and the text of templates.

use regex_lite::{NoExpand, Regex};
use serde_json::Value;
use std::sync::LazyLock;

/// What stands in place of a text that was taken out.
const TAKEN_OUT: &str = "<taken out>";
/// The group whose annotations are kept: other tools repeat whole resources in theirs.
const OURS: &str = "keysmith.dev/";
/// Annotations of ours that hold a hash of a key.
const HASHES: [&str; 2] = ["keysmith.dev/content", "keysmith.dev/key-at"];
/// The container whose arguments are kept.
const OPERATOR: &str = "keysmith";

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
        r"//[^/\s@:]*:[^\s@]*@",
        r"(?i)\b[a-z_.-]*(password|passwd|secret|token|credential|api[-_]?key)\s*[=:]\s*[^\s,;&<>]{4,}",
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
        annotations(metadata.get_mut("annotations"));
    }
    annotations(resource.pointer_mut("/spec/template/metadata/annotations"));
    // A template may hold more of a credential than the placeholder.
    if let Some(entries) = resource.pointer_mut("/spec/secret/template/data").and_then(Value::as_object_mut) {
        entries.values_mut().for_each(|it| *it = TAKEN_OUT.into());
    }
    // Of a Pod, and of a Deployment.
    for pod in ["/spec", "/spec/template/spec"] {
        for kind in ["containers", "initContainers", "ephemeralContainers"] {
            let found = resource.pointer_mut(&format!("{pod}/{kind}")).and_then(Value::as_array_mut);
            found.into_iter().flatten().for_each(container);
        }
    }
    strings(resource);
}

/// Annotations without their values, but for those of ours that hold no hash of a key.
fn annotations(found: Option<&mut Value>) {
    for (name, value) in found.and_then(Value::as_object_mut).into_iter().flatten() {
        if !name.starts_with(OURS) || HASHES.contains(&name.as_str()) {
            *value = TAKEN_OUT.into();
        }
    }
}

/// Kubernetes has no rule for what the environment and the arguments of a container may hold.
fn container(container: &mut Value) {
    for variable in container["env"].as_array_mut().into_iter().flatten() {
        let keeps = variable["name"].as_str().is_some_and(is_setting);
        if let Some(value) = variable.get_mut("value").filter(|_| !keeps) {
            *value = TAKEN_OUT.into();
        }
    }
    if container["name"] != OPERATOR {
        for words in ["args", "command"] {
            if let Some(words) = container.get_mut(words) {
                *words = TAKEN_OUT.into();
            }
        }
    }
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
        for (url, shown) in [
            ("https://user:hidden@proxy:3128/", "https:<taken out>proxy:3128/"),
            ("redis://:hid/den@redis:6379", "redis:<taken out>redis:6379"),
            ("--db-password=hidden1 --port=1", "--<taken out> --port=1"),
        ] {
            assert_eq!(text(url), shown);
        }
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
    fn a_resource_keeps_its_shape_and_loses_templates_variables_and_arguments() {
        let containers = json!([
            {"name": "keysmith", "args": ["run", "--leader-elect"], "env": [
                {"name": "KEYSMITH_CONCURRENCY", "value": "8"}, {"name": "OTHER", "value": "fake"},
                {"name": "KEYSMITH_HTTPS_PROXY", "value": "http://fake"},
            ]},
            {"name": "sidecar", "args": ["--fake"], "command": ["fake"]},
        ]);
        let deployment = json!({
            "metadata": {"name": "a", "managedFields": [1], "annotations": {"kapp.k14s.io/original": "fake", "keysmith.dev/leaked": "1"}},
            "spec": {
                "email": "a@example.com",
                "secret": {"template": {"data": {"url": "https://x:fake@db/{{ key }}"}}},
                "template": {"spec": {"containers": containers}},
            },
        });
        let pod = json!({"metadata": {"name": "b"}, "spec": {"containers": containers, "initContainers": containers}});
        for mut object in [deployment, pod] {
            resource(&mut object);
            let text = object.to_string();
            assert!(
                !text.contains("fake") && !text.contains("managedFields") && !text.contains("example.com"),
                "{text}"
            );
            assert!(text.contains("\"8\"") && text.contains("--leader-elect"), "{text}");
        }
    }
}
