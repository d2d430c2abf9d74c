//! The consequence of a change of each field of a specification, for every vendor.

use super::cluster::mark;
use super::known::*;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::api::{GatewayApiKey, GatewayApiKeyStatus};
use keysmith::gateway::DRIVERS;
use keysmith::plan::capability::{Capabilities, Support};
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::desired::{Desired, desired};
use keysmith::plan::drift::{Field, Sent};
use keysmith::plan::expiry;
use keysmith::plan::facts::{Bounds, Confirmed, Facts, Refusal};
use keysmith::plan::issuance::decide;
use keysmith::plan::listing::{KeyId, Listed, Shown};
use keysmith::plan::money;
use keysmith::plan::naming::{NameStyle, Serial};
use keysmith::plan::preview::{Edit, Effect, Preview, preview};
use keysmith::plan::requests::{Cause, RotationRequests};
use keysmith::plan::settings::Settings;
use keysmith::plan::spec_error::SpecError;
use keysmith::plan::spec_field::SpecField;
use serde_json::{Map, Value, json};

/// The consequence of a change.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The existing key is changed.
    InPlace,
    /// A new key replaces the existing one.
    NewKey,
    /// No call to the vendor.
    Operator,
    /// The API server refuses the change.
    Immutable,
}

/// The schema of the spec.
fn schema() -> Value {
    let crds = keysmith::api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == "GatewayApiKey").unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

/// Two values of a field, with the other fields that the API server requires for them.
fn values(field: &str, capabilities: &Capabilities) -> Option<[Value; 2]> {
    let of = |before: Value, after: Value| Some([json!({field: before}), json!({field: after})]);
    let period = capabilities.budget.periods.first().copied().unwrap_or(Period::Monthly);
    let budget = |amount: &str| json!({"amount": amount, "period": period});
    match field {
        "consoleTokenRef" => of(json!({"name": "one"}), json!({"name": "another"})),
        "displayName" => of(json!("One"), json!("Another")),
        "type" if capabilities.types.contains(&KeyType::CodingAgent) => {
            Some([json!({"type": "Api"}), json!({"type": "CodingAgent", "codingAssistant": "codex"})])
        }
        "type" => of(json!("Api"), json!("Sandbox")),
        "codingAssistant" => {
            let agent = |it: &str| json!({"type": "CodingAgent", "codingAssistant": it});
            Some([agent("codex"), agent("claude_code")])
        }
        "models" => of(json!(["one"]), json!(["one", "another"])),
        "budget" => of(budget("10"), budget("20")),
        "rateLimit" => of(json!({"parallel": 1}), json!({"requestsPerMinute": 60, "parallel": 1})),
        "expiresInDays" => of(json!(30), json!(60)),
        "email" => of(json!("one@example.com"), json!("another@example.com")),
        "active" | "debugMode" => of(json!(true), json!(false)),
        "rotation" => of(json!({"overlap": "1h", "trigger": "1"}), json!({"overlap": "2h", "trigger": "1"})),
        "secret" => of(json!({}), json!({"preset": "OpenAI", "keepPrevious": true})),
        "deletionPolicy" => of(json!("Delete"), json!("Retain")),
        "externalId" => of(json!("one"), json!("another")),
        "managementPolicy" => {
            let manage = |it: &str| json!({"externalId": "one", "managementPolicy": it});
            // A key that cannot be renamed cannot be adopted.
            let before = if capabilities.names == NameStyle::Slug { json!({}) } else { manage("Manage") };
            Some([before, manage("Observe")])
        }
        "suspend" => of(json!(false), json!(true)),
        _ => None,
    }
}

fn resource(spec: &Value) -> GatewayApiKey {
    let mut whole = Map::from_iter([("consoleTokenRef".to_owned(), json!({"name": "one"}))]);
    whole.extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop"}, "spec": whole,
    }))
    .unwrap()
}

fn shown(settings: &Settings, expires_at: Option<Timestamp>) -> Listed {
    Listed {
        name: mark().name(&settings.display_name, Serial(1)),
        shown: Shown::of(settings),
        expires_at,
        ..listed("one", -90_000)
    }
}

/// Before the change, the key is as desired.
fn settled(before: &Desired, capabilities: &Capabilities) -> Facts {
    let made = served().record.created_at;
    let moved = expiry::of_new(before, made.unwrap()).filter(|_| before.expiry == Support::InPlace);
    let key = shown(&before.settings, moved);
    let facts = with_record(served(), |it| {
        it.immutable_hash = Some(before.immutable_hash.clone());
        it.sent = Sent::all(&before.settings);
        it.expires_at = expiry::recorded(made, moved, before);
        it.handled =
            RotationRequests { trigger: before.policy.trigger.clone(), ..RotationRequests::default() };
    });
    Facts {
        generation: Some(2),
        ability: capabilities.ability(),
        view: Some(view(-60, &[(1, key.clone())])),
        external: Some(key.clone()),
        confirmed: Confirmed::from(Some(key)),
        ..facts
    }
}

fn outcome(field: &str, [before, after]: &[Value; 2], capabilities: &Capabilities) -> Outcome {
    let rules = schema()["x-kubernetes-validations"].to_string();
    if rules.contains(&format!("self.{field} == oldSelf.{field}")) {
        return Outcome::Immutable;
    }
    let wanted = |spec| {
        let mut wanted =
            desired(&resource(spec), capabilities, None).unwrap_or_else(|it| panic!("{field}: {it}"));
        let now = served().now;
        wanted.settings.expiry = expiry::wanted(&served().record, &wanted, now);
        wanted
    };
    let (before, after) = (wanted(before), wanted(after));
    let mut facts = settled(&before, capabilities);
    let rests = matches!(decide(&facts, &before).step, Step::Rest(_));
    assert!(rests, "{field} before it is changed: {:?}", decide(&facts, &before));
    facts.requests.trigger.clone_from(&after.policy.trigger);
    match decide(&facts, &after) {
        Decision { step: Step::Amend(_, fields), .. } => {
            assert_eq!(fields.iter().map(|it| Field::path(*it)).collect::<Vec<_>>(), [field]);
            Outcome::InPlace
        }
        Decision { step: Step::Issue(_), why: Why::Rotation(Cause::Changed) } => Outcome::NewKey,
        Decision { step: Step::Rest(_), .. } => Outcome::Operator,
        other => panic!("{field}: {other:?}"),
    }
}

/// What `keysmith plan` foresees of the same change, from the resources alone.
fn foreseen([before, after]: &[Value; 2], capabilities: &'static Capabilities) -> Preview {
    let [before, after] = [before, after].map(resource);
    let wanted = desired(&before, capabilities, None).unwrap();
    let record = settled(&wanted, capabilities).record;
    let mut status = GatewayApiKeyStatus {
        id: record.id.map(|it| it.0),
        serial: record.serial.map(|it| it.0),
        created_at: record.created_at,
        expires_at: record.expires_at,
        last_handled_trigger: record.handled.trigger,
        email: record.sent.email,
        budget: record.sent.budget.map(money::budget),
        ..GatewayApiKeyStatus::default()
    };
    status.internal.immutable_fields_hash = record.immutable_hash;
    status.internal.applied_generation = Some(1);
    let generation = |key: GatewayApiKey, number| GatewayApiKey {
        metadata: ObjectMeta { generation: Some(number), uid: Some("u".to_owned()), ..key.metadata },
        ..key
    };
    let before = GatewayApiKey { status: Some(status), ..generation(before, 1) };
    let after = GatewayApiKey { status: before.status.clone(), ..generation(after, 2) };
    let edit = |after| Edit {
        before: Some(&before),
        after,
        capabilities,
        bounds: Bounds::default(),
        now: served().now,
        keys_per_day: 20,
    };
    assert_eq!(preview(&edit(&before)).effects, [], "{}: without a change", capabilities.title);
    preview(&edit(&after))
}

#[test]
fn what_is_foreseen_is_what_the_decision_does() {
    let drivers = DRIVERS.iter().map(|it| it.capabilities);
    for capabilities in drivers.filter(|it| it.types.contains(&KeyType::Api)) {
        for field in SpecField::ALL {
            let values = values(field.name(), capabilities).unwrap();
            let of = |effects: &[Effect]| format!("{} {}: {effects:?}", capabilities.title, field.name());
            if capabilities.support(field) == Support::Unsupported {
                let refused = values.iter().any(|it| desired(&resource(it), capabilities, None).is_err());
                if refused && desired(&resource(&values[0]), capabilities, None).is_ok() {
                    let effects = foreseen(&values, capabilities).effects;
                    assert!(matches!(effects.as_slice(), [Effect::Refused(_)]), "{}", of(&effects));
                }
                continue;
            }
            let found = outcome(field.name(), &values, capabilities);
            if found == Outcome::Immutable {
                continue;
            }
            let Preview { effects, next_rotation } = foreseen(&values, capabilities);
            match found {
                Outcome::InPlace => {
                    let amended = effects.contains(&Effect::Amended(vec![Field::of(field).unwrap()]));
                    assert!(amended, "{}", of(&effects));
                    let whole =
                        effects.iter().all(|it| matches!(it, Effect::Amended(_) | Effect::SecretWritten));
                    assert!(whole, "{}", of(&effects));
                }
                Outcome::NewKey => {
                    assert_eq!(effects, [Effect::Replaced(Cause::Changed)], "{}", capabilities.title);
                    assert_eq!(next_rotation, None);
                }
                Outcome::Operator => {
                    let calls = |it: &Effect| {
                        matches!(it, Effect::Amended(_) | Effect::Replaced(_) | Effect::FirstKey)
                    };
                    assert!(!effects.iter().any(calls), "{}", of(&effects));
                }
                Outcome::Immutable => {}
            }
        }
    }
}

#[test]
fn a_first_key_a_request_a_limit_and_a_suspension_are_foreseen() {
    let capabilities = DRIVERS[0].capabilities;
    let edit = |before, after, bounds| Edit {
        before,
        after,
        capabilities,
        bounds,
        now: served().now,
        keys_per_day: 20,
    };
    let new = resource(&json!({}));
    assert_eq!(preview(&edit(None, &new, Bounds::default())).effects, [Effect::FirstKey]);
    let error = SpecError::invalid("spec.budget", "too much");
    let refusal = Some(Refusal { error: error.clone(), until: None, freezes: true });
    let bounded = Bounds { refusal, ..Bounds::default() };
    assert_eq!(preview(&edit(None, &new, bounded.clone())).effects, [Effect::Refused(error.clone())]);
    let status =
        GatewayApiKeyStatus { id: Some("one".to_owned()), serial: Some(3), ..GatewayApiKeyStatus::default() };
    let served = GatewayApiKey { status: Some(status), ..resource(&json!({})) };
    let mut leaked = served.clone();
    leaked.metadata.annotations = Some([(keysmith::api::LEAKED.to_owned(), "1".to_owned())].into());
    let effects = preview(&edit(Some(&served), &leaked, Bounds::default())).effects;
    assert_eq!(effects, [Effect::Replaced(Cause::Leaked)]);
    let suspended = GatewayApiKey {
        status: served.status.clone(),
        ..resource(&json!({"suspend": true, "models": ["m"]}))
    };
    let effects = preview(&edit(Some(&served), &suspended, Bounds::default())).effects;
    assert!(
        matches!(effects.as_slice(), [Effect::Waits(it)] if it.message.contains("spec.suspend")),
        "{effects:?}"
    );
    let mut models = GatewayApiKey { status: served.status.clone(), ..resource(&json!({"models": ["m"]})) };
    models.metadata.generation = Some(2);
    let effects = preview(&edit(Some(&served), &models, bounded)).effects;
    assert_eq!(effects, [Effect::Refused(error)], "frozen by the limits");
    let adopted = resource(&json!({"externalId": "theirs"}));
    let effects = preview(&edit(None, &adopted, Bounds::default())).effects;
    assert_eq!(effects, [Effect::TakenOver(KeyId("theirs".to_owned()))]);
    let observed = resource(&json!({"externalId": "theirs", "managementPolicy": "Observe"}));
    let effects = preview(&edit(None, &observed, Bounds::default())).effects;
    assert_eq!(effects, [Effect::Observed(KeyId("theirs".to_owned()))]);
}

#[test]
fn a_change_of_any_field_does_what_the_vendors_table_says() {
    // Keysmith itself writes the GatewayApiKeys of an issuer.
    let drivers = DRIVERS.iter().map(|it| it.capabilities);
    for capabilities in drivers.filter(|it| it.types.contains(&KeyType::Api)) {
        for (field, said) in SpecField::ALL.map(|field| (field.name(), capabilities.field(field))) {
            let values = values(field, capabilities);
            let values = values.unwrap_or_else(|| panic!("say two values of the new field {field}"));
            if said.support == Support::Unsupported {
                let refusals =
                    values.iter().filter_map(|it| desired(&resource(it), capabilities, None).err());
                let named = refusals.map(|it| it.to_string()).find(|it| it.contains(field));
                assert!(named.is_some(), "{} {field}", capabilities.title);
                continue;
            }
            let found = outcome(field, &values, capabilities);
            let expected: &[Outcome] = match said.support {
                Support::InPlace => &[Outcome::InPlace],
                Support::AtCreation => &[Outcome::NewKey],
                Support::Operator => &[Outcome::Operator, Outcome::Immutable],
                Support::Unsupported => &[],
            };
            assert!(
                expected.contains(&found),
                "{} {field}: {:?}, but {found:?}",
                capabilities.title,
                said.support
            );
            assert_eq!(found == Outcome::Immutable, said.note.starts_with("immutable"), "{field}");
        }
    }
}
