//! What an edit of a GatewayApiKey would do: the operator's own decisions, one after the other, for a Secret and a vendor
//! that are as the status says.

use super::capability::{Capabilities, Recovery};
use super::decision::{Decision, Step, Why};
use super::desired::{self, Desired};
use super::drift::Field;
use super::expiry;
use super::facts::{Bounds, Confirmed, Facts, Held, KeyInSecret, Record, Target};
use super::issuance;
use super::listing::{KeyId, Listed, Shown};
use super::naming::{ClusterId, Identity, Mark, Serial};
use super::report;
use super::report::key::{Found, Scene};
use super::requests::{Cause, RotationRequests};
use super::rotation;
use super::settings::Expiry;
use super::spec_error::SpecError;
use super::spec_field::SpecField;
use super::template::SecretPlan;
use crate::api::{self, GatewayApiKey, Verdict};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

/// Limit of decisions, as in a pass.
const STEPS: usize = 12;

/// An edit of a GatewayApiKey.
pub struct Edit<'a> {
    /// The resource as it is stored. `None`: the edit creates it.
    pub before: Option<&'a GatewayApiKey>,
    /// The resource as it would be stored.
    pub after: &'a GatewayApiKey,
    /// What the vendor of its console token supports.
    pub capabilities: &'static Capabilities,
    /// What the limits of its console token mean for the edited resource.
    pub bounds: Bounds,
    /// The time.
    pub now: Timestamp,
    /// The limit of keys made within a day for one resource.
    pub keys_per_day: u64,
}

/// What an edit would do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A first key is made.
    FirstKey,
    /// The key with this id is taken over.
    TakenOver(KeyId),
    /// The key with this id is looked at, and never changed.
    Observed(KeyId),
    /// A new key replaces the served one.
    Replaced(Cause),
    /// The settings of the served key are changed in place.
    Amended(Vec<Field>),
    /// The Secret is written again, with the same key.
    SecretWritten,
    /// A previous key is revoked or switched off earlier, or works longer.
    PreviousKey(KeyId),
    /// Nothing is done before something else happens.
    Waits(Verdict),
    /// The specification is refused: the served key, if there is one, stays as it is and is NOT replaced in time.
    Refused(SpecError),
    /// A field has no effect. The served key is maintained nevertheless.
    WithoutEffect(SpecError),
}

/// What an edit would do, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// The effects; empty if nothing is done at the vendor and in the Secret.
    pub effects: Vec<Effect>,
    /// When the served key would be replaced by schedule. `None`: never, or it is replaced by the edit.
    pub next_rotation: Option<Timestamp>,
}

/// What the edit would do.
pub fn preview(edit: &Edit<'_>) -> Preview {
    let mut desired = match desired::read(edit.after, edit.capabilities, None) {
        Ok(desired) => desired,
        Err(refusal) => return Preview { effects: vec![Effect::Refused(refusal)], next_rotation: None },
    };
    let before = edit.before.and_then(|it| desired::read(it, edit.capabilities, None).ok());
    let mut facts = facts(edit, before.as_ref(), &desired);
    desired.settings.expiry = expiry::wanted(&facts.record, &desired, edit.now);
    desired.policy.max_previous = desired.policy.max_previous.min(edit.bounds.most_previous);
    if let Some(kept) = edit.before.and_then(|it| it.status.as_ref()?.read_internal().kept_limits) {
        desired.keep(&edit.after.spec, &kept);
        let refusal = desired::unknown_cap(&edit.after.spec, &kept);
        facts.bounds.refusal = facts.bounds.refusal.take().or(refusal);
    }
    let mut effects: Vec<_> = match &desired.idle {
        Some(idle) if facts.record.id.is_some() => vec![Effect::WithoutEffect(idle.clone())],
        _ => Vec::new(),
    };
    for _ in 0..STEPS {
        let decision = issuance::decide(&facts, &desired);
        match apply(&decision, &mut facts, &desired) {
            Some((effect, ends)) => {
                effects.extend(effect);
                if ends {
                    break;
                }
            }
            None => break,
        }
    }
    let taken_over = effects.iter().any(|it| matches!(it, Effect::TakenOver(_)));
    // Its secret has to come into a Secret, and only some vendors show it again.
    if taken_over && facts.ability.recovery != Recovery::Reveal {
        effects.push(Effect::Replaced(Cause::SecretLost));
    }
    let replaced =
        effects.iter().any(|it| matches!(it, Effect::Replaced(_) | Effect::FirstKey | Effect::Observed(_)));
    let due = rotation::due(&facts, &desired).filter(|_| !replaced && facts.record.serial.is_some());
    Preview { effects, next_rotation: due.map(|it| it.at) }
}

/// The effect of a decision, and whether it is the last one that can be foreseen. `None`: nothing more is done.
fn apply(decision: &Decision, facts: &mut Facts, desired: &Desired) -> Option<(Option<Effect>, bool)> {
    let id = || desired.external_id.clone();
    let ended = |effect| Some((Some(effect), true));
    match (&decision.step, &decision.why) {
        (Step::Issue(_), Why::Rotation(cause)) => ended(Effect::Replaced(*cause)),
        (Step::Issue(_), _) => ended(Effect::FirstKey),
        (Step::Look(_), Why::Observed) => ended(Effect::Observed(id()?)),
        (Step::Confirm(_), Why::TakenOver) => ended(Effect::TakenOver(id()?)),
        (Step::Amend(_, fields), _) => {
            facts.amended.extend(fields.iter().copied());
            if let Confirmed::Shown(key) = &mut facts.confirmed {
                key.shown = Shown::of(&desired.settings);
                if desired.settings.expiry != Expiry::Uncompared {
                    key.expires_at = desired.settings.expiry.date();
                    facts.record.expires_at = key.expires_at;
                }
            }
            facts.record.sent = super::drift::Sent::all(&desired.settings);
            Some((Some(Effect::Amended(fields.clone())), false))
        }
        (Step::Rewrite(..) | Step::Restore(..), _) => {
            if let Target::Ours(held) = &mut facts.target {
                held.current = true;
            }
            Some((Some(Effect::SecretWritten), false))
        }
        (Step::Retire(id) | Step::Switch(id, _), _) => {
            facts.record.previous.retain(|it| it.id != id.0);
            Some((Some(Effect::PreviousKey(id.clone())), false))
        }
        (Step::DropLeaked(id), _) => ended(Effect::PreviousKey(id.clone())),
        (Step::Rest(_), Why::Fresh) => None,
        (Step::Rest(_), Why::Idle) => ended(Effect::Refused(desired.idle.clone()?)),
        (Step::Rest(_), Why::LimitExceeded(error)) => ended(Effect::Refused(error.clone())),
        (Step::Rest(_), _) => {
            let scene = Scene {
                found: Found::of(facts),
                expires: facts.record.expires_at,
                ..Scene::new(&desired.secret.name, desired.settings.active)
            };
            Some((report::key::resting(decision, &scene).map(Effect::Waits), true))
        }
        _ => None,
    }
}

/// The facts: the Secret holds the served key as the stored specification wants it, and so does the vendor.
fn facts(edit: &Edit<'_>, before: Option<&Desired>, desired: &Desired) -> Facts {
    let record = edit.before.and_then(|it| it.status.as_ref()).map(Record::from).unwrap_or_default();
    let mark = Mark::new(&ClusterId(String::new()), "");
    let serial = record.serial.unwrap_or_default();
    let name = mark.styled(edit.capabilities.names, &desired.settings.display_name, serial);
    let annotation = |name: &str| edit.after.annotations().get(name).cloned();
    let served = record.id.as_ref().zip(record.serial);
    let confirmed = served.map_or(Confirmed::NotRead, |(id, _)| {
        let wanted = before.map_or(&desired.settings, |it| &it.settings);
        Confirmed::Shown(Box::new(listed(id, name, &record, Shown::of(wanted))))
    });
    Facts {
        now: edit.now,
        deleting: false,
        finalizer: true,
        generation: edit.after.metadata.generation,
        requested: false,
        claim: None,
        target: served.map_or(Target::Absent, |(id, serial)| held(id, serial, &record, before, desired)),
        view: None,
        confirmed,
        amended: Vec::new(),
        gone: std::collections::BTreeSet::new(),
        disabled: std::collections::BTreeSet::new(),
        strays: std::collections::BTreeSet::new(),
        poll: SignedDuration::ZERO,
        doubted: false,
        mended: super::facts::Mends::default(),
        ability: edit.capabilities.ability(),
        identity: Identity::from(mark),
        requests: RotationRequests {
            trigger: desired.policy.trigger.clone(),
            rotate: annotation(api::ROTATE_REQUESTED),
            leaked: annotation(api::LEAKED),
        },
        external: None,
        lost_since: None,
        proven: true,
        spread: super::hash::fraction(&[b"rotation", edit.after.uid().unwrap_or_default().as_bytes()]),
        revision: None,
        under_name: None,
        keys_per_day: edit.keys_per_day,
        bounds: edit.bounds.clone(),
        record,
    }
}

fn held(id: &KeyId, serial: Serial, record: &Record, before: Option<&Desired>, desired: &Desired) -> Target {
    let newest = record.previous.iter().map(|it| Serial(it.serial)).max();
    Target::Ours(Held {
        serial: Some(serial),
        fence: Some(serial),
        key_id: Some(id.clone()),
        expires_at: record.expires_at,
        previous: newest.filter(|_| desired.secret.keep_previous),
        read: Some(String::new()),
        intact: true,
        current: before.is_none_or(|it| rendered(it) == rendered(desired)),
        kind_fits: before.is_none_or(|it| it.secret.kind == desired.secret.kind),
        key: Some(KeyInSecret { serial, id: Some(id.clone()) }),
        whole: true,
        immutable: false,
        state: String::new(),
        differs: Vec::new(),
    })
}

/// What a Secret is rendered from. The gateway's URL is that of the console token, which the edit does not change.
fn rendered(desired: &Desired) -> String {
    SecretPlan::rendering(&desired.secret, "", &desired.settings.models).used
}

fn listed(id: &KeyId, name: String, record: &Record, shown: Shown) -> Listed {
    Listed {
        id: id.clone(),
        name,
        created_at: record.created_at,
        expires_at: record.expires_at,
        last_used_at: None,
        spent: None,
        remaining: None,
        shown,
        unread: Vec::new(),
    }
}

/// The fields of the specification that differ.
pub fn changed(before: &GatewayApiKey, after: &GatewayApiKey) -> Vec<SpecField> {
    let written = |key: &GatewayApiKey| serde_json::to_value(&key.spec).unwrap_or_default();
    let (before, after) = (written(before), written(after));
    SpecField::ALL.into_iter().filter(|it| before[it.name()] != after[it.name()]).collect()
}
