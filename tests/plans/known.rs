//! Facts for the tables: a served key at rest; each test changes some of them.

use jiff::{SignedDuration, Timestamp};
use keysmith::api::rotation::{DeletionPolicy, PreviousKey};
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::deletion::{self, Ending};
use keysmith::plan::drift::Field;
use keysmith::plan::facts::{Facts, Held, KeyInSecret, Record, Target};
use keysmith::plan::issuance::decide;
use keysmith::plan::listing::{KeyId, Listed, OwnKey, Setting, Shown, View};
use keysmith::plan::naming::Serial;
use keysmith::plan::retry::plus;

pub use super::cluster::Spec;
use super::cluster::{Object, POLL, mark};

/// A resource without a deletion policy.
pub const DELETE: Ending = Ending { policy: DeletionPolicy::Delete, forced: false };

/// The time in the tables, in seconds after the epoch of the model; keys were created long before.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_750_000_000 + seconds).unwrap()
}

pub fn id(text: &str) -> KeyId {
    KeyId(text.into())
}

pub fn claim(serial: u64, seconds: i64) -> Claim {
    Claim::new(Serial(serial), at(seconds), Purpose::Create)
}

pub fn deletion(serial: u64, seconds: i64, unsettled: Option<i64>) -> Claim {
    Claim { purpose: Purpose::Delete, unsettled: unsettled.map(at), ..claim(serial, seconds) }
}

/// A key as the model's vendor lists it, without drift.
pub fn listed(name: &str, made: i64) -> Listed {
    let settings = Spec::default().desired().settings;
    Listed {
        id: id(name),
        name: mark().name(&settings.display_name, Serial(1)),
        created_at: Some(at(made)),
        expires_at: None,
        last_used_at: None,
        spent: None,
        remaining: None,
        unread: Vec::new(),
        shown: Shown {
            display_name: Some(settings.display_name),
            active: Some(settings.active),
            models: Some(settings.models),
            budget: Setting::Unset,
            email: Setting::Hidden,
            debug_mode: Some(false),
            ..Shown::default()
        },
    }
}

pub fn view(seconds: i64, keys: &[(u64, Listed)]) -> View {
    let own = keys.iter().map(|(serial, key)| {
        let display = key.shown.display_name.as_deref().unwrap_or_default();
        let name = mark().name(display, Serial(*serial));
        OwnKey { serial: Serial(*serial), key: Listed { name, ..key.clone() } }
    });
    View { as_of: at(seconds), own: own.collect() }
}

/// The Secret as Keysmith writes it.
pub fn held(serial: u64, key: &str) -> Held {
    Held {
        serial: Some(Serial(serial)),
        fence: Some(Serial(serial)),
        key_id: Some(id(key)),
        expires_at: None,
        previous: None,
        read: Some(key.to_owned()),
        intact: true,
        current: true,
        kind_fits: true,
        key: Some(KeyInSecret { serial: Serial(serial), id: Some(id(key)) }),
        whole: true,
        immutable: false,
        state: "as written".into(),
        differs: Vec::new(),
    }
}

/// A new resource.
pub fn new() -> Facts {
    let object = Object { generation: 1, finalizer: true, ..Object::default() };
    let facts = object.facts(at(0), Target::Absent, None);
    Facts { record: Record { attempted: Some(1), ..Record::default() }, ..facts }
}

/// Key `one` of serial 1 is served as desired.
pub fn served() -> Facts {
    Facts {
        claim: Some(claim(1, -90_000)),
        record: Record {
            id: Some(id("one")),
            serial: Some(Serial(1)),
            settled: Serial(1),
            created_at: Some(at(-90_000)),
            generation: Some(1),
            attempted: Some(1),
            ..Record::default()
        },
        target: Target::Ours(held(1, "one")),
        view: Some(view(-60, &[(1, listed("one", -90_000))])),
        ..new()
    }
}

/// A create call of serial 2 was claimed that long ago to replace key `one`; its outcome is unknown.
pub fn pending(ago: i64) -> Facts {
    Facts { claim: Some(claim(2, -ago)), ..served() }
}

/// A previous key that key `one` replaced that long after the time of the tables.
pub fn previous(name: &str, replaced: i64) -> PreviousKey {
    PreviousKey {
        id: name.into(),
        serial: 0,
        replaced_at: at(replaced),
        retire_after: at(replaced + 600),
        disabled_at: None,
        expires_at: None,
        missing_since: None,
        cut_to: None,
        share: None,
        leaked: false,
    }
}

pub fn with_held(facts: Facts, change: impl FnOnce(&mut Held)) -> Facts {
    let mut target = facts.target;
    if let Target::Ours(held) = &mut target {
        change(held);
    }
    Facts { target, ..facts }
}

pub fn with_record(facts: Facts, change: impl FnOnce(&mut Record)) -> Facts {
    let mut facts = facts;
    change(&mut facts.record);
    facts
}

/// The unused key was announced long ago, and a later listing still shows it.
pub fn announced(facts: Facts, name: &str) -> Facts {
    let view = facts.view.clone().map(|view| View { as_of: facts.now, ..view });
    let facts = with_record(facts, |it| it.told = [(id(name), at(-POLL.as_secs()))].into());
    Facts { view, ..facts }
}

#[track_caller]
pub fn expect(facts: &Facts, step: Step, why: Why) {
    let decision = decide(facts, &Spec::default().desired());
    assert_eq!(decision, Decision { step, why });
}

#[track_caller]
pub fn expect_retired(facts: &Facts, step: Step) {
    let why = Why::Deleting;
    assert_eq!(deletion::decide(facts, DELETE), Decision { step, why });
}

pub fn rest(seconds: i64) -> Step {
    Step::Rest(Some(at(seconds)))
}

pub fn look(seconds: i64) -> Step {
    Step::Look(at(seconds))
}

pub fn issue(serial: u64) -> Step {
    Step::Issue(Serial(serial))
}

pub fn models() -> Vec<Field> {
    vec![Field::Models]
}

/// The key, changed in the console.
pub fn drifted(made: i64) -> Listed {
    let mut key = listed("one", made);
    key.shown.models = Some(vec!["by hand".into()]);
    key
}

pub fn later(facts: Facts, seconds: i64) -> Facts {
    Facts { now: plus(facts.now, SignedDuration::from_secs(seconds)), ..facts }
}
