//! The controllers: one per kind, with what they share. This is where passes run and wait; decisions are made
//! elsewhere.

pub mod accounts;
pub mod context;
pub mod exported;
pub mod held_secrets;
pub mod kinds;
pub mod live;
pub mod live_tokens;
pub mod memory;
pub mod minted;
pub mod sweep;
pub mod sweeps;

use crate::api::kind::with_kinds;
use crate::cluster::cache::{self, Cached, Undecodable};
use crate::cluster::object::{self, Managed};
use crate::plan::class::ControllerClass;
use crate::plan::identity::{ObjectName, TokenRef};
use crate::plan::turns::{Lane, Place, Rank};
use crate::plan::{report, retry};
pub use crate::protocol::{Error, Pass, stale_or};
use crate::runtime::turns::Turn;
use context::Context;
use futures::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kinds::{Listed, Sources};
use kube::ResourceExt;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config, Error as Ended};
use kube::runtime::reflector::{ObjectRef, Store};
use serde_json::json;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Timeout of a pass, far longer than a pass usually takes. A pass that hangs is dropped and retried; its critical
/// sections run on.
const RECONCILE_DEADLINE: Duration = Duration::from_secs(180);
/// Interval after which every object is reconciled again, in case events were missed.
const RESYNC: SignedDuration = SignedDuration::from_hours(10);

/// Interval at which an object looks for its console token, which should have enqueued it by then.
const AWAIT_TOKEN: Duration = Duration::from_secs(60);

/// Interval at which an object of another shard or class is looked at again.
const OTHER_OPERATOR: SignedDuration = SignedDuration::from_mins(5);

/// A kind and how it is reconciled.
pub trait Subject: Listed {
    /// One pass: observe, decide, act, report, repeated until the object is at rest.
    fn reconcile(
        object: Arc<Self>,
        context: Arc<Context>,
    ) -> impl Future<Output = Result<Pass, Error>> + Send;

    /// How urgent a pass is.
    fn rank(&self) -> Rank;

    /// The console token that it names, or that it is.
    fn token_or_self(&self) -> TokenRef;

    /// The account that a pass calls, and the number of its slots, once it is known.
    fn lane(&self, context: &Context) -> (Lane, Option<usize>);
}

/// Input of a controller.
pub struct Source<K: Managed> {
    /// All objects of the kind.
    pub store: Store<Cached<K>>,
    /// The objects to reconcile.
    pub queue: tokio::sync::mpsc::UnboundedReceiver<ObjectRef<Cached<K>>>,
}

/// Runs the controller of a kind until `stop`; reconciles in progress are finished. Dropping the future stops them,
/// except for critical sections.
pub async fn run<K: Subject>(source: Source<K>, context: Arc<Context>, stop: CancellationToken) {
    let Source { store, queue } = source;
    let queue =
        stream::unfold(queue, |mut queue| async move { queue.recv().await.map(|object| (object, queue)) });
    let liveness = context.liveness.clone();
    // Polled in the controller's own loop: elsewhere, the liveness answer would not prove that this loop runs.
    let name = format!("the controller of {}s", K::KIND);
    let pulse = liveness.part(&name);
    let answers = pulse.answers().map(|never| match never {});
    let (shared, ending) = (Arc::clone(&context), Arc::clone(&context));
    let never_began = never_began(store.clone(), stop.clone());
    let controller = Controller::for_stream(stream::pending(), store)
        // How many passes run is decided by `turns`: a limit here would let passes of one account wait for another.
        .with_config(Config::default().concurrency(0))
        .reconcile_on(stream::select(queue, answers))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(reconcile::<K>, give_up_for_now::<K>, shared)
        .for_each(|result| {
            if let Err(error) = result {
                ended::<K, _>(error, &ending);
            }
            std::future::ready(())
        });
    let stopping = async {
        stop.cancelled().await;
        // Leaves the liveness check, and finishes the reconciles in progress.
        drop(pulse);
        pending::<()>().await;
    };
    tokio::select! {
        () = controller => {}
        () = never_began => {}
        () = stopping => {}
    }
    // Turns that have come and were not taken are given back.
    context.waiting().retain(|(kind, _), _| *kind != K::KIND);
    if !stop.is_cancelled() {
        liveness.died(name);
    }
}

macro_rules! run_all {
    ($($field:ident: $kind:ident,)+) => {
        /// Runs the controllers of all kinds until `stop`, and releases Secrets that no ConsoleToken needs any more.
        pub async fn run_all(sources: Sources, context: Arc<Context>, stop: &CancellationToken) {
            tokio::join!(
                $(run::<crate::api::$kind>(sources.$field, Arc::clone(&context), stop.clone()),)+
                held_secrets::release_unneeded(sources.secrets, Arc::clone(&context), stop),
            );
        }
    };
}
with_kinds!([run_all]);

/// kube's controller starts once its store is filled; if `stop` comes before that, it would wait for ever.
async fn never_began<K: Managed>(store: Store<Cached<K>>, stop: CancellationToken) {
    stop.cancelled().await;
    // `wait_until_ready` also returns when the watch has ended; the controller then ends by itself.
    if store.wait_until_ready().now_or_never().is_some() {
        pending::<()>().await;
    }
}

/// For kube's controller, which makes a task of it for every object that is enqueued. At a start these are all objects at
/// once: a task that has not run yet holds two pointers, and memory for its work only while it works.
async fn reconcile<K: Subject>(cached: Arc<Cached<K>>, context: Arc<Context>) -> Result<Action, Error> {
    Box::pin(attempt(cached, context)).await
}

/// Runs one pass over an object if its turn has come; otherwise the object is enqueued again when it comes.
async fn attempt<K: Subject>(cached: Arc<Cached<K>>, context: Arc<Context>) -> Result<Action, Error> {
    let object = match cached.open() {
        Ok(object) => object,
        Err(why) => {
            let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
            context.forget_turn(K::KIND, ObjectName { namespace, name });
            let started = tokio::time::Instant::now();
            let result = undecodable::<K>(&why, &context).await;
            context.metrics.reconciled(K::KIND, "undecodable", started.elapsed());
            return result;
        }
    };
    // Another operator works for it. Which one may change without an event of the object, when its token comes or goes.
    if !context.works_for(object.as_ref()) {
        // It may have waited here before its token came: a turn that has come is given back.
        let (_, namespace, name) = object::coordinates(object.as_ref());
        context.forget_turn(K::KIND, ObjectName { namespace, name });
        let again = retry::jittered(OTHER_OPERATOR, cached.uid());
        return Ok(Action::requeue(Duration::try_from(again).unwrap_or(AWAIT_TOKEN)));
    }
    if awaits_token(object.as_ref(), &context) {
        return Ok(Action::requeue(AWAIT_TOKEN));
    }
    match turn(object.as_ref(), &context) {
        Some(turn) => {
            let token = object.token();
            let result = Box::pin(pass(object, &context)).await;
            if let Some(pause) = token.and_then(|token| context.pause(&token)) {
                turn.paused(pause);
            }
            result
        }
        None => Ok(Action::await_change()),
    }
}

/// Whether the console token of an object exists and no pass over it has ended in this leadership period: the first that does
/// enqueues the object. A pass before that could do nothing but look. What is being deleted does not wait.
fn awaits_token<K: Subject>(object: &K, context: &Context) -> bool {
    let Some(token) = object.token().filter(|_| object.meta().deletion_timestamp.is_none()) else {
        return false;
    };
    context.accounts.state(&token).is_none() && context.token(&token).is_some_and(|it| !it.is_deleted())
}

/// The turn of an object, if it has come. `None`: it waits. An object that is enqueued while it waits may be more urgent
/// now, such as a key that was declared leaked.
fn turn<K: Subject>(object: &K, context: &Arc<Context>) -> Option<Turn> {
    let (_, namespace, name) = object::coordinates(object);
    let (lane, slots) = object.lane(context);
    let tenant =
        if matches!(lane, Lane::Poll(_)) { format!("polls of {namespace}") } else { namespace.clone() };
    let place = Place { lane, tenant, rank: object.rank(), slots };
    let key = (K::KIND, ObjectName { namespace, name });
    // A pass whose time has come was enqueued by nothing else.
    context.queues.traces.begin(K::KIND, || key.1.clone());
    let reference = cache::reference(object);
    let mut waiting = context.waiting();
    let before = waiting.remove(&key).filter(|it| it.has_come() || *it.place() == place);
    let current = before.unwrap_or_else(|| {
        let queue = K::queue(&context.queues).clone();
        // Without a receiver, the leadership period is over.
        context.gate.enter(place, move || drop(queue.send(reference)))
    });
    match current.turn() {
        Ok(turn) => Some(turn),
        Err(current) => {
            waiting.insert(key, current);
            None
        }
    }
}

async fn pass<K: Subject>(object: Arc<K>, context: &Arc<Context>) -> Result<Action, Error> {
    let started = tokio::time::Instant::now();
    let object = context.memory.newest(object);
    let uid = object.uid().unwrap_or_default();
    // The span adds the resource to log lines of the gateway and of libraries, which do not know it.
    let (_, namespace, name) = object::coordinates(object.as_ref());
    let name = ObjectName { namespace, name };
    let trace = context.queues.traces.take(K::KIND, &name);
    let span = trace.in_scope(|| {
        tracing::debug_span!("pass", kind = K::KIND, namespace = name.namespace, name = name.name)
    });
    let pass = K::reconcile(object, Arc::clone(context)).instrument(span).instrument(trace);
    let pass = tokio::time::timeout(RECONCILE_DEADLINE, pass).await;
    let result = pass.unwrap_or(Err(Error::Deadline { seconds: RECONCILE_DEADLINE.as_secs() }));
    let (outcome, result) = match result {
        Ok(Pass::Stale) => ("stale", Ok(Action::requeue(context.memory.pause(&uid)))),
        Ok(Pass::Unfinished) => ("unfinished", Ok(Action::requeue(context.memory.pause(&uid)))),
        Ok(Pass::Rest(until)) => {
            context.memory.rested(&uid);
            ("ok", Ok(action(until, &uid, context.clock.now())))
        }
        Err(error) => ("error", Err(error)),
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

/// Kubernetes stores an object that this version's type cannot decode. Its status says so, once; the object is
/// reconciled again when it changes.
async fn undecodable<K: Managed>(why: &Undecodable, context: &Context) -> Result<Action, Error> {
    let Undecodable { meta, error } = why;
    // Which account it belongs to is unknown.
    let own = TokenRef::beside(meta.namespace.clone(), meta.name.as_deref().unwrap_or_default());
    let holder = ControllerClass::of_finalizers(meta.finalizers.as_deref().unwrap_or_default());
    if !context.settings.class.works_for(None, holder.as_ref()) || !context.settings.shard.works_for(&own) {
        return Ok(Action::await_change());
    }
    let verdict = report::key::undecodable(error);
    let mut conditions = Vec::new();
    let mut last = None;
    verdict.apply(&mut conditions, &mut last, meta.generation, context.clock.now());
    let status = json!({"observedGeneration": meta.generation, "conditions": conditions, "internal": {"lastPass": last}});
    object::publish_raw::<K>(&context.client, meta, status).await?;
    Ok(Action::await_change())
}

/// Errors of a pass were logged when they occurred; what is left are the errors of kube's own loop.
fn ended<K: Subject, Q>(error: Ended<Error, Q>, context: &Context) {
    match error {
        Ended::ReconcilerFailed(error, object) => {
            let (namespace, name) = (object.namespace, object.name);
            tracing::debug!(kind = K::KIND, namespace, name, %error, "a reconcile ended with an error");
        }
        Ended::ObjectNotFound(object) => {
            let (namespace, name) = (object.namespace.unwrap_or_default(), object.name);
            tracing::debug!(kind = K::KIND, namespace, name, "it is gone before its turn came");
            context.forget_turn(K::KIND, ObjectName { namespace, name });
        }
        _ => tracing::debug!(kind = K::KIND, "a queue of reconciles broke"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
fn give_up_for_now<K: Subject>(cached: Arc<Cached<K>>, error: &Error, context: Arc<Context>) -> Action {
    let wait = context.memory.failed(cached.uid());
    tracing::warn!(
        kind = K::KIND,
        namespace = cached.namespace(),
        name = cached.name_any(),
        serial = cached.open().ok().and_then(|it| it.serial()),
        %error,
        retry_in_seconds = wait.as_secs(),
        "reconcile failed"
    );
    Action::requeue(wait)
}
