//! From what was written to what is wanted: parsed once, refused by name before any call.

use super::capability::{Capabilities, Support};
use super::facts::{KeyId, Limit};
use super::hash;
use super::naming;
use super::policy::Policy;
use super::refusal::Refusal;
use super::template::SecretPlan;
use crate::api::GatewayApiKey;
use crate::api::gateway_api_key::KeyType;
use crate::api::rotation::{DeletionPolicy, ManagementPolicy};
use crate::api::shared::Budget;

/// What a key should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// What it is for.
    pub kind: KeyType,
    /// The coding assistant, with `CodingAgent`.
    pub coding_assistant: Option<String>,
    /// Days from creation to expiry.
    pub expires_in_days: Option<u32>,
    /// What can be changed later.
    pub settings: Settings,
    /// What its Secret should be.
    pub secret: SecretPlan,
    /// When it is replaced, and how.
    pub policy: Policy,
    /// Recognises the fields that are fixed when a key is made.
    pub made_as: String,
    /// A key that exists already, to be taken over.
    pub external_id: Option<KeyId>,
    /// Only to be looked at.
    pub observed: bool,
    /// Nothing is to be changed.
    pub suspended: bool,
    /// Whether the vendor's budgets are whole.
    pub whole_budget: bool,
}

/// The settings of a key that can be changed later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The human part of the name.
    pub display_name: String,
    /// Whether calls are accepted.
    pub active: bool,
    /// The models admitted; empty is every model.
    pub models: Vec<String>,
    /// The spending limit.
    pub budget: Option<Limit>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Debug mode.
    pub debug_mode: bool,
}

/// Reads a GatewayApiKey as far as this vendor can honour it.
pub fn desired(resource: &GatewayApiKey, capabilities: &Capabilities) -> Result<Desired, Refusal> {
    let spec = &resource.spec;
    refuse_unsupported(resource, capabilities)?;
    let kind = spec.kind.unwrap_or_default();
    if (kind == KeyType::CodingAgent) != spec.coding_assistant.is_some() {
        let message = "required with type CodingAgent, and only allowed with it; such as claude_code";
        return Err(Refusal::invalid("spec.codingAssistant", message));
    }
    if spec.expires_in_days == Some(0) {
        return Err(Refusal::invalid("spec.expiresInDays", "must be at least 1; leave it out for no expiry"));
    }
    if spec.deletion_policy == Some(DeletionPolicy::Disable) && !capabilities.disable {
        let message = format!("{} cannot switch keys off; use Delete or Retain", capabilities.title);
        return Err(Refusal::unsupported("spec.deletionPolicy", message));
    }
    let observed = spec.management_policy == Some(ManagementPolicy::Observe);
    if observed && spec.external_id.is_none() {
        let message = "Observe needs spec.externalId: the vendor's id of the key to look at";
        return Err(Refusal::invalid("spec.managementPolicy", message));
    }
    let budget = spec.budget.as_ref().map(|budget| limit(budget, capabilities)).transpose()?;
    let name = resource.metadata.name.clone().unwrap_or_default();
    Ok(Desired {
        kind,
        coding_assistant: spec.coding_assistant.clone(),
        expires_in_days: spec.expires_in_days,
        settings: Settings {
            display_name: naming::display(spec.display_name.as_deref(), &name),
            active: spec.active.unwrap_or(true),
            models: spec.models.clone(),
            budget,
            email: spec.email.clone(),
            debug_mode: spec.debug_mode.unwrap_or(false),
        },
        secret: SecretPlan::new(resource)?,
        policy: Policy::new(resource, capabilities)?,
        made_as: made_as(resource, capabilities),
        external_id: spec.external_id.clone().map(KeyId),
        observed,
        suspended: spec.suspend.unwrap_or(false),
        whole_budget: capabilities.budget.whole,
    })
}

/// Recognises what a key is made as: every field that this vendor fixes when a key is made. What is left out and what
/// is written as its default are the same.
fn made_as(resource: &GatewayApiKey, capabilities: &Capabilities) -> String {
    let mut spec = resource.spec.clone();
    spec.kind = Some(spec.kind.unwrap_or_default());
    let written = serde_json::to_value(&spec).unwrap_or_default();
    // What is not written counts for nothing, so that a release which knows one more field replaces no key.
    let fixed = capabilities.fields.iter().filter(|it| it.support == Support::AtCreation);
    let fixed = fixed.filter(|it| !written[it.field].is_null());
    let values: Vec<_> = fixed.map(|it| format!("{}={}", it.field, written[it.field])).collect();
    hash::base32(&values.iter().map(String::as_bytes).collect::<Vec<_>>(), 16)
}

/// Every field that is written and that the vendor cannot honour, all at once.
fn refuse_unsupported(resource: &GatewayApiKey, capabilities: &Capabilities) -> Result<(), Refusal> {
    let written = serde_json::to_value(&resource.spec).unwrap_or_default();
    let refused: Vec<_> = written
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::keys)
        .filter_map(|field| capabilities.field(field))
        .filter(|it| it.support == Support::Unsupported)
        .collect();
    let Some(first) = refused.first() else {
        return Ok(());
    };
    let all: Vec<_> = refused.iter().map(|it| format!("spec.{} ({})", it.field, it.note)).collect();
    let message = format!("{} cannot honour {}; remove it", capabilities.title, all.join(", "));
    Err(Refusal::unsupported(format!("spec.{}", first.field), message))
}

fn limit(budget: &Budget, capabilities: &Capabilities) -> Result<Limit, Refusal> {
    let support = &capabilities.budget;
    if !support.periods.contains(&budget.period) {
        let known: Vec<_> = support.periods.iter().map(|it| format!("{it:?}")).collect();
        let message = format!(
            "{} has no {:?} budgets; use period: {}",
            capabilities.title,
            budget.period,
            known.join(" or ")
        );
        return Err(Refusal::unsupported("spec.budget.period", message));
    }
    let micros = micros(&budget.amount).ok_or_else(|| {
        let message = "must be a decimal number that is not negative, such as \"250\"";
        Refusal::invalid("spec.budget.amount", message)
    })?;
    if support.whole && micros % 1_000_000 != 0 {
        let message = format!(
            "{} takes whole {} only; round {} up or down",
            capabilities.title, support.currency, budget.amount
        );
        return Err(Refusal::unsupported("spec.budget.amount", message));
    }
    if micros == 0 {
        let message =
            "0 would mean no limit to the vendor; set active: false to stop a key, or leave budget out";
        return Err(Refusal::invalid("spec.budget.amount", message));
    }
    Ok(Limit { micros, period: budget.period })
}

/// A decimal number, not negative, with at most six places, in millionths.
fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 6 || text.ends_with('.') {
        return None;
    }
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables hand their rows over")]
mod tests {
    use super::*;
    use crate::api::shared::Period;
    use crate::gateway::edgee::CAPABILITIES as EDGEE;
    use serde_json::json;

    fn key(spec: serde_json::Value) -> GatewayApiKey {
        let mut whole = json!({"consoleTokenRef": {"name": "edgee"}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
            "metadata": {"name": "checkout", "namespace": "shop"}, "spec": whole,
        }))
        .unwrap()
    }

    #[test]
    fn everything_left_out_means_an_unlimited_active_key_named_like_the_resource() {
        let wanted = desired(&key(json!({})), &EDGEE).unwrap();
        assert_eq!(wanted.settings.display_name, "checkout");
        assert!(wanted.settings.active && !wanted.settings.debug_mode && wanted.settings.budget.is_none());
        assert_eq!(wanted.secret.name, "checkout");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_field_and_what_to_do() {
        let budget = |amount: &str, period: &str| json!({"budget": {"amount": amount, "period": period}});
        let table = [
            (budget("-5", "Monthly"), "spec.budget.amount", "not negative"),
            (budget("2.50", "Monthly"), "spec.budget.amount", "whole USD"),
            (budget("250", "Weekly"), "spec.budget.period", "use period: Monthly"),
            (budget("ten", "Monthly"), "spec.budget.amount", "decimal number"),
            (budget("1e3", "Monthly"), "spec.budget.amount", "decimal number"),
            (budget("0", "Monthly"), "spec.budget.amount", "active: false"),
            (json!({"type": "CodingAgent"}), "spec.codingAssistant", "required with type CodingAgent"),
            (json!({"codingAssistant": "codex"}), "spec.codingAssistant", "only allowed with it"),
            (json!({"expiresInDays": 0}), "spec.expiresInDays", "at least 1"),
        ];
        for (spec, field, words) in table {
            let refusal = desired(&key(spec.clone()), &EDGEE).expect_err(&spec.to_string());
            assert_eq!(refusal.field, field, "{spec}");
            assert!(refusal.message.contains(words), "{spec}: {refusal}");
        }
    }

    #[test]
    fn amounts_are_read_exactly() {
        let table = [
            ("250", Some(250_000_000)),
            ("0.5", Some(500_000)),
            ("00012", Some(12_000_000)),
            ("1.000001", Some(1_000_001)),
            ("1.0000001", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("99999999999999999999", None),
            ("+5", None),
            (" 5", None),
            ("1,5", None),
        ];
        for (text, expected) in table {
            assert_eq!(micros(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_whole_amount_may_be_written_with_zero_cents() {
        let spec = key(json!({"budget": {"amount": "250.00", "period": "Monthly"}}));
        let wanted = desired(&spec, &EDGEE).unwrap();
        assert_eq!(wanted.settings.budget, Some(Limit { micros: 250_000_000, period: Period::Monthly }));
    }
}
