//! A finalizer keeps the token's Secret as long as dependents need the token for their cleanup, in whatever order a
//! user deletes things.

use super::ports::{Holds, TokenPorts, TokenSecretPort};
use super::{TokenPass, home};
use crate::cluster;
use crate::plan::identity::{AnyToken, ObjectName, log_token};
use crate::plan::{report, retry};
use crate::protocol::Error;
use jiff::{SignedDuration, Timestamp};
use kube::core::Status;
use std::time::Duration;

/// A namespace is marked as terminating before its content is deleted, but the mark may reach some API servers later.
const SETTLES: Duration = Duration::from_secs(2);
/// Interval at which a Secret in a terminating namespace is checked.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

impl<P: TokenPorts> TokenPass<P> {
    /// Adds the finalizer to the Secret, or removes it. Returns when to check again.
    pub(super) async fn hold(&self) -> Result<Option<Timestamp>, Error> {
        let name = self.token.spec().secret_name().to_owned();
        let (uid, secrets) = (self.uid(), self.secrets());
        let before = self.ports.holds(&uid, None);
        // After a restart, only status tells which Secret was held before.
        let recorded = || self.token.status()?.internal.last_secret.clone();
        let former = before.as_ref().map(|it| it.secret.clone()).or_else(recorded);
        if let Some(former) = former.filter(|it| *it != name) {
            self.ports.enqueue_secret(ObjectName::new(&self.home(), &former));
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
        if self.ports.is_needed(&self.reference()) {
            if !hold.held {
                now.refused = self.note_refusal(secrets.hold(&name).await, refused)?;
            }
        } else if hold.held {
            self.release_secret().await?;
        }
        self.ports.holds(&uid, Some(now));
        Ok(None)
    }

    /// The Secret is being deleted. If only the Secret is, it is released. If its namespace or its token is deleted
    /// too, the finalizer stays.
    async fn release_or_wait(&self, name: &str, held: bool) -> Result<Option<Timestamp>, Error> {
        if !held {
            return Ok(None);
        }
        let secrets = self.secrets();
        for pause in [SETTLES, Duration::ZERO] {
            if self.is_going() || secrets.is_namespace_ending().await? {
                return Ok(Some(retry::plus(self.ports.now(), AGAIN)));
            }
            self.ports.sleep(pause).await;
        }
        secrets.let_go(name).await.or_else(ignore_missing)?;
        Ok(None)
    }

    fn is_going(&self) -> bool {
        let now = self.ports.token(&self.reference());
        self.token.is_deleted() || now.is_some_and(|it| it.is_deleted())
    }

    /// Without the right to write the Secret, the token works without the finalizer, and one event says so.
    fn note_refusal(&self, done: kube::Result<()>, reported: bool) -> Result<bool, Error> {
        match done {
            Err(kube::Error::Api(status)) if is_refusal(&status) => {
                if !reported {
                    let secret = self.token.spec().secret_name();
                    self.notify(report::token::secret_not_held(secret, status.code));
                }
                Ok(true)
            }
            Err(error) if !cluster::is_conflict(&error) => Err(error.into()),
            // The next pass retries.
            _ => Ok(false),
        }
    }

    /// Releases the Secret, unless dependents need it; they are read from the API server, not from a cache.
    async fn release_secret(&self) -> Result<(), Error> {
        if self.ports.dependants(&self.reference()).await?.is_empty() {
            self.release_unless_shared().await?;
        }
        Ok(())
    }

    /// Releases the Secret of a token without dependents, unless a token with the same Secret has some.
    pub(super) async fn release_unless_shared(&self) -> Result<(), Error> {
        let (name, uid) = (self.token.spec().secret_name(), self.token.uid());
        let place = self.home();
        // The operator of another class has a finalizer of its own.
        let is_here = |it: &AnyToken| home(it, &self.ports) == place && it.class() == self.token.class();
        let shares = |it: &AnyToken| it.uid() != uid && it.spec().secret_name() == name && is_here(it);
        for other in self.ports.tokens(shares) {
            if !self.ports.dependants(&other.reference()).await?.is_empty() {
                return Ok(());
            }
        }
        let secrets = self.secrets();
        let hold = match secrets.holding(name).await {
            // A Secret that cannot be read has no finalizer of ours either.
            Err(error) if cluster::is_forbidden(&error) => None,
            hold => hold?,
        };
        if hold.is_some_and(|it| it.held) {
            match secrets.let_go(name).await.or_else(ignore_missing) {
                // A Secret that cannot be written has no finalizer of ours either.
                Err(error) if is_refused(&error) => {
                    let error = cluster::brief(&error);
                    let what = "its Secret is not needed any more and cannot be let go";
                    log_token!(warn, self.token, secret = name, error, "{what}");
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Whether the token is lost for good: its Secret is deleted, and its namespace is terminating, so that none can
    /// be created.
    pub(super) async fn is_lost(&self) -> Result<bool, Error> {
        let secrets = self.secrets();
        match secrets.holding(self.token.spec().secret_name()).await {
            Err(error) if cluster::is_forbidden(&error) => Ok(false),
            hold => Ok(hold?.is_none() && secrets.is_namespace_ending().await?),
        }
    }
}

/// Whether a retry would not help.
pub fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if is_refusal(status))
}

fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 403 | 422)
}

/// Success also if there is no such object.
pub fn ignore_missing(error: kube::Error) -> kube::Result<()> {
    if cluster::is_missing(&error) { Ok(()) } else { Err(error) }
}
