//! Decisions about a provider key whose resource is being deleted.

use super::known::{at, deletion, id};
use super::known_provider_keys::*;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::naming::Serial;
use keysmith::plan::provider_key::{
    ListedProviderKey, ProviderKeyDecision, ProviderKeyFacts, ProviderKeyStep as Step, ProviderKeyWhy as Why,
    decide_deletion,
};

#[track_caller]
fn expect_retired(facts: &ProviderKeyFacts, step: Step) {
    let why = Why::Deleting;
    assert_eq!(decide_deletion(facts), ProviderKeyDecision { step, why });
}

fn going() -> ProviderKeyFacts {
    ProviderKeyFacts { claim: Some(deletion(2, -200, None)), ..at_rest() }
}

#[test]
fn a_deletion_is_claimed_and_remembers_an_unsettled_call() {
    let without = ProviderKeyFacts { finalizer: false, ..at_rest() };
    expect_retired(&without, Step::Rest(None));
    expect_retired(&at_rest(), Step::ClaimDeletion(deletion(2, 0, None)));
    expect_retired(&pending(5), Step::ClaimDeletion(deletion(3, 0, Some(-5))));
}

#[test]
fn a_deletion_after_a_claim_that_cannot_be_read_waits_as_if_a_call_were_unsettled() {
    let facts = ProviderKeyFacts { claim: None, ..at_rest() };
    expect_retired(&facts, Step::ClaimDeletion(deletion(2, 0, Some(0))));
}

#[test]
fn a_deletion_after_a_claim_that_was_put_back_waits_since_the_claim_was_lost() {
    let restored = Claim { unsettled: Some(at(-9)), ..Claim::new(Serial(1), at(-9), Purpose::Restore) };
    let facts = ProviderKeyFacts { claim: Some(restored), ..at_rest() };
    expect_retired(&facts, Step::ClaimDeletion(deletion(2, 0, Some(-9))));
}

#[test]
fn a_deletion_removes_the_recorded_the_superseded_and_the_marked_ones() {
    let facts = superseding(going(), &["old"]);
    expect_retired(&facts, Step::Remove(vec![id("old"), id("one")]));
    let facts = looked(tried(facts, &["old", "one"]), -1, &[entry(9, "nine", &[])]);
    expect_retired(&facts, Step::Remove(vec![id("nine")]));
}

#[test]
fn a_deletion_ends_when_the_listing_shows_nothing_any_more() {
    let facts = tried(going(), &["one"]);
    expect_retired(&facts, Step::Look(at(-200)));
    expect_retired(&looked(facts.clone(), -200, &[]), Step::Look(at(-200)));
    expect_retired(&looked(facts, -1, &[]), Step::Release { left: vec![] });
}

#[test]
fn a_deletion_with_an_unsettled_call_waits_until_it_cannot_land_any_more() {
    let unsettled = |ago: i64, seen| {
        let claim = Some(deletion(2, -ago, Some(-ago)));
        looked(tried(ProviderKeyFacts { claim, ..going() }, &["one"]), seen, &[])
    };
    expect_retired(&unsettled(100, -1), Step::Rest(Some(at(90))));
    expect_retired(&unsettled(190, -1), Step::Look(at(0)));
    expect_retired(&unsettled(190, 0), Step::Release { left: vec![] });
}

#[test]
fn a_provider_key_that_the_vendor_neither_removes_nor_shows_is_left_behind_and_reported() {
    let facts = |ago: i64, seen, provider_key: ListedProviderKey| {
        let claim = Some(deletion(2, -ago, None));
        looked(tried(ProviderKeyFacts { claim, ..going() }, &["one"]), seen, &[provider_key])
    };
    let one = || entry(1, "one", &["app"]);
    expect_retired(&facts(50, -1, one()), Step::Rest(Some(at(20))));
    expect_retired(&facts(200, -140, one()), Step::Look(at(-130)));
    let left = || Step::Release { left: vec![id("one")] };
    expect_retired(&facts(200, -1, one()), left());
    expect_retired(&facts(200, -1, bare()), left());
}
