//! Kubernetes in the model: one resource with all its versions, and one Secret.

use super::class::Class;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keysmith::api::condition::{self, READY};
use keysmith::api::gateway_api_key::{GatewayApiKeySpec, KeyType, SecretSpec, SecretTemplate};
use keysmith::api::rotation::{DeletionPolicy, RestartTarget, RotationSpec, WorkloadKind};
use keysmith::api::shared::ConsoleTokenRef;
use keysmith::api::{
    CLAIM, FENCE, FINALIZER, FORCE_ORPHAN, GatewayApiKey, GatewayApiKeyStatus, KEY_AT, KEY_ID, LEAKED,
    RECONCILE_REQUESTED, ROTATE_REQUESTED, SERIAL,
};
use keysmith::plan::claim::Claim;
use keysmith::plan::desired::{self, Desired};
use keysmith::plan::facts::{Confirmed, Facts, Record, Target};
use keysmith::plan::listing::{KeyId, View};
use keysmith::plan::naming::{ClusterId, Identity, Mark, Serial};
use keysmith::plan::requests::RotationRequests;
use keysmith::plan::rotation;
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};

pub const UID: &str = "uid-of-checkout";
pub const NAME: &str = "checkout";
pub const NAMESPACE: &str = "shop";
pub const TOKEN: &str = "edgee";
/// The entry of the Secret that holds the key.
pub const ENTRY: &str = "key";

pub fn cluster() -> ClusterId {
    ClusterId("the-cluster".into())
}

pub fn mark() -> Mark {
    Mark::new(&cluster(), UID)
}

pub fn identity() -> Identity {
    Identity::from(mark())
}

/// The specification, as far as the model has it.
#[expect(clippy::struct_excessive_bools, reason = "each is a field that users switch")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// The class of the vendor of the console token.
    pub class: Class,
    pub models: u8,
    pub inactive: bool,
    pub name: u8,
    pub template: u8,
    /// A field that is fixed at creation.
    pub fixed: u8,
    pub trigger: Option<u8>,
    /// A longer overlap than the default.
    pub patient: bool,
    /// The age at which a key is rotated, in minutes beyond the longest overlap.
    pub max_age: Option<u8>,
    pub restart: bool,
    pub keep_previous: bool,
    pub suspended: bool,
    pub deletion: DeletionPolicy,
    /// Whether the resource adopts the key that existed before.
    pub adopts: bool,
}

/// The key that a person created at the vendor before the history.
pub const FOREIGN: &str = "key-0";
/// The maximum number of previous keys.
pub const MAX_PREVIOUS: usize = 2;
/// The poll interval of an account.
pub const POLL: SignedDuration = SignedDuration::from_secs(300);
pub const OVERLAP: SignedDuration = SignedDuration::from_mins(10);
pub const LONG_OVERLAP: SignedDuration = SignedDuration::from_mins(40);

impl Spec {
    /// The desired state for the vendor of its class.
    pub fn desired(self) -> Desired {
        let object = Object { spec: self, ..Object::default() };
        desired::read(&object.resource(), self.class.capabilities(), None).unwrap()
    }

    pub const fn overlap(self) -> SignedDuration {
        if self.patient { LONG_OVERLAP } else { OVERLAP }
    }

    fn written(self) -> GatewayApiKeySpec {
        let token = ConsoleTokenRef { kind: None, name: TOKEN.into() };
        let template = SecretTemplate {
            kind: None,
            metadata: None,
            data: BTreeMap::from([
                (ENTRY.into(), "{{ key }}".into()),
                ("note".into(), format!("template {} for {{{{ models[0] }}}}", self.template)),
            ]),
        };
        GatewayApiKeySpec {
            display_name: Some(format!("checkout-{}", self.name)),
            kind: Some(KeyType::CodingAgent),
            coding_assistant: Some(format!("assistant-{}", self.fixed)),
            models: vec![format!("model-{}", self.models)],
            active: Some(!self.inactive),
            rotation: Some(self.rotation()),
            secret: Some(SecretSpec {
                template: Some(template),
                keep_previous: Some(self.keep_previous),
                ..SecretSpec::default()
            }),
            deletion_policy: Some(self.deletion_policy()),
            external_id: self.adopts.then(|| FOREIGN.to_owned()),
            suspend: Some(self.suspended),
            ..GatewayApiKeySpec::bare(token)
        }
    }

    fn rotation(self) -> RotationSpec {
        let minutes = |span: SignedDuration| format!("{}m", span.as_mins());
        let restart =
            RestartTarget { kind: WorkloadKind::Deployment, name: Some("web".into()), selector: None };
        let beyond = LONG_OVERLAP + OVERLAP;
        RotationSpec {
            max_age: self.max_age.map(|it| minutes(beyond + SignedDuration::from_mins(i64::from(it)))),
            overlap: Some(minutes(self.overlap())),
            max_overlap: self.class.capabilities().last_used.then(|| minutes(self.overlap() + OVERLAP)),
            brown_out: self.class.capabilities().disable.then(|| "2m".into()),
            max_previous: u8::try_from(MAX_PREVIOUS).ok(),
            trigger: self.trigger.map(|it| it.to_string()),
            restart: self.restart.then_some(restart).into_iter().collect(),
            ..RotationSpec::default()
        }
    }

    pub const fn deletion_policy(self) -> DeletionPolicy {
        match self.deletion {
            DeletionPolicy::Disable if !self.class.capabilities().disable => DeletionPolicy::Delete,
            policy => policy,
        }
    }
}

/// One version of the resource.
#[derive(Clone, Default, PartialEq)]
pub struct Object {
    pub version: u64,
    /// Hash of its content, by which searches compare states.
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
    /// The resource as the API server returns it.
    pub fn resource(&self) -> GatewayApiKey {
        let mut resource = GatewayApiKey::new(NAME, self.spec.written());
        let annotations = [
            (CLAIM, self.claim.clone()),
            (RECONCILE_REQUESTED, self.requested.clone()),
            (ROTATE_REQUESTED, self.rotate.clone()),
            (LEAKED, self.leaked.clone()),
            (FORCE_ORPHAN, self.forced.then(|| "yes".to_owned())),
        ];
        let annotations = annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        resource.metadata.namespace = Some(NAMESPACE.into());
        resource.metadata.uid = Some(UID.into());
        resource.metadata.resource_version = Some(self.version.to_string());
        resource.metadata.generation = Some(self.generation);
        resource.metadata.annotations = Some(annotations.collect());
        resource.metadata.deletion_timestamp = self.deleting.then_some(Time(Timestamp::UNIX_EPOCH));
        resource.metadata.finalizers = self.finalizer.then(|| vec![FINALIZER.to_owned()]);
        resource.status = Some(self.status.clone());
        resource
    }

    /// Hash of everything but the version.
    pub fn content(&self) -> u64 {
        let annotations = (&self.claim, &self.requested, &self.rotate, &self.leaked, self.forced);
        let rest = (self.generation, self.deleting, self.finalizer, self.spec);
        digest(&(annotations, rest, serde_json::to_string(&self.status).unwrap()))
    }

    pub fn claim(&self) -> Option<Claim> {
        Claim::decode(self.claim.as_deref(), &identity())
    }

    /// Whether a watch delivers this change.
    pub fn differs(&self, other: &Self) -> bool {
        self.generation != other.generation
            || self.finalizer != other.finalizer
            || self.claim != other.claim
            || self.requested != other.requested
            || self.rotate != other.rotate
            || self.leaked != other.leaked
            || self.forced != other.forced
    }

    /// Whether status says that the key works.
    pub fn is_ready(&self) -> bool {
        condition::find(&self.status.conditions, READY).is_some_and(|it| it.status == "True")
    }

    /// Facts for the tables of decisions, from the resource alone.
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
            confirmed: Confirmed::NotRead,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            disabled: BTreeSet::new(),
            strays: BTreeSet::new(),
            bounds: keysmith::plan::facts::Bounds::default(),
            poll: POLL,
            doubted: false,
            mended: keysmith::plan::facts::Mends::default(),
            ability: self.spec.class.capabilities().ability(),
            identity: identity(),
            requests: RotationRequests {
                trigger: None,
                rotate: self.rotate.clone(),
                leaked: self.leaked.clone(),
            },
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

/// Short, because a search distinguishes operators by everything they saw.
impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{} {:x}", self.version, self.digest)
    }
}

/// Hash of the debug text of a value.
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

/// The secret of a key at the model's vendor.
pub fn secret_of(id: &KeyId) -> String {
    format!("sk-fake-{}-end", id.0)
}

/// A version of the Secret.
#[derive(Clone, Default, PartialEq)]
pub struct Stored {
    pub version: u64,
    pub secret: Secret,
}

impl Stored {
    /// Whether the Secret belongs to the resource.
    pub fn ours(&self) -> bool {
        self.secret.owner_references().iter().any(|it| it.uid == UID && it.controller == Some(true))
    }

    fn number(&self, annotation: &str) -> Option<Serial> {
        self.secret.annotations().get(annotation)?.parse().ok().map(Serial)
    }

    pub fn serial(&self) -> Option<Serial> {
        self.number(SERIAL)
    }

    pub fn fence(&self) -> Option<Serial> {
        self.number(FENCE)
    }

    pub fn key_id(&self) -> Option<KeyId> {
        self.secret.annotations().get(KEY_ID).cloned().map(KeyId)
    }

    pub fn entry(&self) -> Option<String> {
        let bytes = self.secret.data.as_ref()?.get(ENTRY)?;
        String::from_utf8(bytes.0.clone()).ok()
    }

    /// The key whose secret the Secret holds.
    pub fn data(&self) -> Option<KeyId> {
        let entry = self.entry()?;
        let id = entry.strip_prefix("sk-fake-").and_then(|it| it.strip_suffix("-end"));
        Some(KeyId(id.unwrap_or(&entry).to_owned()))
    }

    /// Serial and id of the key whose bytes the Secret holds, by the imprint.
    pub fn standing(&self) -> Option<(Serial, Option<String>)> {
        let imprint = self.secret.annotations().get(KEY_AT)?;
        let imprint: serde_json::Value = serde_json::from_str(imprint).ok()?;
        let whole = self.entry().is_some_and(|it| it.starts_with("sk-fake-"));
        let serial = imprint["serial"].as_u64().filter(|_| whole).map(Serial)?;
        Some((serial, imprint["id"].as_str().map(str::to_owned)))
    }

    pub fn newest(&self) -> Option<Serial> {
        self.serial().max(self.fence())
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (serial, fence, data) = (self.serial(), self.fence(), self.data());
        write!(formatter, "v{} serial {serial:?} fence {fence:?} data {data:?}", self.version)?;
        let rest = (&self.secret.metadata.annotations, &self.secret.data, self.secret.immutable);
        write!(formatter, " {:x}", digest(&rest))
    }
}
