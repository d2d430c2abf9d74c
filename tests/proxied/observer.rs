//! Looks after every change at the vendor whether what Secrets serve still works: whoever revokes a served key is seen.

use super::stage::value;
use super::wires::Wires;
use crate::support::invariants::{self, Serving};
use k8s_openapi::api::core::v1::Secret;
use keysmith::emulator::Emulator;
use keysmith::emulator::edgee::DataPlaneAnswer;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use std::sync::{Arc, Mutex, PoisonError};

/// Until aborted, looks after every change at the vendor whether each Secret's key still works.
pub struct Observer {
    /// The resources.
    pub keys: Api<DynamicObject>,
    /// Their Secrets.
    pub secrets: Api<Secret>,
    /// The vendor.
    pub emulator: Emulator,
    /// Says when something changed there.
    pub wires: Wires,
    /// Where it writes what was wrong.
    pub wrong: Arc<Mutex<Vec<String>>>,
}

impl Observer {
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

    /// Since it was read the Secret may have got another key, which is looked at after the next change.
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
