//! Regression tests: histories that once failed, in their shrunk form.

use super::class::Class;
use super::fate::Fate;
use super::generator::{Event, History};
use super::history::play;
use super::user::Act;

fn step(who: usize) -> Event {
    with(who, Fate::Fine)
}

fn with(who: usize, fate: Fate) -> Event {
    Event::Move { who, fate, late: 0 }
}

#[track_caller]
fn ends_well(events: impl Into<Vec<Event>>) {
    ends_well_with(&events.into(), false);
}

#[track_caller]
fn ends_well_with(events: &[Event], sweeps: bool) {
    let ways = [(false, None), (false, Some(0)), (true, Some(0)), (true, None)];
    for (class, (expiring, survivor)) in Class::ALL.into_iter().flat_map(|it| ways.map(|way| (it, way))) {
        let history = History {
            class,
            events: events.to_vec(),
            adopts: false,
            former: false,
            sweeps,
            braked: false,
            expiring,
            survivor,
            pauses: false,
        };
        if let Err(error) = play(&history, None, false) {
            let _ = play(&history, None, true);
            panic!("{error}");
        }
    }
}

/// The listing knows of the change already, and the read comes from a replica that lags: the pass finds nothing to do, and the
/// next poll enqueues the resource again, although its listing is the same.
#[test]
fn a_key_renamed_in_the_console_that_a_lagging_read_shows_as_it_was_is_looked_at_again() {
    let settled =
        [vec![Event::Finish(0), Event::Wait(901)], vec![step(0); 6], vec![Event::Wait(200)]].concat();
    let polled = vec![Event::Poll(1, 0), step(1), step(1), step(0), step(0), Event::Wait(14)];
    let renamed = [vec![Event::User(Act::RenameKey(0))], vec![step(0); 4]].concat();
    ends_well([settled, polled, renamed].concat());
}

#[test]
fn a_key_that_a_write_without_an_answer_delivered_is_not_revoked_by_its_maker() {
    let lost = with(0, Fate::Lost);
    let foreign = Event::User(Act::NameForeignKey);
    ends_well(vec![step(0), step(0), step(0), step(0), lost, foreign, Event::Finish(0)]);
}

#[test]
fn a_key_named_by_hand_in_the_secret_is_neither_adopted_nor_changed_nor_revoked() {
    let foreign = Event::User(Act::NameForeignKey);
    let lost = Event::User(Act::DeleteKey(0));
    let going = Event::User(Act::DeleteResource);
    ends_well(vec![Event::Finish(0), foreign]);
    ends_well(vec![Event::Finish(0), foreign, going]);
    let begun = vec![Event::Finish(0), Event::Wait(30), step(0), foreign, step(0), lost];
    ends_well([begun, vec![step(0); 4]].concat());
}

/// One operator recovers a key of the claimed serial that a user planted, while the other delivers its own of that serial. The
/// bytes of the planted key were taken for the served one, and the planted key was revoked.
#[test]
fn of_two_keys_of_one_serial_the_secret_holds_the_one_that_status_names() {
    let rotated = vec![Event::Finish(0), Event::User(Act::Rotate(1)), Event::Finish(0), Event::Wait(700)];
    let planted = vec![Event::Poll(0, 0), Event::Finish(0), Event::Finish(1), Event::User(Act::PlantKey)];
    for moves in 8..24 {
        let race = (0..moves).map(|turn| step(turn % 2));
        let asked = [vec![Event::User(Act::Rotate(2))], race.collect()].concat();
        ends_well([rotated.clone(), planted.clone(), asked].concat());
    }
}

/// The listing of a sweep that pauses is no look: what accounts for its keys is read after it. Two readings in one moment were
/// taken for two looks ten minutes apart.
#[test]
fn a_sweep_that_paused_for_ten_minutes_has_not_looked_twice_at_its_next_sweep() {
    let sweep = Event::MoveSweep { who: 1, fate: Fate::Fine, roll: 0 };
    let paused = [Event::Finish(0), Event::Wait(40), sweep, Event::Wait(600)];
    let unseen = [Event::User(Act::LoseSight), Event::Sweep(1, 0), Event::Sweep(1, 0)];
    ends_well_with(&[&paused[..], &unseen].concat(), true);
}

#[test]
fn a_secret_whose_fence_was_raised_by_hand_is_still_restored() {
    let raised = Event::User(Act::EditAnnotations(2));
    let edited = Event::User(Act::EditSecret);
    ends_well(vec![Event::Finish(0), raised, edited]);
}

#[test]
fn a_listing_older_than_the_last_call_is_not_looked_at_over_and_over() {
    let taken = Event::User(Act::TakeName);
    let mut events = vec![step(1), step(1), step(1), taken, Event::Poll(1, 0), Event::Finish(1)];
    events.extend([Event::User(Act::DeleteSecret), Event::Finish(1)]);
    ends_well(events);
}

#[test]
fn a_create_call_that_lands_a_minute_after_it_was_sent_does_not_outlive_its_resource() {
    let late = with(0, Fate::Late(60));
    let going = Event::User(Act::DeleteResource);
    ends_well(vec![step(0), step(0), step(0), late, going]);
}

#[test]
fn a_key_deleted_in_the_console_before_any_listing_showed_it_is_missed() {
    let mut events = vec![step(1); 4];
    events.extend([Event::User(Act::DeleteKey(0)), Event::Finish(1)]);
    ends_well(events);
}

#[test]
fn an_expired_key_that_only_a_disbelieved_listing_showed_is_revoked() {
    let served = [Event::Finish(0), Event::Wait(5), Event::Wait(901), Event::Poll(0, 0)];
    // The poll falls between the create call and its answer.
    let replaced = [vec![step(0); 6], vec![Event::Poll(0, 0), Event::Finish(0)]].concat();
    ends_well([served.to_vec(), replaced].concat());
}
