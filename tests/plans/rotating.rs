//! When and why a served key is rotated.

use super::known::*;
use jiff::SignedDuration;
use keysmith::api::GatewayApiKeyStatus;
use keysmith::api::rotation::{KeyCount, PreviousKey};
use keysmith::api::shared::Period;
use keysmith::plan::budget;
use keysmith::plan::capability::{Ability, Recovery};
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Confirmed, Facts, Target};
use keysmith::plan::issuance::decide;
use keysmith::plan::listing::{Limit, Listed};
use keysmith::plan::naming::Serial;
use keysmith::plan::policy::Renew;
use keysmith::plan::requests::{Cause, RotationRequests};
use keysmith::plan::rotation::{self, Due};
use keysmith::plan::succession::{self, Successor};
use keysmith::plan::window::{Window, Written};

const DAY: i64 = 86_400;

fn wanted(change: impl FnOnce(&mut Desired)) -> Desired {
    let mut desired = Spec::default().desired();
    change(&mut desired);
    desired
}

/// Key `one`, created at the time of the tables, with a lifetime in days.
fn lives(days: i64, spread: f64) -> Facts {
    let facts = with_record(served(), |it| {
        (it.created_at, it.expires_at) = (Some(at(0)), Some(at(days * DAY)));
    });
    Facts { spread, ..facts }
}

#[track_caller]
fn due(facts: &Facts, desired: &Desired, seconds: i64, cause: Cause) {
    assert_eq!(rotation::due(facts, desired), Some(Due { at: at(seconds), cause }));
}

#[track_caller]
fn now(facts: &Facts, desired: &Desired, cause: Cause) {
    let due = rotation::due(facts, desired).unwrap();
    assert_eq!((due.at <= facts.now, due.cause), (true, cause));
    let decision = decide(facts, desired);
    assert_eq!(decision, Decision { step: issue(2), why: Why::Rotation(cause) });
}

#[test]
fn a_key_is_due_a_third_of_its_lifetime_before_it_expires_or_as_written() {
    due(&lives(90, 0.0), &wanted(|_| {}), 60 * DAY, Cause::Expiry);
    let before = |hours| Renew::Before(SignedDuration::from_hours(hours));
    due(&lives(90, 0.0), &wanted(|it| it.policy.renew = before(240)), 80 * DAY, Cause::Expiry);
    due(&lives(90, 0.0), &wanted(|it| it.policy.renew = Renew::Percentage(10)), 81 * DAY, Cause::Expiry);
    // A key is never due when it is made.
    due(&lives(1, 0.0), &wanted(|it| it.policy.renew = before(48)), DAY / 20, Cause::Expiry);
}

#[test]
fn every_resource_is_moved_by_its_own_part_of_a_tenth() {
    due(&lives(90, 0.5), &wanted(|_| {}), 60 * DAY - 3 * DAY / 2, Cause::Expiry);
    let aged = wanted(|it| it.policy.max_age = Some(SignedDuration::from_secs(10 * DAY)));
    due(&lives(90, 0.0), &aged, 10 * DAY, Cause::MaxAge);
    due(&lives(90, 0.5), &aged, 10 * DAY - DAY / 2, Cause::MaxAge);
}

#[test]
fn a_window_is_waited_for_unless_the_key_would_expire() {
    let days = ["Mon".to_owned()];
    let written = Written { days: &days, from: "02:00", until: "04:00", time_zone: None };
    let monday = Window::parse("windows", &written).unwrap();
    let desired = wanted(|it| it.policy.windows = vec![monday.clone()]);
    // The tables begin on a Sunday, at 15:06:40.
    let sunday = 15 * 3600 + 6 * 60 + 40;
    due(&lives(90, 0.0), &desired, 64 * DAY - sunday + 2 * 3600, Cause::Expiry);
    // The next window opens after the rest of the lifetime of a key of three days.
    due(&lives(3, 0.0), &desired, 3 * DAY - DAY / 4, Cause::Expiry);
}

#[test]
fn a_rotation_request_is_due_at_once() {
    let requests = |change: fn(&mut Facts)| {
        let mut facts = served();
        change(&mut facts);
        facts
    };
    let plain = wanted(|_| {});
    now(&requests(|it| it.requests.rotate = Some("1".into())), &plain, Cause::Requested);
    now(&requests(|it| it.requests.leaked = Some("1".into())), &plain, Cause::Leaked);
    let made = with_record(served(), |it| it.immutable_hash = Some("another".into()));
    now(&made, &plain, Cause::Changed);
    let triggered = wanted(|it| it.policy.trigger = Some("2".into()));
    let handled = with_record(served(), |it| it.handled.trigger = Some("1".into()));
    now(&handled, &triggered, Cause::Trigger);
    // The first value of a trigger requests nothing, and neither does a handled value.
    assert_eq!(rotation::due(&served(), &triggered), None);
    let done = with_record(served(), |it| it.handled.trigger = Some("2".into()));
    assert_eq!(rotation::due(&done, &triggered), None);
    let done = with_record(requests(|it| it.requests.rotate = Some("1".into())), |it| {
        it.handled.rotate = Some("1".into());
    });
    assert_eq!(rotation::due(&done, &plain), None);
}

#[test]
fn a_failed_replacement_backs_off_until_a_new_rotation_request() {
    let mut facts = served();
    facts.requests.rotate = Some("1".into());
    let failed = with_record(facts.clone(), |it| {
        (it.rotation_failures, it.next_rotation) = (3, Some(at(40)));
        it.failed_requests = Some(facts.requests.fingerprint());
    });
    expect(&failed, rest(40), Why::Fresh);
    expect(&later(failed.clone(), 40), issue(2), Why::Rotation(Cause::Requested));
    let mut again = failed;
    again.requests.rotate = Some("2".into());
    expect(&again, issue(2), Why::Rotation(Cause::Requested));
    // The request was withdrawn.
    again.requests.rotate = None;
    assert_eq!(rotation::due(&again, &wanted(|_| {})), None);
    assert!(!rotation::wanted(&again, &wanted(|_| {})));
}

#[test]
fn a_replacement_is_overdue_when_half_of_its_time_is_over_or_many_failed() {
    let failing = |failures, days| {
        let facts = with_record(lives(90, 0.0), |it| it.rotation_failures = failures);
        later(facts, days * DAY)
    };
    let desired = wanted(|_| {});
    assert!(!rotation::overdue(&failing(4, 70), &desired));
    // Whatever delays it: with a refused console token no attempt begins.
    assert!(rotation::overdue(&failing(0, 76), &desired));
    assert!(rotation::overdue(&failing(5, 61), &desired));
}

#[test]
fn too_many_keys_within_a_day_stop_every_cause_but_not_for_ever() {
    let count = KeyCount { since: at(-3600), serial: 0, made: 1 };
    let mut facts = with_record(served(), |it| it.count = Some(count));
    facts.requests.rotate = Some("1".into());
    let few = Facts { keys_per_day: 2, ..facts.clone() };
    expect(&few, issue(2), Why::Rotation(Cause::Requested));
    let many = Facts { keys_per_day: 1, ..facts };
    let again = DAY - 3600;
    expect(&many, rest(again), Why::MintingStopped(at(again)));
    expect(&later(many.clone(), again), issue(2), Why::Rotation(Cause::Requested));
    // A leaked key is not kept because of that.
    let mut leaked = many;
    leaked.requests.leaked = Some("1".into());
    expect(&leaked, Step::DropLeaked(id("one")), Why::Leaked);
}

#[test]
fn a_day_is_counted_from_its_first_claim() {
    let old = KeyCount { since: at(0), serial: 4, made: 2 };
    let claimed = |serial, seconds| Some(claim(serial, seconds));
    assert_eq!(rotation::counted(None, None), None);
    assert_eq!(rotation::counted(None, claimed(1, 5)), Some(KeyCount { since: at(5), serial: 0, made: 0 }));
    assert_eq!(rotation::counted(Some(&old), claimed(6, DAY - 1)), Some(old.clone()));
    let fresh = KeyCount { since: at(DAY), serial: 6, made: 0 };
    assert_eq!(rotation::counted(Some(&old), claimed(7, DAY)), Some(fresh));
}

#[test]
fn the_rest_of_a_budget_is_shared_and_never_exceeded() {
    let limit = |units: u64, period| Some(Limit { micros: units * 1_000_000, period });
    let has = |left: Option<u64>| Listed { remaining: left, ..listed("one", -90_000) };
    let day = SignedDuration::from_hours(24);
    let table = [
        (Period::Once, Some(1_000_000), Some(Cause::Requested), Some((900_000, Some(100_000)))),
        (Period::Daily, Some(1_000_000), Some(Cause::Requested), Some((500_000, Some(500_000)))),
        (Period::Monthly, Some(0), Some(Cause::Expiry), Some((1, Some(0)))),
        // The rest of a larger former budget exceeds the limit.
        (Period::Once, Some(99_000_000), Some(Cause::Changed), Some((9_000_000, Some(1_000_000)))),
        (Period::Once, Some(1_000_000), Some(Cause::Leaked), Some((1_000_000, None))),
        (Period::Once, Some(1_000_000), Some(Cause::KeyLost), Some((1_000_000, None))),
        (Period::Once, None, Some(Cause::Requested), None),
    ];
    for (period, left, cause, expected) in table {
        let desired = wanted(|it| {
            it.settings.budget = limit(10, period);
            it.policy.overlap = day;
        });
        let shares = budget::shares(Some(&has(left)), &desired, cause, at(0));
        assert_eq!(shares.map(|it| (it.new, it.old)), expected, "{period:?} {left:?} {cause:?}");
    }
    let none = budget::shares(Some(&has(Some(5))), &wanted(|_| {}), None, at(0));
    assert_eq!(none, None, "no budget");
}

#[test]
fn the_unspent_budget_of_an_old_key_goes_back_while_its_period_runs() {
    let has = |left| Listed { remaining: Some(left), ..listed("one", -90_000) };
    let daily = wanted(|it| {
        it.settings.budget = Some(Limit { micros: 10_000_000, period: Period::Daily });
    });
    let given =
        |old, served, replaced| budget::given_back(&has(old), &has(served), at(replaced), &daily, at(0));
    assert_eq!(given(400_000, 500_000, -60), Some(900_000));
    assert_eq!(given(9_000_000, 5_000_000, -60), Some(10_000_000), "never more than the limit");
    assert_eq!(given(0, 500_000, -60), None);
    assert_eq!(given(400_000, 500_000, -2 * DAY), None, "the period is another one");
}

#[test]
fn an_old_key_is_cut_to_its_share_of_the_budget_and_the_oldest_is_revoked_when_there_are_too_many() {
    let shared = || PreviousKey { cut_to: Some("0.50".into()), ..previous("old", -60) };
    let facts = with_record(served(), |it| it.previous = vec![shared()]);
    expect(&facts, Step::Cut(id("old"), 500_000), Why::Overlap);
    let crowd = ["a", "b", "c"].into_iter().zip(1_u64..);
    let crowd = crowd.map(|(name, serial)| PreviousKey { serial, ..previous(name, -60) }).collect();
    let facts = with_record(served(), |it| it.previous = crowd);
    expect(&facts, Step::Retire(id("a")), Why::TooMany);
    expect(&Facts { proven: false, ..facts }, Step::Rest(None), Why::Fresh);
}

fn once(facts: Facts) -> Facts {
    Facts { ability: Ability { recovery: Recovery::Once, ..facts.ability }, ..facts }
}

#[test]
fn a_secret_lost_at_a_vendor_that_shows_a_key_once_is_a_replacement() {
    let absent = once(Facts { target: Target::Absent, ..served() });
    expect(&absent, issue(2), Why::Rotation(Cause::SecretLost));
    let failed = with_record(absent, |it| {
        (it.rotation_failures, it.next_rotation) = (1, Some(at(9)));
        it.failed_requests = Some(served().requests.fingerprint());
    });
    expect(&failed, rest(9), Why::BackingOff);
}

#[test]
fn an_undelivered_key_shown_once_is_abandoned_when_its_creating_process_has_ended() {
    let found = |ago: i64| once(Facts { view: Some(view(-5, &[(2, listed("two", -ago))])), ..pending(ago) });
    expect(&found(39), rest(1), Why::AnswerLost);
    expect(&found(40), Step::AbandonAttempt(Serial(2)), Why::AttemptFailed);
}

#[test]
fn a_leaked_key_whose_secret_is_lost_is_replaced_and_not_restored() {
    let mut facts = Facts { target: Target::Absent, ..served() };
    facts.requests.leaked = Some("1".into());
    expect(&facts, issue(2), Why::Rotation(Cause::Leaked));
    expect(&once(facts), issue(2), Why::Rotation(Cause::Leaked));
}

#[test]
fn a_leaked_key_is_given_up_as_soon_as_making_another_one_does_not_succeed_at_once() {
    let leaked = |facts: Facts| {
        let mut facts = facts;
        facts.requests.leaked = Some("1".into());
        facts
    };
    let drop_leaked = || Step::DropLeaked(id("one"));
    expect(&leaked(pending(5)), drop_leaked(), Why::Leaked);
    let mut failed = leaked(with_record(served(), |it| it.rotation_failures = 1));
    // A failure before the declaration of the leak does not count for the first attempt after it.
    expect(&failed, issue(2), Why::Rotation(Cause::Leaked));
    failed.record.failed_requests = Some(failed.requests.fingerprint());
    expect(&failed, drop_leaked(), Why::Leaked);
    let elsewhere = leaked(with_record(served(), |it| it.failures = 1));
    expect(&elsewhere, issue(2), Why::Rotation(Cause::Leaked));
    let foreign = Target::Foreign { owner: "another".into() };
    expect(&leaked(Facts { target: foreign, ..served() }), drop_leaked(), Why::Leaked);
}

#[test]
fn a_dead_key_is_not_replaced_as_often_as_the_vendor_loses_answers() {
    let failed = |facts: Facts| {
        with_record(facts, |it| {
            (it.rotation_failures, it.next_rotation) = (2, Some(at(40)));
            it.failed_requests = Some(served().requests.fingerprint());
        })
    };
    let gone = with_record(served(), |it| it.missing_since = Some(at(-60)));
    let gone = failed(Facts { confirmed: Confirmed::Gone, view: Some(view(0, &[])), ..gone });
    let expired = failed(with_record(served(), |it| it.expires_at = Some(at(0))));
    for (facts, cause) in [(gone, Cause::KeyLost), (expired, Cause::Expired)] {
        expect(&facts, rest(40), Why::BackingOff);
        expect(&later(facts, 40), issue(2), Why::Rotation(cause));
    }
}

/// The first key is replaced before a pass recorded the content with which its readers started.
#[test]
fn readers_are_restarted_although_the_first_content_was_not_written_down() {
    let served =
        || GatewayApiKeyStatus { id: Some("key_1".to_owned()), serial: Some(1), ..Default::default() };
    for (restart, written) in [(true, true), (false, false)] {
        let desired = Spec { restart, ..Spec::default() }.desired();
        let mut status = served();
        let successor = Successor {
            id: &id("key_2"),
            serial: Serial(2),
            settled: Serial(2),
            listed: None,
            shares: None,
            cause: Some(Cause::Trigger),
            requests: &RotationRequests::default(),
            desired: &desired,
            now: at(0),
            spread: 0.0,
        };
        succession::succeed(&mut status, &successor);
        assert_eq!(status.internal.restarted_revision.is_some(), written);
    }
}
