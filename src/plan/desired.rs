//! Turns a specification into the desired state: parsed once, refused by field before any call.

use super::capability::{Capabilities, Support};
use super::drift::Field;
use super::facts::Refusal;
use super::listing::{KeyId, Limit, Listed, Setting};
use super::money::{self, micros};
use super::naming::{self, NameStyle};
use super::policy::{self, Policy};
use super::settings::{Expiry, Settings};
use super::spec_error::SpecError;
use super::spec_field::SpecField;
use super::template::{self, SecretPlan};
use super::{hash, names};
use crate::api::console_token::Mint;
use crate::api::gateway_api_key::KeyType;
use crate::api::rotation::{DeletionPolicy, KeyLimits, ManagementPolicy};
use crate::api::shared::{Budget, RateLimit};
use crate::api::{GatewayApiKey, GatewayApiKeySpec};
use jiff::Timestamp;

/// Seconds.
const DAY: i64 = 24 * 60 * 60;

/// The desired state of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The key type.
    pub kind: KeyType,
    /// The coding assistant, for type `CodingAgent`.
    pub coding_assistant: Option<String>,
    /// Days from creation to expiry.
    pub expires_in_days: Option<u32>,
    /// Who enforces the expiry: the vendor, by a fixed or changeable date, or Keysmith.
    pub expiry: Support,
    /// The scopes of a management key, in the vendor's terms.
    pub scopes: Vec<String>,
    /// The format of names.
    pub names: NameStyle,
    /// The settings that can be changed later.
    pub settings: Settings,
    /// The desired Secret.
    pub secret: SecretPlan,
    /// When and how the key is replaced.
    pub policy: Policy,
    /// Hash of the fields that are fixed when a key is created.
    pub immutable_hash: String,
    /// The id of an existing key to adopt.
    pub external_id: Option<KeyId>,
    /// Whether the key is only observed.
    pub observed: bool,
    /// Whether nothing may be changed.
    pub suspended: bool,
    /// The time zone in which the vendor's budget periods begin.
    pub zone: String,
    /// Limits of a key that was taken over, that the specification does not name and that the vendor does not show: they
    /// are not changed.
    pub kept: Vec<Field>,
    /// A field that has no effect or would do harm over time. No new key is created then; a served key is still
    /// maintained.
    pub idle: Option<SpecError>,
}

/// The desired state for creating a first key: fields without effect are refused as well.
pub fn desired(
    resource: &GatewayApiKey,
    capabilities: &Capabilities,
    mint: Option<&Mint>,
) -> Result<Desired, SpecError> {
    let desired = read(resource, capabilities, mint)?;
    desired.idle.clone().map_or(Ok(desired), Err)
}

/// Reads a GatewayApiKey within what this vendor supports. `mint`: `spec.mint` of the ConsoleToken whose key this
/// is, if any.
pub fn read(
    resource: &GatewayApiKey,
    capabilities: &Capabilities,
    mint: Option<&Mint>,
) -> Result<Desired, SpecError> {
    let spec = &resource.spec;
    let kind = spec.kind.unwrap_or_default();
    if kind == KeyType::Management && mint.is_none() {
        let message = "Management is for ConsoleTokens with spec.mint, which have it made; use another type";
        return Err(SpecError::invalid("spec.type", message));
    }
    refuse_unsupported(resource, capabilities)?;
    if (kind == KeyType::CodingAgent) != spec.coding_assistant.is_some() {
        let message = "required with type CodingAgent, and only allowed with it; such as claude_code";
        return Err(SpecError::invalid("spec.codingAssistant", message));
    }
    check_texts(spec)?;
    if spec.expires_in_days == Some(0) {
        return Err(SpecError::invalid(
            "spec.expiresInDays",
            "must be at least 1; leave it out for no expiry",
        ));
    }
    check_rates(spec)?;
    let observed = spec.management_policy == Some(ManagementPolicy::Observe);
    if observed && spec.external_id.is_none() {
        let message = "Observe needs spec.externalId: the vendor's id of the key to look at";
        return Err(SpecError::invalid("spec.managementPolicy", message));
    }
    let settings = settings(resource, capabilities)?;
    let secret = SecretPlan::new(resource, capabilities.openai_path)?;
    let policy = Policy::new(resource, capabilities)?;
    let idle = idle(resource, capabilities, &policy);
    Ok(Desired {
        idle,
        kept: Vec::new(),
        kind,
        coding_assistant: spec.coding_assistant.clone(),
        expires_in_days: spec.expires_in_days,
        expiry: capabilities.support(SpecField::ExpiresInDays),
        scopes: mint.map(|mint| mint.scopes.clone()).unwrap_or_default(),
        names: capabilities.names,
        settings,
        secret,
        policy,
        immutable_hash: immutable_hash(resource, capabilities, mint),
        external_id: spec.external_id.clone().map(KeyId),
        observed,
        suspended: spec.suspend.unwrap_or(false),
        zone: capabilities.budget.zone.to_owned(),
    })
}

impl Desired {
    /// Keeps limits of a key that was taken over, unless the specification names them.
    pub fn keep(&mut self, spec: &GatewayApiKeySpec, limits: &KeyLimits) {
        self.kept.clear();
        if spec.models.is_empty() {
            self.settings.models.clone_from(&limits.models);
        }
        if spec.budget.is_none() {
            self.settings.budget = limits.budget.as_ref().and_then(money::limit);
            self.kept.extend(limits.capped.then_some(Field::Budget));
        }
        if spec.rate_limit.is_none() {
            self.settings.rate_limit = limits.rate_limit;
        }
        if spec.active.is_none() {
            self.settings.active = limits.active.unwrap_or(true);
        }
        if spec.expires_in_days.is_none() && limits.expires_at.is_some() {
            self.settings.expiry = Expiry::Uncompared;
            self.expires_in_days = limits.lifetime_days;
        }
    }
}

/// Limits that the vendor gave a new key although the specification does not name them, such as the defaults of a server: they are kept, as
/// those of a key that was taken over are. `None`: there are none beyond those that were wanted.
pub fn filled_in(
    wanted: &Settings,
    spec: &GatewayApiKeySpec,
    made: &Listed,
    now: Timestamp,
) -> Option<KeyLimits> {
    let shown = limits(made, now);
    let unasked = KeyLimits {
        models: if wanted.models.is_empty() { shown.models } else { Vec::new() },
        budget: shown.budget.filter(|_| wanted.budget.is_none()),
        capped: shown.capped && wanted.budget.is_none(),
        rate_limit: shown.rate_limit.filter(|_| wanted.rate_limit.is_none()),
        expires_at: shown.expires_at.filter(|_| spec.expires_in_days.is_none()),
        // The next key gets its expiry from the server as well, or none.
        lifetime_days: None,
        active: None,
    };
    (unasked != KeyLimits::default()).then_some(unasked)
}

/// Adds limits to those that are kept already.
pub fn keep_too(kept: &mut Option<KeyLimits>, more: KeyLimits) {
    let Some(kept) = kept else { return *kept = Some(more) };
    if kept.models.is_empty() {
        kept.models = more.models;
    }
    kept.budget = kept.budget.take().or(more.budget);
    kept.capped |= more.capped;
    kept.rate_limit = kept.rate_limit.or(more.rate_limit);
    kept.expires_at = more.expires_at.or(kept.expires_at);
}

/// Forgets limits that the specification names: leaving them out later means none.
pub fn named(spec: &GatewayApiKeySpec, kept: &mut KeyLimits) {
    if !spec.models.is_empty() {
        kept.models.clear();
    }
    if spec.budget.is_some() {
        kept.budget = None;
        kept.capped = false;
    }
    if spec.rate_limit.is_some() {
        kept.rate_limit = None;
    }
    if spec.active.is_some() {
        kept.active = None;
    }
    if spec.expires_in_days.is_some() {
        kept.expires_at = None;
        kept.lifetime_days = None;
    }
}

/// The spending limit of a key that was taken over is not shown by the vendor, and the specification names none: no key
/// is made to replace it, which would have none.
pub fn unknown_cap(spec: &GatewayApiKeySpec, limits: &KeyLimits) -> Option<Refusal> {
    let message = "the key that was taken over has a spending limit that the vendor does not show, and no key without one is made to replace it; \
                   set the budget that the new key may spend";
    let error = SpecError { tolerated: true, ..SpecError::invalid("spec.budget", message) };
    (limits.capped && spec.budget.is_none()).then_some(Refusal { error, until: None, freezes: false })
}

/// The limits that the vendor shows at this time.
pub fn limits(shown: &Listed, now: Timestamp) -> KeyLimits {
    let lifetime = shown.expires_at.map(|at| at.duration_since(shown.created_at.unwrap_or(now)));
    // In whole days, rounded up.
    let days = lifetime.map(|it| (it.as_secs() + DAY - 1).div_euclid(DAY).max(1));
    KeyLimits {
        lifetime_days: days.and_then(|days| u32::try_from(days).ok()),
        models: shown.shown.models.clone().unwrap_or_default(),
        budget: shown.shown.budget.value().map(money::budget),
        capped: shown.shown.budget == Setting::Hidden && shown.shown.capped == Some(true),
        rate_limit: shown.shown.rate_limit.value(),
        expires_at: shown.expires_at,
        active: shown.shown.active.filter(|active| !active),
    }
}

/// A field without effect beside another one.
fn idle(resource: &GatewayApiKey, capabilities: &Capabilities, policy: &Policy) -> Option<SpecError> {
    let spec = &resource.spec;
    if spec.kind == Some(KeyType::Sandbox) && spec.budget.is_some() {
        let message = "has no effect on a key of type Sandbox, whose calls cost nothing; leave it out";
        return Some(SpecError::idle("spec.budget", message));
    }
    // If the vendor shows the last use, a key in use keeps working up to `maxOverlap` even with an overlap of zero.
    let keeps = spec.secret.as_ref().is_some_and(|it| it.keep_previous == Some(true));
    if keeps && policy.overlap.is_zero() && !capabilities.last_used {
        let message = "has no effect with spec.rotation.overlap: 0s, which ends the old key at once; leave one of them out";
        return Some(SpecError::idle("spec.secret.keepPrevious", message));
    }
    policy.idle.clone().or_else(|| template::overridden(resource, capabilities.openai_path))
}

/// Repeats checks of the schema, for resources stored under an older schema.
fn check_texts(spec: &GatewayApiKeySpec) -> Result<(), SpecError> {
    type Check = fn(&str) -> Result<(), &'static str>;
    let texts: [(&str, &Option<String>, Check); 3] = [
        ("spec.displayName", &spec.display_name, names::display),
        ("spec.codingAssistant", &spec.coding_assistant, names::word),
        ("spec.email", &spec.email, names::email),
    ];
    let wrong = |(field, text, check): &(&str, &Option<String>, Check)| {
        let said = check(text.as_deref()?).err()?;
        Some(SpecError::invalid(*field, said))
    };
    texts.iter().find_map(wrong).map_or(Ok(()), Err)
}

/// Repeats checks of the schema: a limit of nothing would switch the key off.
fn check_rates(spec: &GatewayApiKeySpec) -> Result<(), SpecError> {
    let Some(limit) = spec.rate_limit else { return Ok(()) };
    let limits = [
        ("requestsPerMinute", limit.requests_per_minute),
        ("tokensPerMinute", limit.tokens_per_minute),
        ("parallel", limit.parallel),
    ];
    match limits.into_iter().find(|(_, value)| *value == Some(0)) {
        Some((name, _)) => {
            let message = "must be at least 1; leave it out for no limit, or set spec.active: false";
            Err(SpecError::invalid(format!("spec.rateLimit.{name}"), message))
        }
        None => Ok(()),
    }
}

/// The desired settings of a GatewayApiKey. Neither the vendor's support nor other fields are checked.
pub fn settings(resource: &GatewayApiKey, capabilities: &Capabilities) -> Result<Settings, SpecError> {
    let spec = &resource.spec;
    let budget = spec.budget.as_ref().map(|budget| limit(budget, capabilities)).transpose()?;
    let name = resource.metadata.name.clone().unwrap_or_default();
    Ok(Settings {
        display_name: naming::display(spec.display_name.as_deref(), &name),
        active: spec.active.unwrap_or(true),
        models: spec.models.clone(),
        budget,
        rate_limit: spec.rate_limit.filter(|it| *it != RateLimit::default()),
        email: spec.email.clone(),
        debug_mode: spec.debug_mode.unwrap_or(false),
        expiry: Expiry::Uncompared,
    })
}

/// Hash of every field that this vendor fixes when a key is created. A field that is left out and a field with its default
/// written count the same.
fn immutable_hash(resource: &GatewayApiKey, capabilities: &Capabilities, mint: Option<&Mint>) -> String {
    let mut spec = resource.spec.clone();
    spec.kind = Some(spec.kind.unwrap_or_default());
    let written = serde_json::to_value(&spec).unwrap_or_default();
    // What is not written counts for nothing, so that a release which knows one more field replaces no key.
    let fixed = SpecField::ALL.into_iter().filter(|it| capabilities.support(*it) == Support::AtCreation);
    let fixed = fixed.map(SpecField::name).filter(|it| !written[it].is_null());
    let scopes = mint.filter(|mint| !mint.scopes.is_empty()).map(|mint| format!("scopes={:?}", mint.scopes));
    let values: Vec<_> = fixed.map(|it| format!("{it}={}", written[it])).chain(scopes).collect();
    hash::base32(&values.iter().map(String::as_bytes).collect::<Vec<_>>(), 16)
}

/// Refuses all unsupported fields at once, so that a user who changes vendors learns of every difference in one
/// attempt.
fn refuse_unsupported(resource: &GatewayApiKey, capabilities: &Capabilities) -> Result<(), SpecError> {
    let spec = &resource.spec;
    let title = capabilities.title;
    let mut refused: Vec<(String, String)> = SpecField::set_in(spec)
        .into_iter()
        // Key types are checked below.
        .filter(|field| *field != SpecField::Type && capabilities.support(*field) == Support::Unsupported)
        .map(|field| (field.name().to_owned(), capabilities.field(field).note.to_owned()))
        .collect();
    let kind = spec.kind.unwrap_or_default();
    if !capabilities.types.contains(&kind) {
        let known: Vec<_> = capabilities.types.iter().filter(|it| **it != KeyType::Management).collect();
        let instead = match known.as_slice() {
            [] => "its console token is an issuer, which makes console tokens only".to_owned(),
            known => format!("use type {}", list(known)),
        };
        refused.push(("type".to_owned(), format!("{kind:?} is not known there; {instead}")));
    }
    if spec.deletion_policy == Some(DeletionPolicy::Disable) && !capabilities.disable {
        let note = "keys cannot be switched off there; use Delete or Retain";
        refused.push(("deletionPolicy".to_owned(), note.to_owned()));
    }
    let rotation = spec.rotation.iter().flat_map(|it| policy::unsupported(it, capabilities));
    refused.extend(rotation.map(|(field, note)| (format!("rotation.{field}"), note.to_owned())));
    let preset = spec.secret.as_ref().and_then(|secret| secret.preset);
    if let Some(preset) = preset.filter(|it| !capabilities.presets.contains(it)) {
        let known: Vec<_> = capabilities.presets.iter().collect();
        let note =
            format!("its gateway does not speak to {preset:?} clients; use {} or a template", list(&known));
        refused.push(("secret.preset".to_owned(), note));
    }
    let observed = spec.management_policy == Some(ManagementPolicy::Observe);
    if spec.external_id.is_some() && !observed && capabilities.names == NameStyle::Slug {
        let note = "a key has no other name there than the one it was made with, and cannot be marked as Keysmith's; \
                    use managementPolicy: Observe";
        refused.push(("externalId".to_owned(), note.to_owned()));
    }
    let budget =
        spec.budget.as_ref().filter(|_| capabilities.support(SpecField::Budget) != Support::Unsupported);
    if let Some(budget) = budget.filter(|it| !capabilities.budget.periods.contains(&it.period)) {
        let known: Vec<_> = capabilities.budget.periods.iter().collect();
        let note = format!(
            "there are no {:?} budgets there; use spec.budget.period: {}",
            budget.period,
            list(&known)
        );
        refused.push(("budget.period".to_owned(), note));
    }
    let Some((first, note)) = refused.first() else {
        return Ok(());
    };
    let field = format!("spec.{first}");
    if refused.len() == 1 {
        return Err(SpecError::unsupported(field, format!("{title} cannot honour it: {note}")));
    }
    let all: Vec<_> = refused.iter().map(|(field, note)| format!("spec.{field} ({note})")).collect();
    let message = format!("{title} cannot honour {} fields: {}", all.len(), all.join(", "));
    Err(SpecError::unsupported(SpecError::SEVERAL, message))
}

fn list<T: std::fmt::Debug>(list: &[&T]) -> String {
    list.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(" or ")
}

fn limit(budget: &Budget, capabilities: &Capabilities) -> Result<Limit, SpecError> {
    let support = &capabilities.budget;
    let micros = micros(&budget.amount).ok_or_else(|| {
        let message =
            "must be a decimal number that is not negative, with at most six decimals, such as \"250\" or \"2.50\"";
        SpecError::invalid("spec.budget.amount", message)
    })?;
    if support.whole && micros % 1_000_000 != 0 {
        let message = format!(
            "{} takes whole {} only; round {} up or down",
            capabilities.title, support.currency, budget.amount
        );
        return Err(SpecError::unsupported("spec.budget.amount", message));
    }
    if micros == 0 {
        let stop = if capabilities.support(SpecField::Active) == Support::Unsupported {
            "delete the resource to stop its key, which cannot be switched off there"
        } else {
            "set spec.active: false to stop the key"
        };
        let message =
            format!("0 would mean no limit to the vendor; {stop}, or leave budget out for no limit");
        return Err(SpecError::invalid("spec.budget.amount", message));
    }
    Ok(Limit { micros, period: budget.period })
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables hand their rows over")]
mod tests;
