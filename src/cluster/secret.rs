//! Reads Secrets by name in one namespace. How Keysmith writes its own Secrets is in `protocol::secret`.

use crate::api::shared::SecretKeyRef;
use crate::api::{MANAGER, TOKEN_IN_USE};
use crate::cluster::object;
use crate::cluster::versions::Versions;
use crate::plan::class::ControllerClass;
use crate::plan::credentials::Entries;
use crate::plan::spec_error::SpecError;
use crate::plan::{names, token};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use secrecy::SecretString;

/// Whether a write is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The write is stored.
    Stored,
    /// The API server only validates the write (dry run).
    DryRun,
}

/// The Secrets of one namespace. All access to Secrets goes through this type, and its methods take no namespace.
#[derive(Clone)]
pub struct Secrets {
    pub(super) api: Api<Secret>,
    namespace: String,
    versions: Versions,
    /// The finalizer on Secrets with console tokens that are in use.
    pub(super) in_use: String,
}

impl Secrets {
    /// The Secrets of that namespace. Nothing is known of them without reading them.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            versions: Versions::unwatched(),
            in_use: TOKEN_IN_USE.to_owned(),
        }
    }

    /// The same, for an operator of that class, which has a finalizer of its own on Secrets with console tokens.
    #[must_use]
    pub fn of_class(self, class: &ControllerClass) -> Self {
        Self { in_use: class.after(TOKEN_IN_USE), ..self }
    }

    /// The same, with the versions that the watch shows.
    #[must_use]
    pub fn watched_by(self, versions: &Versions) -> Self {
        Self { versions: versions.clone(), ..self }
    }

    fn wrote(&self, stored: &Secret, write: Write, made: bool) {
        if write == Write::Stored
            && let (Some(name), Some(version)) = (&stored.metadata.name, object::version(stored))
        {
            self.versions.wrote(&self.namespace, name, version, made);
        }
    }

    /// A console token.
    pub async fn token(&self, place: &SecretKeyRef) -> kube::Result<Result<SecretString, SpecError>> {
        let shown = format!("Secret {}, entry {}", place.name, place.key);
        Ok(match self.entries(&place.name).await? {
            None => Err(token::secret_missing(&place.name, &self.namespace)),
            Some(entries) => match entries.get(&place.key) {
                None => Err(token::entry_missing(&place.name, &place.key)),
                Some(bytes) => token::check_token(bytes, &shown).map(SecretString::from),
            },
        })
    }

    /// The entries of a user's Secret.
    pub async fn entries(&self, name: &str) -> kube::Result<Option<Entries>> {
        let secret = self.get(name).await?;
        let data = secret.map(|secret| secret.data.unwrap_or_default());
        Ok(data.map(|data| data.into_iter().map(|(entry, bytes)| (entry, bytes.0)).collect()))
    }
}

pub(super) fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn parameters(write: Write) -> PostParams {
    PostParams { dry_run: write == Write::DryRun, ..params() }
}

impl Secrets {
    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The newest resourceVersion of the Secret of that name, if it is known without a request: from the watch, or from an
    /// own write. `None`: it is not known.
    pub fn version(&self, name: &str) -> Option<u64> {
        self.versions.of(&self.namespace, name)
    }

    /// The Secret of that name. `None`: there is none.
    pub async fn get(&self, name: &str) -> kube::Result<Option<Secret>> {
        // There is no Secret of a name that none can have; a request for it would be an error, or about something else.
        if names::object(name).is_err() {
            return Ok(None);
        }
        self.api.get_opt(name).await
    }

    /// Creates a Secret, or checks by a dry run whether it would be created. Returns what the API server stored or
    /// would store.
    pub async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret> {
        let stored = self.api.create(&parameters(write), secret).await?;
        self.wrote(&stored, write, true);
        Ok(stored)
    }

    /// Replaces exactly the version of a Secret that was read, or checks by a dry run whether it would be replaced.
    pub async fn replace(&self, name: &str, secret: &Secret, write: Write) -> kube::Result<Secret> {
        let stored = self.api.replace(name, &parameters(write), secret).await?;
        self.wrote(&stored, write, false);
        Ok(stored)
    }
}
