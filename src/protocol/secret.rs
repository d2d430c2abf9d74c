//! The guard of Secrets. A Secret is read by name in the resource's own namespace, and written only where it is
//! absent or owned by the resource's UID; serial and fence guard every write. This is the only place outside the wire
//! types where secret bytes are exposed.

mod assemble;
mod inside;

use super::ports::{SecretPort, Write};
use crate::api::{CONTENT, FENCE, PREVIOUS};
use crate::cluster;
use crate::cluster::object;
use crate::plan::facts::{Held, Target};
use crate::plan::listing::KeyId;
use crate::plan::naming::Serial;
use crate::plan::sighting::{self, Sighting};
use crate::plan::spec_error::SpecError;
use crate::plan::storing::Refused;
use crate::plan::template::{Rendering, SecretPlan};
pub use assemble::serial_in;
use inside::{content, target};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use secrecy::SecretString;

/// Retries of a Secret write after a conflict.
const ATTEMPTS: usize = 5;

/// The guard of the Secrets of one namespace.
#[derive(Clone)]
pub struct Guard<S>(pub S);

/// The desired state of a Secret, to compare it with.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its plan.
    pub plan: &'a SecretPlan,
    /// Hashes of the inputs that it is rendered from.
    pub rendering: &'a Rendering,
}

impl Expected<'_> {
    fn plan_hash(&self, uid: &str) -> String {
        sighting::plan_hash(self.plan, self.rendering, uid)
    }

    /// What to remember of a Secret that was read or written. `None`: nothing, because it is not ours, or its version is
    /// not a number.
    fn sighting(&self, secret: &Secret, uid: &str) -> Option<Sighting> {
        let Target::Ours(held) = target(secret, uid, Some(self)) else { return None };
        let version = object::version(secret)?;
        Some(Sighting { version, plan: self.plan_hash(uid), held })
    }
}

/// What a delivery writes into a Secret.
pub struct Delivery<'a> {
    /// The owner of the Secret.
    pub owner: &'a OwnerReference,
    /// The plan of the Secret.
    pub plan: &'a SecretPlan,
    /// Hashes of the plan and of every other input except the key.
    pub rendering: &'a Rendering,
    /// Serial of the key.
    pub serial: Serial,
    /// The newest claim that the writer knows: a Secret with a higher fence is not written.
    pub fence: Serial,
    /// Whether the Secret was absent when it was last read, so that it is created without another read.
    pub absent: bool,
    /// The vendor's id of the key.
    pub id: &'a KeyId,
    /// When the key expires.
    pub expires_at: Option<Timestamp>,
    /// Base URL for applications.
    pub base_url: &'a str,
    /// The allowed models.
    pub models: &'a [String],
    /// The key.
    pub key: Key<'a>,
    /// The serial whose entries stay beside the new ones, if the Secret contains them.
    pub previous: Option<Serial>,
}

/// Source of the key of a delivery.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// From the vendor.
    Given(&'a SecretString),
    /// From the Secret, which already contains its bytes: the rest is rewritten around them.
    Present,
}

/// Why a Secret was not written.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// Another owner controls it.
    #[error("the Secret belongs to {0}")]
    Foreign(String),
    /// A writer with a newer claim was there first.
    #[error("the Secret is fenced for a newer serial")]
    Superseded,
    /// The template cannot be filled in.
    #[error("{0}")]
    Template(SpecError),
    /// The API server rejects the Secret, and would reject it again.
    #[error("{0}")]
    Refused(Refused),
    /// A mutating webhook or the like altered the Secret, so that the stored one does not contain the key.
    #[error("what the API server stored is not what was sent: {0}")]
    Altered(String),
    /// The API server did not answer.
    #[error("the API server failed")]
    Unavailable(#[source] Box<kube::Error>),
}

/// Maps an error of the API server on a Secret. `quotable`: the Secret that was sent contains no key that the error
/// message could repeat.
fn undelivered(error: kube::Error, quotable: bool) -> Undelivered {
    match &error {
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 413 | 422) => {
            let first = status.details.as_ref().and_then(|it| it.causes.first());
            let first = first.map(|it| (it.reason.as_str(), it.field.as_str()));
            Undelivered::Refused(Refused::new(status.code, &status.message, first, quotable))
        }
        _ => Undelivered::Unavailable(Box::new(error)),
    }
}

impl From<kube::Error> for Undelivered {
    fn from(error: kube::Error) -> Self {
        undelivered(error, false)
    }
}

/// Result of a dry run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    /// The Secret would be stored.
    Fine,
    /// A Secret of that name exists, or changed meanwhile: it has to be read first.
    Outdated,
}

impl<S: SecretPort> Guard<S> {
    /// State of the target Secret for the owner with that UID, and what to remember of it.
    pub async fn observe(
        &self,
        uid: &str,
        expected: Expected<'_>,
    ) -> kube::Result<(Target, Option<Sighting>)> {
        let Some(secret) = self.0.get(&expected.plan.name).await? else {
            return Ok((Target::Absent, None));
        };
        let sighting = expected.sighting(&secret, uid);
        Ok((target(&secret, uid, Some(&expected)), sighting))
    }

    /// One of these sightings, if it is of the newest version of the Secret and of the same plan: then nothing changed
    /// since, and the Secret need not be read.
    pub fn unchanged(
        &self,
        uid: &str,
        expected: Expected<'_>,
        sightings: impl IntoIterator<Item = Sighting>,
    ) -> Option<Sighting> {
        let version = self.0.version(&expected.plan.name)?;
        let plan = expected.plan_hash(uid);
        sightings.into_iter().find(|it| it.version == version && it.plan == plan)
    }

    /// State of a Secret of that name for the owner, without a plan to compare it with.
    pub async fn inspect(&self, uid: &str, name: &str) -> kube::Result<Target> {
        let secret = self.0.get(name).await?;
        Ok(secret.map_or(Target::Absent, |secret| target(&secret, uid, None)))
    }

    /// Asks the API server by a dry run whether exactly this Secret would be stored: quotas, policies, RBAC and
    /// validation are all checked before a key exists. The delivery contains a placeholder.
    pub async fn rehearse(&self, delivery: &Delivery<'_>) -> Result<Rehearsed, Undelivered> {
        let present = if delivery.absent { None } else { self.0.get(&delivery.plan.name).await? };
        if let Some(secret) = &present {
            guard(secret, &delivery.owner.uid, delivery.fence)?;
        }
        let there = present.is_some();
        let sent = self.assemble(present, delivery)?;
        let answer = if there {
            self.0.replace(&delivery.plan.name, &sent, Write::DryRun).await
        } else {
            self.0.create(&sent, Write::DryRun).await
        };
        match answer {
            Ok(stored) => altered(&sent, &stored, delivery.plan).map(|()| Rehearsed::Fine),
            Err(error) if cluster::is_conflict(&error) => Ok(Rehearsed::Outdated),
            Err(error) if cluster::is_missing(&error) && !namespace_gone(&error) => Ok(Rehearsed::Outdated),
            Err(error) => Err(undelivered(error, true)),
        }
    }

    /// Raises the fence, so that a writer with an older claim is rejected. Returns what the Secret contains then. An
    /// absent Secret is left absent.
    pub async fn fence(&self, uid: &str, name: &str, serial: Serial) -> Result<Option<Held>, Undelivered> {
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.0.get(name).await? else {
                return Ok(None);
            };
            let held = guard(&secret, uid, serial)?;
            secret.annotations_mut().insert(FENCE.to_owned(), serial.to_string());
            match self.0.replace(name, &secret, Write::Stored).await {
                Ok(_) => return Ok(Some(held)),
                Err(error) if cluster::is_conflict(&error) || cluster::is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    /// Writes a key into its Secret, unless a writer with a newer claim was there first. Returns what to remember of the
    /// Secret. The response of the API server is checked: a Secret that was stored without the key counts as not
    /// delivered.
    pub async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Option<Sighting>, Undelivered> {
        let expected = Expected { plan: delivery.plan, rendering: delivery.rendering };
        for attempt in 0..ATTEMPTS {
            let blind = delivery.absent && attempt == 0;
            let present = if blind { None } else { self.0.get(&delivery.plan.name).await? };
            if let Some(secret) = &present {
                guard(secret, &delivery.owner.uid, delivery.fence)?;
            }
            let there = present.is_some();
            let sent = self.assemble(present, delivery)?;
            let written = if there {
                self.0.replace(&delivery.plan.name, &sent, Write::Stored).await
            } else {
                self.0.create(&sent, Write::Stored).await
            };
            match written {
                Ok(stored) => {
                    altered(&sent, &stored, delivery.plan)?;
                    return Ok(expected.sighting(&stored, &delivery.owner.uid));
                }
                Err(error)
                    if cluster::is_conflict(&error)
                        || cluster::is_missing(&error) && !namespace_gone(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    /// Removes the entries of a previous key from the Secret, unless a writer with a newer claim was there first.
    /// Entries that the plan names stay, even if they are named like those of a previous key.
    pub async fn trim(&self, uid: &str, plan: &SecretPlan, serial: Serial) -> Result<(), Undelivered> {
        let name = &plan.name;
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.0.get(name).await? else {
                return Ok(());
            };
            if !guard(&secret, uid, serial)?.intact {
                return Ok(());
            }
            secret.data.iter_mut().for_each(|data| data.retain(|entry, _| !plan.is_previous(entry)));
            secret.annotations_mut().remove(PREVIOUS);
            let content = content(&secret, uid);
            secret.annotations_mut().insert(CONTENT.to_owned(), content);
            match self.0.replace(name, &secret, Write::Stored).await {
                Ok(_) => return Ok(()),
                Err(error) if cluster::is_conflict(&error) || cluster::is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }
}

/// A create call in a deleted namespace answers 404, and a retry would not change that.
fn namespace_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.details.as_ref().is_some_and(|it| it.kind == "namespaces"))
}

/// Whether an entry that contains the key was stored other than sent. A policy that changes the rest of the Secret is
/// handled when the Secret is read next.
fn altered(sent: &Secret, stored: &Secret, plan: &SecretPlan) -> Result<(), Undelivered> {
    let entry = |secret: &Secret, name: &str| secret.data.as_ref().and_then(|data| data.get(name).cloned());
    match plan.keyed_entries().find(|name| entry(sent, name) != entry(stored, name)) {
        None => Ok(()),
        Some(name) => Err(Undelivered::Altered(format!("entry {name}"))),
    }
}

/// Rejects a write to a Secret of another owner, or to one that a writer with a newer claim has written or fenced.
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
