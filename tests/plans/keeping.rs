//! Decisions about the settings of a served key, and about unused keys.

use super::known::*;
use jiff::SignedDuration;
use keysmith::plan::decision::{Step, Why};
use keysmith::plan::drift::Field;
use keysmith::plan::facts::{Confirmed, Facts, Target};
use keysmith::plan::listing::Listed;
use keysmith::plan::naming::Serial;
use keysmith::plan::retry::plus;

fn confirm() -> Step {
    Step::Confirm(id("one"))
}

#[test]
fn a_drift_in_a_listing_is_a_hint_to_ask_and_a_drift_in_the_answer_is_corrected() {
    let facts = Facts { view: Some(view(-60, &[(1, drifted(-90_000))])), ..served() };
    expect(&facts, confirm(), Why::Drift(models()));
    let asked = |answer: Listed| Facts { confirmed: Confirmed::from(Some(answer)), ..facts.clone() };
    expect(&asked(listed("one", -90_000)), Step::Rest(None), Why::Fresh);
    let amend = Step::Amend(id("one"), models());
    expect(&asked(drifted(-90_000)), amend, Why::Drift(models()));
}

#[test]
fn a_changed_specification_a_request_and_an_earlier_failure_are_reasons_to_ask() {
    let edited = Facts { generation: Some(2), ..served() };
    let asked = Facts { requested: true, ..served() };
    let failed = with_record(served(), |it| it.failures = 1);
    for facts in [edited, asked, failed] {
        expect(&facts, confirm(), Why::SpecChanged);
        let confirmed = Facts { confirmed: Confirmed::from(Some(drifted(-90_000))), ..facts };
        let amend = Step::Amend(id("one"), models());
        expect(&confirmed, amend, Why::SpecChanged);
    }
}

#[test]
fn an_amendment_that_the_vendor_accepts_but_does_not_show_is_reported_and_not_repeated() {
    let facts = Facts { confirmed: Confirmed::from(Some(drifted(-90_000))), amended: models(), ..served() };
    expect(&facts, Step::Rest(None), Why::NotApplied(models()));
    let mut worse = drifted(-90_000);
    worse.shown.active = Some(false);
    let fields = vec![Field::Active, Field::Models];
    let facts = Facts { confirmed: Confirmed::from(Some(worse)), ..facts };
    let amend = Step::Amend(id("one"), fields.clone());
    expect(&facts, amend, Why::Drift(fields));
}

#[test]
fn an_email_address_that_is_not_shown_is_compared_with_the_one_last_sent() {
    let facts = with_record(served(), |it| it.sent.email = Some("old@example.com".into()));
    let facts = Facts { confirmed: Confirmed::from(Some(listed("one", -90_000))), ..facts };
    let amend = Step::Amend(id("one"), vec![Field::Email]);
    expect(&facts, amend, Why::Drift(vec![Field::Email]));
}

#[test]
fn a_key_that_is_missing_from_a_listing_is_asked_for() {
    let facts = Facts { view: Some(view(-60, &[])), ..served() };
    expect(&facts, confirm(), Why::KeyLost);
    let unknown_age = with_record(facts, |it| it.created_at = None);
    expect(&unknown_age, confirm(), Why::KeyLost);
}

#[test]
fn a_young_key_that_is_missing_is_looked_for_again_when_the_listing_cannot_lag_any_more() {
    let facts = with_record(served(), |it| it.created_at = Some(at(-10)));
    let facts = Facts { view: Some(view(-5, &[])), ..facts };
    expect(&facts, rest(20), Why::Fresh);
    expect(&later(facts.clone(), 20), look(20), Why::KeyLost);
    let seen = Facts { view: Some(view(21, &[])), ..later(facts, 21) };
    expect(&seen, confirm(), Why::KeyLost);
}

#[test]
fn without_a_listing_nothing_is_asked() {
    let facts = Facts { view: None, ..served() };
    expect(&facts, Step::Rest(None), Why::Fresh);
}

fn beside(serial: u64, name: &str) -> Facts {
    let keys = [(1, listed("one", -90_000)), (serial, listed(name, -500))];
    let facts = Facts {
        claim: Some(claim(3, -90_000)),
        view: Some(view(-60, &keys)),
        ..with_record(served(), |it| it.settled = Serial(3))
    };
    with_held(facts, |it| it.fence = Some(Serial(3)))
}

#[test]
fn a_key_of_ours_that_nothing_uses_is_revoked() {
    for serial in [0, 1, 2, 3] {
        let spare = beside(serial, "spare");
        expect(&spare, Step::Announce(vec![id("spare")]), Why::Unused);
        expect(&announced(spare, "spare"), Step::Revoke(vec![id("spare")]), Why::Unused);
    }
}

#[test]
fn an_unused_key_is_revoked_one_poll_after_it_was_announced_if_a_listing_still_shows_it() {
    let spare = announced(beside(2, "spare"), "spare");
    let early = Facts { now: at(-1), ..spare.clone() };
    expect(&early, rest(0), Why::Fresh);
    let old = Facts { view: beside(2, "spare").view, ..spare };
    expect(&old, Step::Look(plus(at(0), -SignedDuration::from_nanos(1))), Why::Unused);
}

#[test]
fn an_unused_key_that_may_still_be_delivered_is_fenced_out_of_the_secret_first() {
    let facts = with_held(announced(beside(3, "spare"), "spare"), |it| it.fence = Some(Serial(2)));
    expect(&facts, Step::FenceSecret(Serial(3)), Why::Unused);
    let never = with_held(facts, |it| it.fence = None);
    expect(&never, Step::FenceSecret(Serial(3)), Why::Unused);
}

#[test]
fn a_previous_key_is_not_unused() {
    let facts = with_record(beside(2, "old"), |it| it.previous = vec![previous("old", 0)]);
    expect(&facts, rest(600), Why::Fresh);
}

#[test]
fn a_key_above_every_claim_is_left_to_the_controller_that_claimed_it() {
    expect(&beside(4, "newborn"), Step::Rest(None), Why::Fresh);
    let stripped = Facts { claim: None, ..beside(2, "newborn") };
    expect(&stripped, Step::Rest(None), Why::Fresh);
}

#[test]
fn neither_a_key_that_is_gone_nor_one_that_the_secret_names_is_unused() {
    let gone = Facts { gone: [id("spare")].into(), ..beside(2, "spare") };
    expect(&gone, Step::Rest(None), Why::Fresh);
    let named = with_held(beside(2, "two"), |it| it.key_id = Some(id("two")));
    let rewrite = Step::Rewrite(Serial(1), id("one"));
    expect(&named, rewrite, Why::SecretEdited);
}

#[test]
fn nothing_is_revoked_while_a_create_call_is_unsettled() {
    let facts = Facts {
        target: Target::Ours(held(1, "one")),
        view: Some(view(-5, &[(0, listed("old", -90_000)), (1, listed("one", -90_000))])),
        ..pending(50)
    };
    expect(&facts, rest(20), Why::AnswerLost);
}
