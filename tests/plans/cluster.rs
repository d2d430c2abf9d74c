//! What Kubernetes holds in the model: one resource with all its versions, and one Secret.

use super::class::Class;
use jiff::{SignedDuration, Timestamp};
use keysmith::api::GatewayApiKeyStatus;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::rotation::{DeletionPolicy, RestartTarget, WorkloadKind};
use keysmith::plan::capability::Support;
use keysmith::plan::claim::Claim;
use keysmith::plan::desired::{Desired, Settings};
use keysmith::plan::expiry::Expiry;
use keysmith::plan::facts::{Facts, Held, KeyId, Record, Target, View};
use keysmith::plan::naming::{ClusterId, Identity, Mark, NameStyle, Serial};
use keysmith::plan::policy::{Policy, Renew};
use keysmith::plan::removal::Ending;
use keysmith::plan::rotation::{self, Handled};
use keysmith::plan::template::SecretPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

pub const UID: &str = "uid-of-checkout";
pub const SECRET: &str = "checkout";

pub fn mark() -> Mark {
    Mark::new(&ClusterId("the-cluster".into()), UID)
}

pub fn identity() -> Identity {
    Identity::from(mark())
}

/// What a user asks for, as far as the model goes.
#[expect(clippy::struct_excessive_bools, reason = "each is a field that users switch")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// What the vendor behind the console token can do.
    pub class: Class,
    pub models: u8,
    pub inactive: bool,
    pub name: u8,
    pub template: u8,
    /// Fixed when a key is made.
    pub fixed: u8,
    pub trigger: Option<u8>,
    /// A longer overlap than usual.
    pub patient: bool,
    /// A key is replaced when it is this old, in minutes.
    pub max_age: Option<u8>,
    pub restart: bool,
    pub keep_previous: bool,
    pub suspended: bool,
    pub deletion: DeletionPolicy,
}

/// So many old keys work beside the served one.
pub const MAX_PREVIOUS: usize = 2;
/// How often an account is listed.
pub const POLL: SignedDuration = SignedDuration::from_secs(300);
pub const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
pub const LONG_OVERLAP: SignedDuration = SignedDuration::from_mins(40);
pub const BROWN_OUT: SignedDuration = SignedDuration::from_mins(2);

impl Spec {
    pub fn desired(self) -> Desired {
        Desired {
            idle: None,
            kind: KeyType::Api,
            coding_assistant: None,
            expires_in_days: None,
            expiry: Support::AtCreation,
            scopes: Vec::new(),
            names: NameStyle::Title,
            settings: Settings {
                display_name: format!("checkout-{}", self.name),
                active: !self.inactive,
                models: vec![format!("model-{}", self.models)],
                budget: None,
                email: None,
                debug_mode: false,
                expiry: Expiry::Uncompared,
            },
            secret: SecretPlan {
                name: SECRET.into(),
                kind: "Opaque".into(),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                data: BTreeMap::new(),
                keep_previous: self.keep_previous,
            },
            policy: self.policy(),
            made_as: format!("made-as-{}", self.fixed),
            external_id: None,
            observed: false,
            suspended: self.suspended,
            zone: "UTC".into(),
        }
    }

    pub const fn overlap(self) -> SignedDuration {
        if self.patient { LONG_OVERLAP } else { OVERLAP }
    }

    fn policy(self) -> Policy {
        let restart =
            RestartTarget { kind: WorkloadKind::Deployment, name: Some("web".into()), selector: None };
        Policy {
            idle: None,
            renew: Renew::Third,
            max_age: self.max_age.map(|minutes| SignedDuration::from_mins(i64::from(minutes))),
            overlap: self.overlap(),
            max_overlap: self.overlap() + OVERLAP,
            max_previous: MAX_PREVIOUS,
            brown_out: if self.class.ability().disable { BROWN_OUT } else { SignedDuration::ZERO },
            trigger: self.trigger.map(|it| it.to_string()),
            windows: Vec::new(),
            restart: self.restart.then_some(restart).into_iter().collect(),
        }
    }

    pub const fn deletion_policy(self) -> DeletionPolicy {
        match self.deletion {
            DeletionPolicy::Disable if !self.class.ability().disable => DeletionPolicy::Delete,
            policy => policy,
        }
    }

    /// Stands for the hash of the template, which the admitted models go into.
    pub const fn template(self) -> (u8, u8) {
        (self.template, self.models)
    }
}

/// One version of the resource.
#[derive(Clone, Default, PartialEq)]
pub struct Object {
    pub version: u64,
    /// Recognises its content.
    pub digest: u64,
    pub generation: i64,
    pub deleting: bool,
    pub finalizer: bool,
    pub claim: Option<String>,
    pub requested: Option<String>,
    pub rotate: Option<String>,
    pub leaked: Option<String>,
    pub forced: bool,
    pub spec: Spec,
    pub status: GatewayApiKeyStatus,
}

impl Object {
    /// Recognises everything but the version.
    pub fn recognise(&self) -> u64 {
        let annotations = (&self.claim, &self.requested, &self.rotate, &self.leaked, self.forced);
        let rest = (self.generation, self.deleting, self.finalizer, self.spec);
        digest(&(annotations, rest, serde_json::to_string(&self.status).unwrap()))
    }

    pub fn claim(&self) -> Option<Claim> {
        Claim::decode(self.claim.as_deref(), &identity())
    }

    /// Whether a watch passes this change on.
    pub fn differs(&self, other: &Self) -> bool {
        self.generation != other.generation
            || self.finalizer != other.finalizer
            || self.claim != other.claim
            || self.requested != other.requested
            || self.rotate != other.rotate
            || self.leaked != other.leaked
            || self.forced != other.forced
    }

    pub const fn ending(&self) -> Ending {
        Ending { policy: self.spec.deletion_policy(), forced: self.forced }
    }

    /// What can be told from the resource alone.
    pub fn facts(&self, now: Timestamp, target: Target, view: Option<View>) -> Facts {
        let mut record = Record::from(&self.status);
        record.count = rotation::counted(record.count.as_ref(), self.claim());
        Facts {
            now,
            deleting: self.deleting,
            finalizer: self.finalizer,
            generation: Some(self.generation),
            requested: self.requested.is_some() && self.requested != self.status.last_handled_reconcile_at,
            claim: self.claim(),
            record,
            target,
            view,
            confirmed: None,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            disabled: BTreeSet::new(),
            strays: BTreeSet::new(),
            poll: POLL,
            doubted: false,
            mended: keysmith::plan::contest::Mends::default(),
            ability: self.spec.class.ability(),
            identity: identity(),
            asks: Handled { trigger: None, rotate: self.rotate.clone(), leaked: self.leaked.clone() },
            external: None,
            proven: true,
            lost_since: Some(Timestamp::MIN),
            spread: 0.5,
            revision: None,
            under_name: None,
            keys_per_day: 1000,
        }
    }
}

/// Short, because operators in a search are told apart by all that they saw.
impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{} {:x}", self.version, self.digest)
    }
}

/// Recognises what something looks like.
pub fn digest(value: &impl fmt::Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    let _ = write!(Text(&mut hasher), "{value:?}");
    hasher.finish()
}

struct Text<'a>(&'a mut DefaultHasher);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
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
    /// Serial of the old key that stands beside it.
    pub previous: Option<Serial>,
    pub template: Option<(u8, u8)>,
    /// The key whose secret is inside.
    pub data: Option<KeyId>,
    /// What the annotation says the content is.
    pub content: Option<KeyId>,
    /// The key that the annotation says stands inside, and its serial.
    pub imprint: Option<(Serial, KeyId)>,
    /// Whether something was added that is not the key, such as a label or an entry.
    pub dressed: bool,
    pub immutable: bool,
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
            previous: self.previous,
            read: self.data.as_ref().map(|id| id.0.clone()),
            intact: self.is_intact(),
            current: template.is_none() || self.template == template,
            kind_fits: true,
            key: self.standing(),
            whole: self.standing().is_some(),
            immutable: self.immutable,
            state: format!(
                "{:x}",
                digest(&(&self.data, self.dressed, self.serial, &self.key_id, self.template))
            ),
            differs: Vec::new(),
        })
    }

    pub fn is_intact(&self) -> bool {
        self.content.is_some() && self.content == self.data && !self.dressed
    }

    /// Serial of the key whose bytes stand inside.
    pub fn standing(&self) -> Option<Serial> {
        self.imprint.as_ref().filter(|(_, id)| self.data.as_ref() == Some(id)).map(|(serial, _)| *serial)
    }

    pub fn newest(&self) -> Option<Serial> {
        self.serial.max(self.fence)
    }
}
