//! What Kubernetes holds in the model: one resource with all its versions, and one Secret.

use super::vendor::LAG;
use jiff::Timestamp;
use keysmith::api::GatewayApiKeyStatus;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::plan::claim::Claim;
use keysmith::plan::desired::{Desired, Settings};
use keysmith::plan::facts::{Facts, Held, KeyId, Record, Target, View};
use keysmith::plan::naming::{ClusterId, Mark, Serial};
use keysmith::plan::template::SecretPlan;
use std::collections::{BTreeMap, BTreeSet};

pub const UID: &str = "uid-of-checkout";
pub const SECRET: &str = "checkout";

pub fn mark() -> Mark {
    Mark::new(&ClusterId("the-cluster".into()), UID)
}

/// What a user asks for, as far as the model goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub models: u8,
    pub inactive: bool,
    pub name: u8,
    pub template: u8,
}

impl Spec {
    pub fn desired(self) -> Desired {
        Desired {
            kind: KeyType::Api,
            coding_assistant: None,
            expires_in_days: None,
            settings: Settings {
                display_name: format!("checkout-{}", self.name),
                active: !self.inactive,
                models: vec![format!("model-{}", self.models)],
                budget: None,
                email: None,
                debug_mode: false,
            },
            secret: SecretPlan {
                name: SECRET.into(),
                kind: "Opaque".into(),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                data: BTreeMap::new(),
            },
        }
    }

    /// Stands for the hash of the template, which the admitted models go into.
    pub fn template(self) -> (u8, u8) {
        (self.template, self.models)
    }
}

/// One version of the resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    pub version: u64,
    pub generation: i64,
    pub deleting: bool,
    pub finalizer: bool,
    pub claim: Option<String>,
    pub requested: Option<String>,
    pub spec: Spec,
    pub status: GatewayApiKeyStatus,
}

impl Object {
    pub fn claim(&self) -> Option<Claim> {
        Claim::decode(self.claim.as_deref())
    }

    /// Whether a watch passes this change on.
    pub fn differs(&self, other: &Self) -> bool {
        self.generation != other.generation
            || self.finalizer != other.finalizer
            || self.claim != other.claim
            || self.requested != other.requested
    }

    /// What can be told from the resource alone.
    pub fn facts(&self, now: Timestamp, target: Target, view: Option<View>) -> Facts {
        Facts {
            now,
            deleting: self.deleting,
            finalizer: self.finalizer,
            generation: Some(self.generation),
            requested: self.requested.is_some() && self.requested != self.status.last_handled_reconcile_at,
            claim: self.claim(),
            record: Record::from(&self.status),
            target,
            view,
            confirmed: None,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            listing_lag: LAG,
        }
    }
}

/// The Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub version: u64,
    /// Whether it is the resource's.
    pub ours: bool,
    pub serial: Option<Serial>,
    pub fence: Option<Serial>,
    pub key_id: Option<KeyId>,
    pub expires_at: Option<Timestamp>,
    pub template: Option<(u8, u8)>,
    /// The key whose secret is inside.
    pub data: Option<KeyId>,
    /// What the annotation says the content is.
    pub content: Option<KeyId>,
}

impl Stored {
    pub fn target(&self, template: Option<(u8, u8)>) -> Target {
        if !self.ours {
            return Target::Foreign { owner: "somebody else".into() };
        }
        Target::Ours(Held {
            serial: self.serial,
            fence: self.fence,
            key_id: self.key_id.clone(),
            expires_at: self.expires_at,
            intact: self.content.is_some() && self.content == self.data,
            current: template.is_none() || self.template == template,
            kind_fits: true,
        })
    }

    pub fn newest(&self) -> Option<Serial> {
        self.serial.max(self.fence)
    }
}
