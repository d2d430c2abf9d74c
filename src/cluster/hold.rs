//! A finalizer on a console token's Secret, while dependents need the token for their cleanup: the deletion of a
//! namespace would otherwise delete the Secret before Keysmith has revoked its keys.

use super::secret::{Secrets, params};
use crate::api::TOKEN_IN_USE;
use crate::plan::names;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::PostParams;

/// Retries of a write after a conflict.
const ATTEMPTS: usize = 3;
/// The cause in the admission plugin's error for a namespace that is terminating.
const TERMINATING: &str = "NamespaceTerminating";

/// State of a Secret, by its metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whether it has our finalizer.
    pub held: bool,
    /// Whether it is being deleted.
    pub going: bool,
}

impl Secrets {
    /// Whether the Secret of that name has our finalizer; `None`: there is no such Secret.
    pub async fn holding(&self, name: &str) -> kube::Result<Option<Hold>> {
        if names::object(name).is_err() {
            return Ok(None);
        }
        let meta = self.api.get_metadata_opt(name).await?;
        Ok(meta.map(|meta| Hold {
            held: self.holds(meta.finalizers()),
            going: meta.metadata.deletion_timestamp.is_some(),
        }))
    }

    /// Whether our finalizer is among the finalizers of a Secret.
    fn holds(&self, finalizers: &[String]) -> bool {
        finalizers.contains(&self.in_use)
    }

    /// Adds our finalizer, and changes nothing else.
    pub async fn hold(&self, name: &str) -> kube::Result<()> {
        self.with_finalizers(name, |secret| {
            let new = !self.holds(secret.finalizers()) && secret.metadata.deletion_timestamp.is_none();
            if new {
                secret.finalizers_mut().push(self.in_use.clone());
            }
            new
        })
        .await
    }

    /// Removes our finalizer, and changes nothing else.
    pub async fn let_go(&self, name: &str) -> kube::Result<()> {
        self.with_finalizers(name, |secret| {
            let held = self.holds(secret.finalizers());
            secret.finalizers_mut().retain(|it| *it != self.in_use);
            held
        })
        .await
    }

    /// Replaces exactly the version that was read. Keysmith has the RBAC verb `update` anyway, but not `patch`.
    async fn with_finalizers(&self, name: &str, change: impl Fn(&mut Secret) -> bool) -> kube::Result<()> {
        let mut last = Ok(());
        for _ in 0..ATTEMPTS {
            let Some(mut secret) = self.api.get_opt(name).await? else { return Ok(()) };
            if !change(&mut secret) {
                return Ok(());
            }
            last = self.api.replace(name, &params(), &secret).await.map(drop);
            match &last {
                Err(error) if super::is_conflict(error) => {}
                Err(error) if super::is_missing(error) => return Ok(()),
                _ => return last,
            }
        }
        last
    }

    /// Whether the namespace is terminating. A dry run of a create call shows it without RBAC rights on namespaces.
    /// Without the right to create Secrets, the answer is always "no".
    pub async fn is_namespace_ending(&self) -> kube::Result<bool> {
        let mut secret = Secret::default();
        secret.metadata.generate_name = Some("keysmith-look-".to_owned());
        let dry = PostParams { dry_run: true, ..params() };
        match self.api.create(&dry, &secret).await {
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                let causes = status.details.iter().flat_map(|it| &it.causes);
                let ending = causes.into_iter().any(|it| it.reason == TERMINATING);
                Ok(ending || status.code == 404)
            }
            Err(error) => Err(error),
            Ok(_) => Ok(false),
        }
    }
}

/// Whether the finalizer of an operator, of whatever class, is among the finalizers of a Secret.
pub fn is_held(finalizers: &[String]) -> bool {
    finalizers.iter().any(|it| it.starts_with(TOKEN_IN_USE))
}
