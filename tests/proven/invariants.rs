//! Each invariant is broken by one change to a world that keeps it: an invariant that nothing breaks would prove
//! nothing.

use crate::support::invariants::{
    AtRest, Creations, Key, Resource, Serving, Snapshot, live_keys_are_excusable, no_secret_is_shown,
    serial_does_not_fall, served_key_works,
};

fn key(id: &str) -> Key {
    Key { id: id.to_owned(), name: format!("n-{id}"), secret: format!("secret-{id}"), works: true }
}

fn resource(name: &str, id: &str) -> Resource {
    Resource {
        name: name.to_owned(),
        ready: true,
        current: true,
        id: Some(id.to_owned()),
        held: Some(format!("secret-{id}")),
        ..Resource::default()
    }
}

fn at_rest() -> Snapshot {
    Snapshot {
        resources: vec![resource("a", "1"), resource("b", "2")],
        keys: vec![key("1"), key("2")],
        left: Vec::new(),
    }
}

/// The first invariant that fails after a change.
fn broken(change: impl FnOnce(&mut Snapshot)) -> Option<AtRest> {
    let mut snapshot = at_rest();
    change(&mut snapshot);
    AtRest::ALL.iter().copied().find(|it| it.check(&snapshot).is_err())
}

#[test]
fn every_invariant_of_a_world_at_rest_is_broken_by_one_change() {
    at_rest().check(AtRest::ALL).unwrap();
    Snapshot::default().check(AtRest::ALL).unwrap();
    let cases: &[(fn(&mut Snapshot), AtRest)] = &[
        (|it| it.left.push("the namespace".to_owned()), AtRest::NothingIsLeft),
        (|it| it.resources[1].ready = false, AtRest::EveryResourceIsReady),
        (|it| it.resources[1].current = false, AtRest::EveryResourceIsReady),
        (|it| it.resources[1].previous = 1, AtRest::NoPreviousKeyIsLeft),
        (|it| it.keys.push(key("3")), AtRest::OneKeyPerResource),
        (|it| drop(it.keys.pop()), AtRest::OneKeyPerResource),
        (|it| it.resources.clear(), AtRest::OneKeyPerResource),
        (|it| it.resources[1].id = None, AtRest::StatusNamesALiveKey),
        (|it| it.resources[1].id = Some("3".to_owned()), AtRest::StatusNamesALiveKey),
        (|it| it.resources[1] = resource("b", "1"), AtRest::StatusNamesALiveKey),
        (|it| it.resources[1].held = None, AtRest::TheSecretHoldsTheKey),
        (|it| it.resources[1].held = Some("secret-3".to_owned()), AtRest::TheSecretHoldsTheKey),
        (|it| it.resources[1].held = Some("secret-1".to_owned()), AtRest::TheSecretHoldsTheKey),
        (|it| it.keys[1].works = false, AtRest::TheServedKeyWorks),
    ];
    for (number, (change, invariant)) in cases.iter().enumerate() {
        assert_eq!(broken(*change), Some(*invariant), "case {number}");
    }
    for invariant in AtRest::ALL {
        assert!(cases.iter().any(|(_, it)| it == invariant), "nothing breaks {invariant:?}");
    }
    for part in [AtRest::ONE_KEY_SERVED, AtRest::SERVED] {
        at_rest().check(part).unwrap();
        assert!(part.iter().all(|it| AtRest::ALL.contains(it)));
    }
}

#[test]
fn a_served_key_that_does_not_work_is_excused_by_its_end_or_a_leak_only() {
    let dead = Serving { works: Some(false), ..Serving::default() };
    served_key_works("a", Serving { works: Some(true), ..dead }).unwrap();
    for serving in [dead, Serving { works: None, ..dead }] {
        served_key_works("a", serving).unwrap_err();
        served_key_works("a", Serving { unpromised: true, ..serving }).unwrap();
        served_key_works("a", Serving { ended: true, ..serving }).unwrap();
        served_key_works("a", Serving { leaked: true, ..serving }).unwrap();
    }
}

#[test]
fn a_serial_is_claimed_before_it_is_sent_and_sent_once() {
    let mut creations = Creations::default();
    creations.was_claimed("a", 1).unwrap_err();
    creations.claim("a", 1);
    creations.was_claimed("a", 1).unwrap();
    creations.was_claimed("b", 1).unwrap_err();
    creations.send(Some(("a", 1)), "n").unwrap();
    creations.send(Some(("a", 2)), "n").unwrap();
    creations.send(Some(("b", 1)), "n").unwrap();
    creations.send(Some(("a", 1)), "n").unwrap_err();
    creations.send(None, "by hand").unwrap_err();
}

#[test]
fn keys_serials_and_texts_have_their_bounds() {
    live_keys_are_excusable("a", 5, (1, 2)).unwrap();
    live_keys_are_excusable("a", 6, (1, 2)).unwrap_err();
    serial_does_not_fall("a", (3, 3)).unwrap();
    serial_does_not_fall("a", (3, 2)).unwrap_err();
    let secret_in = |text: &str| text.contains("canary").then(|| "canary".to_owned());
    no_secret_is_shown([("a", "nothing"), ("b", "")], secret_in).unwrap();
    let wrong = no_secret_is_shown([("a", "nothing"), ("log", "a canary-7")], secret_in).unwrap_err();
    assert!(wrong.contains("log") && !wrong.contains("canary-7"), "{wrong}");
}
