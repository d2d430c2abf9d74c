//! What goes into a Secret: presets and templates, checked before a key is minted.
//!
//! Templates are minijinja without loaders, macros and functions that could do I/O; their work is bounded by
//! fuel, and every variable they name must be known.

use super::hash;
use super::refusal::Refusal;
use crate::api::gateway_api_key::Preset;
use crate::api::{GROUP, GatewayApiKey, MANAGED_BY_LABEL};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use std::collections::BTreeMap;

/// Tells Stakater Reloader that this Secret is one to restart workloads for.
const RELOADER: &str = "reloader.stakater.com/match";
/// The entry of a Secret that has neither template nor preset.
const DEFAULT_ENTRY: &str = "key";
const VARIABLES: [&str; 8] =
    ["key", "baseUrl", "keyId", "name", "namespace", "serial", "expiresAt", "models"];
/// Steps a template may take: hundreds of times what any sane one needs, a fraction of a second in all.
const FUEL: u64 = 50_000;
/// Kubernetes' limit for a Secret is 1 MiB; what Keysmith adds itself stays far below the rest.
const LARGEST: usize = 1_000_000;
/// Kubernetes' limit for the name of an entry.
const LONGEST_ENTRY: usize = 253;
/// How the entries of an old key are named that stay beside the new ones.
pub const PREVIOUS_ENTRY: &str = "previous_";
/// Types that Kubernetes or other tools give a meaning beyond "some data".
const RESERVED_TYPES: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];

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
            plan.annotations.insert(RELOADER.to_owned(), "true".to_owned());
        }
        plan.check()?;
        // Filters, indexes and loops show what they are worth only when they run, so they do, once, before a key is
        // made for them.
        plan.render(&Variables::placeholder(&resource.spec.models))?;
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

    fn check(&self) -> Result<(), Refusal> {
        if RESERVED_TYPES.contains(&self.kind.as_str()) {
            let message = format!(
                "{} has a meaning of its own in Kubernetes; use Opaque or a type of yours",
                self.kind
            );
            return Err(Refusal::invalid("spec.secret.template.type", message));
        }
        let reserved = |name: &String| name.split('/').next().is_some_and(|it| it.ends_with(GROUP));
        let mut names = self.labels.keys().chain(self.annotations.keys());
        if let Some(name) = names.find(|name| reserved(name) || *name == MANAGED_BY_LABEL) {
            let message = format!("{name} is Keysmith's own; use another name");
            return Err(Refusal::invalid("spec.secret.template.metadata", message));
        }
        if self.keep_previous {
            self.data.keys().try_for_each(|entry| check_room(entry))?;
        }
        self.data.iter().try_for_each(|(entry, template)| check_entry(entry, template))
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
            // The entries of the old key stand beside the new ones for a while.
            let copies = if self.keep_previous { 2 } else { 1 };
            if size * copies > LARGEST {
                let twice = if self.keep_previous { ", with keepPrevious twice over" } else { "" };
                let message = format!("the Secret would be larger than Kubernetes admits (1 MiB{twice})");
                return Err(Refusal::invalid(path(entry), message));
            }
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

/// The entry of the old key is called `previous_` and this one's name.
fn check_room(entry: &str) -> Result<(), Refusal> {
    if entry.starts_with(PREVIOUS_ENTRY) {
        let message =
            "with keepPrevious the names that begin with previous_ are the old key's; use another name";
        return Err(Refusal::invalid(path(entry), message));
    }
    if entry.len() + PREVIOUS_ENTRY.len() > LONGEST_ENTRY {
        let message = "the name is too long to be kept as previous_… with keepPrevious; use one of 244 characters at most";
        return Err(Refusal::invalid(path(entry), message));
    }
    Ok(())
}

fn check_entry(entry: &str, template: &str) -> Result<(), Refusal> {
    let sound = !entry.is_empty()
        && entry.len() <= LONGEST_ENTRY
        && entry.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !sound {
        return Err(Refusal::invalid(
            path(entry),
            "an entry's name has letters, digits, '-', '_' and '.' only",
        ));
    }
    let environment = environment();
    let parsed = environment.template_from_str(template).map_err(|error| {
        let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
        Refusal::invalid(path(entry), format!("the template does not parse{line}: {}", error.kind()))
    })?;
    let mut named: Vec<_> = parsed.undeclared_variables(false).into_iter().collect();
    named.sort();
    let functions = ["range", "dict", "namespace", "lipsum", "debug"];
    let unknown = |name: &&String| !VARIABLES.contains(&name.as_str()) && !functions.contains(&name.as_str());
    match named.iter().find(unknown) {
        None => Ok(()),
        Some(name) => {
            let message = format!("unknown variable {name}; there are {}", VARIABLES.join(", "));
            Err(Refusal::invalid(path(entry), message))
        }
    }
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
                "spec.secret.template.metadata",
                "Keysmith's own",
            ),
            (
                json!({"template": {"metadata": {"annotations": {"keysmith.dev/serial": "9"}}}}),
                "spec.secret.template.metadata",
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
        assert!(plan(json!({"template": {"data": {"previous_notice": "x"}}})).is_ok());
    }
}
