//! Whoever revokes a key that a Secret serves is seen.

use super::stage::value;
use super::wires::Wires;
use k8s_openapi::api::core::v1::Secret;
use keysmith::emulator::Emulator;
use keysmith::emulator::edgee::DataPlaneAnswer;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use std::sync::{Arc, Mutex, PoisonError};

/// Looks after every change at the vendor whether each Secret's key still works.
pub struct Watchman {
    /// The resources.
    pub keys: Api<DynamicObject>,
    /// Their Secrets.
    pub secrets: Api<Secret>,
    /// The vendor.
    pub emulator: Emulator,
    /// Tells of changes.
    pub wires: Wires,
    /// Where it writes what it saw.
    pub broken: Arc<Mutex<Vec<String>>>,
}

impl Watchman {
    /// Until aborted.
    pub async fn watch(self) {
        loop {
            self.wires.vendor_changed().await;
            let Ok(secrets) = self.secrets.list(&ListParams::default()).await else {
                continue;
            };
            for secret in secrets {
                self.look(&secret).await;
            }
        }
    }

    async fn look(&self, secret: &Secret) {
        let Some(held) = value(secret) else { return };
        let answer = self.emulator.edgee().check(&held, None);
        if answer == DataPlaneAnswer::Accepted {
            return;
        }
        let name = secret.name_any();
        if self.still_serves(&name, &held).await {
            let what = format!("the gateway said {answer:?} to what Secret {name} held");
            self.broken.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        }
    }

    /// Since it was read the Secret may have got another key; with its resource, its key goes first; and one that was
    /// declared leaked does not wait for another.
    async fn still_serves(&self, name: &str, held: &str) -> bool {
        let Ok(Some(key)) = self.keys.get_opt(name).await else {
            return false;
        };
        if key.metadata.deletion_timestamp.is_some() || key.annotations().contains_key("keysmith.dev/leaked")
        {
            return false;
        }
        let now = self.secrets.get_opt(name).await.ok().flatten();
        now.and_then(|it| value(&it)).is_some_and(|it| it == held)
    }
}
