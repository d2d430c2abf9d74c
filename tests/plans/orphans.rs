//! The keys that count as orphans, and when they may be revoked.

use jiff::{SignedDuration, Timestamp};
use keysmith::plan::ledger::{Book, Entry, Owner, Place, Why};
use keysmith::plan::listing::{KeyId, Listed, Shown};
use keysmith::plan::naming::{ClusterId, Mark, Serial};
use keysmith::plan::orphans::{self, APART, AT_ONCE, Known, Orphan, Sight, Stage, Suspects};
use proptest::prelude::*;

fn cluster() -> ClusterId {
    ClusterId("ours".into())
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

/// A key created an hour after the ledger.
fn key(id: &str, name: String) -> Listed {
    Listed {
        id: KeyId(id.into()),
        name,
        created_at: Some(at(-60)),
        expires_at: None,
        last_used_at: None,
        spent: None,
        remaining: None,
        unread: Vec::new(),
        shown: Shown::default(),
    }
}

fn marked(id: &str, uid: &str) -> Listed {
    key(id, Mark::new(&cluster(), uid).name("x", Serial(1)))
}

fn known() -> Known {
    Known { book: Book { since: Some(at(-120)), ..Book::default() }, ..Known::default() }
}

fn entry(id: &str) -> Entry {
    Entry {
        time: at(0),
        owner: Owner::default(),
        place: Place::default(),
        key_id: Some(id.into()),
        mark: None,
        serial: None,
        why: Why::Retain,
    }
}

fn look(keys: &[Listed], known: &Known, before: &Suspects, minutes: i64) -> Vec<Orphan> {
    let sight = Sight { cluster: &cluster(), as_of: at(minutes), read_at: at(minutes), keys };
    orphans::sweep(sight, known, before)
}

/// The verdict on the only listed key.
fn fate(listed: &Listed, known: &Known, first: Option<i64>, minutes: i64) -> Option<Stage> {
    let before = first.map(|it| (listed.id.clone(), at(it))).into_iter().collect();
    look(std::slice::from_ref(listed), known, &before, minutes).first().map(|it| it.stage)
}

#[test]
fn a_key_is_suspected_first_and_confirmed_ten_minutes_later() {
    let orphan = marked("key_1", "gone");
    for (first, now, expected) in [
        (None, 0, Stage::Suspected),
        (Some(0), 0, Stage::Suspected),
        (Some(0), 9, Stage::Suspected),
        (Some(0), 10, Stage::Confirmed),
        (Some(0), 600, Stage::Confirmed),
        // A clock that went back leads to no decision.
        (Some(60), 0, Stage::Suspected),
    ] {
        assert_eq!(fate(&orphan, &known(), first, now), Some(expected), "{first:?} {now}");
    }
}

#[test]
fn a_sweep_that_paused_after_its_listing_counts_from_its_reading() {
    let (keys, cluster) = ([marked("key_1", "gone")], cluster());
    let sight = |as_of: i64, read_at: i64| Sight {
        cluster: &cluster,
        as_of: at(as_of),
        read_at: at(read_at),
        keys: &keys,
    };
    let before = orphans::suspects(&orphans::sweep(sight(0, 15), &known(), &Suspects::new()));
    assert_eq!(orphans::sweep(sight(16, 16), &known(), &before)[0].stage, Stage::Suspected);
    assert_eq!(orphans::sweep(sight(25, 25), &known(), &before)[0].stage, Stage::Confirmed);
}

#[test]
fn the_first_sight_counts_however_often_it_is_seen_again() {
    let keys = [marked("key_1", "gone")];
    let mut before = Suspects::new();
    for minutes in [0, 4, 8] {
        let found = look(&keys, &known(), &before, minutes);
        assert_eq!((found[0].stage, found[0].since), (Stage::Suspected, at(0)));
        before = orphans::suspects(&found);
    }
    let found = look(&keys, &known(), &before, 12);
    assert_eq!(orphans::condemned(&found), [KeyId("key_1".into())]);
    // A key that was accounted for in between is suspected anew.
    let meanwhile = Known { ids: ["key_1".to_owned()].into(), ..known() };
    let before = orphans::suspects(&look(&keys, &meanwhile, &before, 12));
    assert_eq!(look(&keys, &known(), &before, 16)[0].stage, Stage::Suspected);
}

#[test]
fn a_key_of_a_resource_ledger_or_other_cluster_is_no_orphan() {
    let mark = Mark::new(&cluster(), "uid");
    let mine = Known { marks: [mark.clone()].into(), ..known() };
    let ledger = |entry| Known { book: Book { entries: vec![entry], ..known().book }, ..known() };
    let by_mark = Entry { key_id: None, mark: Some(mark.to_string()), ..entry("") };
    let other = key("key_1", Mark::new(&ClusterId("theirs".into()), "uid").name("x", Serial(1)));
    for (listed, known) in [
        (marked("key_1", "uid"), mine),
        (marked("key_1", "uid"), Known { ids: ["key_1".to_owned()].into(), ..known() }),
        (marked("key_1", "uid"), ledger(entry("key_1"))),
        (marked("key_1", "uid"), ledger(by_mark.clone())),
        (marked("key_1", "uid"), ledger(Entry { serial: Some(1), ..by_mark })),
        (other, known()),
        (key("key_1", "made by hand".into()), known()),
        (key("key_1", format!("x [{mark}-1] copy")), known()),
    ] {
        assert_eq!(fate(&listed, &known, Some(0), 60), None, "{listed:?}");
    }
}

#[test]
fn a_key_older_than_the_ledger_is_left_to_people() {
    let made = |minutes: Option<i64>| Listed { created_at: minutes.map(at), ..marked("key_1", "gone") };
    let none = Known { book: Book::default(), ..known() };
    for (listed, known, expected) in [
        (made(Some(-200)), known(), Stage::Unvouched),
        // The vendor's clock may be ahead.
        (made(Some(-110)), known(), Stage::Unvouched),
        (made(Some(-105)), known(), Stage::Confirmed),
        (made(None), known(), Stage::Unvouched),
        (made(Some(-60)), none, Stage::Unvouched),
    ] {
        assert_eq!(fate(&listed, &known, Some(0), 60), Some(expected), "{listed:?}");
    }
}

#[test]
fn one_sweep_removes_no_more_than_it_may() {
    let keys: Vec<_> = (0..50).map(|number| marked(&format!("key_{number}"), "gone")).collect();
    let before = orphans::suspects(&look(&keys, &known(), &Suspects::new(), 0));
    assert_eq!(orphans::condemned(&look(&keys, &known(), &before, 60)).len(), AT_ONCE);
}

#[test]
fn events_say_what_happens_next_and_name_a_few() {
    let keys: Vec<_> = (0..7).map(|number| marked(&format!("key_{number}"), "gone")).collect();
    let found = look(&keys, &known(), &Suspects::new(), 0);
    let notice = orphans::found(&found, &Suspects::new()).unwrap();
    assert!(notice.warning && notice.note.contains("accounts for 7 keys at"), "{}", notice.note);
    assert!(notice.note.contains("key_4 and 2 more") && !notice.note.contains("key_5"), "{}", notice.note);
    assert!(
        notice.note.contains("revoked by the first sweep after") && !notice.note.contains("not revoked"),
        "{}",
        notice.note
    );
    // A revocation that no sweep will make is not announced, and the others still are.
    let mut mixed = keys.clone();
    mixed[0].created_at = None;
    let notice = orphans::found(&look(&mixed, &known(), &Suspects::new(), 0), &Suspects::new()).unwrap();
    assert!(
        notice.note.contains("mark: key_1, ")
            && notice.note.contains("; key_0 still WORKS and is not revoked by Keysmith"),
        "{}",
        notice.note
    );
    for key in &mut mixed {
        key.created_at = None;
    }
    let notice = orphans::found(&look(&mixed, &known(), &Suspects::new(), 0), &Suspects::new()).unwrap();
    assert!(
        !notice.note.contains("revoked by the first")
            && notice.note.contains("does not say when it was made"),
        "{}",
        notice.note
    );
    assert_eq!(orphans::found(&found, &orphans::suspects(&found)), None);
    assert_eq!(orphans::revoked(&[]), None);
    assert!(orphans::revoked(&[KeyId("key_1".into())]).unwrap().note.starts_with("1 key revoked"));
}

/// A key at the vendor with every property that matters.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each can be the matter without the others")]
struct Case {
    owner: u8,
    cluster: bool,
    marked: bool,
    noted: bool,
    named: bool,
    created: Option<i64>,
    first: Option<i64>,
}

fn case() -> impl Strategy<Value = Case> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (0_u8..6, flags, prop::option::of(-200_i64..0), prop::option::of(-100_i64..100)).prop_map(
        |(owner, (cluster, marked, noted, named), created, first)| Case {
            owner,
            cluster,
            marked,
            noted,
            named,
            created,
            first,
        },
    )
}

proptest! {
    #[test]
    fn only_certain_orphans_are_revoked(
        cases in prop::collection::vec(case(), 0..40),
        alive in prop::collection::btree_set(0_u8..6, 0..4),
        now in -100_i64..200,
    ) {
        let id = |number: usize| format!("key_{number}");
        let keys: Vec<_> = cases.iter().enumerate().map(|(number, case)| {
            let place = if case.cluster { cluster() } else { ClusterId("theirs".into()) };
            let mark = Mark::new(&place, &case.owner.to_string());
            let name = if case.marked { mark.name("x", Serial(number as u64)) } else { "x".to_owned() };
            Listed { created_at: case.created.map(at), ..key(&id(number), name) }
        }).collect();
        let numbered = || cases.iter().enumerate();
        let known = Known {
            marks: alive.iter().map(|uid| Mark::new(&cluster(), &uid.to_string())).collect(),
            ids: numbered().filter(|(_, it)| it.named).map(|(number, _)| id(number)).collect(),
            book: Book {
                entries: numbered().filter(|(_, it)| it.noted).map(|(number, _)| entry(&id(number))).collect(),
                ..known().book
            },
        };
        let before: Suspects = numbered()
            .filter_map(|(number, it)| Some((KeyId(id(number)), at(it.first?))))
            .collect();
        let found = look(&keys, &known, &before, now);
        for condemned in orphans::condemned(&found) {
            let number: usize = condemned.0["key_".len()..].parse().unwrap();
            let case = &cases[number];
            prop_assert!(case.marked && case.cluster && !case.noted && !case.named, "{:?}", case);
            prop_assert!(!alive.contains(&case.owner), "{:?}", case);
            prop_assert!(case.created.is_some_and(|it| at(it) > at(-120)), "{:?}", case);
            // The key was seen before, long enough ago.
            let apart = case.first.map(|first| SignedDuration::from_mins(now - first));
            prop_assert!(apart.is_some_and(|it| it >= APART), "{:?}", case);
        }
        // No suspect is forgotten between two sweeps, and its first sighting stays the first.
        for (id, since) in orphans::suspects(&found) {
            prop_assert_eq!(since, before.get(&id).copied().unwrap_or(at(now)));
        }
    }
}
