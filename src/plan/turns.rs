//! Decides which pass (one reconcile of one resource) runs next. Passes of one account share its slots, so that a pass that waits for a slow vendor takes no slot of
//! another account; within an account, namespaces take turns, so that a thousand objects of one do not delay the one
//! object of another. No I/O and no clock: `runtime::turns` lets passes wait.

use super::identity::{AccountId, TokenRef};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What has slots, which the passes in it share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The account at the vendor that the pass calls.
    Account(AccountId),
    /// A console token whose account is not known yet.
    Token(TokenRef),
    /// The pass over a console token itself, by which its account is polled: it waits for no other pass.
    Poll(TokenRef),
}

/// How urgent a pass is, the most urgent first. Among the passes of one namespace, the lowest rank is first. Urgent passes have
/// a queue of their own; namespaces alternate in both queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A deletion, or a declared leak: while both kinds wait, every second turn of the account is one of these.
    Urgent,
    /// The resource has no key yet.
    New,
    /// The key is to be replaced at this time.
    Due(Timestamp),
    /// Everything else.
    Routine,
}

/// Where a pass waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose slots it needs.
    pub lane: Lane,
    /// Its namespace; polls of a namespace count apart from its other passes.
    pub tenant: String,
    /// How urgent it is.
    pub rank: Rank,
    /// How many passes of its lane may run at once ([`Limits::slots`]); `None`: the rate of the account is not known.
    pub slots: Option<usize>,
}

/// Limits of the passes that run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Limit for one account, unless its rate asks for more.
    pub lane: usize,
    /// Limit for one namespace.
    pub tenant: usize,
    /// Limit over all accounts whose vendors answer; it bounds memory. Polls do not count. Urgent passes count, and start even
    /// where the limit is reached.
    pub all: usize,
}

impl Limits {
    /// This many for an account, four times as many for a namespace, and eight times as many in all: more are not faster, and take
    /// memory (docs/pages/performance.md).
    pub const fn per_account(lane: usize) -> Self {
        Self { lane, tenant: lane.saturating_mul(4), all: lane.saturating_mul(8) }
    }

    /// The slots of an account that may make so many calls per second: half a second's calls, so that passes, which also write
    /// to the API server, leave none of the rate unused.
    pub fn slots(self, calls_per_second: u32) -> usize {
        let half = usize::try_from(calls_per_second.div_ceil(2)).unwrap_or(usize::MAX);
        self.lane.max(half).min(self.all.max(self.lane))
    }
}

/// How a pass went, as far as it tells of the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The vendor answers.
    Brisk,
    /// The pass took so long that the vendor probably hangs: until one ends briskly, the account has one slot, so
    /// that a vendor in trouble holds little memory and few connections.
    Slow,
}

/// The passes that wait and run. `W` wakes the one that waits.
#[derive(Debug)]
pub struct Turns<W> {
    limits: Limits,
    lanes: HashMap<Lane, Queue<W>>,
    /// Number of passes that run, by namespace.
    running: HashMap<String, usize>,
    /// Number of passes that run in lanes that count for the limit of all.
    busy: usize,
    /// Lanes that wait for the limit of all, in the order in which they came.
    held: VecDeque<Lane>,
    waiting: HashMap<u64, Place>,
    last: u64,
}

#[derive(Debug)]
struct Queue<W> {
    running: usize,
    slots: usize,
    /// Whether it is among the lanes that wait for the limit of all.
    held: bool,
    pace: Pace,
    urgent: Ring<W>,
    ordinary: Ring<W>,
    /// Whether the last turn went to an urgent pass although an ordinary one waited.
    favoured: bool,
    /// Whether the vendor asked for a pause: passes over resources without a key wait until it is over. If they ran, each
    /// would fail and come again at a random time, and the order of namespaces would be lost.
    paused: bool,
}

/// The passes that wait, by namespace, in the order in which namespaces are served.
type Ring<W> = VecDeque<(String, BTreeMap<(Rank, u64), W>)>;

impl<W> Turns<W> {
    /// Turns with these limits, each at least 1.
    pub fn new(limits: Limits) -> Self {
        let limits =
            Limits { lane: limits.lane.max(1), tenant: limits.tenant.max(1), all: limits.all.max(1) };
        let (lanes, running, held, waiting) = Default::default();
        Self { limits, lanes, running, busy: 0, held, waiting, last: 0 }
    }

    /// Puts a pass into its place. Returns its ticket.
    pub fn enter(&mut self, place: Place, waiter: W) -> u64 {
        self.last += 1;
        let ticket = self.last;
        let queue = self.lanes.entry(place.lane.clone()).or_insert_with(|| Queue {
            running: 0,
            slots: 1,
            held: false,
            pace: Pace::Brisk,
            urgent: Ring::new(),
            ordinary: Ring::new(),
            favoured: false,
            paused: false,
        });
        queue.slots = place.slots.unwrap_or(self.limits.lane).max(1);
        let ring = if place.rank == Rank::Urgent { &mut queue.urgent } else { &mut queue.ordinary };
        let key = (place.rank, ticket);
        match ring.iter_mut().find(|(tenant, _)| *tenant == place.tenant) {
            Some((_, passes)) => drop(passes.insert(key, waiter)),
            None => ring.push_back((place.tenant.clone(), BTreeMap::from([(key, waiter)]))),
        }
        self.waiting.insert(ticket, place);
        ticket
    }

    /// Takes a waiting pass out. Returns whether it was still waiting.
    pub fn withdraw(&mut self, ticket: u64) -> bool {
        let Some(place) = self.waiting.remove(&ticket) else { return false };
        if let Some(queue) = self.lanes.get_mut(&place.lane) {
            let ring = if place.rank == Rank::Urgent { &mut queue.urgent } else { &mut queue.ordinary };
            for (_, passes) in ring.iter_mut().filter(|(tenant, _)| *tenant == place.tenant) {
                passes.remove(&(place.rank, ticket));
            }
            ring.retain(|(_, passes)| !passes.is_empty());
        }
        self.tidy(&place.lane);
        true
    }

    /// The passes of this lane that may run now; they count as running.
    pub fn start(&mut self, lane: &Lane) -> Vec<W> {
        let mut started = Vec::new();
        while let Some(waiter) = self.start_one(lane) {
            started.push(waiter);
        }
        started
    }

    fn start_one(&mut self, lane: &Lane) -> Option<W> {
        let queue = self.lanes.get_mut(lane)?;
        let slots = if queue.pace == Pace::Slow { 1 } else { queue.slots };
        if queue.running >= slots {
            return None;
        }
        let (counted, most) = (counts(lane, queue), self.limits.tenant.max(slots));
        let full = counted && self.busy >= self.limits.all;
        let free = |tenant: &str| self.running.get(tenant).is_none_or(|it| *it < most);
        let paused = queue.paused;
        let may = |(rank, _): &(Rank, u64)| !paused || *rank != Rank::New;
        let first =
            |ring: &Ring<W>| ring.iter().position(|(tenant, passes)| free(tenant) && passes.keys().any(may));
        let (urgent, ordinary) = (first(&queue.urgent), first(&queue.ordinary));
        if full && ordinary.is_some() && !std::mem::replace(&mut queue.held, true) {
            self.held.push_back(lane.clone());
        }
        let ordinary = ordinary.filter(|_| !full);
        // Urgent passes go first, and do not starve the others of the account.
        let favour = urgent.is_some() && (ordinary.is_none() || !queue.favoured);
        let (ring, at) = if favour { (&mut queue.urgent, urgent?) } else { (&mut queue.ordinary, ordinary?) };
        queue.favoured = favour && ordinary.is_some();
        let (tenant, mut passes) = ring.remove(at)?;
        let key = *passes.keys().find(|key| may(key))?;
        let (ticket, waiter) = (key.1, passes.remove(&key)?);
        if !passes.is_empty() {
            ring.push_back((tenant.clone(), passes));
        }
        queue.running += 1;
        self.busy += usize::from(counted);
        *self.running.entry(tenant).or_default() += 1;
        self.waiting.remove(&ticket);
        Some(waiter)
    }

    /// The vendor of this lane asked for a pause: passes over resources without a key wait for `resume`. Returns whether
    /// the lane was not paused yet.
    pub fn pause(&mut self, lane: &Lane) -> bool {
        self.lanes.get_mut(lane).is_some_and(|queue| !std::mem::replace(&mut queue.paused, true))
    }

    /// The pause is over. Returns the passes that may run now; they count as running.
    pub fn resume(&mut self, lane: &Lane) -> Vec<W> {
        if let Some(queue) = self.lanes.get_mut(lane) {
            queue.paused = false;
        }
        let started = self.start(lane);
        self.tidy(lane);
        started
    }

    /// Whether a pass still waits; otherwise it counts as running, or was withdrawn.
    pub fn is_waiting(&self, ticket: u64) -> bool {
        self.waiting.contains_key(&ticket)
    }

    /// A running pass ended; without a pace, it did not begin. Returns the passes that may run now; they count as running.
    pub fn end(&mut self, lane: &Lane, tenant: &str, pace: Option<Pace>) -> Vec<W> {
        if let Some(queue) = self.lanes.get_mut(lane) {
            let share = |queue: &Queue<W>| if counts(lane, queue) { queue.running } else { 0 };
            let before = share(queue);
            queue.running = queue.running.saturating_sub(1);
            queue.pace = pace.unwrap_or(queue.pace);
            self.busy = (self.busy + share(queue)).saturating_sub(before);
        }
        let count = self.running.get(tenant).copied().unwrap_or_default();
        match count {
            0 | 1 => drop(self.running.remove(tenant)),
            more => drop(self.running.insert(tenant.to_owned(), more - 1)),
        }
        let mut started = Vec::new();
        // The namespace was at its limit: it may have passes in other lanes. The lane with the fewest that run is first,
        // and this one last, so that the accounts of a namespace do not starve each other.
        if count >= self.limits.tenant {
            let others = self.lanes.iter().filter(|(it, _)| *it != lane);
            let mut others: Vec<_> = others.map(|(it, queue)| (queue.running, it.clone())).collect();
            others.sort_by_key(|(running, _)| *running);
            for (_, lane) in others {
                started.extend(self.start(&lane));
            }
        }
        self.release_held(&mut started);
        started.extend(self.start(lane));
        self.tidy(lane);
        started
    }

    /// Starts one pass of each lane that waits for the limit of all, as long as there is room.
    fn release_held(&mut self, started: &mut Vec<W>) {
        // Each round starts a pass, or a lane leaves.
        while self.busy < self.limits.all {
            let Some(lane) = self.held.pop_front() else { return };
            let Some(queue) = self.lanes.get_mut(&lane) else { continue };
            queue.held = false;
            let Some(waiter) = self.start_one(&lane) else { continue };
            started.push(waiter);
            if let Some(queue) = self.lanes.get_mut(&lane)
                && !queue.ordinary.is_empty()
                && !std::mem::replace(&mut queue.held, true)
            {
                self.held.push_back(lane);
            }
        }
    }

    /// Number of passes that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The passes that wait, in no order: the lane of each, and what wakes it.
    pub fn waiters(&self) -> impl Iterator<Item = (&Lane, &W)> {
        let rings =
            self.lanes.iter().flat_map(|(lane, queue)| [(lane, &queue.urgent), (lane, &queue.ordinary)]);
        let passes = rings.flat_map(|(lane, ring)| ring.iter().map(move |(_, passes)| (lane, passes)));
        passes.flat_map(|(lane, passes)| passes.values().map(move |waiter| (lane, waiter)))
    }

    fn tidy(&mut self, lane: &Lane) {
        let idle = |queue: &Queue<W>| {
            queue.running == 0 && queue.urgent.is_empty() && queue.ordinary.is_empty() && !queue.paused
        };
        if self.lanes.get(lane).is_some_and(idle) {
            self.lanes.remove(lane);
        }
    }
}

/// Whether the passes of a lane count for the limit of all. Those of a vendor that hangs do not: the others would wait for it.
fn counts<W>(lane: &Lane, queue: &Queue<W>) -> bool {
    queue.pace == Pace::Brisk && !matches!(lane, Lane::Poll(_))
}

#[cfg(test)]
mod tests;
