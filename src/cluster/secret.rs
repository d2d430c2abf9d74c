//! Secrets: read by name in the resource's own namespace, written only where absent or owned by its UID, guarded
//! by serial and fence. The one place outside the wire where secret bytes are exposed.

use crate::api::shared::SecretKeyRef;
use crate::api::{
    CONTENT, DECORATIONS, EXPIRES_AT, FENCE, GROUP, KEY_ID, MANAGED_BY_LABEL, MANAGER, PREVIOUS, SERIAL,
    TEMPLATE,
};
use crate::plan::credentials::Entries;
use crate::plan::facts::{Held, KeyId, Target};
use crate::plan::hash;
use crate::plan::naming::Serial;
use crate::plan::refusal::Refusal;
use crate::plan::template::{SecretPlan, Variables};
use crate::plan::token;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// Writes that meet somebody else's write are tried again this often.
const ATTEMPTS: usize = 5;

/// The Secrets of one namespace. This type is the only way to them, and it takes no namespace per call.
#[derive(Clone)]
pub struct Secrets {
    pub(super) api: Api<Secret>,
    namespace: String,
}

/// Something to put into a Secret.
pub struct Delivery<'a> {
    /// Whose it is.
    pub owner: &'a OwnerReference,
    /// What it should be.
    pub plan: &'a SecretPlan,
    /// Hash of the plan and of everything else that goes in, but for the key.
    pub template: &'a str,
    /// Serial of the key.
    pub serial: Serial,
    /// The newest claim its writer knows of: a Secret that was fenced for a newer one is not written.
    pub fence: Serial,
    /// Whether the Secret was absent a moment ago, so that it is created without asking first.
    pub absent: bool,
    /// The vendor's id of the key.
    pub id: &'a KeyId,
    /// When the key expires.
    pub expires_at: Option<Timestamp>,
    /// Base URL for applications.
    pub base_url: &'a str,
    /// The models admitted.
    pub models: &'a [String],
    /// The key.
    pub secret: &'a SecretString,
    /// The serial whose entries stay beside the new ones, where the Secret holds them.
    pub previous: Option<Serial>,
}

/// How the entries of an old key are named that stay beside the new ones.
const PREVIOUS_ENTRY: &str = "previous_";

/// Why a Secret was not written.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// It belongs to somebody else.
    #[error("the Secret belongs to {0}")]
    Foreign(String),
    /// Somebody with a newer claim was there first.
    #[error("the Secret is fenced for a newer serial")]
    Superseded,
    /// The template cannot be filled in.
    #[error("{0}")]
    Template(Refusal),
    /// The API server says no, and will say no again.
    #[error("the API server refused the Secret: {0}")]
    Refused(String),
    /// The API server could not be asked.
    #[error("the API server failed")]
    Unavailable(#[source] Box<kube::Error>),
}

impl From<kube::Error> for Undelivered {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if matches!(status.code, 400 | 403 | 413 | 422) => {
                Self::Refused(super::brief(&error))
            }
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

impl Secrets {
    /// The Secrets of that namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }

    /// What the target Secret is to the owner with that UID. `plan` and `template` tell whether it is current.
    pub async fn observe(&self, uid: &str, plan: &SecretPlan, template: &str) -> kube::Result<Target> {
        let secret = self.api.get_opt(&plan.name).await?;
        Ok(secret.map_or(Target::Absent, |secret| target(&secret, uid, Some((plan, template)))))
    }

    /// What a Secret of that name is to the owner, where nothing more is known of it.
    pub async fn inspect(&self, uid: &str, name: &str) -> kube::Result<Target> {
        let secret = self.api.get_opt(name).await?;
        Ok(secret.map_or(Target::Absent, |secret| target(&secret, uid, None)))
    }

    /// Raises the fence, so that whoever still holds an older claim cannot write any more. Returns what the
    /// Secret holds then. Nothing is done where it does not exist.
    pub async fn fence(&self, uid: &str, name: &str, serial: Serial) -> Result<Option<Held>, Undelivered> {
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.api.get_opt(name).await? else {
                return Ok(None);
            };
            let held = guard(&secret, uid, serial)?;
            secret.annotations_mut().insert(FENCE.to_owned(), serial.to_string());
            match self.api.replace(name, &params(), &secret).await {
                Ok(_) => return Ok(Some(held)),
                Err(error) if super::is_conflict(&error) || super::is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    /// Puts a key into its Secret, unless somebody with a newer claim was there.
    pub async fn deliver(&self, delivery: &Delivery<'_>) -> Result<(), Undelivered> {
        let data = self.render(delivery)?;
        for attempt in 0..ATTEMPTS {
            let blind = delivery.absent && attempt == 0;
            let present = if blind { None } else { self.api.get_opt(&delivery.plan.name).await? };
            let written = match present {
                None => self.api.create(&params(), &self.assemble(None, delivery, &data)).await,
                Some(secret) => {
                    guard(&secret, &delivery.owner.uid, delivery.fence)?;
                    let secret = self.assemble(Some(secret), delivery, &data);
                    self.api.replace(&delivery.plan.name, &params(), &secret).await
                }
            };
            match written {
                Ok(_) => return Ok(()),
                Err(error)
                    if super::is_conflict(&error) || super::is_missing(&error) && !namespace_gone(&error) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    /// Takes the entries of an old key out of the Secret, unless somebody with a newer claim was there.
    pub async fn trim(&self, uid: &str, name: &str, serial: Serial) -> Result<(), Undelivered> {
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.api.get_opt(name).await? else {
                return Ok(());
            };
            if !guard(&secret, uid, serial)?.intact {
                return Ok(());
            }
            secret
                .data
                .iter_mut()
                .for_each(|data| data.retain(|entry, _| !entry.starts_with(PREVIOUS_ENTRY)));
            secret.annotations_mut().remove(PREVIOUS);
            let content = content(&secret, uid);
            secret.annotations_mut().insert(CONTENT.to_owned(), content);
            match self.api.replace(name, &params(), &secret).await {
                Ok(_) => return Ok(()),
                Err(error) if super::is_conflict(&error) || super::is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    /// A console token.
    pub async fn token(&self, place: &SecretKeyRef) -> kube::Result<Result<SecretString, Refusal>> {
        let shown = format!("Secret {}, key {}", place.name, place.key);
        Ok(match self.entries(&place.name).await? {
            None => {
                let message = format!(
                    "Secret {} does not exist in namespace {}; create it",
                    place.name, self.namespace
                );
                Err(Refusal::missing("spec.secretRef.name", message))
            }
            Some(entries) => match entries.get(&place.key) {
                None => {
                    Err(Refusal::missing("spec.secretRef.key", format!("{shown} does not exist; add it")))
                }
                Some(bytes) => token::check_token(bytes, &shown).map(SecretString::from),
            },
        })
    }

    /// The entries of a Secret that somebody else wrote.
    pub async fn entries(&self, name: &str) -> kube::Result<Option<Entries>> {
        let secret = self.api.get_opt(name).await?;
        let data = secret.map(|secret| secret.data.unwrap_or_default());
        Ok(data.map(|data| data.into_iter().map(|(entry, bytes)| (entry, bytes.0)).collect()))
    }

    #[expect(clippy::disallowed_methods, reason = "the Secret is where keys go")]
    fn render(&self, delivery: &Delivery<'_>) -> Result<BTreeMap<String, ByteString>, Undelivered> {
        let expires_at = delivery.expires_at.map(|at| at.to_string()).unwrap_or_default();
        let variables = Variables {
            key: delivery.secret.expose_secret(),
            base_url: delivery.base_url,
            key_id: &delivery.id.0,
            name: &delivery.owner.name,
            namespace: &self.namespace,
            serial: delivery.serial.0,
            expires_at: &expires_at,
            models: delivery.models,
        };
        let filled = delivery.plan.render(&variables).map_err(Undelivered::Template)?;
        Ok(filled.into_iter().map(|(entry, text)| (entry, ByteString(text.into_bytes()))).collect())
    }

    fn assemble(
        &self,
        present: Option<Secret>,
        delivery: &Delivery<'_>,
        data: &BTreeMap<String, ByteString>,
    ) -> Secret {
        let mut secret = present.unwrap_or_else(|| Secret {
            metadata: ObjectMeta {
                name: Some(delivery.plan.name.clone()),
                namespace: Some(self.namespace.clone()),
                owner_references: Some(vec![delivery.owner.clone()]),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        });
        secret.type_ = Some(delivery.plan.kind.clone());
        let previous = previous(&secret, delivery);
        match &previous {
            Some((serial, _)) => secret.annotations_mut().insert(PREVIOUS.to_owned(), serial.to_string()),
            None => secret.annotations_mut().remove(PREVIOUS),
        };
        let mut entries = data.clone();
        entries.extend(previous.into_iter().flat_map(|(_, entries)| entries));
        secret.data = Some(entries);
        decorate(&mut secret, delivery);
        let content = content(&secret, &delivery.owner.uid);
        secret.annotations_mut().insert(CONTENT.to_owned(), content);
        secret
    }
}

pub(super) fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

/// A create call in a namespace that is gone answers 404, and will not do otherwise.
fn namespace_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.details.as_ref().is_some_and(|it| it.kind == "namespaces"))
}

/// The entries of the old key: those that the Secret holds under its serial, or has kept already.
fn previous(secret: &Secret, delivery: &Delivery<'_>) -> Option<(Serial, BTreeMap<String, ByteString>)> {
    let wanted = delivery.previous?;
    let Target::Ours(held) = target(secret, &delivery.owner.uid, None) else {
        return None;
    };
    let kept = |(entry, _): &(&String, &ByteString)| entry.starts_with(PREVIOUS_ENTRY);
    let data = secret.data.as_ref().filter(|_| held.intact)?;
    if held.serial == Some(wanted) && wanted != delivery.serial {
        let entries = data.iter().filter(|it| !kept(it));
        let renamed = entries.map(|(entry, bytes)| (format!("{PREVIOUS_ENTRY}{entry}"), bytes.clone()));
        return Some((wanted, renamed.collect()));
    }
    let entries = data.iter().filter(kept).map(|(entry, bytes)| (entry.clone(), bytes.clone()));
    Some((held.previous?, entries.collect()))
}

/// Labels and annotations: ours, the template's, without those an earlier template put there; others' stay.
fn decorate(secret: &mut Secret, delivery: &Delivery<'_>) {
    let plan = delivery.plan;
    let previous: Vec<String> = secret
        .annotations()
        .get(DECORATIONS)
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    for name in previous {
        match name.split_once(':') {
            Some(("label", name)) => drop(secret.labels_mut().remove(name)),
            Some((_, name)) => drop(secret.annotations_mut().remove(name)),
            None => {}
        }
    }
    let labels = plan.labels.keys().map(|name| format!("label:{name}"));
    let names: Vec<_> =
        labels.chain(plan.annotations.keys().map(|name| format!("annotation:{name}"))).collect();
    secret.labels_mut().extend(plan.labels.clone());
    secret.labels_mut().insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    let annotations = secret.annotations_mut();
    annotations.extend(plan.annotations.clone());
    annotations.insert(SERIAL.to_owned(), delivery.serial.to_string());
    annotations.insert(FENCE.to_owned(), delivery.fence.to_string());
    annotations.insert(KEY_ID.to_owned(), delivery.id.0.clone());
    annotations.insert(TEMPLATE.to_owned(), delivery.template.to_owned());
    match delivery.expires_at {
        Some(at) => annotations.insert(EXPIRES_AT.to_owned(), at.to_string()),
        None => annotations.remove(EXPIRES_AT),
    };
    if names.is_empty() {
        annotations.remove(DECORATIONS)
    } else {
        annotations.insert(DECORATIONS.to_owned(), names.join(","))
    };
}

/// Refuses to write what is not ours, or what somebody with a newer claim has written or fenced.
fn guard(secret: &Secret, uid: &str, serial: Serial) -> Result<Held, Undelivered> {
    match target(secret, uid, None) {
        Target::Foreign { owner } => Err(Undelivered::Foreign(owner)),
        Target::Absent => Ok(Held::default()),
        Target::Ours(held) => {
            let newest = held.serial.max(held.fence);
            if newest.is_some_and(|it| it > serial) { Err(Undelivered::Superseded) } else { Ok(held) }
        }
    }
}

fn target(secret: &Secret, uid: &str, expected: Option<(&SecretPlan, &str)>) -> Target {
    let controller = secret.owner_references().iter().find(|it| it.controller == Some(true));
    match controller {
        Some(owner) if owner.uid == uid => {}
        Some(owner) => {
            return Target::Foreign { owner: format!("{} {}", owner.kind, owner.name) };
        }
        None => {
            return Target::Foreign {
                owner: "somebody else (it has no owner that is this resource)".to_owned(),
            };
        }
    }
    let annotations = secret.annotations();
    let serial = |name: &str| annotations.get(name).and_then(|it| it.parse().ok()).map(Serial);
    let kind = secret.type_.as_deref().unwrap_or("Opaque");
    Target::Ours(Held {
        serial: serial(SERIAL),
        fence: serial(FENCE),
        key_id: annotations.get(KEY_ID).cloned().map(KeyId),
        expires_at: annotations.get(EXPIRES_AT).and_then(|it| it.parse().ok()),
        previous: serial(PREVIOUS),
        read: Some(read(secret, uid)),
        intact: annotations.get(CONTENT) == Some(&content(secret, uid)),
        current: expected.is_none_or(|(plan, template)| {
            annotations.get(TEMPLATE).is_some_and(|it| it == template)
                && plan.labels.iter().all(|(name, value)| secret.labels().get(name) == Some(value))
                && plan.annotations.iter().all(|(name, value)| annotations.get(name) == Some(value))
                && secret.labels().get(MANAGED_BY_LABEL).is_some_and(|it| it == MANAGER)
        }),
        kind_fits: expected.is_none_or(|(plan, _)| plan.kind == kind),
    })
}

/// A hash of what applications read, without what is kept of an old key.
fn read(secret: &Secret, uid: &str) -> String {
    let mut parts: Vec<&[u8]> = vec![b"read", uid.as_bytes()];
    let entries = secret.data.iter().flatten().filter(|(entry, _)| !entry.starts_with(PREVIOUS_ENTRY));
    for (entry, bytes) in entries {
        parts.push(entry.as_bytes());
        parts.push(&bytes.0);
    }
    hash::base32(&parts, 12)
}

/// A hash of everything in the Secret, salted with its owner, so that an edit by hand is noticed.
fn content(secret: &Secret, uid: &str) -> String {
    let mut parts: Vec<&[u8]> = vec![GROUP.as_bytes(), uid.as_bytes()];
    for (entry, bytes) in secret.data.iter().flatten() {
        parts.push(entry.as_bytes());
        parts.push(&bytes.0);
    }
    hash::base32(&parts, 26)
}
