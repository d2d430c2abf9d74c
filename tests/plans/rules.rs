//! The invariants of the world of the histories.

use super::class::Class;
use super::cluster::{FOREIGN, MAX_PREVIOUS, NAME, Object, Stored, UID, mark};
use super::world::World;
use crate::support::invariants::{self, Serving};
use jiff::SignedDuration;
use keysmith::api::rotation::DeletionPolicy;
use keysmith::plan::claim::Purpose;
use keysmith::plan::listing::{KeyId, Listed};
use keysmith::plan::naming::Serial;
use keysmith::plan::requests::Cause;
use keysmith::plan::retry::plus;
use std::rc::Rc;

impl World {
    /// A user removes the claim. If it was the only record of serials, they may repeat.
    pub fn strip(&mut self, claim: Option<String>) {
        let Some(live) = self.live() else { return };
        self.tampered = true;
        if let Some(lost) = live.claim() {
            let settled = live.status.internal.settled_serial.unwrap_or(0);
            self.forgotten.extend((settled + 1..=lost.serial.0).map(Serial));
        }
        self.store(Object { claim, ..(*live).clone() });
    }

    /// A user removed the claim of this key before its outcome was known. A key above every claim is left alone, like a
    /// key of a controller with a newer claim, until the next claim outranks it; a deletion may not wait for it.
    pub fn is_left_alone(&self, key: &Listed) -> bool {
        let serial = mark().serial_in(&key.name).unwrap_or_default();
        self.forgotten.contains(&serial)
            && self.live().is_none_or(|live| {
                let claimed = live.claim().map(|claim| claim.serial);
                Some(serial) > claimed.max(live.status.serial.map(Serial))
            })
    }

    /// A create call has a claim, and is the only one of its serial.
    pub fn check_mint(&mut self, serial: Serial) {
        self.sent.insert(serial);
        let claims = self.versions.iter().flatten().filter_map(|object| object.claim());
        for claim in claims.filter(|it| it.purpose == Purpose::Create) {
            self.creations.claim(UID, claim.serial.0);
        }
        let sent = self.creations.send(Some((UID, serial.0)), NAME);
        if !self.forgotten.contains(&serial) {
            self.must(sent);
        }
        let cause = self.live().and_then(|live| live.claim()).and_then(|claim| claim.cause);
        let served = self.live().and_then(|live| live.status.serial).map(Serial);
        let named = self.live().and_then(|live| live.status.id.clone());
        let stands = self
            .secret
            .as_ref()
            .and_then(Stored::standing)
            .is_some_and(|(serial, id)| Some(serial) == served && id == named);
        if cause == Some(Cause::SecretLost) && stands {
            self.break_rule(|| "a key was made for a Secret in which the served one stands".into());
        }
        self.check_brake();
        let claim = self.live().and_then(|live| live.claim()).filter(|claim| claim.serial == serial);
        let asked_in_vain = claim.is_some_and(|it| self.refusing_since.is_some_and(|since| since < it.at));
        if asked_in_vain {
            self.break_rule(|| "a key was made whose Secret is refused".into());
        }
        self.must(self.creations.was_claimed(UID, serial.0));
    }

    /// A vendor that shows a secret once is never asked to reveal it.
    pub fn check_reveal(&mut self, id: &KeyId) {
        if matches!(self.vendor.class, Class::Once | Class::Rotate) {
            self.break_rule(|| format!("{id} was to be revealed by a vendor that cannot"));
        }
        self.check_ours(id);
    }

    pub fn check_ours(&mut self, id: &KeyId) {
        let key = self.vendor.keys.iter().find(|key| key.id == *id);
        if key.is_some_and(|key| !key.was_marked(&mark())) && !self.adopts(id) {
            self.break_rule(|| format!("the foreign {id} was touched"));
        }
    }

    /// The key in a Secret is revoked only with its resource, or after another key was committed.
    pub fn check_unserved(&mut self, id: &KeyId) {
        let Some(live) = self.live().filter(|live| !live.deleting) else {
            return;
        };
        let Some(key) = self.vendor.get(id) else { return };
        let serial = mark().serial_in(&key.name);
        let holds =
            self.secret.as_ref().is_some_and(|secret| secret.ours() && secret.data().as_ref() == Some(id));
        let another = live.status.id.as_ref() != Some(&id.0) && live.status.serial.map(Serial) >= serial;
        if holds && !another && !self.leaked.contains(id) {
            self.break_rule(|| format!("{id} was revoked while the Secret serves it"));
        }
    }

    /// Serials increase, and status names only keys that the Secret held before.
    pub fn check_written(&mut self, old: &Object, new: &Object) {
        let claimed = |object: &Object| object.claim().map(|claim| claim.serial);
        if claimed(new) != claimed(old) && claimed(new) <= claimed(old) {
            self.break_rule(|| format!("the claim went back to {:?}", new.claim()));
        }
        if new.status.internal.settled_serial < old.status.internal.settled_serial {
            self.break_rule(|| format!("the settled serial went back: {:?}", new.status));
        }
        self.check_left(old, new);
        let named = new.status.id.clone().filter(|id| old.status.id.as_ref() != Some(id)).map(KeyId);
        if let Some(id) = named.filter(|id| !self.delivered.contains(id) && !self.adopts(id)) {
            self.break_rule(|| format!("status names {id}, which no Secret ever held"));
        }
    }

    /// Whether the resource names this key, which a person created, for adoption.
    fn adopts(&self, id: &KeyId) -> bool {
        id.0 == FOREIGN && self.versions.iter().flatten().any(|it| it.spec.adopts)
    }

    /// The key in status and retained keys are in the ledger before the resource is gone. A resource that is deleted by
    /// force is gone in any case.
    pub fn check_left(&mut self, old: &Object, new: &Object) {
        if !old.finalizer || new.finalizer || !new.deleting || new.forced || self.elsewhere.is_some() {
            return;
        }
        let previous = old.status.previous.iter().map(|it| it.id.clone());
        let named = old.status.id.iter().cloned().chain(previous).map(KeyId);
        let stays = |id: &KeyId| self.vendor.get(id).is_some() && !self.excused.contains(id);
        let entered = |id: &KeyId| self.ledger.iter().any(|it| it.key_id.as_ref() == Some(&id.0));
        let missing = named.filter(stays).find(|id| !entered(id));
        if let Some(id) = missing {
            self.break_rule(|| format!("{id} stays at the vendor and is not in the ledger"));
        }
    }

    /// No more keys are created within a day than the limit, plus one per operator that counts for itself.
    fn check_brake(&mut self) {
        let since = plus(self.now, -SignedDuration::from_hours(24));
        self.mints.push(self.now);
        let made = self.mints.iter().filter(|at| **at > since).count();
        if made as u64 > self.keys_per_day + 2 {
            self.break_rule(|| format!("{made} keys were made within a day"));
        }
    }

    /// Once the resource was ready, the key in its Secret works, whatever operators do.
    pub fn check_served(&mut self) {
        let Some(live) = self.live().filter(|live| !live.deleting) else {
            return;
        };
        self.ready |= live.is_ready();
        self.switched_off |= live.spec.inactive;
        let Some(id) = self.secret.as_ref().filter(|secret| secret.ours()).and_then(Stored::data) else {
            return;
        };
        let Some(key) = self.vendor.keys.iter().find(|key| key.id == id) else {
            return;
        };
        let expired = key.was().expires_at.is_some_and(|at| at <= self.now);
        let works = key.now().is_some_and(|key| self.switched_off || key.shown.active != Some(false));
        let serving = Serving {
            works: Some(works || expired),
            unpromised: !self.ready,
            ended: self.tampered || self.excused.contains(&id),
            leaked: self.leaked.contains(&id),
        };
        self.must(invariants::served_key_works(NAME, serving));
    }

    /// A served key is revoked or switched off only after another one is served and the overlap is over.
    pub fn check_overlap(&mut self, id: &KeyId) {
        let excused = self.leaked.contains(id) || self.excused.contains(id);
        let Some(live) = self.live().filter(|live| !live.deleting && !excused) else {
            return;
        };
        if live.status.id.as_ref() == Some(&id.0) {
            self.break_rule(|| format!("{id} was retired while status names it"));
        }
        let replaced = |object: &Rc<Object>| {
            let of = |key: &&keysmith::api::rotation::PreviousKey| key.id == id.0;
            object.status.previous.iter().find(of).map(|key| key.replaced_at)
        };
        let since = self.versions.iter().flatten().filter(|it| replaced(it).is_some());
        let earliest = since.filter_map(|object| Some(plus(replaced(object)?, object.spec.overlap()))).min();
        let served = self.versions.iter().flatten().any(|it| it.status.id.as_ref() == Some(&id.0));
        let works = self.vendor.get(id).is_some_and(|key| key.expires_at.is_none_or(|at| at > self.now));
        // One more rotation than the maximum of previous keys ends the overlap of the oldest one.
        let crowded = self.versions.iter().flatten().any(|object| {
            let previous = &object.status.previous;
            let oldest = previous.iter().min_by_key(|key| (key.replaced_at, key.serial));
            previous.len() > MAX_PREVIOUS && oldest.is_some_and(|key| key.id == id.0)
        });
        match earliest {
            Some(earliest) if self.now < earliest && !crowded => {
                self.break_rule(|| format!("{id} was retired before its overlap was over"));
            }
            None if served && works && !self.planted => {
                self.break_rule(|| format!("{id} was retired without an overlap"));
            }
            _ => {}
        }
    }

    /// There are no more keys than the served one, one that is being created, those in their overlap, and one per
    /// fault.
    pub fn check_surplus(&mut self) {
        let (mark, live) = (mark(), self.live());
        let minted = |key: &&Listed| self.vendor.keys.iter().any(|it| it.id == key.id && it.ours);
        let works = |key: &&Listed| key.expires_at.is_none_or(|at| at > self.now);
        let count = self.vendor.live(&mark).filter(minted).filter(works).count();
        let previous = live.map_or(0, |live| live.status.previous.len());
        self.must(invariants::live_keys_are_excusable(NAME, count, (previous, self.faults)));
    }

    /// Whether a key may outlive its resource.
    pub fn may_stay(&self, key: &Listed) -> bool {
        let Some(last) = self.versions.iter().flatten().next_back() else {
            return false;
        };
        // Whatever the deletion left, sweeps revoke what was not kept on purpose, unless the ledger is known to lack keys.
        if self.sweeps && !self.ledger_lacks {
            return self.was_kept(&key.id);
        }
        match last.spec.deletion_policy() {
            // A user removed our mark, and a late answer may have restored it.
            _ if last.forced || self.abandoned || self.excused.contains(&key.id) => true,
            DeletionPolicy::Retain => true,
            // A second operator that does not know of the deletion yet may switch the key on again: settings are not
            // fenced.
            DeletionPolicy::Disable => key.shown.active == Some(false) || self.switched.contains(&key.id),
            DeletionPolicy::Delete => false,
        }
    }
}
