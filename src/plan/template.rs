//! The content of a Secret: presets and templates, checked before a key is created.
//!
//! `engine` is the language of templates. Nothing in it can cost much: a user who may write a GatewayApiKey shares the
//! operator with every other namespace.

mod check;
mod engine;

use super::hash;
use super::spec_error::SpecError;
use crate::api::GatewayApiKey;
use crate::api::gateway_api_key::Preset;
use engine::Template;
use std::collections::BTreeMap;

/// Marks the Secret for Stakater Reloader, which restarts workloads when it changes.
const RELOADER: &str = "reloader.stakater.com/match";
/// The entry of a Secret without template and preset.
const DEFAULT_ENTRY: &str = "key";
/// Below Kubernetes' limit for a Secret of 1 MiB, with room for what Keysmith adds.
const LARGEST: usize = 1_000_000;
/// Kubernetes' limit for an entry's name.
const LONGEST_ENTRY: usize = 253;
/// Prefix of the previous key's entries beside the new ones.
pub const PREVIOUS_ENTRY: &str = "previous_";
/// The desired Secret, apart from the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPlan {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Labels besides Keysmith's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations besides Keysmith's own.
    pub annotations: BTreeMap<String, String>,
    /// Entry → template.
    pub data: BTreeMap<String, String>,
    /// Whether the entries of the previous key stay until it is deleted.
    pub keep_previous: bool,
}

/// Hashes of everything that a Secret is rendered from, apart from the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendering {
    /// Hash of the plan and of every input, as in version 0.1.
    pub all: String,
    /// Hash of the plan and of the inputs that its templates use; other inputs do not change the Secret.
    pub used: String,
}

/// The variables of a template.
pub struct Variables<'a> {
    /// The secret of the key.
    pub key: &'a str,
    /// Base URL for applications, without a trailing slash.
    pub base_url: &'a str,
    /// The vendor's id of the key.
    pub key_id: &'a str,
    /// Name of the resource.
    pub name: &'a str,
    /// Namespace of the resource.
    pub namespace: &'a str,
    /// Serial of the key.
    pub serial: u64,
    /// Expiry in RFC 3339, or empty.
    pub expires_at: &'a str,
    /// The permitted models.
    pub models: &'a [String],
}

impl<'a> Variables<'a> {
    /// Values of typical size, for a trial rendering.
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
}

/// The error for a preset whose entries the template all overrides.
pub fn overridden(resource: &GatewayApiKey, openai_path: &str) -> Option<SpecError> {
    let secret = resource.spec.secret.as_ref()?;
    let entries = preset(secret.preset?, !resource.spec.models.is_empty(), openai_path);
    let written = &secret.template.as_ref()?.data;
    entries.keys().all(|entry| written.contains_key(entry)).then(|| {
        let message = "spec.secret.template.data has every entry of it, so that it has no effect; leave one of them out";
        SpecError::idle("spec.secret.preset", message)
    })
}

impl SecretPlan {
    /// Reads `spec.secret`.
    pub fn new(resource: &GatewayApiKey, openai_path: &str) -> Result<Self, SpecError> {
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
            let written = plan.annotations.insert(RELOADER.to_owned(), "true".to_owned());
            if written.is_some_and(|it| it != "true") {
                let field = format!("spec.secret.template.metadata.annotations[{RELOADER}]");
                let message = "spec.rotation.reloader: true sets it to \"true\"; leave one of them out";
                return Err(SpecError::invalid(field, message));
            }
        }
        plan.check()?;
        // An index can fail only when it is used, and only the text shows its size: so all run before a key is created.
        let filled = plan.render(&Variables::placeholder(&resource.spec.models))?;
        plan.check_filled(&filled)?;
        Ok(plan)
    }

    /// Hashes of the plan and of the inputs besides the key.
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

    /// Whether an entry of the Secret is from a previous key. An entry that the template defines is not.
    pub fn is_previous(&self, entry: &str) -> bool {
        entry.starts_with(PREVIOUS_ENTRY) && !self.data.contains_key(entry)
    }

    /// The entries that consist of the key only.
    pub fn bare_entries(&self) -> impl Iterator<Item = &String> {
        let bare = |template: &str| {
            let inner = template.strip_prefix("{{").and_then(|it| it.strip_suffix("}}"));
            inner.is_some_and(|it| it.trim() == "key")
        };
        self.data.iter().filter(move |(_, template)| bare(template)).map(|(entry, _)| entry)
    }

    /// The entries whose template uses the key.
    pub fn keyed_entries(&self) -> impl Iterator<Item = &String> {
        self.data.iter().filter(|(_, template)| uses(template, "key")).map(|(entry, _)| entry)
    }

    /// Renders the templates.
    pub fn render(&self, variables: &Variables<'_>) -> Result<BTreeMap<String, String>, SpecError> {
        let mut size = 0;
        let mut filled = BTreeMap::new();
        for (entry, template) in &self.data {
            let limit = LARGEST.saturating_sub(size);
            let text = Template::parse(template).and_then(|it| it.render(variables, limit));
            let text = text.map_err(|error| self.refused(entry, &error))?;
            size += entry.len() + text.len();
            self.check_size(entry, size, filled.len() + 1)?;
            filled.insert(entry.clone(), text);
        }
        Ok(filled)
    }
}

/// Whether a template uses this variable.
fn uses(template: &str, name: &str) -> bool {
    // A template that does not parse was refused before.
    Template::parse(template).is_ok_and(|it| it.variables().contains(name))
}

fn path(entry: &str) -> String {
    format!("spec.secret.template.data[{entry}]")
}

/// The entries of a preset, as in the table "Presets" of the documentation.
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
mod tests;
