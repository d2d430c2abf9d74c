//! The Secret of a key: whose it is, and what status says where it cannot be written.

use crate::api::{GatewayApiKey, Verdict};
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::report;
use crate::plan::report::key::Scene;
use crate::protocol::secret::Undelivered;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

/// The owner reference with which this key owns its Secret.
pub(super) fn owner(key: &GatewayApiKey) -> OwnerReference {
    key.controller_owner_ref(&()).unwrap_or_default()
}

/// The verdict for a Secret that will not be written; `None` where the error is not final.
pub(super) fn refused(error: &Undelivered, secret: &str) -> Option<Verdict> {
    match error {
        Undelivered::Foreign(owner) => report::key::resting(
            &Decision { step: Step::Rest(None), why: Why::SecretTaken(owner.clone()) },
            &Scene::new(secret, true),
        ),
        Undelivered::Template(refusal) => Some(refusal.verdict()),
        Undelivered::Altered(what) => Some(report::key::altered(secret, what)),
        Undelivered::Refused(refused) => Some(refused.verdict(secret, false)),
        Undelivered::Superseded | Undelivered::Unavailable(_) => None,
    }
}
