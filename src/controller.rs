//! The loop: one controller per kind, with what they share. Here things wait; nothing here decides.

pub mod accounts;
pub mod console_token;
pub mod context;
pub mod doubt;
pub mod kinds;
pub mod live;
pub mod memory;
pub mod minted;
pub mod sweep;

use crate::api::kind::with_kinds;
use crate::cluster::object::{self, Managed};
use crate::plan::{report, retry};
pub use crate::protocol::{Error, Pass, stale_or};
use context::Context;
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kinds::Sources;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as Ended};
use kube::runtime::reflector::{ObjectRef, Store};
use serde_json::json;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Far longer than a pass usually takes; one that hangs is dropped and tried again, its critical sections run on.
const RECONCILE_DEADLINE: Duration = Duration::from_secs(180);
/// Everything is looked at again this often, whatever events were missed.
const RESYNC: SignedDuration = SignedDuration::from_hours(10);

/// A kind and how it is reconciled.
pub trait Subject: Managed {
    /// One pass: observe, decide, act, report, as often as it takes to come to rest.
    fn reconcile(
        object: Arc<Self>,
        context: Arc<Context>,
    ) -> impl Future<Output = Result<Pass, Error>> + Send;
}

/// Where a controller's work comes from.
pub struct Source<K: Managed> {
    /// All objects of the kind.
    pub store: Store<DeserializeGuard<K>>,
    /// Those that are to be looked at.
    pub queue: tokio::sync::mpsc::UnboundedReceiver<ObjectRef<DeserializeGuard<K>>>,
}

/// Runs the controller of a kind until `stop`; reconciles under way are finished. Dropping it stops them, but for
/// critical sections.
pub async fn run<K: Subject>(source: Source<K>, context: Arc<Context>, stop: CancellationToken) {
    let Source { store, queue } = source;
    let queue =
        stream::unfold(queue, |mut queue| async move { queue.recv().await.map(|object| (object, queue)) });
    let liveness = context.liveness.clone();
    // Asked in the controller's own loop, or it would be no sign of life of that.
    let name = format!("the controller of {}s", K::KIND);
    let pulse = liveness.part(&name);
    let answers = pulse.answers().map(|never| match never {});
    let concurrency = context.settings.concurrency;
    let never_began = never_began(store.clone(), stop.clone());
    let controller = Controller::for_stream(stream::pending(), store)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(stream::select(queue, answers))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(reconcile::<K>, give_up_for_now::<K>, context)
        .for_each(|result| async move {
            if let Err(error) = result {
                ended::<K, _>(error);
            }
        });
    let stopping = async {
        stop.cancelled().await;
        // It answers no more, and finishes what is under way.
        drop(pulse);
        pending::<()>().await;
    };
    tokio::select! {
        () = controller => {}
        () = never_began => {}
        () = stopping => {}
    }
    if !stop.is_cancelled() {
        liveness.died(name);
    }
}

macro_rules! run_all {
    ($($field:ident: $kind:ident,)+) => {
        /// Runs the controllers of all kinds until `stop`, and lets go of Secrets that no ConsoleToken needs any more.
        pub async fn run_all(sources: Sources, context: Arc<Context>, stop: &CancellationToken) {
            tokio::join!(
                $(run::<crate::api::$kind>(sources.$field, Arc::clone(&context), stop.clone()),)+
                console_token::let_go_of_unneeded(sources.secrets, Arc::clone(&context), stop),
            );
        }
    };
}
with_kinds!([run_all]);

/// A controller begins when its store is filled, and one that is told to stop before that would wait for ever.
async fn never_began<K: Managed>(store: Store<DeserializeGuard<K>>, stop: CancellationToken) {
    stop.cancelled().await;
    // A store whose watch has ended counts as well: the controller then ends by itself.
    if store.wait_until_ready().now_or_never().is_some() {
        pending::<()>().await;
    }
}

async fn reconcile<K: Subject>(
    guard: Arc<DeserializeGuard<K>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let started = tokio::time::Instant::now();
    let (outcome, result) = match &guard.0 {
        Err(invalid) => ("undecodable", undecodable::<K>(&invalid.metadata, &invalid.error, &context).await),
        Ok(object) => {
            let object = context.memory.newest(Arc::new(object.clone()));
            let uid = object.uid().unwrap_or_default();
            // So that lines of the gateway and of libraries, which know of no resource, say for which they are.
            let (_, namespace, name) = object::coordinates(object.as_ref());
            let span = tracing::debug_span!("pass", kind = K::KIND, namespace, name);
            let pass = K::reconcile(object, Arc::clone(&context)).instrument(span);
            let pass = tokio::time::timeout(RECONCILE_DEADLINE, pass).await;
            let result = pass.unwrap_or(Err(Error::Deadline { seconds: RECONCILE_DEADLINE.as_secs() }));
            match result {
                Ok(Pass::Stale) => ("stale", Ok(Action::requeue(context.memory.pause(&uid)))),
                Ok(Pass::Unfinished) => ("unfinished", Ok(Action::requeue(context.memory.pause(&uid)))),
                Ok(Pass::Rest(until)) => {
                    context.memory.rested(&uid);
                    ("ok", Ok(action(until, &uid, context.clock.now())))
                }
                Err(error) => ("error", Err(error)),
            }
        }
    };
    context.metrics.reconciled(K::KIND, outcome, started.elapsed());
    result
}

fn action(until: Option<Timestamp>, uid: &str, now: Timestamp) -> Action {
    let resync = retry::jittered(RESYNC, uid);
    let wait = until.map_or(resync, |until| until.duration_since(now).min(resync));
    let shortest = SignedDuration::from_millis(50);
    Action::requeue(Duration::try_from(wait.max(shortest)).unwrap_or(Duration::from_secs(60)))
}

/// Kubernetes stores an object that the present type cannot read. Its author is told, once; it is looked at
/// again when it changes.
async fn undecodable<K: Managed>(
    meta: &kube::core::ObjectMeta,
    error: &str,
    context: &Context,
) -> Result<Action, Error> {
    let verdict = report::key::undecodable(error);
    let mut conditions = Vec::new();
    verdict.apply(&mut conditions, meta.generation, context.clock.now());
    let status = json!({"observedGeneration": meta.generation, "conditions": conditions});
    object::publish_raw::<K>(&context.client, meta, status).await?;
    Ok(Action::await_change())
}

/// An error of a pass was logged when it was given up; what is left are those of kube's own loop.
fn ended<K: Subject, Q>(error: Ended<Error, Q>) {
    match error {
        Ended::ReconcilerFailed(error, object) => {
            let (namespace, name) = (object.namespace, object.name);
            tracing::debug!(kind = K::KIND, namespace, name, %error, "a reconcile ended with an error");
        }
        Ended::ObjectNotFound(object) => {
            let (namespace, name) = (object.namespace, object.name);
            tracing::debug!(kind = K::KIND, namespace, name, "it is gone before its turn came");
        }
        _ => tracing::debug!(kind = K::KIND, "a queue of reconciles broke"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
fn give_up_for_now<K: Subject>(
    guard: Arc<DeserializeGuard<K>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let uid = guard.uid().unwrap_or_default();
    let wait = context.memory.failed(&uid);
    tracing::warn!(
        kind = K::KIND,
        namespace = guard.namespace(),
        name = guard.name_any(),
        serial = guard.0.as_ref().ok().and_then(K::serial),
        %error,
        retry_in_seconds = wait.as_secs(),
        "reconcile failed"
    );
    Action::requeue(wait)
}
