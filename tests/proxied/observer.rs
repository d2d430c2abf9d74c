//! Checks after every change at the vendor whether the keys in Secrets still work, so that the revocation of a served
//! key is seen.

use super::stage::value;
use super::wires::Wires;
use crate::support::invariants::{self, Serving};
use k8s_openapi::api::core::v1::Secret;
use keysmith::emulator::Emulator;
use keysmith::emulator::edgee::DataPlaneAnswer;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use std::sync::{Arc, Mutex, PoisonError};

/// Checks each Secret's key after every change at the vendor, until aborted.
pub struct Observer {
    /// The resources.
    pub keys: Api<DynamicObject>,
    /// Their Secrets.
    pub secrets: Api<Secret>,
    /// The vendor.
    pub emulator: Emulator,
    /// Reports changes at the vendor.
    pub wires: Wires,
    /// The violations found.
    pub wrong: Arc<Mutex<Vec<String>>>,
}

impl Observer {
    /// Runs until aborted.
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
        if self.works(&held) {
            return;
        }
        let name = secret.name_any();
        let serving = self.serving(&name, &held).await;
        if let Err(wrong) = invariants::served_key_works(&name, serving) {
            self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
        }
    }

    fn works(&self, held: &str) -> bool {
        self.emulator.edgee().check(held, None) == DataPlaneAnswer::Accepted
    }

    /// The Secret may have got another key since it was read; the check after the next change covers that.
    async fn serving(&self, name: &str, held: &str) -> Serving {
        let Ok(Some(key)) = self.keys.get_opt(name).await else {
            return Serving { ended: true, ..Serving::default() };
        };
        let now = self.secrets.get_opt(name).await.ok().flatten();
        let another = now.and_then(|it| value(&it)).is_none_or(|it| it != held);
        Serving {
            works: Some(another),
            unpromised: false,
            ended: key.metadata.deletion_timestamp.is_some(),
            leaked: key.annotations().contains_key("keysmith.dev/leaked"),
        }
    }
}
