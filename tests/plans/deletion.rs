//! Decisions about a key whose resource is being deleted.

use super::known::*;
use keysmith::api::rotation::DeletionPolicy;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::deletion::{self, Ending};
use keysmith::plan::facts::Facts;
use keysmith::plan::naming::Serial;

fn going(facts: Facts) -> Facts {
    Facts { deleting: true, ..facts }
}

/// The deletion was claimed a minute ago, and the key is known to be gone.
fn claimed(unsettled: Option<i64>) -> Facts {
    Facts {
        claim: Some(deletion(2, -60, unsettled)),
        gone: [id("one")].into(),
        view: Some(view(-30, &[])),
        ..going(served())
    }
}

#[test]
fn without_our_finalizer_there_is_nothing_to_do() {
    let facts = Facts { finalizer: false, ..going(served()) };
    expect_retired(&facts, Step::Rest(None));
}

#[test]
fn the_deletion_is_claimed_first_above_every_serial() {
    let facts = with_held(going(served()), |it| it.fence = Some(Serial(5)));
    expect_retired(&facts, Step::ClaimDeletion(deletion(6, 0, None)));
}

#[test]
fn a_claim_to_restore_is_no_unsettled_create_call() {
    let restored = Claim { purpose: Purpose::Restore, ..claim(3, -9) };
    let facts = Facts { claim: Some(restored), ..going(served()) };
    expect_retired(&facts, Step::ClaimDeletion(deletion(4, 0, None)));
}

#[test]
fn the_claim_remembers_since_when_a_create_call_is_unsettled() {
    expect_retired(&going(pending(50)), Step::ClaimDeletion(deletion(3, 0, Some(-50))));
}

#[test]
fn a_claim_that_cannot_be_read_any_more_may_have_been_for_a_call_that_still_goes_on() {
    let facts = Facts { claim: None, ..going(served()) };
    expect_retired(&facts, Step::ClaimDeletion(deletion(2, 0, Some(0))));
}

#[test]
fn every_marked_key_that_a_listing_shows_is_revoked() {
    let unseen = Facts { view: None, ..claimed(None) };
    expect_retired(&unseen, look(-60));
    let keys = [(1, listed("one", -90_000)), (9, listed("nine", -9))];
    let seen = Facts { view: Some(view(-30, &keys)), ..claimed(None) };
    expect_retired(&seen, Step::Revoke(vec![id("nine")]));
}

#[test]
fn recorded_keys_are_revoked_whatever_a_listing_shows() {
    let recorded = || Step::Revoke(vec![id("old"), id("one")]);
    let facts = with_record(claimed(None), |it| it.previous = vec![previous("old", -10)]);
    let facts = Facts { gone: [].into(), ..facts };
    expect_retired(&facts, recorded());
    expect_retired(&Facts { view: None, ..facts.clone() }, recorded());
    let keys = [(1, listed("one", -90_000)), (9, listed("nine", -9))];
    expect_retired(&Facts { view: Some(view(-30, &keys)), ..facts.clone() }, recorded());
    let half = Facts { gone: [id("one")].into(), ..facts.clone() };
    expect_retired(&half, Step::Revoke(vec![id("old")]));
    // A key without our mark was left alone.
    let strays = Facts { strays: [id("one"), id("old")].into(), ..facts };
    expect_retired(&strays, Step::Release);
}

#[test]
fn a_key_that_is_only_looked_at_is_not_recorded_as_ours() {
    let facts = with_record(claimed(None), |it| it.serial = None);
    expect_retired(&Facts { gone: [].into(), ..facts }, Step::Release);
}

#[test]
fn a_key_that_only_the_secrets_annotations_name_is_not_believed_to_be_ours() {
    let facts = with_held(claimed(None), |it| it.key_id = Some(id("foreign")));
    expect_retired(&facts, Step::Release);
}

#[test]
fn a_listing_begun_before_the_claim_is_not_believed() {
    let facts = Facts { view: Some(view(-60, &[(9, listed("nine", -9))])), ..claimed(None) };
    expect_retired(&facts, look(-60));
}

#[test]
fn the_finalizer_goes_when_a_listing_shows_nothing_and_no_call_can_land_any_more() {
    expect_retired(&claimed(None), Step::Release);
    let unsettled = || claimed(Some(-100));
    expect_retired(&unsettled(), rest(90));
    expect_retired(&later(unsettled(), 90), look(90));
    let seen = Facts { view: Some(view(90, &[])), ..later(unsettled(), 90) };
    expect_retired(&seen, Step::Release);
    let late = Facts { view: Some(view(90, &[(1, listed("late", 20))])), ..later(unsettled(), 90) };
    expect_retired(&late, Step::Revoke(vec![id("late")]));
}

#[test]
fn every_step_of_a_deletion_says_so() {
    for facts in [going(served()), going(pending(5)), claimed(None), claimed(Some(-5))] {
        assert_eq!(deletion::decide(&facts, DELETE).why, Why::Deleting);
    }
}

fn ending(policy: DeletionPolicy) -> Ending {
    Ending { policy, ..DELETE }
}

#[track_caller]
fn ends(facts: &Facts, ending: Ending, (step, why): (Step, Why)) {
    assert_eq!(deletion::decide(facts, ending), Decision { step, why });
}

#[test]
fn a_retained_key_is_released_once_the_deletion_is_claimed() {
    let retain = ending(DeletionPolicy::Retain);
    let claimed_first = Step::ClaimDeletion(deletion(2, 0, None));
    ends(&going(served()), retain, (claimed_first, Why::Deleting));
    ends(&claimed(Some(-5)), retain, (Step::Release, Why::LeftBehind));
}

#[test]
fn every_key_to_be_disabled_is_disabled_before_its_finalizer_is_removed() {
    let disable = ending(DeletionPolicy::Disable);
    let keys = [(1, listed("one", -90_000)), (2, listed("two", -50))];
    let on = Facts { gone: [].into(), view: Some(view(-30, &keys)), ..claimed(None) };
    ends(&on, disable, (Step::Disable(vec![id("one")]), Why::Deleting));
    let served_off = Facts { disabled: [id("one")].into(), ..on.clone() };
    ends(&served_off, disable, (Step::Disable(vec![id("two")]), Why::Deleting));
    // A listing that lags shows the keys as they were.
    let off = Facts { disabled: [id("one"), id("two")].into(), ..on.clone() };
    ends(&off, disable, (Step::Release, Why::LeftBehind));
    let unlisted = Facts { view: Some(view(-30, &[])), ..on };
    ends(&unlisted, disable, (Step::Disable(vec![id("one")]), Why::Deleting));
    ends(&claimed(Some(-100)), disable, (rest(90), Why::Deleting));
}

#[test]
fn a_forced_deletion_waits_for_nothing() {
    let forced = Ending { forced: true, ..DELETE };
    for facts in [going(served()), going(pending(5)), claimed(Some(-5))] {
        ends(&facts, forced, (Step::Release, Why::LeftBehind));
    }
}
