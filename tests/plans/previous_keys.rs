//! Decisions about a previous key.

use super::class::Class;
use super::known::*;
use jiff::SignedDuration;
use keysmith::api::rotation::PreviousKey;
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::facts::Facts;
use keysmith::plan::issuance::decide;

/// Key `old` was replaced when the tables begin; its overlap lasts ten minutes, its brown-out two.
fn replaced(now: i64, change: impl FnOnce(&mut PreviousKey)) -> Facts {
    let mut old = previous("old", 0);
    change(&mut old);
    let facts = with_record(served(), |it| it.previous = vec![old]);
    let keys = [(0, listed("old", -90_000)), (1, listed("one", -90_000))];
    later(Facts { view: Some(view(now, &keys)), ..facts }, now)
}

fn used(facts: Facts, seconds: i64) -> Facts {
    let mut facts = facts;
    for own in facts.view.iter_mut().flat_map(|it| &mut it.own).filter(|own| own.key.id == id("old")) {
        own.key.last_used_at = Some(at(seconds));
    }
    facts
}

fn switch(on: bool) -> Step {
    Step::Switch(id("old"), on)
}

fn retire() -> Step {
    Step::Retire(id("old"))
}

#[test]
fn an_old_key_works_for_the_overlap_then_is_off_and_then_gone() {
    expect(&replaced(0, |_| {}), rest(600), Why::Fresh);
    expect(&replaced(599, |_| {}), rest(600), Why::Fresh);
    expect(&replaced(600, |_| {}), switch(false), Why::Overlap);
    let off = |it: &mut PreviousKey| it.disabled_at = Some(at(600));
    expect(&replaced(719, off), rest(720), Why::Fresh);
    expect(&replaced(720, off), retire(), Why::Overlap);
}

#[test]
fn an_old_key_that_is_used_is_waited_for_but_not_for_ever() {
    // No call during a quarter of the overlap.
    expect(&used(replaced(600, |_| {}), 590), rest(740), Why::Fresh);
    expect(&used(replaced(740, |_| {}), 590), switch(false), Why::Overlap);
    expect(&used(replaced(1199, |_| {}), 1190), rest(1200), Why::Fresh);
    expect(&used(replaced(1200, |_| {}), 1190), switch(false), Why::StillInUse);
}

#[test]
fn a_listing_from_before_the_end_of_the_overlap_does_not_count() {
    let facts = Facts { view: Some(view(300, &[(0, listed("old", -90_000))])), ..replaced(600, |_| {}) };
    let decision = decide(&facts, &Spec::default().desired());
    assert!(matches!(decision.step, Step::Look(_)), "{decision:?}");
}

#[test]
fn a_longer_overlap_switches_a_key_on_again() {
    let facts = replaced(650, |it| it.disabled_at = Some(at(600)));
    let longer = Spec { patient: true, ..Spec::default() };
    let decision = decide(&facts, &longer.desired());
    assert_eq!(decision, Decision { step: switch(true), why: Why::Overlap });
}

#[test]
fn where_keys_cannot_be_switched_off_the_old_one_is_revoked_after_the_overlap() {
    let mut facts = replaced(600, |_| {});
    facts.ability = Class::Once.capabilities().ability();
    let decision = decide(&facts, &Spec { class: Class::Once, ..Spec::default() }.desired());
    assert_eq!(decision, Decision { step: retire(), why: Why::Overlap });
}

#[test]
fn a_leaked_key_has_no_overlap() {
    expect(&replaced(0, |it| it.leaked = true), retire(), Why::Leaked);
}

#[test]
fn the_overlap_that_counts_is_the_present_one() {
    let mut desired = Spec::default().desired();
    desired.policy.overlap = SignedDuration::ZERO;
    let decision = decide(&replaced(1, |_| {}), &desired);
    assert_eq!(decision, Decision { step: switch(false), why: Why::Overlap });
}

#[test]
fn the_entries_of_a_key_that_is_gone_leave_the_secret() {
    let facts = with_held(served(), |it| it.previous = Some(keysmith::plan::naming::Serial(0)));
    expect(&facts, Step::PrunePrevious, Why::Overlap);
    // A fence above every claim, raised by hand or by a process that died then, refuses our writes until a claim
    // outranks it.
    let fenced = with_held(facts.clone(), |it| it.fence = Some(keysmith::plan::naming::Serial(7)));
    expect(&fenced, Step::BumpSerial(keysmith::plan::naming::Serial(8)), Why::Overlap);
    let kept = with_record(facts, |it| it.previous = vec![previous("old", 0)]);
    expect(&kept, rest(600), Why::Fresh);
}
