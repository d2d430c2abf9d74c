//! The acts of users during faults, and the required result.

use super::goal::{Goal, Outcome};
use super::stage::Stage;
use crate::support::drivers::Driver;
use jiff::SignedDuration;
use keysmith::emulator::VendorId;
use serde_json::json;

/// The number of keys that the restarted operator finds.
const FLEET: usize = 50;
const NAME: &str = "checkout";
/// How long a key is hidden: less than the time between the two listings that would make it count as lost.
const VANISHED: SignedDuration = SignedDuration::from_secs(30);

/// One story whose points are swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// A token and a key are created.
    Create,
    /// A setting changes that the vendor can change in place.
    Edit,
    /// A new key replaces the old one, which is revoked after the overlap.
    Rotate,
    /// A new key replaces the old one, which is revoked at once.
    Leak,
    /// The resource is deleted.
    Delete,
    /// The namespace is deleted, with the token and its Secret.
    NamespaceDelete,
    /// The object is replaced by its manifest, without finalizer and claim.
    Replace,
    /// For half a minute the vendor hides the key in listings and in reads by its id.
    Vanish,
    /// The operator starts and finds many settled keys.
    Restart,
}

/// The scenarios that are swept.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::Create,
    Scenario::Edit,
    Scenario::Rotate,
    Scenario::Leak,
    Scenario::Delete,
    Scenario::NamespaceDelete,
    Scenario::Replace,
    Scenario::Vanish,
    Scenario::Restart,
];

/// The scenarios that are swept with pairs of faults.
pub const PAIRED: &[Scenario] = &[Scenario::Create, Scenario::Rotate, Scenario::Delete];

impl Scenario {
    /// The name in `KEYSMITH_SWEEP`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Rotate => "rotate",
            Self::Leak => "leak",
            Self::Delete => "delete",
            Self::NamespaceDelete => "namespace-delete",
            Self::Replace => "replace",
            Self::Vanish => "vanish",
            Self::Restart => "restart",
        }
    }

    /// The scenario of that name.
    pub fn parse(name: &str) -> Option<Self> {
        SCENARIOS.iter().copied().find(|scenario| scenario.name() == name)
    }

    fn names(self) -> Vec<String> {
        match self {
            Self::Restart => (0..FLEET).map(|number| format!("{NAME}-{number}")).collect(),
            _ => vec![NAME.to_owned()],
        }
    }

    /// Creates the initial state, before points are counted.
    pub async fn prepare(self, stage: &Stage) -> Goal {
        if self == Self::Create {
            return Goal::nothing();
        }
        stage.token().await;
        for name in self.names() {
            let mut rotation = json!({"overlap": "2m", "trigger": "first"});
            if stage.vendor_id.capabilities().disable {
                rotation["brownOut"] = json!("1m");
            }
            let mut spec = stage.vendor_id.full(json!({
                "models": ["m-1"], "budget": {"amount": "100", "period": "Monthly"},
            }));
            spec["rotation"] = rotation;
            stage.key(&name, spec).await;
        }
        Goal::keys(&self.names())
    }

    /// The act of the user; returns the goal.
    pub async fn act(self, stage: &Stage) -> Goal {
        match self {
            Self::Create => {
                stage.token().await;
                stage.key(NAME, stage.vendor_id.full(json!({"models": ["m-1"]}))).await;
                Goal::keys(&self.names())
            }
            Self::Edit => {
                let edited = json!({"budget": {"amount": "300"}, "displayName": "Renamed"});
                let spec = match stage.vendor_id {
                    // No setting can be changed in place there, so the key is replaced.
                    VendorId::Cortecs => stage.vendor_id.full(edited),
                    vendor_id => vendor_id.changeable(edited),
                };
                stage.edit(NAME, json!({"spec": spec})).await;
                Goal::keys(&self.names()).and(amended)
            }
            Self::Rotate => {
                stage.edit(NAME, json!({"spec": {"rotation": {"trigger": "second"}}})).await;
                Goal::keys(&self.names()).and(rotated)
            }
            Self::Leak => {
                stage.leak(NAME).await;
                Goal::keys(&self.names()).and(rotated)
            }
            Self::Delete => {
                stage.delete(NAME).await;
                Goal::nothing()
            }
            Self::NamespaceDelete => {
                stage.observer.release(NAME);
                stage.delete_namespace().await;
                Goal::nothing().without_namespace()
            }
            Self::Replace => {
                stage.replace(NAME).await;
                Goal::keys(&self.names()).and(held)
            }
            Self::Vanish => {
                stage.hide_keys(VANISHED);
                let look =
                    json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "now"}}});
                stage.edit(NAME, look).await;
                Goal::keys(&self.names()).and(untouched)
            }
            Self::Restart => {
                stage.line.kill();
                Goal::keys(&self.names()).and(untouched)
            }
        }
    }
}

fn amended(outcome: &Outcome<'_>) -> Result<(), String> {
    let key = outcome.key;
    let limited = key.budget_micros == Some(300_000_000);
    let done = match outcome.vendor_id {
        VendorId::Cortecs => key.name.starts_with("renamed-ks-"),
        VendorId::EdenAiV2 => limited && untouched(outcome).is_ok(),
        _ => limited && untouched(outcome).is_ok() && key.name.starts_with("Renamed [ks-"),
    };
    if done { Ok(()) } else { Err(format!("the key is {} with {:?}", key.name, key.budget_micros)) }
}

/// The key is the first one. A serial may be wasted at a vendor with a low rate limit.
fn untouched(outcome: &Outcome<'_>) -> Result<(), String> {
    if outcome.object["status"]["internal"]["keyCount"]["made"] == 1 {
        return Ok(());
    }
    Err(format!("a new key was made for nothing: {}", outcome.object["status"]))
}

/// The key is the first one, and the finalizer holds the resource.
fn held(outcome: &Outcome<'_>) -> Result<(), String> {
    let metadata = &outcome.object["metadata"];
    let claim = metadata["annotations"]["keysmith.dev/claim"].is_string();
    if claim && metadata["finalizers"].to_string().contains("keysmith.dev/cleanup") {
        return untouched(outcome);
    }
    Err(format!("finalizer or claim is missing: {metadata}"))
}

/// The key is not the first one.
fn rotated(outcome: &Outcome<'_>) -> Result<(), String> {
    let status = &outcome.object["status"];
    if status["serial"].as_u64() > Some(1) && status["lastRotation"].is_object() {
        return Ok(());
    }
    Err(format!("not rotated: {status}"))
}
