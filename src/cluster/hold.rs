//! The Secret of a console token is held by a finalizer while something needs the token to clean up: a namespace that is
//! deleted takes its Secrets before Keysmith has revoked its keys.

use super::secret::{Secrets, params};
use crate::api::TOKEN_IN_USE;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::PostParams;

/// Writes that meet another one are tried again this often.
const ATTEMPTS: usize = 3;
/// The admission plugin says so of a namespace that is being deleted.
const TERMINATING: &str = "NamespaceTerminating";

/// What the metadata of a Secret say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whether it is held by our finalizer.
    pub held: bool,
    /// Whether it is being deleted.
    pub going: bool,
}

impl Secrets {
    /// Whether the Secret of that name is held; `None`: there is none.
    pub async fn holding(&self, name: &str) -> kube::Result<Option<Hold>> {
        let meta = self.api.get_metadata_opt(name).await?;
        Ok(meta.map(|meta| Hold {
            held: is_held(meta.finalizers()),
            going: meta.metadata.deletion_timestamp.is_some(),
        }))
    }

    /// Puts the finalizer on, and changes nothing else.
    pub async fn hold(&self, name: &str) -> kube::Result<()> {
        self.with_finalizers(name, |secret| {
            let new = !is_held(secret.finalizers()) && secret.metadata.deletion_timestamp.is_none();
            if new {
                secret.finalizers_mut().push(TOKEN_IN_USE.to_owned());
            }
            new
        })
        .await
    }

    /// Takes the finalizer off, and changes nothing else.
    pub async fn let_go(&self, name: &str) -> kube::Result<()> {
        self.with_finalizers(name, |secret| {
            let held = is_held(secret.finalizers());
            secret.finalizers_mut().retain(|it| it != TOKEN_IN_USE);
            held
        })
        .await
    }

    /// A replacement of the very version that was read: `update` is a right that Keysmith has anyway, `patch` is not.
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

    /// Whether the namespace is being deleted. Asked by a creation that is not carried out, which takes no right on
    /// namespaces. Who may not create Secrets cannot know.
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

/// Whether our finalizer is among them.
pub fn is_held(finalizers: &[String]) -> bool {
    finalizers.iter().any(|it| it == TOKEN_IN_USE)
}
