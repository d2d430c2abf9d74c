//! The Secret as `cluster::secret` writes it: guarded by serial and fence, five times against other writers.

use super::cluster::Stored;
use super::fate::turn;
use super::mutant::Mutant;
use super::world::{Kube, Policy, Shared};
use jiff::Timestamp;
use keysmith::plan::facts::{Held, KeyId, Target};
use keysmith::plan::naming::Serial;

const ATTEMPTS: usize = 5;

/// Why the Secret was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    Foreign,
    Superseded,
    /// The API server says no.
    Refused,
    /// The key would not be in it.
    Altered,
    Unavailable,
}

impl From<Kube> for Undelivered {
    fn from(error: Kube) -> Self {
        if error == Kube::Refused { Self::Refused } else { Self::Unavailable }
    }
}

/// What is put into the Secret.
pub struct Delivery {
    pub serial: Serial,
    pub fence: Serial,
    pub absent: bool,
    pub id: KeyId,
    pub expires_at: Option<Timestamp>,
    pub template: (u8, u8),
    /// The serial whose entries stay beside the new ones.
    pub previous: Option<Serial>,
    /// Whether the rest is written around the key that stands in the Secret.
    pub standing: bool,
}

/// How a rehearsal went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsed {
    Fine,
    Outdated,
}

pub struct Secrets {
    pub world: Shared,
    pub mutant: Option<Mutant>,
}

impl Secrets {
    pub async fn get(&self) -> Result<Option<Stored>, Kube> {
        turn().await;
        self.world.borrow_mut().read(|world| world.secret.clone())
    }

    async fn put(&self, read: Option<u64>, secret: Stored) -> Result<Stored, Kube> {
        turn().await;
        self.world.borrow_mut().put(read, secret)
    }

    fn guard(&self, secret: &Stored, serial: Serial) -> Result<Held, Undelivered> {
        let Target::Ours(held) = secret.target(None) else {
            return Err(Undelivered::Foreign);
        };
        let newer = secret.newest().is_some_and(|newest| newest > serial);
        if newer && self.mutant != Some(Mutant::WritesWithoutGuard) {
            return Err(Undelivered::Superseded);
        }
        Ok(held)
    }

    pub async fn fence(&self, serial: Serial) -> Result<Option<Held>, Undelivered> {
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.get().await? else {
                return Ok(None);
            };
            let held = self.guard(&secret, serial)?;
            secret.fence = Some(serial);
            match self.put(Some(secret.version), secret).await {
                Ok(_) => return Ok(Some(held)),
                Err(Kube::Conflict | Kube::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    /// Whether the Secret would be stored with the key in it.
    pub async fn rehearse(&self, absent: bool, serial: Serial) -> Result<Rehearsed, Undelivered> {
        if !absent {
            let Some(secret) = self.get().await? else { return Ok(Rehearsed::Outdated) };
            self.guard(&secret, serial)?;
        }
        turn().await;
        let (policy, there) = self.world.borrow_mut().read(|world| {
            let fixed = world.secret.as_ref().is_some_and(|it| it.immutable);
            (if fixed { Policy::Refuses } else { world.policy }, world.secret.is_some())
        })?;
        match policy {
            Policy::Refuses => Err(Undelivered::Refused),
            Policy::Strips => Err(Undelivered::Altered),
            Policy::None | Policy::Dresses if there == absent => Ok(Rehearsed::Outdated),
            Policy::None | Policy::Dresses => Ok(Rehearsed::Fine),
        }
    }

    pub async fn deliver(&self, delivery: &Delivery) -> Result<(), Undelivered> {
        for attempt in 0..ATTEMPTS {
            let blind = delivery.absent && attempt == 0;
            let present = if blind { None } else { self.get().await? };
            if let Some(secret) = &present {
                self.guard(secret, delivery.fence)?;
            }
            let standing = present.as_ref().and_then(Stored::standing) == Some(delivery.serial);
            if delivery.standing && !standing {
                return Err(Undelivered::Superseded);
            }
            let previous = present.as_ref().and_then(|secret| kept(secret, delivery));
            let secret = Stored {
                version: 0,
                ours: true,
                serial: Some(delivery.serial),
                fence: Some(delivery.fence),
                key_id: Some(delivery.id.clone()),
                expires_at: delivery.expires_at,
                previous,
                template: Some(delivery.template),
                data: Some(delivery.id.clone()),
                content: Some(delivery.id.clone()),
                imprint: Some((delivery.serial, delivery.id.clone())),
                dressed: false,
                immutable: false,
            };
            match self.put(present.map(|it| it.version), secret).await {
                Ok(stored) if stored.standing() != Some(delivery.serial) => return Err(Undelivered::Altered),
                Ok(_) => return Ok(()),
                Err(Kube::Conflict | Kube::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }

    pub async fn trim(&self, serial: Serial) -> Result<(), Undelivered> {
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.get().await? else {
                return Ok(());
            };
            if !self.guard(&secret, serial)?.intact {
                return Ok(());
            }
            secret.previous = None;
            match self.put(Some(secret.version), secret).await {
                Ok(_) => return Ok(()),
                Err(Kube::Conflict | Kube::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Undelivered::Superseded)
    }
}

/// The old key whose entries stay.
fn kept(secret: &Stored, delivery: &Delivery) -> Option<Serial> {
    let wanted = delivery.previous?;
    if secret.serial == Some(wanted) && wanted != delivery.serial {
        return Some(wanted).filter(|_| secret.ours && secret.is_intact());
    }
    secret.previous
}
