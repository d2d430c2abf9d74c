//! Decisions about a provider key that should exist.

use super::known::{at, claim, id};
use super::known_provider_keys::*;
use jiff::SignedDuration;
use keysmith::api::ProviderKeyStatus;
use keysmith::api::provider_key::ProviderKeyInternal;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::naming::Serial;
use keysmith::plan::provider_key::{
    ListedProviderKey, ProviderKeyDecision, ProviderKeyFacts, ProviderKeyStep as Step, ProviderKeyWhy as Why,
    Recorded, Wanted, decide, record,
};

#[track_caller]
fn expect(facts: &ProviderKeyFacts, step: Step, why: Why) {
    assert_eq!(decide(facts, &wanted()), ProviderKeyDecision { step, why });
}

#[test]
fn a_new_resource_gets_a_provider_key_and_is_then_left_alone() {
    expect(&new(), Step::Create(Serial(1)), Why::NeverCreated);
    expect(&at_rest(), Step::Rest(None), Why::Fresh);
}

#[test]
fn a_failure_is_waited_out_unless_something_changed() {
    let status = ProviderKeyStatus { next_attempt_at: Some(at(9)), ..at_rest().status };
    let failing = ProviderKeyFacts { status, ..at_rest() };
    expect(&failing, Step::Rest(Some(at(9))), Why::BackingOff);
    let edited = ProviderKeyFacts { generation: Some(2), ..failing.clone() };
    expect(&edited, Step::Rest(None), Why::Fresh);
    let asked = ProviderKeyFacts { requested: true, ..failing.clone() };
    expect(&asked, Step::Look(at(0)), Why::Requested);
    let rotated = Wanted { content: "other".into(), ..wanted() };
    let decision = decide(&failing, &rotated);
    assert_eq!(decision.why, Why::ContentChanged);
}

#[test]
fn a_changed_credential_makes_a_new_provider_key_beside_the_old_one() {
    let rotated = Wanted { content: "other".into(), ..wanted() };
    let expected = ProviderKeyDecision { step: Step::Create(Serial(2)), why: Why::ContentChanged };
    assert_eq!(decide(&at_rest(), &rotated), expected);
}

#[test]
fn a_lost_answer_is_looked_up_and_given_up_only_when_it_cannot_land_any_more() {
    expect(&pending(10), Step::Look(at(-10)), Why::AnswerLost);
    let found = looked(pending(10), -1, &[entry(1, "one", &["app"]), entry(2, "two", &["app"])]);
    expect(&found, Step::Recover(Serial(2), id("two")), Why::AnswerLost);
    let waiting = looked(pending(10), -1, &[entry(1, "one", &["app"])]);
    expect(&waiting, Step::Rest(Some(at(60))), Why::AnswerLost);
    let stale = looked(pending(70), -1, &[]);
    expect(&stale, Step::Look(at(0)), Why::AnswerLost);
    let settled = looked(pending(70), 0, &[]);
    expect(&settled, Step::Create(Serial(3)), Why::AttemptFailed);
    let nothing_to_tell = looked(pending(70), 0, &[bare()]);
    expect(&nothing_to_tell, Step::Create(Serial(3)), Why::AttemptFailed);
}

#[test]
fn the_hash_in_the_claim_detects_a_credential_that_changed_since() {
    let other_keys = Wanted { assigned_to: keys(&["app", "web"]), ..wanted() };
    let other_content = Wanted { content: "other".into(), ..wanted() };
    assert_eq!(wanted().digest(), wanted().digest());
    assert_ne!(wanted().digest(), other_keys.digest());
    assert_ne!(wanted().digest(), other_content.digest());
    // An adopted provider key that was sent with another credential is recorded without a hash, and so replaced.
    let mut status = at_rest().status;
    status.internal.credential_hash = Some(String::new());
    let outdated = ProviderKeyFacts { status, ..at_rest() };
    expect(&outdated, Step::Create(Serial(2)), Why::ContentChanged);
}

fn reassigning() -> ProviderKeyFacts {
    let status = ProviderKeyStatus { assigned_to: vec!["web".into()], ..at_rest().status };
    ProviderKeyFacts { status, ..at_rest() }
}

#[test]
fn a_changed_assignment_is_tried_in_place_and_recorded_when_the_listing_shows_it() {
    expect(&reassigning(), Step::Reassign(id("one")), Why::AssignmentChanged);
    let done = ProviderKeyFacts { reassigned: true, ..reassigning() };
    let shown = looked(done, -1, &[entry(1, "one", &["app"])]);
    expect(&shown, Step::RecordAssignment, Why::AssignmentChanged);
}

#[test]
fn an_assignment_that_the_vendor_ignores_or_does_not_list_takes_a_new_provider_key() {
    let done = || ProviderKeyFacts { reassigned: true, ..reassigning() };
    let hidden = ListedProviderKey { assigned_to: None, ..entry(1, "one", &[]) };
    for provider_keys in [vec![entry(1, "one", &["web"])], vec![hidden], vec![], vec![bare()]] {
        let facts = looked(done(), -1, &provider_keys);
        expect(&facts, Step::Create(Serial(2)), Why::AssignmentChanged);
    }
}

#[test]
fn an_assignment_changed_in_the_console_is_changed_back() {
    let facts = looked(at_rest(), -1, &[entry(1, "one", &["by hand"])]);
    expect(&facts, Step::Reassign(id("one")), Why::Drift);
    let set_right =
        ProviderKeyFacts { reassigned: true, ..looked(at_rest(), -1, &[entry(1, "one", &["app"])]) };
    expect(&set_right, Step::Rest(None), Why::Fresh);
}

fn missing(since: i64, facts: ProviderKeyFacts) -> ProviderKeyFacts {
    let status = ProviderKeyStatus { missing_since: Some(at(since)), ..facts.status };
    ProviderKeyFacts { status, ..facts }
}

#[test]
fn a_provider_key_counts_as_gone_after_two_listings_a_minute_apart() {
    // A listing of the poll is a hint; a listing obtained on purpose is recorded.
    let hint = ProviderKeyFacts { view: Some(view(-1, &[])), ..at_rest() };
    expect(&hint, Step::Look(at(0)), Why::Missing);
    let first = looked(at_rest(), -1, &[]);
    expect(&first, Step::RecordMissing(at(-1)), Why::Missing);
    expect(&missing(-1, first), Step::Rest(Some(at(59))), Why::Missing);
    // A restart within the minute does not shorten the wait.
    expect(&missing(-59, at_rest()), Step::Rest(Some(at(1))), Why::Missing);
    expect(&missing(-60, at_rest()), Step::Look(at(0)), Why::Missing);
    expect(&missing(-60, hint.clone()), Step::Look(at(0)), Why::Missing);
    expect(&missing(-61, looked(at_rest(), -2, &[])), Step::Look(at(0)), Why::Missing);
    expect(&missing(-61, looked(at_rest(), -1, &[])), Step::Create(Serial(2)), Why::Lost);
    // The wait is longer than the listing may lag.
    let slow = ProviderKeyFacts { listing_lag: SignedDuration::from_secs(90), ..looked(at_rest(), -1, &[]) };
    expect(&missing(-61, slow), Step::Rest(Some(at(30))), Why::Missing);
}

#[test]
fn a_provider_key_that_reappears_is_kept_and_one_replaced_meanwhile_is_removed() {
    let one = || entry(1, "one", &["app"]);
    expect(&missing(-30, looked(at_rest(), -1, &[one()])), Step::RecordFound, Why::Fresh);
    // A bare listing proves nothing, so the loss is not assumed.
    expect(&missing(-30, looked(at_rest(), -1, &[bare()])), Step::RecordFound, Why::Fresh);
    let recorded = Recorded { serial: Serial(2), id: id("two"), created_at: Some(at(-9000)) };
    let status = record(missing(-30, at_rest()).status, &recorded, &wanted(), at(-9000));
    assert_eq!((status.missing_since, status.superseded.as_slice()), (None, &["one".to_owned()][..]));
    let replaced = ProviderKeyFacts { claim: Some(claim(2, -9000)), status, ..at_rest() };
    let later = ProviderKeyStatus { superseded: Vec::new(), ..replaced.status.clone() };
    let later = ProviderKeyFacts { status: later, ..replaced };
    let back = looked(later, -1, &[one(), entry(2, "two", &["app"])]);
    expect(&back, Step::Remove(vec![id("one")]), Why::Superseded);
}

#[test]
fn finalizer_and_claim_come_back_before_anything_else() {
    let restored = |serial, now| Claim {
        unsettled: Some(at(now)),
        ..Claim::new(Serial(serial), at(now), Purpose::Restore)
    };
    let replaced = ProviderKeyFacts { finalizer: false, claim: None, ..at_rest() };
    expect(&replaced, Step::Hold(restored(1, 0)), Why::Unheld);
    let stripped = ProviderKeyFacts { claim: None, ..at_rest() };
    expect(&stripped, Step::Hold(restored(1, 0)), Why::Unheld);
    // An existing claim stays, whatever its purpose.
    let bare = ProviderKeyFacts { finalizer: false, ..pending(10) };
    expect(&bare, Step::Hold(claim(2, -10)), Why::Unheld);
    // The finalizer is also restored during a backoff, and while only removals are left.
    let status = ProviderKeyStatus { next_attempt_at: Some(at(9)), ..replaced.status.clone() };
    expect(&ProviderKeyFacts { status, ..replaced.clone() }, Step::Hold(restored(1, 0)), Why::Unheld);
    for status in [
        ProviderKeyStatus { superseded: vec!["old".into()], ..new().status },
        ProviderKeyStatus { left_behind: vec!["old".into()], ..new().status },
    ] {
        let facts = ProviderKeyFacts { finalizer: false, status, ..new() };
        expect(&facts, Step::Hold(restored(0, 0)), Why::Unheld);
    }
    // No key is recorded: the first claim brings the finalizer.
    expect(&ProviderKeyFacts { finalizer: false, ..new() }, Step::Create(Serial(1)), Why::NeverCreated);
    // The restored claim has the highest serial seen, and the next create call the one after it.
    let listed = looked(replaced, -1, &[entry(1, "one", &["app"]), entry(7, "seven", &["app"])]);
    expect(&listed, Step::Hold(restored(7, 0)), Why::Unheld);
    let held = ProviderKeyFacts { claim: Some(restored(7, -1)), finalizer: true, ..listed };
    let rotated = Wanted { content: "other".into(), ..wanted() };
    assert_eq!(decide(&held, &rotated).step, Step::Create(Serial(8)));
}

#[test]
fn neither_a_young_provider_key_nor_a_bare_listing_makes_a_provider_key_lost() {
    let status = ProviderKeyStatus { created_at: Some(at(-31)), ..at_rest().status };
    let young = ProviderKeyFacts { status, ..at_rest() };
    expect(&looked(young, -1, &[]), Step::Rest(None), Why::Fresh);
    expect(&looked(at_rest(), -1, &[bare()]), Step::Rest(None), Why::Fresh);
}

#[test]
fn superseded_provider_keys_are_removed_once_per_pass_and_then_looked_for() {
    let facts = superseding(at_rest(), &["old"]);
    expect(&facts, Step::Remove(vec![id("old")]), Why::Superseded);
    let facts = tried(facts, &["old"]);
    expect(&facts, Step::Look(at(0)), Why::Superseded);
    let one = || entry(1, "one", &["app"]);
    let settle = |gone: &[&str], left: &[&str]| Step::RecordSuperseded {
        gone: keys(gone).into_iter().collect(),
        left: keys(left).into_iter().collect(),
    };
    let gone = looked(facts.clone(), -1, &[one()]);
    expect(&gone, settle(&["old"], &[]), Why::Superseded);
    let left = looked(facts.clone(), -1, &[one(), entry(0, "old", &[])]);
    expect(&left, settle(&[], &["old"]), Why::Superseded);
    let nothing_to_tell = looked(facts, -1, &[bare()]);
    expect(&nothing_to_tell, settle(&[], &["old"]), Why::Superseded);
}

#[test]
fn what_a_listing_still_shows_counts_only_when_it_cannot_lag_any_more() {
    let facts = tried(superseding(at_rest(), &["old"]), &["old"]);
    let status = ProviderKeyStatus { created_at: Some(at(-9)), ..facts.status.clone() };
    let facts = ProviderKeyFacts { status, ..facts };
    let shown = looked(facts, -1, &[entry(1, "one", &["app"]), entry(0, "old", &[])]);
    expect(&shown, Step::Rest(Some(at(61))), Why::Superseded);
}

#[test]
fn spares_are_removed_but_neither_newer_ones_nor_those_known_to_stay() {
    let one = || entry(1, "one", &["app"]);
    let claimed = || ProviderKeyFacts { claim: Some(claim(3, -9000)), ..at_rest() };
    let status = |left: &[&str]| ProviderKeyStatus {
        internal: ProviderKeyInternal { settled_serial: Some(3), ..ProviderKeyInternal::default() },
        left_behind: left.iter().map(|it| (*it).to_owned()).collect(),
        ..at_rest().status
    };
    let facts = ProviderKeyFacts { status: status(&[]), ..claimed() };
    let spare = looked(facts.clone(), -1, &[one(), entry(3, "spare", &[])]);
    expect(&spare, Step::Remove(vec![id("spare")]), Why::Superseded);
    let newer = looked(facts, -1, &[one(), entry(4, "newer", &[])]);
    expect(&newer, Step::Rest(None), Why::Fresh);
    let known = ProviderKeyFacts { status: status(&["spare"]), ..claimed() };
    let known = looked(known, -1, &[one(), entry(3, "spare", &[])]);
    expect(&known, Step::Rest(None), Why::Fresh);
}
