//! Leader election: one of several replicas acts, the others are on standby. `plan::leadership` decides; this file
//! waits and writes the Lease.
//!
//! A replica that loses the lease becomes a candidate again instead of exiting, so its caches stay warm. Work that it
//! started may go on for a moment. That is safe, because correctness does not depend on leadership.

use crate::cluster::lease::{Claim, LeaseClient, LeaseView, Rival, Seen};
use crate::cluster::{brief, is_conflict, is_forbidden, is_missing};
use crate::plan::leadership::{Facts, Role, Step, Times, Why, decide};
use crate::runtime::clock::Clock;
use crate::runtime::liveness::Liveness;
use crate::runtime::metrics::Metrics;
use futures::StreamExt;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ObjectReference;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Parameters of a candidate.
#[derive(Clone)]
pub struct Election {
    /// The client of the Lease, over a connection of its own: renewals must not queue behind other requests.
    pub lease: LeaseClient,
    /// A name that is unique among all replicas, present and past.
    pub identity: String,
    /// The lease's times.
    pub times: Times,
}

/// Dependencies of the election.
#[derive(Clone)]
pub struct ElectionDeps {
    /// The clock, for the times in the Lease, which only serve users who read it.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Metrics,
    /// Liveness: a leader whose controllers hang must release the lease.
    pub liveness: Liveness,
}

/// Whether this replica leads.
pub struct Leadership {
    leads: watch::Receiver<bool>,
    over: CancellationToken,
    task: Option<AbortOnDropHandle<()>>,
    lease: Option<LeaseClient>,
}

impl Leadership {
    /// Leadership of a single replica, which leads as long as it runs.
    pub fn alone(metrics: &Metrics) -> Self {
        metrics.leads(true);
        // A watch channel without a sender keeps its last value.
        let (_, leads) = watch::channel(true);
        Self { leads, over: CancellationToken::new(), task: None, lease: None }
    }

    /// Joins the election.
    pub fn join(election: Election, deps: ElectionDeps) -> Self {
        let (tell, leads) = watch::channel(false);
        let (over, lease) = (CancellationToken::new(), Some(election.lease.clone()));
        let candidate = Candidate { election, deps, tell, over: over.clone() };
        Self { leads, over, task: Some(AbortOnDropHandle::new(tokio::spawn(candidate.run()))), lease }
    }

    /// Waits until this replica leads.
    pub async fn won(&mut self) {
        self.until(true).await;
    }

    /// Waits until this replica no longer leads.
    pub async fn lost(&mut self) {
        self.until(false).await;
    }

    async fn until(&mut self, leads: bool) {
        if self.leads.wait_for(|it| *it == leads).await.is_err() {
            // The election task has ended: leadership does not change any more.
            std::future::pending::<()>().await;
        }
    }

    /// Object reference of the Lease, for an event.
    pub fn reference(&self) -> Option<ObjectReference> {
        self.lease.as_ref().map(LeaseClient::reference)
    }

    /// Releases the lease, so that another replica need not wait until it expires. Call this when nothing is in
    /// progress.
    pub async fn release(self) {
        self.over.cancel();
        if let Some(task) = self.task {
            // The task ends by itself after `over`.
            let _ = task.await;
        }
    }
}

struct Candidate {
    election: Election,
    deps: ElectionDeps,
    tell: watch::Sender<bool>,
    over: CancellationToken,
}

/// The lease while this replica holds it.
struct Held {
    seen: Option<Seen>,
    /// When the last successful write was sent.
    renewed: Instant,
}

/// What a candidate knows of the lease.
struct Knowledge {
    /// `Unknown` before the first response.
    seen: LeaseView,
    changed: Instant,
    failed: Option<Instant>,
    /// The other division that was logged last.
    rival: Option<Rival>,
}

impl Knowledge {
    /// Waits while another division has a Lease, and logs that division once.
    fn meet(&mut self, rival: &Rival) {
        self.failed = Some(Instant::now());
        if self.rival.as_ref() != Some(rival) {
            let Rival { lease, shards } = rival;
            tracing::warn!(
                lease,
                "this replica stands by, because an operator of another number of shards ({shards}) holds this Lease and may work for the \
                 same accounts; it begins when that Lease is free: scale the other down"
            );
            self.rival = Some(rival.clone());
        }
    }

    fn observe(&mut self, seen: Option<Seen>) {
        let same = match (&self.seen, &seen) {
            (LeaseView::Present(before), Some(now)) => before.says_the_same(now),
            (LeaseView::Absent, None) => true,
            _ => false,
        };
        if !same {
            self.changed = Instant::now();
            self.failed = None;
        }
        self.seen = LeaseView::of(seen);
    }
}

impl Candidate {
    async fn run(self) {
        while let Some(held) = self.acquire().await {
            self.set_leads(true);
            match self.hold(held).await {
                Ok(seen) => {
                    self.release(seen).await;
                    return self.set_leads(false);
                }
                Err(why) => {
                    tracing::warn!(
                        identity = self.election.identity,
                        "{}; this replica stands by",
                        reason(why)
                    );
                    self.set_leads(false);
                }
            }
        }
    }

    fn set_leads(&self, leads: bool) {
        if leads {
            tracing::info!(identity = self.election.identity, "this replica leads");
        }
        self.deps.metrics.leads(leads);
        self.tell.send_replace(leads);
    }

    /// Waits for the lease and acquires it; `None` when the election is over.
    async fn acquire(&self) -> Option<Held> {
        let mut news = Box::pin(self.election.lease.watch());
        let mut sight =
            Knowledge { seen: LeaseView::Unknown, changed: Instant::now(), failed: None, rival: None };
        while !self.over.is_cancelled() {
            let wait = match self.decide_candidate(&sight) {
                Step::Acquire => match self.rival(self.patience()).await {
                    Some(rival) => {
                        sight.meet(&rival);
                        continue;
                    }
                    None => match self.try_acquire(&mut sight).await {
                        Some(held) => return Some(held),
                        None => continue,
                    },
                },
                Step::Wait(wait) => duration(wait),
                Step::Renew | Step::StepDown(_) => duration(self.election.times.retry),
            };
            tokio::select! {
                // An event of the watch comes before the timeout, so that a released lease is acquired at once.
                biased;
                () = self.over.cancelled() => {}
                event = news.next() => match event.unwrap_or(LeaseView::Unknown) {
                    LeaseView::Unknown => self.look(&mut sight).await,
                    seen => sight.observe(seen.lease()),
                },
                () = sleep(wait) => if matches!(sight.seen, LeaseView::Unknown) { self.look(&mut sight).await },
            }
        }
        None
    }

    fn decide_candidate(&self, sight: &Knowledge) -> Step {
        let seen = match &sight.seen {
            LeaseView::Unknown => return Step::Wait(self.election.times.retry),
            LeaseView::Absent => None,
            LeaseView::Present(seen) => Some(seen.as_ref()),
        };
        let role = Role::Candidate { silent: since(sight.changed), failed: sight.failed.map(since) };
        self.decide(seen, role)
    }

    fn decide(&self, seen: Option<&Seen>, role: Role) -> Step {
        decide(&Facts {
            identity: &self.election.identity,
            record: seen.map(|it| &it.record),
            role,
            alive: self.deps.liveness.ask().is_ok(),
            times: self.election.times,
        })
    }

    /// Reads the Lease where the watch has failed.
    async fn look(&self, sight: &mut Knowledge) {
        match timeout(self.patience(), self.election.lease.read()).await {
            Ok(Ok(seen)) => sight.observe(seen),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = brief(&error),
                    "the lease cannot be read; this replica stands by and tries again"
                );
            }
            Err(_) => {
                tracing::warn!("the lease cannot be read in time; this replica stands by and tries again");
            }
        }
    }

    /// Not cancelled by a shutdown: an acquired lease has to be released.
    async fn try_acquire(&self, sight: &mut Knowledge) -> Option<Held> {
        let sent = Instant::now();
        let seen = match &sight.seen {
            LeaseView::Present(seen) => Some(seen.as_ref()),
            LeaseView::Unknown | LeaseView::Absent => None,
        };
        match timeout(self.patience(), self.write(seen, Some(&self.election.identity))).await {
            Ok(Ok(seen)) => return Some(Held { seen: Some(seen), renewed: sent }),
            Ok(Err(error)) if is_conflict(&error) || is_missing(&error) => self.look(sight).await,
            Ok(Err(error)) => {
                tracing::warn!(error = brief(&error), "the lease cannot be taken; tried again soon");
            }
            Err(_) => tracing::warn!("the lease cannot be taken in time; tried again soon"),
        }
        sight.failed = Some(sent);
        None
    }

    /// The operator of another number of shards that leads, if there is one: it may work for the same accounts.
    async fn rival(&self, within: Duration) -> Option<Rival> {
        let lease = &self.election.lease;
        match timeout(within, lease.of_another_division(self.deps.clock.now())).await {
            Ok(Ok(found)) => found,
            // The rights of an earlier version do not cover the list.
            Ok(Err(error)) if is_forbidden(&error) => {
                tracing::debug!("leases cannot be listed, so that shards of another number are not noticed");
                None
            }
            // Then the lease cannot be written either.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Renews the lease until the election is over; an error if the lease is lost.
    async fn hold(&self, mut held: Held) -> Result<Option<Seen>, Why> {
        let (mut tried, mut looked) = (held.renewed, Instant::now());
        loop {
            if looked.elapsed() >= duration(self.election.times.lease) {
                looked = Instant::now();
                // Of two divisions that began at once, the one of fewer shards yields.
                let shards = self.election.lease.shards();
                // The look must not keep a leader from stepping down in time.
                let deadline = held.renewed + duration(self.election.times.renew);
                let within = deadline.saturating_duration_since(Instant::now());
                let within = within.min(duration(self.election.times.retry));
                if self.rival(within).await.is_some_and(|it| it.shards > shards) {
                    return Err(Why::Divided);
                }
            }
            let role = Role::Leader { unrenewed: since(held.renewed), untried: since(tried) };
            match self.decide(held.seen.as_ref(), role) {
                Step::StepDown(why) => return Err(why),
                Step::Renew | Step::Acquire => {
                    tried = Instant::now();
                    self.renew(&mut held).await;
                }
                Step::Wait(wait) => tokio::select! {
                    () = self.over.cancelled() => return Ok(held.seen),
                    () = sleep(duration(wait)) => {}
                },
            }
        }
    }

    async fn renew(&self, held: &mut Held) {
        let deadline = held.renewed + duration(self.election.times.renew);
        let within = self.patience().min(deadline.saturating_duration_since(Instant::now()));
        // If the response to a renewal was lost, the next write conflicts with our own, and is repeated at once.
        for _ in 0..2 {
            let sent = Instant::now();
            let written = self.write(held.seen.as_ref(), Some(&self.election.identity));
            match timeout(within, written).await {
                Ok(Ok(seen)) => {
                    *held = Held { seen: Some(seen), renewed: sent };
                    return;
                }
                Ok(Err(error)) if is_conflict(&error) || is_missing(&error) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = brief(&error), "the lease could not be renewed; tried again soon");
                    return;
                }
                Err(_) => {
                    tracing::warn!("the lease could not be renewed in time; tried again soon");
                    return;
                }
            }
            match timeout(within, self.election.lease.read()).await {
                Ok(Ok(seen)) => held.seen = seen,
                _ => return,
            }
            let ours = |seen: &Seen| seen.record.holder.as_ref() == Some(&self.election.identity);
            if !held.seen.as_ref().is_none_or(ours) {
                return;
            }
        }
    }

    /// Releases the lease, with retries until the other replicas may acquire it anyway.
    async fn release(&self, mut seen: Option<Seen>) {
        let end = Instant::now() + duration(self.election.times.renew);
        while let Some(ours) = seen.take_if(|it| it.record.holder.as_ref() == Some(&self.election.identity)) {
            let error = match timeout(self.patience(), self.write(Some(&ours), None)).await {
                Ok(Ok(_)) => return tracing::info!("the lease is given back"),
                Ok(Err(error)) => brief(&error),
                Err(_) => "no answer in time".to_owned(),
            };
            if Instant::now() >= end {
                return tracing::warn!(
                    error,
                    "the lease could not be given back; another replica waits for its end"
                );
            }
            sleep(duration(self.election.times.retry).min(Duration::from_millis(500))).await;
            let now = timeout(self.patience(), self.election.lease.read()).await;
            seen = now.ok().and_then(Result::ok).unwrap_or(Some(ours));
        }
    }

    async fn write(&self, seen: Option<&Seen>, holder: Option<&str>) -> kube::Result<Seen> {
        // A released lease need not be waited for.
        let lasts = if holder.is_some() { self.election.times.lease } else { SignedDuration::from_secs(1) };
        let claim = Claim { holder, lasts, now: self.deps.clock.now() };
        self.election.lease.write(seen, claim).await
    }

    /// Timeout of one request: two of them fit before a leader has to stop.
    fn patience(&self) -> Duration {
        duration(self.election.times.renew) / 2
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Taken => "the lease is another's",
        Why::Unrenewed => "the lease could not be renewed in time",
        Why::Unwell => "the controllers do not answer",
        Why::Divided => "an operator of more shards leads",
    }
}

fn since(instant: Instant) -> SignedDuration {
    SignedDuration::try_from(instant.elapsed()).unwrap_or(SignedDuration::MAX)
}

fn duration(signed: SignedDuration) -> Duration {
    Duration::try_from(signed).unwrap_or(Duration::ZERO)
}
