//! Decisions about keys that exist already.

use super::cluster::{identity, mark};
use super::known::*;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Confirmed, Facts, Record, Target};
use keysmith::plan::issuance::decide;
use keysmith::plan::listing::Listed;
use keysmith::plan::naming::{ClusterId, Identity, Mark, Serial};

const AGAIN: i64 = 600;

fn external(observed: bool) -> Desired {
    Desired { external_id: Some(id("theirs")), observed, ..Spec::default().desired() }
}

fn named(name: &str) -> Listed {
    Listed { name: name.into(), ..listed("theirs", -90_000) }
}

fn confirmed(key: Option<Listed>) -> Facts {
    Facts { confirmed: key.into(), ..new() }
}

#[track_caller]
fn takes(facts: &Facts, observed: bool, (step, why): (Step, Why)) {
    assert_eq!(decide(facts, &external(observed)), Decision { step, why });
}

#[test]
fn a_key_that_is_named_is_looked_at_claimed_marked_and_recorded() {
    takes(&new(), false, (Step::Confirm(id("theirs")), Why::TakenOver));
    let found = confirmed(Some(named("By hand")));
    takes(&found, false, (Step::BumpSerial(Serial(1)), Why::TakenOver));
    let claimed = Facts { claim: Some(Claim { purpose: Purpose::Restore, ..claim(1, -1) }), ..found };
    let brand = Step::TagKey(id("theirs"), Serial(1), "checkout-0".into());
    takes(&claimed, false, (brand, Why::TakenOver));
    let marked = confirmed(Some(named(&mark().name("By hand", Serial(1)))));
    takes(&marked, false, (Step::RecordKey(Serial(1), id("theirs")), Why::TakenOver));
}

#[test]
fn a_key_that_was_taken_over_is_kept_like_any_other() {
    let mut facts =
        with_record(served(), |it| it.immutable_hash = Some(Spec::default().desired().immutable_hash));
    facts.target = Target::Absent;
    takes(&facts, false, (Step::Restore(Serial(1), id("one")), Why::SecretDeleted));
}

#[test]
fn a_key_that_does_not_exist_or_is_managed_elsewhere_is_looked_at_again_and_none_is_made() {
    takes(&confirmed(None), false, (rest(AGAIN), Why::ExternalMissing));
    let here = Mark::new(&ClusterId("the-cluster".into()), "another resource");
    let there = Mark::new(&ClusterId("another".into()), "another resource");
    for (other, same) in [(here, true), (there, false)] {
        let facts = confirmed(Some(named(&other.name("x", Serial(1)))));
        takes(&facts, false, (rest(AGAIN), Why::OwnedElsewhere(same)));
    }
}

#[test]
fn a_key_that_is_only_observed_is_never_touched() {
    takes(&new(), true, (Step::Look(jiff::Timestamp::UNIX_EPOCH), Why::Observed));
    let looked = Facts { view: Some(view(-5, &[])), ..new() };
    takes(&looked, true, (Step::Confirm(id("theirs")), Why::Observed));
    let listed = Facts { external: Some(named("By hand")), ..looked.clone() };
    takes(&listed, true, (Step::Rest(None), Why::Observed));
    let gone = Facts { confirmed: Confirmed::Gone, ..looked };
    takes(&gone, true, (rest(AGAIN), Why::ExternalMissing));
    let mut asked = listed;
    (asked.requests.rotate, asked.requests.leaked) = (Some("1".into()), Some("1".into()));
    takes(&asked, true, (Step::Rest(None), Why::Observed));
}

fn restored(keys: &[(u64, Listed)]) -> Facts {
    let former = Mark::new(&ClusterId("the-cluster".into()), "the resource before");
    let mut view = view(-5, keys);
    for own in &mut view.own {
        own.key.name = former.name("checkout-0", own.serial);
    }
    Facts {
        claim: Some(claim(2, -90_000)),
        record: Record { attempted: Some(1), ..Record::default() },
        identity: Identity { former: Some(former), ..identity() },
        view: Some(view),
        ..new()
    }
}

#[test]
fn a_resource_restored_from_a_backup_finds_its_newest_key_again() {
    let keys = [(1, listed("one", -90_000)), (2, listed("two", -80_000)), (3, listed("three", -9))];
    let unseen = Facts { view: None, ..restored(&keys) };
    expect(&unseen, Step::Look(jiff::Timestamp::UNIX_EPOCH), Why::Relinked);
    // The third key was created after the backup, and the claim does not know it.
    expect(&restored(&keys), Step::RecordKey(Serial(2), id("two")), Why::Relinked);
}

#[test]
fn a_resource_restored_from_a_backup_whose_keys_are_gone_gets_another_one() {
    let facts = restored(&[]);
    let decision = decide(&facts, &Spec::default().desired());
    assert_eq!(decision, Decision { step: issue(3), why: Why::AttemptFailed });
}
