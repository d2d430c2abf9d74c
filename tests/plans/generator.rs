//! The events of a history, and the generator of random histories.

use super::class::Class;
use super::fate::Fate;
use super::user::Act;
use proptest::prelude::*;

/// One event.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// An operator has its next effect. If it has none under way, it starts a pass with the resource as of so many
    /// versions before.
    Move { who: usize, fate: Fate, late: usize },
    /// An operator finishes its pass without a fault.
    Finish(usize),
    /// An operator is killed and started again.
    Crash(usize),
    /// An operator polls.
    Poll(usize, u16),
    /// The sweep of an operator has its next effect. If none is under way, one starts with a listing made now.
    MoveSweep { who: usize, fate: Fate, roll: u16 },
    /// An operator sweeps, or ends its sweep, without a fault.
    Sweep(usize, u16),
    /// Time passes.
    Wait(u16),
    /// A user acts.
    User(Act),
}

/// A history.
#[expect(clippy::struct_excessive_bools, reason = "each is drawn on its own")]
#[derive(Clone, Debug)]
pub struct History {
    pub class: Class,
    pub events: Vec<Event>,
    /// Whether the resource names a key that existed before, to be adopted.
    pub adopts: bool,
    /// Whether that key has the mark of a former resource, and so is not adopted.
    pub former: bool,
    /// Whether the limit of keys per day is low. No final peace is checked then, because a key may have to wait.
    pub braked: bool,
    /// Whether keys created before the peace expire after a quarter of an hour.
    pub expiring: bool,
    /// The operators that run in the peace: one of the two, or both.
    pub survivor: Option<usize>,
    /// Whether operators sweep in the peace.
    pub sweeps: bool,
    /// Whether a process may pause for any time between claim and create call, and live. A deletion cannot wait for
    /// that, so nothing is deleted in such histories unless operators sweep in the peace.
    pub pauses: bool,
}

/// The edit that sets `deletionPolicy: Retain`.
const KEEP: u8 = 13 + 14 * 2;

/// Histories without sweeps. Nothing finds the key of a process that pauses beyond the deletion of the resource,
/// so nothing is deleted where processes pause.
pub fn histories(longest: usize) -> impl Strategy<Value = History> {
    all(longest, events(), prologues()).prop_map(|mut history| {
        let pauses = history.pauses;
        history.events.retain(|event| !pauses || !matches!(event, Event::User(Act::DeleteResource)));
        history
    })
}

/// Histories with sweeps, most of them after the deletion of the resource.
pub fn swept_histories(longest: usize) -> impl Strategy<Value = History> {
    let sweep = (0_usize..2, fates(), any::<u16>()).prop_map(|(who, fate, roll)| Event::MoveSweep {
        who,
        fate,
        roll,
    });
    let event = prop_oneof![
        40 => events(),
        8 => sweep,
        2 => (0_usize..2, any::<u16>()).prop_map(|(who, roll)| Event::Sweep(who, roll)),
        1 => Just(Event::User(Act::LoseSight)),
        1 => Just(Event::User(Act::FillLedger)),
    ];
    let prologue = prop_oneof![1 => prologues(), 2 => swept_prologues()];
    (all(longest, event, prologue), any::<bool>()).prop_map(|(history, former)| History {
        former: history.adopts && former,
        sweeps: true,
        ..history
    })
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        16 => Just(Fate::Fine),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Unknown),
        2 => Just(Fate::Lost),
        2 => (1_u8..=60).prop_map(Fate::Late),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let late = prop_oneof![4 => Just(0_usize), 1 => 1_usize..4];
    prop_oneof![
        24 => (0_usize..2, fates(), late).prop_map(|(who, fate, late)| Event::Move { who, fate, late }),
        4 => (0_usize..2).prop_map(Event::Finish),
        2 => (0_usize..2).prop_map(Event::Crash),
        3 => (0_usize..2, any::<u16>()).prop_map(|(who, roll)| Event::Poll(who, roll)),
        4 => prop_oneof![1_u16..20, 20_u16..200, Just(600_u16)].prop_map(Event::Wait),
        5 => super::user::acts().prop_map(Event::User),
    ]
}

fn all(
    longest: usize,
    event: impl Strategy<Value = Event>,
    prologue: impl Strategy<Value = Vec<Event>>,
) -> impl Strategy<Value = History> {
    (
        prop::collection::vec(event, 0..longest),
        prologue,
        (prop::sample::select(Class::ALL.to_vec()), any::<bool>(), any::<bool>()),
        (prop_oneof![Just(None), Just(Some(0)), Just(Some(1))], 0_u8..8),
    )
        .prop_map(|(events, mut prologue, (class, expiring, pauses), (survivor, kind))| {
            prologue.extend(events);
            // If the name is the identity, a key cannot be renamed and so not be adopted.
            let adopts = kind == 0 && matches!(class, Class::Reveal | Class::Once);
            History {
                class,
                events: prologue,
                adopts,
                former: false,
                sweeps: false,
                braked: kind == 1,
                expiring,
                survivor,
                pauses,
            }
        })
}

/// States that random events rarely reach: a key that is served, or lost, or expired; an unused key that both operators
/// know; one operator about to revoke it while the other replaces the served key; one operator paused after its claim;
/// the other one taking over from either.
fn prologues() -> impl Strategy<Value = Vec<Event>> {
    let polls = [Event::Wait(31), Event::Poll(0, 0), Event::Poll(1, 0)];
    let served = vec![Event::Finish(0)];
    let expired = [served.clone(), vec![Event::Wait(901)]].concat();
    let lost = [served.clone(), vec![Event::User(Act::DeleteKey(0))], polls.to_vec()].concat();
    let planted = [served.clone(), vec![Event::User(Act::PlantKey)], polls.to_vec()].concat();
    let replaced = vec![Event::User(Act::Rotate(1)), Event::Finish(0)];
    // Unused keys are announced when they are seen, and revoked one poll later.
    let announced =
        [Event::Finish(0), Event::Finish(1), Event::Wait(301), Event::Poll(0, 0), Event::Poll(1, 0)];
    let spare = [planted, replaced, polls.to_vec(), announced.to_vec()].concat();
    let next = Event::Move { who: 0, fate: Fate::Fine, late: 0 };
    let other = Event::Move { who: 1, fate: Fate::Fine, late: 0 };
    let swept = [spare.clone(), vec![Event::Finish(1), Event::Wait(31)]].concat();
    let spared = spare.clone();
    let sweeping = (0_usize..=6, 3_usize..=8).prop_map(move |(mine, yours)| {
        let another = vec![Event::User(Act::Rotate(2))];
        [spared.clone(), vec![next; mine], another, vec![other; yours], vec![next; 4]].concat()
    });
    let before = expired.clone();
    let duel = (5_usize..=8, 0_usize..=8).prop_map(move |(mine, yours)| {
        let pause = vec![Event::Wait(200), Event::Poll(1, 0)];
        [before.clone(), vec![next; mine], pause, vec![other; yours]].concat()
    });
    // One operator created a key and paused before the delivery; the request was withdrawn, and the other operator
    // revokes the unused key.
    let made = [served.clone(), vec![Event::User(Act::Rotate(1))]].concat();
    let withdrawn = (5_usize..=12).prop_map(move |mine| {
        let takes_over = [Event::Wait(200), Event::Poll(1, 0), Event::Finish(1)];
        let tells = [Event::User(Act::ReplaceObject), Event::Finish(1), Event::Finish(1)];
        let revokes = [Event::Wait(301), Event::Poll(1, 0), Event::Finish(1), Event::Finish(1)];
        let played = [takes_over.to_vec(), tells.to_vec(), revokes.to_vec()].concat();
        [made.clone(), vec![next; mine], played, vec![next; 4]].concat()
    });
    prop_oneof![
        2 => Just(Vec::new()),
        2 => withdrawn,
        1 => Just(served),
        1 => Just(lost),
        1 => Just(expired),
        1 => Just(spare),
        3 => sweeping,
        1 => Just(swept),
        4 => duel,
    ]
}

/// The resource is gone, and its key remains: it was kept on purpose, or the finalizer was removed before. Or the resource is
/// there, and a sweep does not see it.
fn swept_prologues() -> impl Strategy<Value = Vec<Event>> {
    let sweeps = [Event::Sweep(0, 1), Event::Wait(601), Event::Sweep(0, 2), Event::Sweep(1, 3)];
    let gone = |before: Event| {
        let deleted =
            [Event::Finish(0), before, Event::User(Act::DeleteResource), Event::Finish(0), Event::Finish(0)];
        [&deleted[..], &[Event::Wait(40)], &sweeps, &[Event::Wait(601)], &sweeps].concat()
    };
    let unseen = [Event::Finish(0), Event::Wait(40), Event::User(Act::LoseSight)];
    // The ledger has no room for a key that is left by force, or its vendor hides the key that was kept.
    let by_force = [Event::Finish(0), Event::User(Act::FillLedger), Event::User(Act::ForceOrphan)];
    let hidden = [Event::Finish(0), Event::User(Act::HideKey), Event::User(Act::EditSpec(KEEP))];
    let deleted = [Event::User(Act::DeleteResource), Event::Finish(0), Event::Finish(0), Event::Wait(40)];
    let later = [&deleted[..], &sweeps, &[Event::User(Act::ShowKeys), Event::Wait(601)], &sweeps].concat();
    prop_oneof![
        2 => Just(gone(Event::User(Act::EditSpec(KEEP)))),
        2 => Just(gone(Event::User(Act::ReplaceObject))),
        1 => Just([&unseen[..], &sweeps].concat()),
        1 => Just([&by_force[..], &later].concat()),
        1 => Just([&hidden[..], &later, &[Event::Wait(601)], &sweeps].concat()),
    ]
}
