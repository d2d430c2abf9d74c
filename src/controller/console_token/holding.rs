//! A finalizer keeps the token's Secret as long as dependents need the token for their cleanup, in whatever order a
//! user deletes things.

use super::super::Error;
use super::Work;
use crate::api::ConsoleToken;
use crate::api::kind::{Kind, for_each_kind};
use crate::cluster::object::{self, log_about};
use crate::cluster::{self, watch};
use crate::controller::context::Context;
use crate::controller::memory::Holds;
use crate::plan::identity::{ObjectName, TokenRef};
use crate::plan::report;
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::core::Status;
use kube::{Api, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// A namespace is marked as terminating before its content is deleted, but the mark may reach some API servers later.
const SETTLES: Duration = Duration::from_secs(2);
/// Interval at which the release of a Secret is retried.
const LATER: Duration = Duration::from_secs(30);
/// Interval at which a Secret in a terminating namespace is checked.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

impl Work {
    /// Adds the finalizer to the Secret, or removes it. Returns when to check again.
    pub(super) async fn hold(&self) -> Result<Option<Timestamp>, Error> {
        let name = self.token.spec.secret_name().to_owned();
        let uid = self.token.uid().unwrap_or_default();
        let secrets = self.context.secrets(self.token.as_ref());
        let before = self.context.memory.holds(&uid, None);
        if let Some(former) = before.as_ref().filter(|it| it.secret != name) {
            self.context.queues.enqueue_secret(ObjectName::new(&self.namespace(), &former.secret));
        }
        let hold = match secrets.holding(&name).await {
            // The pass reports that when it reads the token.
            Err(error) if cluster::is_forbidden(&error) => None,
            hold => hold?,
        };
        let Some(hold) = hold else { return Ok(None) };
        if hold.going {
            return self.release_or_wait(&name, hold.held).await;
        }
        let refused = before.is_some_and(|it| it.secret == name && it.refused);
        let mut now = Holds { secret: name.clone(), refused };
        if self.is_needed() {
            if !hold.held {
                let done = secrets.hold(&name).await;
                now.refused = self.note_refusal(done, refused)?;
            }
        } else if hold.held {
            self.release_secret().await?;
        }
        self.context.memory.holds(&uid, Some(now));
        Ok(None)
    }

    /// The Secret is being deleted. If only the Secret is, it is released. If its namespace or its ConsoleToken is
    /// deleted too, the finalizer stays.
    async fn release_or_wait(&self, name: &str, held: bool) -> Result<Option<Timestamp>, Error> {
        if !held {
            return Ok(None);
        }
        let secrets = self.context.secrets(self.token.as_ref());
        for pause in [SETTLES, Duration::ZERO] {
            if self.is_going() || secrets.is_namespace_ending().await? {
                return Ok(Some(crate::plan::retry::plus(self.context.clock.now(), AGAIN)));
            }
            tokio::time::sleep(pause).await;
        }
        secrets.let_go(name).await.or_else(ignore_missing)?;
        Ok(None)
    }

    fn is_going(&self) -> bool {
        let now = self.context.token(&self.reference());
        let token = now.unwrap_or_else(|| Arc::clone(&self.token));
        token.metadata.deletion_timestamp.is_some() || self.token.metadata.deletion_timestamp.is_some()
    }

    /// Without the right to write the Secret, the token works without the finalizer, and one event says so.
    fn note_refusal(&self, done: kube::Result<()>, reported: bool) -> Result<bool, Error> {
        match done {
            Err(kube::Error::Api(status)) if is_refusal(&status) => {
                if !reported {
                    let notice = report::token::secret_not_held(self.token.spec.secret_name(), status.code);
                    self.context.notify(self.token.as_ref(), notice);
                }
                Ok(true)
            }
            Err(error) if !cluster::is_conflict(&error) => Err(error.into()),
            // The next pass retries.
            _ => Ok(false),
        }
    }

    /// Whether the token has dependents, as far as the caches show.
    fn is_needed(&self) -> bool {
        let (token, mut needed) = (self.reference(), false);
        for_each_kind!(K => if K::NEEDS_TOKEN_TO_END {
            needed |= self.context.stores.has_work_with::<K>(&token);
        });
        needed
    }

    /// Releases the Secret, unless dependents need it; they are read from the API server, not from a cache.
    pub(super) async fn release_secret(&self) -> Result<(), Error> {
        if self.dependants().await?.is_empty() {
            self.release_unless_shared().await?;
        }
        Ok(())
    }

    /// Releases the Secret of a token without dependents, unless a token with the same Secret has some.
    pub(super) async fn release_unless_shared(&self) -> Result<(), Error> {
        let (namespace, name) = (self.namespace(), self.token.spec.secret_name().to_owned());
        let uid = self.token.uid();
        let shares = |it: &ConsoleToken| {
            it.namespace().as_ref() == Some(&namespace) && it.spec.secret_name() == name && it.uid() != uid
        };
        for other in watch::all(&self.context.stores.tokens, shares) {
            if !super::dependants::of(&self.context, &TokenRef::of(&other)).await?.is_empty() {
                return Ok(());
            }
        }
        let secrets = self.context.secrets(self.token.as_ref());
        let hold = match secrets.holding(&name).await {
            // A Secret that cannot be read has no finalizer of ours either.
            Err(error) if cluster::is_forbidden(&error) => None,
            hold => hold?,
        };
        if hold.is_some_and(|it| it.held) {
            match secrets.let_go(&name).await.or_else(ignore_missing) {
                // A Secret that cannot be written has no finalizer of ours either.
                Err(error) if is_refused(&error) => {
                    let (secret, error) = (&name, cluster::brief(&error));
                    log_about!(
                        warn,
                        self.token.as_ref(),
                        secret,
                        error,
                        "its Secret is not needed any more and cannot be let go"
                    );
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Whether the token is lost for good: its Secret is deleted, and its namespace is terminating, so that none can
    /// be created.
    pub(super) async fn is_lost(&self) -> Result<bool, Error> {
        let secrets = self.context.secrets(self.token.as_ref());
        match secrets.holding(self.token.spec.secret_name()).await {
            Err(error) if cluster::is_forbidden(&error) => Ok(false),
            hold => Ok(hold?.is_none() && secrets.is_namespace_ending().await?),
        }
    }
}

/// Whether a retry would not help.
fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if is_refusal(status))
}

fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 403 | 422)
}

fn ignore_missing(error: kube::Error) -> kube::Result<()> {
    if cluster::is_missing(&error) { Ok(()) } else { Err(error) }
}

/// Releases Secrets that have our finalizer and that no ConsoleToken names any more, until `stop`.
pub async fn release_unneeded(
    mut secrets: UnboundedReceiver<ObjectName>,
    context: Arc<Context>,
    stop: &CancellationToken,
) {
    for filled in [&context.stores.filled.tokens, &context.stores.filled.keys] {
        tokio::select! {
            () = filled.cancelled() => {}
            () = stop.cancelled() => return,
        }
    }
    loop {
        let secret = tokio::select! {
            secret = secrets.recv() => secret,
            () = stop.cancelled() => return,
        };
        let Some(secret) = secret else { return };
        if let Err(error) = let_go_if_unnamed(&context, &secret).await {
            if !is_refused(&error) {
                let (queues, again) = (context.queues.clone(), secret.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(LATER).await;
                    queues.enqueue_secret(again);
                });
            }
            let (ObjectName { namespace, name }, error) = (secret, cluster::brief(&error));
            tracing::warn!(
                kind = "Secret",
                namespace,
                name,
                error,
                "it may be held although no ConsoleToken names it"
            );
        }
    }
}

async fn let_go_if_unnamed(context: &Context, secret: &ObjectName) -> kube::Result<()> {
    let (namespace, name) = (secret.namespace.as_str(), secret.name.as_str());
    let names =
        |it: &ConsoleToken| it.namespace().as_deref() == Some(namespace) && it.spec.secret_name() == name;
    // A pass over that ConsoleToken releases the Secret.
    if !watch::select(&context.stores.tokens, names).is_empty() {
        return Ok(());
    }
    let tokens: Api<ConsoleToken> = object::within(&context.client, Some(namespace));
    if tokens.list(&ListParams::default()).await?.iter().any(names) {
        return Ok(());
    }
    let secrets = cluster::secret::Secrets::new(context.client.clone(), namespace);
    if secrets.holding(name).await?.is_some_and(|it| it.held) {
        secrets.let_go(name).await.or_else(ignore_missing)?;
    }
    Ok(())
}
