//! The lines of `keysmith plan`.

use crate::api::GatewayApiKey;
use crate::columns::printable;
use crate::commands::manifests::Document;
use crate::plan::capability::{Capabilities, Support};
use crate::plan::policy::Policy;
use crate::plan::preview::{Effect, changed};
use crate::plan::report::call_purpose::because;
use crate::plan::requests::Cause;
use crate::plan::time::clock;
use crate::plan::{drift, duration};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// Longest value of a field that is shown.
const LONGEST: usize = 120;

/// What an edit would do to one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// Nothing changes.
    #[default]
    Unchanged,
    /// It is new.
    Created,
    /// It changes, and no key in use is replaced.
    Changed,
    /// A key in use is replaced.
    Replaced,
    /// It is refused.
    Refused,
    /// It could not be found out.
    Unknown,
}

/// A field that changes.
#[derive(Debug, Serialize)]
struct Change {
    field: String,
    before: Value,
    after: Value,
}

/// A resource and what would become of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    kind: String,
    name: String,
    place: String,
    outcome: Outcome,
    changes: Vec<Change>,
    effects: Vec<String>,
    /// What could not be found out.
    pub notes: Vec<String>,
}

impl Line {
    /// A resource without findings.
    pub fn new(document: &Document, namespace: Option<&str>, before: Option<&Value>) -> Self {
        let name = namespace.map_or_else(|| document.name.clone(), |it| format!("{it}/{}", document.name));
        Self {
            kind: document.kind.clone(),
            name: printable(&name),
            place: document.place.clone(),
            outcome: if before.is_some() { Outcome::Unchanged } else { Outcome::Created },
            ..Self::default()
        }
    }

    /// A document that cannot be read.
    pub fn broken(why: &str) -> Self {
        let (place, why) = why.split_once(": ").unwrap_or((why, ""));
        let effects = vec![format!("REFUSED: {why}")];
        Self { place: place.to_owned(), outcome: Outcome::Refused, effects, ..Self::default() }
    }

    /// Records a refusal.
    pub fn refuse(&mut self, why: &str) {
        self.outcome = Outcome::Refused;
        self.effects.push(format!("REFUSED: {}", printable(why)));
    }

    /// Records that it could not be found out.
    pub fn cannot_tell(&mut self, why: &str) {
        self.outcome = Outcome::Unknown;
        self.notes.push(printable(why));
    }

    /// Whether it could not be found out.
    pub fn is_unknown(&self) -> bool {
        self.outcome == Outcome::Unknown
    }

    /// Whether it is refused.
    pub fn is_refused(&self) -> bool {
        self.outcome == Outcome::Refused
    }

    /// Whether a key in use is replaced.
    pub fn replaces(&self) -> bool {
        self.outcome == Outcome::Replaced
    }

    /// Records the fields of `spec` that differ.
    pub fn compare(&mut self, before: Option<&Value>, after: &Value) {
        let Some(before) = before else { return };
        let fields = |it: &Value| it["spec"].as_object().cloned().unwrap_or_default();
        let (old, new) = (fields(before), fields(after));
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let change = |name: &&String| Change {
            field: format!("spec.{name}"),
            before: old.get(*name).cloned().unwrap_or_default(),
            after: new.get(*name).cloned().unwrap_or_default(),
        };
        self.changes = names.iter().map(change).filter(|it| it.before != it.after).collect();
        if !self.changes.is_empty() {
            self.outcome = Outcome::Changed;
        }
        let left = self.changes.iter().filter(|it| it.after.is_null()).map(|it| it.field.as_str());
        let left = left.collect::<Vec<_>>().join(", ");
        if !left.is_empty() {
            self.notes.push(format!(
                "{left}: set in the cluster and not in the file; kubectl apply leaves what another tool or person set, and then that stays"
            ));
        }
    }

    /// The effects of another kind than GatewayApiKey, by its kind alone.
    pub fn describe(&mut self, exists: bool) {
        if exists && self.changes.is_empty() {
            return;
        }
        let effect = match (self.kind.as_str(), exists) {
            ("ProviderKey", false) => "the provider's key is put into the account at the vendor",
            ("ProviderKey", true) => "the provider's key is written again at the vendor, under the same id",
            ("ProjectSettings", _) => "settings of the WHOLE project are written at the vendor",
            (_, false) => "the token is checked at the vendor; keys that name it can be made then",
            (_, true) => {
                "the token is checked at the vendor again; no key of an application is replaced for it"
            }
        };
        self.effects.push(effect.to_owned());
        let also = [
            (
                "spec.gatewayUrl",
                "every Secret that holds the gateway's URL is written again, with the same key",
            ),
            ("spec.mint", "the console token that Keysmith made may be replaced by a new one"),
            (
                "spec.limits",
                "keys that exceed the new limits keep working, and are neither changed nor replaced",
            ),
            (
                "spec.allowedNamespaces",
                "keys of namespaces that are not allowed any more keep working, and are not replaced",
            ),
        ];
        let changed = |field: &str| self.changes.iter().any(|it| it.field == field);
        let also: Vec<_> = also.iter().filter(|(field, _)| exists && changed(field)).collect();
        self.effects.extend(also.into_iter().map(|(_, effect)| (*effect).to_owned()));
    }

    /// Records what the operator would do about a key.
    pub fn foreseen(
        &mut self,
        effects: &[Effect],
        before: Option<&GatewayApiKey>,
        after: &GatewayApiKey,
        capabilities: &Capabilities,
    ) {
        for effect in effects {
            match effect {
                Effect::Replaced(_) => self.outcome = Outcome::Replaced,
                Effect::Refused(_) => self.outcome = Outcome::Refused,
                // Nothing is done because of them.
                Effect::Waits(_) | Effect::WithoutEffect(_) => {}
                _ if self.outcome == Outcome::Unchanged => self.outcome = Outcome::Changed,
                _ => {}
            }
            self.effects.extend(sentences(effect, before, after, capabilities));
        }
    }

    /// Records that the next rotation by schedule moves.
    pub fn moves_rotation(&mut self, before: Option<Timestamp>, after: Option<Timestamp>) {
        let shown = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), clock);
        self.effects.push(format!(
            "the next rotation by schedule: {}, before {}",
            shown(after),
            shown(before)
        ));
    }
}

fn sentences(
    effect: &Effect,
    before: Option<&GatewayApiKey>,
    after: &GatewayApiKey,
    capabilities: &Capabilities,
) -> Vec<String> {
    let secret = printable(after.secret_name());
    let serial = before.and_then(|it| it.status.as_ref()?.serial);
    let one = |text: String| vec![text];
    match effect {
        Effect::FirstKey => one(format!("a first key is made and put into Secret {secret}")),
        Effect::TakenOver(id) => one(format!(
            "key {} is taken over: it gets Keysmith's mark; near its expiry, or past spec.rotation.maxAge, it is replaced right away",
            printable(&id.0)
        )),
        Effect::Observed(id) => one(format!("key {} is looked at, and never changed", printable(&id.0))),
        Effect::Replaced(cause) => {
            let serial = serial.map_or_else(String::new, |it| format!(", serial {it}"));
            let which = match (cause, before) {
                (Cause::Changed, Some(before)) => format!(" ({})", fixed(before, after, capabilities)),
                _ => String::new(),
            };
            let why =
                format!("a NEW KEY replaces the one in Secret {secret}{serial}: {}{which}", because(*cause));
            vec![why, old_key(*cause, after, capabilities)]
        }
        Effect::Amended(fields) => one(format!(
            "the key is changed in place at the vendor: {}; applications go on with it",
            drift::paths(fields)
        )),
        Effect::SecretWritten => one(format!("Secret {secret} is written again, with the same key")),
        Effect::PreviousKey(id) => one(format!("the previous key {} ends now", printable(&id.0))),
        Effect::Waits(verdict) => one(printable(&verdict.message)),
        Effect::Refused(error) => {
            let mut said = vec![format!("REFUSED: {}", printable(&error.to_string()))];
            said.extend(serial.map(|serial| {
                format!("the key in Secret {secret}, serial {serial}, works on and is NOT replaced in time before that is mended")
            }));
            said
        }
        Effect::WithoutEffect(error) => one(format!("without effect: {}", printable(&error.to_string()))),
    }
}

/// The changed fields that the vendor fixes when a key is made.
fn fixed(before: &GatewayApiKey, after: &GatewayApiKey, capabilities: &Capabilities) -> String {
    let fixed =
        changed(before, after).into_iter().filter(|it| capabilities.support(*it) == Support::AtCreation);
    fixed.map(|it| format!("spec.{}", it.name())).collect::<Vec<_>>().join(", ")
}

/// What becomes of the replaced key.
fn old_key(cause: Cause, after: &GatewayApiKey, capabilities: &Capabilities) -> String {
    let overlap = Policy::new(after, capabilities).map(|it| it.overlap).unwrap_or_default();
    match (cause.overlaps(), overlap.is_zero()) {
        (false, _) => "the old key is revoked as soon as the new one is in the Secret".to_owned(),
        (true, true) => {
            "the old key ends as soon as the new one is in the Secret (spec.rotation.overlap: 0s)".to_owned()
        }
        (true, false) => {
            format!("the old key works for {} more (spec.rotation.overlap)", duration::format(overlap))
        }
    }
}

/// The text for people.
pub fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let title =
            if line.kind.is_empty() { String::new() } else { format!("{} {} ", line.kind, line.name) };
        let state = match line.outcome {
            Outcome::Unchanged => ": unchanged",
            Outcome::Created => ": new",
            Outcome::Unknown => ": unknown",
            Outcome::Changed | Outcome::Replaced | Outcome::Refused => "",
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{title}({}){state}", line.place);
        for change in &line.changes {
            let _ =
                writeln!(text, "  {}: {} -> {}", change.field, value(&change.before), value(&change.after));
        }
        for said in line.effects.iter().chain(&line.notes) {
            let _ = writeln!(text, "  {said}");
        }
    }
    text + &summary(lines)
}

fn summary(lines: &[Line]) -> String {
    let count = |outcome| lines.iter().filter(|it| it.outcome == outcome).count();
    let parts = [
        (Outcome::Refused, "refused"),
        (Outcome::Unknown, "unknown"),
        (Outcome::Replaced, "with a new key in place of one in use"),
        (Outcome::Created, "new"),
        (Outcome::Changed, "changed"),
        (Outcome::Unchanged, "unchanged"),
    ];
    let parts = parts.map(|(outcome, name)| (count(outcome), name));
    let parts: Vec<_> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    match parts.as_slice() {
        [] => "no resources of Keysmith\n".to_owned(),
        parts => format!("resources: {}; nothing was changed, and no vendor was called\n", parts.join(", ")),
    }
}

fn value(value: &Value) -> String {
    let text = if value.is_null() { "(not set)".to_owned() } else { printable(&value.to_string()) };
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
