//! What goes into a Secret: presets and templates, checked before a key is minted.
//!
//! Templates are minijinja without loaders, macros and functions that could do I/O; their work is bounded by
//! fuel, and every variable they name must be known.

mod check;

use super::hash;
use super::refusal::Refusal;
use crate::api::GatewayApiKey;
use crate::api::gateway_api_key::Preset;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use std::collections::BTreeMap;

/// Tells Stakater Reloader that this Secret is one to restart workloads for.
const RELOADER: &str = "reloader.stakater.com/match";
/// The entry of a Secret that has neither template nor preset.
const DEFAULT_ENTRY: &str = "key";
/// Steps a template may take: hundreds of times what any sane one needs, a fraction of a second in all.
const FUEL: u64 = 50_000;
/// Kubernetes' limit for a Secret is 1 MiB; what Keysmith adds itself stays far below the rest.
const LARGEST: usize = 1_000_000;
/// Kubernetes' limit for the name of an entry.
const LONGEST_ENTRY: usize = 253;
/// How the entries of an old key are named that stay beside the new ones.
pub const PREVIOUS_ENTRY: &str = "previous_";
/// What a Secret should be, but for the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPlan {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Labels beside Keysmith's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside Keysmith's own.
    pub annotations: BTreeMap<String, String>,
    /// Entry → template.
    pub data: BTreeMap<String, String>,
    /// Whether the entries of the old key stay until it is retired.
    pub keep_previous: bool,
}

/// Hashes of what a Secret is rendered from, but for the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendering {
    /// Of the plan and of every input, as version 0.1 counts.
    pub all: String,
    /// Of the plan and of those inputs that its templates use: another one does not change the Secret.
    pub used: String,
}

/// What a template can name.
pub struct Variables<'a> {
    /// The secret of the key.
    pub key: &'a str,
    /// Base URL for applications, without a slash at its end.
    pub base_url: &'a str,
    /// The vendor's id of the key.
    pub key_id: &'a str,
    /// Name of the resource.
    pub name: &'a str,
    /// Namespace of the resource.
    pub namespace: &'a str,
    /// Serial of the key.
    pub serial: u64,
    /// RFC 3339, or empty.
    pub expires_at: &'a str,
    /// The models admitted.
    pub models: &'a [String],
}

impl<'a> Variables<'a> {
    /// Values of the usual size, to try a template with.
    const fn placeholder(models: &'a [String]) -> Self {
        Self {
            key: "sk-0123456789abcdef0123456789abcdef",
            base_url: "https://gateway.example",
            key_id: "key_0123456789abcdef",
            name: "name",
            namespace: "namespace",
            serial: 1,
            expires_at: "2026-01-01T00:00:00Z",
            models,
        }
    }

    fn context(&self) -> Value {
        context! {
            key => self.key,
            baseUrl => self.base_url,
            keyId => self.key_id,
            name => self.name,
            namespace => self.namespace,
            serial => self.serial,
            expiresAt => self.expires_at,
            models => self.models.iter().map(String::as_str).collect::<Value>(),
        }
    }
}

impl SecretPlan {
    /// Reads `spec.secret`.
    pub fn new(resource: &GatewayApiKey, openai_path: &str) -> Result<Self, Refusal> {
        let secret = resource.spec.secret.clone().unwrap_or_default();
        let template = secret.template.unwrap_or_default();
        let decorations = template.metadata.unwrap_or_default();
        let mut data = secret
            .preset
            .map(|it| preset(it, !resource.spec.models.is_empty(), openai_path))
            .unwrap_or_default();
        if !data.is_empty() && data.keys().all(|entry| template.data.contains_key(entry)) {
            let message = "spec.secret.template.data has every entry of it, so that it has no effect; leave one of them out";
            return Err(Refusal::invalid("spec.secret.preset", message));
        }
        data.extend(template.data);
        if data.is_empty() {
            data.insert(DEFAULT_ENTRY.to_owned(), "{{ key }}".to_owned());
        }
        let mut plan = Self {
            name: resource.secret_name().to_owned(),
            kind: template.kind.unwrap_or_else(|| "Opaque".to_owned()),
            labels: decorations.labels,
            annotations: decorations.annotations,
            data,
            keep_previous: secret.keep_previous.unwrap_or(false),
        };
        let rotation = resource.spec.rotation.as_ref();
        if rotation.is_some_and(|it| it.reloader == Some(true)) {
            let written = plan.annotations.insert(RELOADER.to_owned(), "true".to_owned());
            if written.is_some_and(|it| it != "true") {
                let field = format!("spec.secret.template.metadata.annotations[{RELOADER}]");
                let message = "spec.rotation.reloader: true sets it to \"true\"; leave one of them out";
                return Err(Refusal::invalid(field, message));
            }
        }
        plan.check()?;
        // Filters, indexes and loops show what they are worth only when they run, so they do, once, before a key is
        // made for them.
        let filled = plan.render(&Variables::placeholder(&resource.spec.models))?;
        plan.check_filled(&filled)?;
        Ok(plan)
    }

    /// Hashes of the plan and of what goes into the Secret beside the key.
    pub fn rendering(&self, base_url: &str, models: &[String]) -> Rendering {
        let digest = |base_url: &str, models: &[String]| {
            let text =
                serde_json::json!([self.kind, self.labels, self.annotations, self.data, base_url, models]);
            hash::base32(&[text.to_string().as_bytes()], 26)
        };
        let used = |name: &str| self.data.values().any(|template| uses(template, name));
        Rendering {
            all: digest(base_url, models),
            used: digest(
                if used("baseUrl") { base_url } else { "" },
                if used("models") { models } else { &[] },
            ),
        }
    }

    /// Whether an entry of the Secret is kept of an old key. One that the template names is its own.
    pub fn is_previous(&self, entry: &str) -> bool {
        entry.starts_with(PREVIOUS_ENTRY) && !self.data.contains_key(entry)
    }

    /// The entries that are the key and nothing else.
    pub fn bare_entries(&self) -> impl Iterator<Item = &String> {
        let bare = |template: &str| {
            let inner = template.strip_prefix("{{").and_then(|it| it.strip_suffix("}}"));
            inner.is_some_and(|it| it.trim() == "key")
        };
        self.data.iter().filter(move |(_, template)| bare(template)).map(|(entry, _)| entry)
    }

    /// The entries whose template names the key.
    pub fn keyed_entries(&self) -> impl Iterator<Item = &String> {
        self.data.iter().filter(|(_, template)| uses(template, "key")).map(|(entry, _)| entry)
    }

    /// Fills the templates in.
    pub fn render(&self, variables: &Variables<'_>) -> Result<BTreeMap<String, String>, Refusal> {
        let environment = environment();
        let mut size = 0;
        let mut filled = BTreeMap::new();
        for (entry, template) in &self.data {
            // The engine's own message may quote the template's values, so it is not passed on.
            let text = environment.render_str(template, variables.context()).map_err(|error| {
                let message = format!("the template fails ({})", error.kind());
                Refusal::invalid(path(entry), message)
            })?;
            size += entry.len() + text.len();
            self.check_size((entry, size, filled.len() + 1))?;
            filled.insert(entry.clone(), text);
        }
        Ok(filled)
    }
}

/// Whether a template names that variable.
fn uses(template: &str, name: &str) -> bool {
    let environment = environment();
    // What does not parse was refused before.
    environment.template_from_str(template).is_ok_and(|it| it.undeclared_variables(false).contains(name))
}

fn path(entry: &str) -> String {
    format!("spec.secret.template.data[{entry}]")
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    // What is written in the template is what is in the Secret, to the last line break.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment
}

/// The table of README, "Presets".
fn preset(preset: Preset, with_model: bool, openai_path: &str) -> BTreeMap<String, String> {
    const KEY: &str = "{{ key }}";
    const ROOT: &str = "{{ baseUrl }}";
    let openai = format!("{ROOT}{openai_path}");
    let (entries, model): (&[(&str, &str)], &str) = match preset {
        Preset::OpenAI => (&[("OPENAI_API_KEY", KEY), ("OPENAI_BASE_URL", openai.as_str())], "OPENAI_MODEL"),
        Preset::Anthropic => (&[("ANTHROPIC_API_KEY", KEY), ("ANTHROPIC_BASE_URL", ROOT)], "ANTHROPIC_MODEL"),
        Preset::ClaudeCode => {
            (&[("ANTHROPIC_AUTH_TOKEN", KEY), ("ANTHROPIC_BASE_URL", ROOT)], "ANTHROPIC_MODEL")
        }
        Preset::Codex => (
            &[("CODEX_API_KEY", KEY), ("OPENAI_API_KEY", KEY), ("OPENAI_BASE_URL", openai.as_str())],
            "CODEX_MODEL",
        ),
    };
    let model = with_model.then_some((model, "{{ models[0] }}"));
    entries.iter().copied().chain(model).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables hand their rows over")]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(secret: serde_json::Value) -> Result<SecretPlan, Refusal> {
        let resource = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "checkout"},
            "spec": {"consoleTokenRef": {"name": "edgee"}, "models": ["m-1", "m-2"], "secret": secret},
        });
        SecretPlan::new(&serde_json::from_value(resource).unwrap(), "/v1")
    }

    fn render(plan: &SecretPlan) -> BTreeMap<String, String> {
        let models = ["m-1".to_owned(), "m-2".to_owned()];
        let variables = Variables {
            key: "sk-fake",
            base_url: "https://gw.example",
            key_id: "key_1",
            name: "checkout",
            namespace: "shop",
            serial: 3,
            expires_at: "",
            models: &models,
        };
        plan.render(&variables).unwrap()
    }

    #[test]
    fn without_template_and_preset_there_is_one_entry() {
        assert_eq!(render(&plan(json!({})).unwrap()), BTreeMap::from([("key".into(), "sk-fake".into())]));
    }

    #[test]
    fn presets_give_key_base_url_and_default_model() {
        let entries = |preset: &str| render(&plan(json!({"preset": preset})).unwrap());
        let openai = entries("OpenAI");
        assert_eq!(openai["OPENAI_API_KEY"], "sk-fake");
        assert_eq!(openai["OPENAI_BASE_URL"], "https://gw.example/v1");
        assert_eq!(openai["OPENAI_MODEL"], "m-1");
        assert_eq!(entries("Anthropic")["ANTHROPIC_BASE_URL"], "https://gw.example");
        assert_eq!(entries("ClaudeCode")["ANTHROPIC_AUTH_TOKEN"], "sk-fake");
        assert_eq!(entries("Codex")["CODEX_MODEL"], "m-1");
    }

    #[test]
    fn a_template_comes_on_top_of_the_preset() {
        let secret = json!({"preset": "OpenAI", "template": {"data": {
            "OPENAI_MODEL": "{{ models | join(',') }}", "toml": "[a]\nkey = \"{{ key }}\" # {{ serial }}\n"}}});
        let entries = render(&plan(secret).unwrap());
        assert_eq!(entries["OPENAI_MODEL"], "m-1,m-2");
        assert_eq!(entries["toml"], "[a]\nkey = \"sk-fake\" # 3\n");
    }

    #[test]
    fn what_cannot_be_rendered_is_refused_before_a_key_exists() {
        let data = |template: &str| json!({"template": {"data": {"a": template}}});
        let table = [
            (data("{{ key "), "spec.secret.template.data[a]", "does not parse"),
            (data("{% for %}"), "spec.secret.template.data[a]", "does not parse"),
            (data("{{ password }}"), "spec.secret.template.data[a]", "unknown variable password"),
            (data("{{ key | b64 }}"), "spec.secret.template.data[a]", "the template fails"),
            (data("{{ models[7] }}"), "spec.secret.template.data[a]", "the template fails"),
            (data("{% include 'x' %}"), "spec.secret.template.data[a]", "does not parse"),
            (
                json!({"template": {"data": {"a b": "x"}}}),
                "spec.secret.template.data[a b]",
                "letters, digits",
            ),
            (json!({"template": {"type": "helm.sh/release.v1"}}), "spec.secret.template.type", "Opaque"),
            (
                json!({"template": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "x"}}}}),
                "spec.secret.template.metadata.labels[app.kubernetes.io/managed-by]",
                "Keysmith's own",
            ),
            (
                json!({"template": {"metadata": {"annotations": {"keysmith.dev/serial": "9"}}}}),
                "spec.secret.template.metadata.annotations[keysmith.dev/serial]",
                "Keysmith's own",
            ),
        ];
        for (secret, field, words) in table {
            let refusal = plan(secret.clone()).expect_err(&secret.to_string());
            assert_eq!(refusal.field, field, "{secret}");
            assert!(refusal.message.contains(words), "{secret}: {refusal}");
        }
    }

    #[test]
    fn what_no_secret_can_be_is_refused_by_its_field() {
        let labels = |map| json!({"template": {"metadata": {"labels": map}}});
        let annotations = |map| json!({"template": {"metadata": {"annotations": map}}});
        let kind = |kind: &str, data| json!({"template": {"type": kind, "data": data}});
        let key = || json!({"key": "{{ key }}"});
        let large = |size: usize| annotations(json!({"a": "x".repeat(size)}));
        const LABELS: &str = "spec.secret.template.metadata.labels";
        const ANNOTATIONS: &str = "spec.secret.template.metadata.annotations";
        const TYPE: &str = "spec.secret.template.type";
        let table = [
            (json!({"name": "a..b"}), "spec.secret.name".to_owned()),
            (json!({"name": "a-.b"}), "spec.secret.name".to_owned()),
            (labels(json!({"team": "Search and Ads"})), format!("{LABELS}[team]")),
            (labels(json!({"team": "x".repeat(64)})), format!("{LABELS}[team]")),
            (labels(json!({"owner": "ann@example.com"})), format!("{LABELS}[owner]")),
            (labels(json!({"team name": "x"})), format!("{LABELS}[team name]")),
            (annotations(json!({"bad key": "x"})), format!("{ANNOTATIONS}[bad key]")),
            (annotations(json!({"a/b/c": "x"})), format!("{ANNOTATIONS}[a/b/c]")),
            (large(256 * 1024), ANNOTATIONS.to_owned()),
            (large(256 * 1024 - 1000), ANNOTATIONS.to_owned()),
            (kind("My Type!", key()), TYPE.to_owned()),
            (kind("kubernetes.io/tls", key()), TYPE.to_owned()),
            (kind("kubernetes.io/tls", json!({"tls.crt": ""})), TYPE.to_owned()),
            (kind("kubernetes.io/basic-auth", key()), TYPE.to_owned()),
            (kind("kubernetes.io/ssh-auth", key()), TYPE.to_owned()),
            (kind("kubernetes.io/dockerconfigjson", key()), TYPE.to_owned()),
            (kind("kubernetes.io/dockercfg", key()), TYPE.to_owned()),
            (kind("kubernetes.io/service-account-token", key()), TYPE.to_owned()),
            (kind("bootstrap.kubernetes.io/token", key()), TYPE.to_owned()),
            (
                kind("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "{{ key }}"})),
                "spec.secret.template.data[.dockerconfigjson]".to_owned(),
            ),
            (
                kind("kubernetes.io/ssh-auth", json!({"ssh-privatekey": ""})),
                "spec.secret.template.data[ssh-privatekey]".to_owned(),
            ),
            (json!({"template": {"data": {"..": "x"}}}), "spec.secret.template.data[..]".to_owned()),
            (
                json!({"preset": "OpenAI", "template": {"data": {"OPENAI_API_KEY": "a", "OPENAI_BASE_URL": "b", "OPENAI_MODEL": "c"}}}),
                "spec.secret.preset".to_owned(),
            ),
        ];
        for (secret, field) in table {
            let refusal = plan(secret.clone()).expect_err(&field);
            assert_eq!((refusal.field, refusal.reason), (field, crate::api::Reason::InvalidSpec), "{secret}");
        }
        for secret in [
            labels(json!({"example.com/team": "Search_and-Ads.1", "empty": ""})),
            annotations(json!({"example.com/owner": "ann@example.com, and others"})),
            large(256 * 1024 - 8192),
            kind("kubernetes.io/basic-auth", json!({"password": "{{ key }}"})),
            kind("kubernetes.io/tls", json!({"tls.crt": "", "tls.key": "{{ key }}"})),
            kind(
                "kubernetes.io/dockerconfigjson",
                json!({".dockerconfigjson": "{\"auths\": {\"x\": {\"password\": \"{{ key }}\"}}}"}),
            ),
            kind("example.com/llm", key()),
        ] {
            assert!(plan(secret.clone()).is_ok(), "{:?}", plan(secret));
        }
    }

    #[test]
    fn a_template_that_runs_wild_is_stopped() {
        let wild = "{% for a in range(9999) %}{% for b in range(9999) %}{{ key }}{% endfor %}{% endfor %}";
        let refusal = plan(json!({"template": {"data": {"a": wild}}})).unwrap_err();
        assert_eq!(refusal.field, "spec.secret.template.data[a]");
    }

    #[test]
    fn the_hash_changes_with_whatever_goes_into_the_secret() {
        let one = plan(json!({})).unwrap();
        let other = plan(json!({"template": {"metadata": {"labels": {"a": "b"}}}})).unwrap();
        assert_ne!(one.rendering("u", &[]), other.rendering("u", &[]));
        let all = |plan: &SecretPlan, url: &str, models: &[String]| plan.rendering(url, models).all;
        assert_ne!(all(&one, "u", &[]), all(&one, "v", &[]));
        assert_ne!(all(&one, "u", &[]), all(&one, "u", &["m".into()]));
    }

    #[test]
    fn an_input_that_no_template_uses_does_not_count() {
        let used = |plan: &SecretPlan, url: &str, models: &[String]| plan.rendering(url, models).used;
        let plain = plan(json!({})).unwrap();
        assert_eq!(used(&plain, "u", &[]), used(&plain, "v", &["m".into()]));
        let preset = plan(json!({"preset": "OpenAI"})).unwrap();
        assert_ne!(used(&preset, "u", &[]), used(&preset, "v", &[]));
        let listing =
            plan(json!({"template": {"data": {"a": "{% for m in models %}{{ m }}{% endfor %}"}}})).unwrap();
        assert_ne!(used(&listing, "u", &[]), used(&listing, "u", &["m".into()]));
        assert_eq!(used(&listing, "u", &[]), used(&listing, "v", &[]));
    }

    #[test]
    fn entries_that_are_the_key_alone_are_told_from_those_that_hold_it() {
        let data = json!({"bare": "{{key}}", "spaced": "{{ key }}", "toml": "k = \"{{ key }}\"", "other": "{{ baseUrl }}"});
        let plan = plan(json!({"template": {"data": data}})).unwrap();
        assert_eq!(plan.bare_entries().collect::<Vec<_>>(), ["bare", "spaced"]);
        assert_eq!(plan.keyed_entries().collect::<Vec<_>>(), ["bare", "spaced", "toml"]);
    }

    #[test]
    fn a_secret_that_keeps_the_old_key_has_room_for_it() {
        let large = json!({"keepPrevious": true, "template": {"data": {"a": "x".repeat(600_000)}}});
        assert_eq!(plan(large).unwrap_err().field, "spec.secret.template.data[a]");
        let long = json!({"keepPrevious": true, "template": {"data": {"x".repeat(250): "{{ key }}"}}});
        assert!(plan(long).unwrap_err().message.contains("keepPrevious"));
        let taken =
            json!({"keepPrevious": true, "template": {"data": {"key": "{{ key }}", "previous_notice": "x"}}});
        assert_eq!(plan(taken).unwrap_err().field, "spec.secret.template.data[previous_notice]");
        let own = plan(json!({"template": {"data": {"previous_notice": "x"}}})).unwrap();
        assert!(
            !own.is_previous("previous_notice") && own.is_previous("previous_key") && !own.is_previous("key")
        );
    }
}
