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

/// How urgent a pass is, the most urgent first. Ranks but `Urgent` count within one namespace: namespaces alternate.
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
    /// Limit for all accounts whose vendors answer, by which memory is bounded. Urgent passes and polls are beyond it.
    pub all: usize,
}

impl Limits {
    /// This many for an account, four times as many for a namespace, and 16 times as many in all.
    pub const fn per_account(lane: usize) -> Self {
        Self { lane, tenant: lane.saturating_mul(4), all: lane.saturating_mul(16) }
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
    /// Whether the vendor asked for a pause: what needs a call for certain keeps its place until the pause is over.
    /// Otherwise those would get the next key that happen to come when the pause ends, and not those whose turn it is.
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
mod tests {
    use super::*;

    fn lane(name: &str) -> Lane {
        Lane::Token(TokenRef::beside(Some("shop".to_owned()), name))
    }

    fn place(lane_name: &str, tenant: &str, rank: Rank) -> Place {
        Place { lane: lane(lane_name), tenant: tenant.to_owned(), rank, slots: None }
    }

    /// Enters passes by name and runs them one after the other. Returns the order.
    fn order(passes: &[(&'static str, &str, Rank)]) -> Vec<&'static str> {
        let mut turns = Turns::new(Limits { lane: 1, tenant: 9, all: 99 });
        // The slot is taken until everybody waits.
        turns.enter(place("a", "nobody", Rank::Routine), "");
        assert_eq!(turns.start(&lane("a")), [""]);
        let mut tenants = HashMap::from([("", "nobody".to_owned())]);
        for (name, tenant, rank) in passes {
            turns.enter(place("a", tenant, *rank), *name);
            tenants.insert(name, (*tenant).to_owned());
        }
        let (mut order, mut last) = (Vec::new(), "");
        while let [next] = turns.end(&lane("a"), &tenants[last], Some(Pace::Brisk)).as_slice() {
            order.push(*next);
            last = next;
        }
        assert!(turns.lanes.is_empty() && turns.running.is_empty() && turns.waiting() == 0);
        assert_eq!((turns.busy, turns.held.len()), (0, 0));
        order
    }

    fn at(second: i64) -> Rank {
        Rank::Due(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn namespaces_take_turns_however_much_one_of_them_has() {
        let one = [
            ("a1", "a", Rank::New),
            ("a2", "a", Rank::New),
            ("a3", "a", Rank::New),
            ("b1", "b", Rank::Routine),
        ];
        assert_eq!(order(&one), ["a1", "b1", "a2", "a3"]);
    }

    #[test]
    fn within_a_namespace_new_keys_come_first_then_the_nearest_expiry() {
        let passes = [
            ("routine", "a", Rank::Routine),
            ("late", "a", at(9)),
            ("soon", "a", at(1)),
            ("new", "a", Rank::New),
        ];
        assert_eq!(order(&passes), ["new", "soon", "late", "routine"]);
    }

    #[test]
    fn what_is_urgent_has_every_second_turn_at_least() {
        let urgent = |name| (name, "a", Rank::Urgent);
        let passes =
            [("b1", "b", Rank::New), urgent("u1"), urgent("u2"), urgent("u3"), ("b2", "b", Rank::New)];
        assert_eq!(order(&passes), ["u1", "b1", "u2", "b2", "u3"]);
    }

    #[test]
    fn an_account_whose_passes_hang_holds_no_slot_of_another() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
        for number in 0..5 {
            turns.enter(place("hangs", "a", Rank::New), number);
        }
        assert_eq!(turns.start(&lane("hangs")), [0, 1]);
        turns.enter(place("other", "a", Rank::Routine), 9);
        assert_eq!(turns.start(&lane("other")), [9]);
    }

    #[test]
    fn an_account_that_is_slow_has_one_slot_until_it_is_brisk_again() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
        for number in 0..6 {
            turns.enter(place("a", "a", Rank::New), number);
        }
        assert_eq!(turns.start(&lane("a")), [0, 1]);
        assert!(turns.end(&lane("a"), "a", Some(Pace::Slow)).is_empty());
        assert_eq!(turns.end(&lane("a"), "a", Some(Pace::Slow)), [2]);
        assert_eq!(turns.end(&lane("a"), "a", Some(Pace::Brisk)), [3, 4]);
    }

    #[test]
    fn a_namespace_has_a_limit_over_all_its_accounts_and_the_next_pass_starts_where_it_waits() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 2, all: 99 });
        for (number, name) in ["a", "a", "b"].into_iter().enumerate() {
            turns.enter(place(name, "greedy", Rank::New), number);
        }
        turns.enter(place("b", "modest", Rank::Routine), 9);
        assert_eq!(turns.start(&lane("a")), [0, 1]);
        assert_eq!(turns.start(&lane("b")), [9], "the other namespace need not wait");
        assert_eq!(turns.end(&lane("a"), "greedy", Some(Pace::Brisk)), [2]);
    }

    #[test]
    fn while_the_vendor_asks_for_a_pause_new_keys_keep_their_places() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
        turns.enter(place("a", "greedy", Rank::New), 0);
        assert_eq!(turns.start(&lane("a")), [0]);
        assert!(turns.pause(&lane("a")) && !turns.pause(&lane("a")));
        assert!(turns.end(&lane("a"), "greedy", Some(Pace::Brisk)).is_empty());
        for (tenant, rank, number) in [
            ("greedy", Rank::New, 1),
            ("greedy", Rank::New, 2),
            ("modest", Rank::New, 3),
            ("greedy", Rank::Routine, 4),
            ("greedy", Rank::Urgent, 5),
        ] {
            turns.enter(place("a", tenant, rank), number);
        }
        assert_eq!(
            turns.start(&lane("a")),
            [5, 4],
            "what may need no call, and what does not wait for pauses"
        );
        for _ in 0..2 {
            assert!(turns.end(&lane("a"), "greedy", Some(Pace::Brisk)).is_empty());
        }
        assert_eq!(turns.resume(&lane("a")), [3, 1], "each namespace has its turn");
        assert_eq!(turns.end(&lane("a"), "modest", Some(Pace::Brisk)), [2]);
        for _ in 0..2 {
            turns.end(&lane("a"), "greedy", Some(Pace::Brisk));
        }
        assert!(turns.lanes.is_empty() && turns.running.is_empty());
    }

    #[test]
    fn a_pass_that_no_longer_waits_gets_no_turn() {
        let mut turns = Turns::new(Limits { lane: 1, tenant: 1, all: 99 });
        let first = turns.enter(place("a", "a", Rank::New), 1);
        let second = turns.enter(place("a", "a", Rank::New), 2);
        assert!(turns.withdraw(first) && !turns.withdraw(first));
        assert_eq!(turns.start(&lane("a")), [2]);
        assert!(!turns.withdraw(second), "it runs");
    }

    #[test]
    fn accounts_of_a_namespace_at_its_limit_do_not_starve_each_other() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 2, all: 99 });
        for number in 0..9 {
            turns.enter(place("busy", "a", Rank::Routine), number);
        }
        assert_eq!(turns.start(&lane("busy")), [0, 1]);
        turns.enter(place("late", "a", Rank::Urgent), 50);
        assert!(turns.start(&lane("late")).is_empty());
        assert_eq!(turns.end(&lane("busy"), "a", Some(Pace::Brisk)), [50]);
    }

    #[test]
    fn a_pass_that_did_not_begin_says_nothing_of_its_vendor() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 99 });
        for number in 0..5 {
            turns.enter(place("a", "a", Rank::New), number);
        }
        assert_eq!(turns.start(&lane("a")), [0, 1]);
        assert!(turns.end(&lane("a"), "a", Some(Pace::Slow)).is_empty());
        assert_eq!(turns.end(&lane("a"), "a", None), [2], "still one slot");
    }

    #[test]
    fn an_account_has_slots_for_half_a_second_of_its_calls() {
        let limits = Limits::per_account(8);
        for (rate, slots) in [(1, 8), (16, 8), (17, 9), (50, 25), (1000, 128)] {
            assert_eq!(limits.slots(rate), slots, "{rate}");
        }
        assert_eq!(Limits { lane: 8, tenant: 8, all: 2 }.slots(1000), 8);
        let mut turns = Turns::new(Limits { lane: 1, tenant: 1, all: 9 });
        for number in 0..4 {
            turns.enter(Place { slots: Some(3), ..place("a", "a", Rank::New) }, number);
        }
        assert_eq!(turns.start(&lane("a")), [0, 1, 2], "one namespace may use all of them");
    }

    #[test]
    fn all_accounts_have_a_limit_together_and_the_emptiest_goes_on() {
        let mut turns = Turns::new(Limits { lane: 3, tenant: 9, all: 4 });
        for (name, number) in [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 10), ("b", 11), ("c", 20)] {
            turns.enter(place(name, "a", Rank::New), number);
        }
        let started: Vec<_> = ["a", "b", "c"].iter().flat_map(|it| turns.start(&lane(it))).collect();
        assert_eq!(started, [0, 1, 2, 10]);
        turns.enter(place("c", "a", Rank::Urgent), 29);
        assert_eq!(turns.start(&lane("c")), [29], "what is urgent does not wait for others");
        // Five run; one must end before there is room for another.
        assert!(turns.end(&lane("a"), "a", Some(Pace::Brisk)).is_empty());
        let next = turns.end(&lane("a"), "a", Some(Pace::Brisk));
        assert!(next == [11] || next == [20] || next == [3], "{next:?}");
        let poll = Lane::Poll(TokenRef::beside(Some("shop".to_owned()), "t"));
        turns.enter(Place { lane: poll.clone(), ..place("a", "a", Rank::Routine) }, 50);
        assert_eq!(turns.start(&poll), [50], "polls do not wait for others");
    }

    #[test]
    fn accounts_that_hang_leave_the_limit_of_all_to_the_others() {
        let mut turns = Turns::new(Limits { lane: 2, tenant: 9, all: 2 });
        for number in 0..4 {
            turns.enter(place("hangs", "a", Rank::New), number);
        }
        assert_eq!(turns.start(&lane("hangs")), [0, 1]);
        turns.enter(place("other", "b", Rank::New), 10);
        turns.enter(place("other", "b", Rank::New), 11);
        assert!(turns.start(&lane("other")).is_empty());
        // As soon as it is known to hang, what it has does not count.
        assert_eq!(turns.end(&lane("hangs"), "a", Some(Pace::Slow)), [10, 11]);
        assert_eq!(turns.end(&lane("hangs"), "a", Some(Pace::Slow)), [2], "one slot");
        assert!(turns.end(&lane("other"), "b", Some(Pace::Brisk)).is_empty());
        turns.enter(place("other", "b", Rank::New), 12);
        assert_eq!(turns.start(&lane("other")), [12]);
    }
}
