//! The critical section: from the claim to the committed status. It runs to its end even if its caller is dropped,
//! and every way out leaves a state from which the next pass can continue.

mod commit;

use super::owned_secret::{owner, refused};
use crate::api::{GatewayApiKey, GatewayApiKeyStatus, Verdict};
use crate::cluster;
use crate::cluster::object::log_about;
use crate::gateway::{Minted, Order};
use crate::plan::budget::Shares;
use crate::plan::capability::Recovery;
use crate::plan::claim::{Claim, Purpose};
use crate::plan::decision::SEND_WITHIN;
use crate::plan::desired::Desired;
use crate::plan::facts::{Held, Record};
use crate::plan::fault::{Fault, Outcome};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::naming::{Identity, Serial};
use crate::plan::requests::{Cause, RotationRequests};
use crate::plan::sighting::Sighting;
use crate::plan::succession::{self, Successor};
use crate::plan::template::Rendering;
use crate::plan::{expiry, report, retry};
use crate::protocol::Error;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::VendorPort;
use crate::protocol::secret::{Delivery, Guard, Key, Undelivered};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// Retries of a Secret write while the API server is unavailable, two seconds and more apart. After that the key stays
/// at the vendor: a later pass has it revealed, or revokes it.
const DELIVERIES: u32 = 5;
/// Retries of a status write after a conflict.
const COMMITS: usize = 5;

/// Input of the section; it borrows nothing.
pub struct Issue<P: KeyPorts> {
    /// The ports.
    pub ports: P,
    /// The resource as it was read.
    pub key: Arc<GatewayApiKey>,
    /// The account at the vendor.
    pub account: Arc<P::Vendor>,
    /// The rate-limit permit for the call that creates the key.
    pub permit: <P::Vendor as VendorPort>::Permit,
    /// Access to the namespace's Secrets.
    pub secrets: Guard<P::Secrets>,
    /// The desired key.
    pub desired: Desired,
    /// Hashes of the inputs that the Secret is rendered from.
    pub rendering: Rendering,
    /// Base URL for applications.
    pub base_url: String,
    /// The serial to claim.
    pub serial: Serial,
    /// The full name at the vendor.
    pub name: String,
    /// An unused key of this resource that may be reused.
    pub reusable: Option<KeyId>,
    /// The marks of the resource.
    pub identity: Identity,
    /// Whether the Secret was absent when it was last read.
    pub absent: bool,
    /// The rotation requests that are fulfilled once the key is served.
    pub requests: RotationRequests,
    /// The rest of the budget, split between the new key and the served one.
    pub shares: Option<Shares>,
    /// The cause of the rotation, if it is one.
    pub cause: Option<Cause>,
    /// The resource's jitter, as a fraction, by which its schedule is shifted.
    pub spread: f64,
}

/// Result of the section.
pub enum Issued {
    /// The key was created, delivered and recorded.
    Done {
        /// The resource as written.
        object: Arc<GatewayApiKey>,
        /// The key as the vendor returned it.
        key: Box<Listed>,
        /// What to remember of the Secret.
        sighting: Option<Sighting>,
    },
    /// Another writer got in between; a key that was created is revoked now or found later by its mark.
    Stale,
    /// The section ended without a final result: the next pass decides by status, Secret and listing.
    Pending {
        /// The resource as written.
        object: Arc<GatewayApiKey>,
        /// How the create call failed, if one was sent and failed.
        fault: Option<Fault>,
    },
    /// The Secret cannot be written, and the vendor has no key of this serial: none was created, or it was revoked again.
    Refused {
        /// The resource as written.
        object: Arc<GatewayApiKey>,
        /// Verdict for the status.
        verdict: Verdict,
    },
    /// The vendor created nothing for certain.
    Failed {
        /// The resource as written.
        object: Arc<GatewayApiKey>,
        /// The fault of the call.
        fault: Fault,
    },
    /// The key was created and is at the vendor, and its Secret is rejected: a later pass has the key revealed, or revokes it.
    Undelivered {
        /// The resource as written.
        object: Arc<GatewayApiKey>,
        /// Verdict for the status.
        verdict: Verdict,
    },
}

impl<P: KeyPorts> Issue<P> {
    /// Writes the claim, raises the fence, has the vendor create the key, writes the Secret, and writes status.
    pub async fn run(self) -> Result<Issued, Error> {
        let claim = Claim {
            sent: Some(self.requests.fingerprint()),
            cause: self.cause,
            ..Claim::new(self.serial, self.ports.now(), Purpose::Create)
        };
        let key = self.key.as_ref();
        let claimed = match self.ports.claim(key, &claim, &self.identity).await {
            Ok(object) => Arc::new(object),
            Err(error) if cluster::is_conflict(&error) || cluster::is_missing(&error) => {
                return Ok(Issued::Stale);
            }
            Err(error) => return Err(error.into()),
        };
        if !self.absent {
            match self.fence().await? {
                Fenced::Ours(None) => {}
                Fenced::Ours(Some(held)) => match self.is_ours(&held).await {
                    Ok(true) => return self.commit_held(claimed, held).await,
                    Ok(false) => {}
                    Err(fault) => {
                        return Ok(Issued::Failed { object: claimed, fault });
                    }
                },
                Fenced::Superseded => return Ok(Issued::Stale),
                Fenced::Refused(verdict) => {
                    return Ok(Issued::Refused { object: claimed, verdict });
                }
            }
        }
        // A deletion waits for calls in flight and counts from the claim's time, so no call may be sent after
        // `SEND_WITHIN`.
        if retry::plus(claim.at, SEND_WITHIN) < self.ports.now() {
            return Ok(Issued::Pending { object: claimed, fault: None });
        }
        match self.make().await {
            Ok(minted) => self.deliver(claimed, minted).await,
            Err(fault) if fault.effect == Outcome::NotApplied => {
                Ok(Issued::Failed { object: claimed, fault })
            }
            Err(fault) => {
                let serial = self.serial.0;
                log_about!(warn, self.key.as_ref(), serial, %fault, "whether the create call made a key is not known; it is looked up");
                Ok(Issued::Pending { object: claimed, fault: Some(fault) })
            }
        }
    }

    /// Creates one key: out of an undelivered one where there is one, otherwise a new one.
    async fn make(&self) -> Result<Minted, Fault> {
        let order = self.order();
        if let Some(id) = &self.reusable
            && let Some(minted) = self.account.reissue(id, &order, &self.permit).await?
        {
            return Ok(minted);
        }
        let minted = self.account.mint(&order, &self.permit).await?;
        self.ports.count_made(self.key.as_ref());
        Ok(minted)
    }

    fn order(&self) -> Order {
        let settings = &self.desired.settings;
        Order {
            name: self.name.clone(),
            kind: self.desired.kind,
            coding_assistant: self.desired.coding_assistant.clone(),
            models: settings.models.clone(),
            budget: settings.budget,
            rate_limit: settings.rate_limit,
            active: settings.active,
            left: self.shares.map(|it| it.new),
            expires_in_days: self.desired.expires_in_days,
            expires_at: expiry::of_new(&self.desired, self.ports.now()),
            email: settings.email.clone(),
            scopes: self.desired.scopes.clone(),
        }
    }

    /// Fences the Secret against every writer with an older claim. A key that such a writer delivered but did not
    /// record is recorded instead of replaced.
    async fn fence(&self) -> Result<Fenced, Error> {
        let uid = self.key.uid().unwrap_or_default();
        match self.secrets.fence(&uid, &self.desired.secret.name, self.serial).await {
            Ok(held) => {
                let recorded = self.key.status.as_ref().and_then(|it| it.serial).and_then(Serial::believed);
                let settled = self
                    .key
                    .status
                    .as_ref()
                    .and_then(|it| it.read_internal().settled_serial)
                    .and_then(Serial::believed);
                let unrecorded = held.filter(|held| {
                    held.serial > recorded.max(settled)
                        && held.key_id.is_some()
                        && held.serial.is_some_and(|it| held.holds(it))
                });
                Ok(Fenced::Ours(unrecorded))
            }
            Err(Undelivered::Superseded) => Ok(Fenced::Superseded),
            Err(Undelivered::Unavailable(error)) => Err(Error::Kubernetes(*error)),
            Err(error) => {
                Ok(refused(&error, &self.desired.secret.name).map_or(Fenced::Superseded, Fenced::Refused))
            }
        }
    }

    /// Anyone with write access to Secrets can put any key id into the annotations, so the vendor is asked for the
    /// key's mark.
    async fn is_ours(&self, held: &Held) -> Result<bool, Fault> {
        let Some(id) = &held.key_id else {
            return Ok(false);
        };
        let key = self.account.get(id).await?;
        Ok(key.is_some_and(|key| self.identity.serial_in(&key.name) == held.serial))
    }

    async fn commit_held(self, claimed: Arc<GatewayApiKey>, held: Held) -> Result<Issued, Error> {
        let (Some(id), Some(serial)) = (held.key_id, held.serial) else {
            return Ok(Issued::Stale);
        };
        // Another process claimed this key, for the rotation requests of its own claim; the requests of ours are
        // still open.
        let handled = self.key.status.as_ref().map(|status| Record::from(status).handled).unwrap_or_default();
        let successor =
            Successor { settled: self.serial, requests: &handled, ..self.successor(&id, serial, None) };
        let status = |mut status: GatewayApiKeyStatus| {
            succession::succeed(&mut status, &successor);
            status.expires_at = held.expires_at;
            status
        };
        let verdict = report::key::checking();
        Ok(match self.commit(&claimed, &verdict, status).await? {
            Some(object) => Issued::Pending { object, fault: None },
            None => Issued::Stale,
        })
    }

    async fn deliver(self, claimed: Arc<GatewayApiKey>, minted: Minted) -> Result<Issued, Error> {
        let uid = self.key.uid().unwrap_or_default();
        let now = self.ports.now();
        self.ports.remember(&uid, |it| it.changed_vendor(now));
        let mut attempt = 0;
        loop {
            match self.put(&minted, attempt == 0).await {
                Ok(sighting) => return self.record(claimed, minted.key, sighting).await,
                Err(Undelivered::Unavailable(_)) if attempt < DELIVERIES => {
                    attempt += 1;
                    self.ports.sleep(Duration::from_secs(1 << attempt.min(4))).await;
                }
                Err(Undelivered::Unavailable(_)) => {
                    return Ok(Issued::Pending { object: claimed, fault: None });
                }
                // The Secret may contain the key all the same, from a write whose response was lost, and another
                // process may have recorded it. If none did, the next listing shows the key by its mark.
                Err(Undelivered::Superseded) => return Ok(Issued::Stale),
                // The key was not delivered for certain, so nothing serves it. Either the Secret's name was taken
                // while the key was created, or the Secret is rejected although its dry run passed and the vendor
                // does not show a key twice.
                Err(error) if attempt == 0 && self.is_final(&error) => {
                    let gone = self.revoke(&minted.key.id).await;
                    let verdict = refused(&error, &self.desired.secret.name);
                    return Ok(match verdict {
                        Some(verdict) if gone => Issued::Refused { object: claimed, verdict },
                        Some(verdict) => Issued::Undelivered { object: claimed, verdict },
                        None => Issued::Pending { object: claimed, fault: None },
                    });
                }
                Err(error) => {
                    let verdict = refused(&error, &self.desired.secret.name);
                    return Ok(match verdict {
                        Some(verdict) => Issued::Undelivered { object: claimed, verdict },
                        None => Issued::Pending { object: claimed, fault: None },
                    });
                }
            }
        }
    }

    fn is_final(&self, error: &Undelivered) -> bool {
        let shown_again = self.account.capabilities().recovery == Recovery::Reveal;
        match error {
            Undelivered::Foreign(_) => true,
            Undelivered::Refused(_) | Undelivered::Template(_) | Undelivered::Altered(_) => !shown_again,
            Undelivered::Superseded | Undelivered::Unavailable(_) => false,
        }
    }

    /// The key that the Secret contains from now on.
    fn successor<'a>(&'a self, id: &'a KeyId, serial: Serial, listed: Option<&'a Listed>) -> Successor<'a> {
        Successor {
            id,
            serial,
            settled: serial,
            listed,
            shares: self.shares,
            cause: self.cause,
            requests: &self.requests,
            desired: &self.desired,
            now: self.ports.now(),
            spread: self.spread,
        }
    }

    async fn put(&self, minted: &Minted, first: bool) -> Result<Option<Sighting>, Undelivered> {
        let delivery = Delivery {
            owner: &owner(&self.key),
            plan: &self.desired.secret,
            rendering: &self.rendering,
            serial: self.serial,
            fence: self.serial,
            absent: self.absent && first,
            id: &minted.key.id,
            expires_at: self.expires_at(&minted.key),
            base_url: &self.base_url,
            models: &self.desired.settings.models,
            key: Key::Given(&minted.secret),
            previous: self.previous(),
        };
        self.secrets.deliver(&delivery).await
    }

    fn expires_at(&self, key: &Listed) -> Option<Timestamp> {
        let created = key.created_at.unwrap_or_else(|| self.ports.now());
        expiry::recorded(Some(created), key.expires_at, &self.desired)
    }

    /// The serial whose entries stay in the Secret beside the new ones (overlap).
    fn previous(&self) -> Option<Serial> {
        let served = self.key.status.as_ref().and_then(|it| it.serial).and_then(Serial::believed);
        succession::kept_serial(served, &self.desired, self.cause)
    }

    /// Revokes the key at once if its resource is deleted or being deleted: no later pass would look for it.
    async fn compensate(&self, id: &KeyId) -> Result<(), Error> {
        let live = self.ports.read(self.key.as_ref()).await?;
        let stays =
            |it: &GatewayApiKey| it.uid() == self.key.uid() && it.metadata.deletion_timestamp.is_none();
        if live.as_ref().is_some_and(stays) {
            return Ok(());
        }
        self.revoke(id).await;
        Ok(())
    }

    /// Returns whether the key is gone; if not, a later listing shows it by its mark.
    async fn revoke(&self, id: &KeyId) -> bool {
        let revoked = self.account.revoke(id).await;
        if let Err(fault) = &revoked {
            let (serial, key) = (self.serial.0, &id.0);
            log_about!(warn, self.key.as_ref(), serial, key, %fault, "a key that is not needed could not be revoked yet");
        }
        revoked.is_ok()
    }
}

enum Fenced {
    /// Fenced. The Secret may contain a key that was not recorded.
    Ours(Option<Held>),
    /// A writer with a newer claim was there first.
    Superseded,
    /// The Secret will not be written.
    Refused(Verdict),
}
