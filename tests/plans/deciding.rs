//! Decisions about a key that should exist.

use super::known::*;
use jiff::SignedDuration;
use keysmith::api::rotation::SecretContest;
use keysmith::plan::capability::Recovery;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Confirmed, Facts, Held, KeyInSecret, Record, Target};
use keysmith::plan::issuance::{decide, hold};
use keysmith::plan::naming::Serial;
use keysmith::plan::requests::Cause;
use keysmith::plan::retry::plus;
use keysmith::plan::spec_error::SpecError;
use keysmith::plan::{contest, facts::Mends};

/// The latest time after a claim at which its create call can land and be listed.
const SETTLED: i64 = 70;

#[test]
fn a_new_resource_gets_its_first_key() {
    expect(&new(), issue(1), Why::NeverIssued);
}

#[test]
fn everything_as_it_should_be_is_left_alone_until_the_key_is_due() {
    expect(&served(), Step::Rest(None), Why::Fresh);
    let facts = with_record(served(), |it| {
        (it.created_at, it.expires_at) = (Some(at(-100)), Some(at(500)));
    });
    // A third of the lifetime, and a twentieth of that by UID.
    expect(&facts, rest(500 - 210), Why::Fresh);
}

#[test]
fn an_expired_key_is_replaced_at_the_second_it_expires() {
    let facts = with_record(served(), |it| it.expires_at = Some(at(0)));
    expect(&facts, issue(2), Why::Rotation(Cause::Expired));
}

#[test]
fn a_foreign_secret_is_checked_every_minute_whatever_else_is_due() {
    let owner = "Certificate web".to_owned();
    for facts in [new(), served(), pending(10)] {
        let facts = Facts { target: Target::Foreign { owner: owner.clone() }, ..facts };
        expect(&facts, rest(60), Why::SecretTaken(owner.clone()));
    }
}

#[test]
fn a_secret_of_another_type_stops_everything_until_it_is_deleted() {
    let facts = with_held(served(), |it| it.kind_fits = false);
    expect(&facts, Step::Rest(None), Why::TypeFixed);
}

#[test]
fn a_backoff_ends_early_after_an_edit_or_a_rotation_request() {
    let failing = || {
        with_record(new(), |it| {
            (it.failures, it.next_attempt_at) = (3, Some(at(40)));
        })
    };
    expect(&failing(), rest(40), Why::BackingOff);
    expect(&later(failing(), 40), issue(1), Why::NeverIssued);
    let edited = Facts { generation: Some(2), ..failing() };
    expect(&edited, issue(1), Why::NeverIssued);
    let asked = Facts { requested: true, ..failing() };
    expect(&asked, issue(1), Why::NeverIssued);
}

#[test]
fn an_edit_that_was_tried_already_does_not_override_the_wait() {
    let facts = with_record(served(), |it| {
        it.failures = 1;
        it.next_attempt_at = Some(at(9));
        it.generation = Some(1);
        it.attempted = Some(2);
    });
    let facts = Facts { generation: Some(2), ..facts };
    expect(&facts, rest(9), Why::BackingOff);
    expect(&later(facts, 9), Step::Confirm(id("one")), Why::SpecChanged);
}

#[test]
fn a_lost_answer_is_looked_up_in_a_listing_begun_after_the_claim() {
    expect(&pending(50), look(-50), Why::AnswerLost);
    let never = Facts { view: None, ..pending(50) };
    expect(&never, look(-50), Why::AnswerLost);
}

#[test]
fn a_key_of_the_claimed_serial_is_recovered() {
    let facts = Facts {
        view: Some(view(-5, &[(1, listed("one", -90_000)), (2, listed("two", -49))])),
        ..pending(50)
    };
    expect(&facts, Step::Recover(Serial(2), id("two")), Why::AnswerLost);
}

#[test]
fn of_two_keys_of_one_serial_the_lower_id_is_recovered_and_the_other_is_unused() {
    let both = [(2, listed("two-b", -49)), (2, listed("two-a", -48))];
    let facts = Facts { view: Some(view(-5, &both)), ..pending(50) };
    expect(&facts, Step::Recover(Serial(2), id("two-a")), Why::AnswerLost);
    let committed = with_record(facts, |it| {
        (it.id, it.serial, it.settled) = (Some(id("two-a")), Some(Serial(2)), Serial(2));
        it.created_at = Some(at(-48));
    });
    let committed = Facts { target: Target::Ours(held(2, "two-a")), ..committed };
    expect(&committed, Step::Announce(vec![id("two-b")]), Why::Unused);
    expect(&announced(committed, "two-b"), Step::Revoke(vec![id("two-b")]), Why::Unused);
}

#[test]
fn a_key_planted_under_the_serial_long_before_the_claim_is_not_adopted() {
    let facts = Facts { view: Some(view(-5, &[(2, listed("planted", -50 - 901))])), ..pending(50) };
    expect(&facts, rest(20), Why::AnswerLost);
    let within_skew = Facts { view: Some(view(-5, &[(2, listed("two", -50 - 900))])), ..pending(50) };
    expect(&within_skew, Step::Recover(Serial(2), id("two")), Why::AnswerLost);
}

#[test]
fn a_key_that_is_gone_is_not_adopted_whatever_a_lagging_listing_shows() {
    let facts =
        Facts { view: Some(view(-5, &[(2, listed("two", -49))])), gone: [id("two")].into(), ..pending(50) };
    expect(&facts, rest(20), Why::AnswerLost);
}

#[test]
fn a_create_call_is_given_up_only_after_a_listing_begun_when_it_could_not_land_any_more() {
    let seen = |facts: Facts, seconds| Facts { view: Some(view(seconds, &[])), ..facts };
    expect(&seen(pending(SETTLED - 1), -1), rest(1), Why::AnswerLost);
    expect(&seen(pending(SETTLED), -1), look(0), Why::AnswerLost);
    expect(&seen(pending(SETTLED), 0), Step::AbandonAttempt(Serial(2)), Why::AttemptFailed);
    let first = with_record(seen(pending(SETTLED), 0), |it| (it.id, it.serial) = (None, None));
    expect(&first, issue(3), Why::AttemptFailed);
}

#[test]
fn a_key_that_the_secret_holds_under_the_claim_only_needs_to_be_recorded() {
    let facts = Facts { target: Target::Ours(held(2, "two")), ..pending(50) };
    expect(&facts, Step::Commit(Serial(2), id("two")), Why::AnswerLost);
}

#[test]
fn a_found_key_that_cannot_be_delivered_over_a_newer_secret_is_replaced_and_becomes_unused() {
    let facts = Facts {
        view: Some(view(-5, &[(2, listed("two", -49))])),
        target: Target::Ours(held(7, "seven")),
        ..pending(50)
    };
    expect(&facts, Step::AbandonAttempt(Serial(2)), Why::AttemptFailed);
    let first = with_record(facts, |it| (it.id, it.serial) = (None, None));
    expect(&first, issue(8), Why::AttemptFailed);
    let fenced = with_held(first, |it| {
        (it.serial, it.fence) = (Some(Serial(1)), Some(Serial(3)));
    });
    expect(&fenced, issue(4), Why::AttemptFailed);
}

/// The vendor reports the served key gone for the second time, and a fresh listing does not show it either.
fn missing(facts: Facts) -> Facts {
    let facts = with_record(facts, |it| it.missing_since = Some(at(-60)));
    Facts { confirmed: Confirmed::Gone, view: Some(view(0, &[])), ..facts }
}

#[test]
fn a_key_missing_from_two_listings_a_minute_apart_is_replaced_and_one_listing_is_no_proof() {
    let first = Facts { confirmed: Confirmed::Gone, ..served() };
    expect(&first, Step::Miss(id("one")), Why::KeyMissing);
    let early = with_record(missing(served()), |it| it.missing_since = Some(at(-59)));
    expect(&early, rest(1), Why::KeyMissing);
    let unasked = with_record(served(), |it| it.missing_since = Some(at(-59)));
    expect(&unasked, rest(1), Why::KeyMissing);
    expect(&later(unasked, 1), Step::Confirm(id("one")), Why::KeyMissing);
    let old_listing = Facts { view: Some(view(-1, &[])), ..missing(served()) };
    let before = Step::Look(plus(at(0), -SignedDuration::from_nanos(1)));
    expect(&old_listing, before, Why::KeyMissing);
    expect(&missing(served()), issue(2), Why::Rotation(Cause::KeyLost));
}

#[test]
fn a_key_that_a_listing_shows_or_that_is_back_is_not_gone() {
    let listed_again = Facts { view: Some(view(0, &[(1, listed("one", -90_000))])), ..missing(served()) };
    expect(&listed_again, rest(60), Why::KeyMissing);
    let shown = with_record(served(), |it| it.missing_since = Some(at(-30)));
    let shown = Facts { view: Some(view(-10, &[(1, listed("one", -90_000))])), ..shown };
    expect(&shown, Step::Confirm(id("one")), Why::KeyMissing);
    let back = Facts { confirmed: Confirmed::from(Some(listed("one", -90_000))), ..shown };
    expect(&back, Step::Rest(None), Why::Fresh);
}

#[test]
fn in_an_account_that_is_in_doubt_no_key_is_gone() {
    for facts in [Facts { confirmed: Confirmed::Gone, ..served() }, missing(served())] {
        let doubted = Facts { doubted: true, ..facts };
        expect(&doubted, rest(60), Why::AccountDoubted);
    }
}

#[test]
fn a_vendor_whose_listing_lags_longer_is_given_longer() {
    let mut facts = missing(served());
    facts.ability.listing_lag = SignedDuration::from_secs(100);
    expect(&facts, rest(140), Why::KeyMissing);
}

#[test]
fn a_deleted_edited_or_outdated_secret_is_written_again_with_the_same_key() {
    let restore = || Step::Restore(Serial(1), id("one"));
    let absent = Facts { target: Target::Absent, ..served() };
    expect(&absent, restore(), Why::SecretDeleted);
    let without = |facts: Facts| with_held(facts, |it| (it.key, it.whole) = (None, false));
    let edited = with_held(served(), |it| it.intact = false);
    expect(&without(edited), restore(), Why::SecretEdited);
    let other_key = with_held(served(), |it| it.key_id = Some(id("other")));
    expect(&without(other_key), restore(), Why::SecretEdited);
    let outdated = with_held(served(), |it| it.current = false);
    expect(&without(outdated), restore(), Why::TemplateChanged);
}

#[test]
fn the_bytes_of_another_key_of_the_same_serial_are_not_taken_for_the_served_key() {
    let stands = |key: Option<&str>| {
        let key = Some(KeyInSecret { serial: Serial(1), id: key.map(id) });
        with_held(served(), |it| (it.key, it.intact) = (key, false))
    };
    let twin = stands(Some("other"));
    assert!(!twin.serves(), "applications read another key");
    expect(&twin, Step::Restore(Serial(1), id("one")), Why::SecretEdited);
    let unknown = stands(None);
    assert!(unknown.serves(), "version 0.1 did not record which key it is");
    expect(&unknown, Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
}

#[test]
fn a_secret_in_which_the_key_stands_is_written_around_it_at_every_vendor() {
    type Edit = fn(&mut Held);
    let rewrite = || Step::Rewrite(Serial(1), id("one"));
    let edits: [(Edit, Why); 4] = [
        (|it| it.intact = false, Why::SecretEdited),
        (|it| it.current = false, Why::TemplateChanged),
        (|it| it.key_id = Some(id("other")), Why::SecretEdited),
        (|it| it.serial = None, Why::SecretEdited),
    ];
    for recovery in [Recovery::Reveal, Recovery::Rotate, Recovery::Once] {
        for (edit, why) in &edits {
            let mut facts = with_held(served(), edit);
            facts.ability.recovery = recovery;
            expect(&facts, rewrite(), why.clone());
            let after_a_failure = with_record(facts.clone(), |it| {
                (it.next_attempt_at, it.failures) = (Some(at(500)), 3);
                it.failed_requests = Some(served().requests.fingerprint());
            });
            expect(&after_a_failure, rewrite(), why.clone());
            facts = with_held(facts, |it| it.immutable = true);
            expect(&facts, Step::Rest(None), Why::SecretImmutable);
        }
    }
}

fn mends(this: u32) -> Mends {
    Mends { this, whatever: this }
}

#[test]
fn a_secret_changed_in_a_different_way_each_time_is_left_as_well() {
    let edited = with_held(served(), |it| (it.intact, it.state) = (false, "one".into()));
    let changed = |whatever| Facts { mended: Mends { this: 0, whatever }, ..edited.clone() };
    expect(&changed(11), Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
    expect(&changed(12), Step::Contest, Why::Contested);
    let found = contest::found(&changed(12));
    let left = with_record(changed(12), |it| it.contest = Some(found.clone()));
    let left = with_held(left, |it| it.state = "another".into());
    expect(&left, rest(3600), Why::Fresh);
    let deleted = Facts { target: Target::Absent, ..left };
    expect(&deleted, Step::Restore(Serial(1), id("one")), Why::SecretDeleted);
}

#[test]
fn a_leaked_key_is_revoked_whatever_else_fails() {
    let leaked = |failures| {
        with_record(served(), |it| {
            it.previous = vec![previous("two", 0)];
            it.previous[0].leaked = true;
            it.failures = failures;
        })
    };
    for failures in 0..4 {
        expect(&leaked(failures), Step::Retire(id("two")), Why::Leaked);
    }
    // No key is served: the vendor has no room for another key before this one is revoked.
    let forsaken = |failures| with_record(leaked(failures), |it| (it.id, it.serial) = (None, None));
    for failures in 0..4 {
        let decision =
            keysmith::plan::issuance::decide(&forsaken(failures), &super::cluster::Spec::default().desired());
        let retires = decision.step == Step::Retire(id("two"));
        assert_eq!(retires, failures % 2 == 0, "{failures}: {decision:?}");
    }
}

#[test]
fn a_secret_reverted_three_times_is_left_alone_for_an_hour_or_until_requested() {
    let dressed = with_held(served(), |it| (it.intact, it.state) = (false, "dressed".into()));
    expect(
        &Facts { mended: mends(1), ..dressed.clone() },
        Step::Rewrite(Serial(1), id("one")),
        Why::SecretEdited,
    );
    let found = Facts { mended: mends(2), ..dressed.clone() };
    expect(&found, Step::Contest, Why::Contested);
    let contest = |since| SecretContest { state: "dressed".into(), differs: vec![], since: at(since) };
    let left = |since| with_record(found.clone(), |it| it.contest = Some(contest(since)));
    expect(&left(-10), rest(3590), Why::Fresh);
    let stripped = with_held(left(-10), |it| (it.key, it.whole) = (None, false));
    expect(&stripped, rest(3590), Why::Contested);
    let again = Facts { mended: mends(0), ..left(-3600) };
    expect(&again, Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
    let asked = Facts { requested: true, ..left(-10) };
    expect(&asked, Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
    // A request allows one more attempt, and then the verification that was requested.
    expect(&Facts { mended: mends(3), ..asked }, Step::Confirm(id("one")), Why::SpecChanged);
    expect(&Facts { requested: true, mended: mends(3), ..dressed.clone() }, Step::Contest, Why::Contested);
    let other = with_held(Facts { mended: mends(0), ..left(-10) }, |it| it.state = "otherwise".into());
    expect(&other, Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
}

#[test]
fn a_secret_that_loses_the_key_again_costs_one_key_and_not_one_after_the_other() {
    let mut lost = with_held(served(), |it| {
        (it.key, it.whole, it.intact) = (None, false, false);
    });
    lost.ability.recovery = Recovery::Once;
    lost.lost_since = Some(at(-10));
    expect(&lost, issue(2), Why::Rotation(Cause::SecretLost));
    let again = with_record(lost, |it| {
        (it.rotated_for, it.rotated_at) = (Some("SecretLost".into()), Some(at(-20)));
    });
    expect(&again, rest(3580), Why::Contested);
    expect(&Facts { requested: true, ..again.clone() }, issue(2), Why::Rotation(Cause::SecretLost));
    expect(&later(again, 3580), issue(2), Why::Rotation(Cause::SecretLost));
}

#[test]
fn an_immutable_secret_keeps_the_old_key_and_no_key_is_made_for_it() {
    let fixed = with_held(served(), |it| it.immutable = true);
    expect(&fixed, Step::Rest(None), Why::Fresh);
    let mut asked = fixed.clone();
    asked.requests.rotate = Some("now".into());
    expect(&asked, Step::Rest(None), Why::SecretImmutable);
    let mut leaked = fixed;
    leaked.requests.leaked = Some("now".into());
    expect(&leaked, Step::DropLeaked(id("one")), Why::Leaked);
}

#[test]
fn finalizer_and_claim_come_back_as_long_as_there_are_keys() {
    let record = served().record;
    // The serial of the lost claim is unknown: its create call may still be under way.
    let restored = Some(Claim { unsettled: Some(at(0)), ..Claim::new(Serial(2), at(0), Purpose::Restore) });
    assert_eq!(hold(&record, true, Some(claim(1, -900)), at(0)), None);
    assert_eq!(hold(&record, false, Some(claim(4, -900)), at(0)), Some(claim(4, -900)));
    assert_eq!(hold(&record, true, None, at(0)), restored);
    assert_eq!(hold(&record, false, None, at(0)), restored);
    let blank = new().record;
    assert_eq!(hold(&blank, false, None, at(0)), None);
    // No key is served yet, but a serial was claimed.
    let tried = with_record(new(), |it| {
        it.count = Some(keysmith::api::rotation::KeyCount { since: at(-5), serial: 0, made: 0 });
    });
    let first = Claim { unsettled: Some(at(0)), ..Claim::new(Serial(1), at(0), Purpose::Restore) };
    assert_eq!(hold(&tried.record, false, None, at(0)), Some(first));
    let previous = with_record(new(), |it| {
        (it.previous, it.settled) = (vec![previous("old", -60)], Serial(3));
    });
    let serial = hold(&previous.record, false, None, at(0)).map(|claim| claim.serial);
    assert_eq!(serial, Some(Serial(4)));
}

#[test]
fn a_deletion_awaits_what_a_lost_claim_may_have_been_for() {
    let restored = Claim { unsettled: Some(at(-5)), ..Claim::new(Serial(2), at(-5), Purpose::Restore) };
    let facts = Facts { claim: Some(restored), deleting: true, ..served() };
    expect_retired(&facts, Step::ClaimDeletion(deletion(3, 0, Some(-5))));
}

#[test]
fn a_fence_raised_by_a_claim_does_not_keep_the_served_key_out() {
    let facts = with_record(pending(500), |it| it.settled = Serial(2));
    let facts = with_held(facts, |it| (it.fence, it.intact) = (Some(Serial(2)), false));
    expect(&facts, Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
}

#[test]
fn a_secret_whose_annotations_outrank_the_claim_is_outranked_before_it_is_written() {
    let facts = with_held(served(), |it| (it.fence, it.intact) = (Some(Serial(9)), false));
    expect(&facts, Step::BumpSerial(Serial(10)), Why::SecretEdited);
    let facts = with_held(served(), |it| it.serial = Some(Serial(4)));
    expect(&facts, Step::BumpSerial(Serial(5)), Why::SecretEdited);
    let claimed = Facts { claim: Some(Claim { purpose: Purpose::Restore, ..claim(5, -1) }), ..facts };
    expect(&claimed, Step::Rewrite(Serial(1), id("one")), Why::SecretEdited);
}

#[test]
fn a_field_without_effect_keeps_a_first_key_from_being_made_and_nothing_else() {
    let idle = Some(SpecError::idle("spec.rotation.windows", "has no effect"));
    let wanted = Desired { idle, ..Spec::default().desired() };
    let decide = |facts: &Facts| decide(facts, &wanted);
    assert_eq!(decide(&new()), Decision { step: Step::Rest(None), why: Why::Idle });
    assert_eq!(decide(&served()).why, Why::Fresh);
    assert_eq!(decide(&missing(served())).step, issue(2));
    // A leaked key was dropped before another one was created.
    let forsaken =
        with_record(new(), |it| (it.immutable_hash, it.settled) = (Some("hash".to_owned()), Serial(1)));
    assert_eq!(decide(&forsaken).why, Why::NeverIssued);
    assert_ne!(decide(&Facts { claim: Some(claim(1, -900)), ..new() }).why, Why::Idle);
}

#[test]
fn a_fence_above_the_claim_alone_is_no_fault() {
    let facts = with_held(served(), |it| it.fence = Some(Serial(9)));
    expect(&facts, Step::Rest(None), Why::Fresh);
}

#[test]
fn neither_stripped_nor_broken_claims_nor_an_older_status_rewind_the_serial() {
    assert_eq!(Claim::decode(Some("{\"serial\":"), &super::cluster::identity()), None);
    let lost = |facts: Facts| Facts { claim: None, ..missing(facts) };
    expect(&lost(served()), issue(2), Why::Rotation(Cause::KeyLost));
    let fenced = with_held(lost(served()), |it| it.fence = Some(Serial(6)));
    expect(&fenced, issue(7), Why::Rotation(Cause::KeyLost));
    let settled = with_record(lost(served()), |it| it.settled = Serial(4));
    expect(&settled, issue(5), Why::Rotation(Cause::KeyLost));
    let listed_above = Facts { view: Some(view(0, &[(8, listed("eight", -70))])), ..lost(served()) };
    expect(&listed_above, issue(9), Why::Rotation(Cause::KeyLost));
    let restored = with_record(Facts { claim: Some(claim(5, -900)), ..lost(served()) }, |it| {
        it.settled = Serial(5);
    });
    expect(&restored, issue(6), Why::Rotation(Cause::KeyLost));
}

#[test]
fn a_status_that_was_restored_from_before_the_key_makes_the_claim_pending_again_and_finds_it() {
    let facts = Facts { record: Record::default(), target: Target::Ours(held(1, "one")), ..served() };
    let facts = with_record(facts, |it| it.attempted = Some(1));
    expect(&facts, Step::Commit(Serial(1), id("one")), Why::AnswerLost);
    let without_secret = Facts { target: Target::Absent, ..facts };
    expect(&without_secret, Step::Recover(Serial(1), id("one")), Why::AnswerLost);
}

#[test]
fn stale_knowledge_of_a_failed_attempt_is_settled_by_the_claim_alone() {
    let facts = with_record(pending(500), |it| it.settled = Serial(2));
    expect(&facts, Step::Rest(None), Why::Fresh);
}

#[test]
fn a_key_that_is_gone_is_not_restored_while_the_outcome_of_its_successor_is_awaited() {
    let facts = Facts { target: Target::Absent, view: Some(view(-5, &[])), ..pending(50) };
    expect(&facts, Step::Restore(Serial(1), id("one")), Why::SecretDeleted);
    let gone = Facts { confirmed: Confirmed::Gone, ..facts };
    expect(&gone, rest(20), Why::AnswerLost);
}
