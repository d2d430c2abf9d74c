//! What is remembered of a Secret after it was read or written, so that a pass need not read it again as long as its
//! resourceVersion is the same: that, and what was found in it.

use super::facts::{Held, KeyInSecret, Record};
use super::hash;
use super::naming::Serial;
use super::template::{Rendering, SecretPlan};
use crate::api::rotation::SecretRecord;

/// What was found in a Secret of ours, and in which version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The resourceVersion of the Secret.
    pub version: u64,
    /// Hash of the plan that the Secret was compared with.
    pub plan: String,
    /// What was found.
    pub held: Held,
}

/// What a version of Keysmith looks for in a Secret. Another number makes every Secret be read once, after a change of that.
const LOOKS_FOR: &str = "1";

/// Hash of everything that the Secret of the resource with that UID is compared with.
pub fn plan_hash(plan: &SecretPlan, rendering: &Rendering, uid: &str) -> String {
    let own = [LOOKS_FOR, uid, &rendering.all, &rendering.used, &plan.name, &plan.kind];
    let pairs = plan.labels.iter().chain([(&plan.name, &plan.kind)]).chain(&plan.annotations);
    let parts: Vec<_> = own
        .into_iter()
        .chain(pairs.flat_map(|(name, value)| [name.as_str(), value]))
        .map(str::as_bytes)
        .collect();
    hash::base32(&parts, 16)
}

impl Sighting {
    /// What status records of it: only a Secret that is as Keysmith wrote it, with the served key. `None` for every other.
    pub fn recorded(&self, served: &Record) -> Option<SecretRecord> {
        let held = &self.held;
        let record = SecretRecord {
            resource_version: self.version.to_string(),
            plan: self.plan.clone(),
            content: held.read.clone()?,
            state: held.state.clone(),
            previous_serial: held.previous.map(|it| it.0),
            fence: held.fence.map(|it| it.0),
            key_found: held.whole,
        };
        let same = Self::read(&record, served).is_some_and(|read| read.held == comparable(held, served));
        same.then_some(record)
    }

    /// What status recorded of the Secret with the served key. The expiry in the Secret is not recorded: only a pass that
    /// is about to write needs it, and such a pass reads the Secret.
    pub fn read(record: &SecretRecord, served: &Record) -> Option<Self> {
        let serial = served.serial?;
        let held = Held {
            serial: Some(serial),
            fence: record.fence.and_then(Serial::believed),
            key_id: Some(served.id.clone()?),
            expires_at: None,
            previous: record.previous_serial.and_then(Serial::believed),
            read: Some(record.content.clone()),
            intact: true,
            current: true,
            kind_fits: true,
            key: record.key_found.then(|| KeyInSecret { serial, id: served.id.clone() }),
            whole: record.key_found,
            immutable: false,
            state: record.state.clone(),
            differs: Vec::new(),
        };
        Some(Self { version: record.resource_version.parse().ok()?, plan: record.plan.clone(), held })
    }
}

/// Without what is not recorded: the expiry, and that earlier builds did not write the id of the key.
fn comparable(held: &Held, served: &Record) -> Held {
    let named =
        |key: &KeyInSecret| KeyInSecret { id: key.id.clone().or_else(|| served.id.clone()), ..key.clone() };
    Held { expires_at: None, key: held.key.as_ref().map(named), ..held.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::listing::KeyId;
    use std::collections::BTreeMap;

    fn served() -> Record {
        Record { id: Some(KeyId("key_1".to_owned())), serial: Some(Serial(3)), ..Record::default() }
    }

    fn sound() -> Sighting {
        let held = Held {
            serial: Some(Serial(3)),
            fence: Some(Serial(4)),
            key_id: served().id,
            expires_at: Some(jiff::Timestamp::UNIX_EPOCH),
            previous: Some(Serial(2)),
            read: Some("read".to_owned()),
            intact: true,
            current: true,
            kind_fits: true,
            key: Some(KeyInSecret { serial: Serial(3), id: served().id }),
            whole: true,
            state: "state".to_owned(),
            ..Held::default()
        };
        Sighting { version: 7, plan: "plan".to_owned(), held }
    }

    #[test]
    fn a_sound_secret_is_recorded_and_read_as_it_was_found() {
        let sound = sound();
        let read = Sighting::read(&sound.recorded(&served()).unwrap(), &served()).unwrap();
        assert_eq!(read, Sighting { held: comparable(&sound.held, &served()), ..sound });
        let unmarked = Held { key: None, whole: false, ..self::sound().held };
        let unmarked = Sighting { held: unmarked, ..self::sound() };
        let read = Sighting::read(&unmarked.recorded(&served()).unwrap(), &served()).unwrap();
        assert_eq!(
            read.held,
            comparable(&unmarked.held, &served()),
            "a template that changes the letters of a key"
        );
    }

    #[test]
    fn a_secret_that_is_not_as_it_was_written_is_not_recorded() {
        let edits: [fn(&mut Held); 12] = [
            |it| it.serial = Some(Serial(2)),
            |it| it.key_id = Some(KeyId("key_2".to_owned())),
            |it| it.read = None,
            |it| it.intact = false,
            |it| it.current = false,
            |it| it.kind_fits = false,
            |it| it.key = Some(KeyInSecret { serial: Serial(2), id: None }),
            |it| it.key = Some(KeyInSecret { serial: Serial(3), id: Some(KeyId("key_2".to_owned())) }),
            |it| it.key = None,
            |it| it.whole = false,
            |it| it.immutable = true,
            |it| it.differs = vec!["label team".to_owned()],
        ];
        for (case, edit) in edits.into_iter().enumerate() {
            let mut sighting = sound();
            edit(&mut sighting.held);
            assert_eq!(sighting.recorded(&served()), None, "edit {case}");
        }
        assert_eq!(sound().recorded(&Record::default()), None, "no key is served");
    }

    #[test]
    fn the_hash_of_a_plan_covers_what_a_secret_is_compared_with() {
        let map = |name: &str| [(name.to_owned(), "x".to_owned())].into();
        let plan = |name: &str, kind: &str, labels, annotations| SecretPlan {
            name: name.to_owned(),
            kind: kind.to_owned(),
            labels,
            annotations,
            data: BTreeMap::new(),
            keep_previous: false,
        };
        let none = BTreeMap::new;
        let rendering = |used: &str| Rendering { all: "all".to_owned(), used: used.to_owned() };
        let hashes = [
            plan_hash(&plan("a", "Opaque", none(), none()), &rendering("1"), "uid"),
            plan_hash(&plan("b", "Opaque", none(), none()), &rendering("1"), "uid"),
            plan_hash(&plan("a", "other", none(), none()), &rendering("1"), "uid"),
            plan_hash(&plan("a", "Opaque", map("team"), none()), &rendering("1"), "uid"),
            plan_hash(&plan("a", "Opaque", none(), map("team")), &rendering("1"), "uid"),
            plan_hash(&plan("a", "Opaque", none(), none()), &rendering("2"), "uid"),
            plan_hash(&plan("a", "Opaque", none(), none()), &rendering("1"), "another"),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}
