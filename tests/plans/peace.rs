//! The state in which the world settles when nothing fails any more.

use super::cluster::{FOREIGN, Stored, mark};
use super::fate::Fate;
use super::history::{Play, RESYNC};
use super::sweeping::EVERY;
use super::world::World;
use jiff::SignedDuration;
use keysmith::api::condition::{self, READY};
use keysmith::plan::drift;
use keysmith::plan::listing::{KeyId, Listed};
use keysmith::plan::retry::plus;
use std::collections::BTreeSet;

const POLL: SignedDuration = SignedDuration::from_secs(300);
/// What is wrong where operators go on writing and calling.
pub const NOT_QUIET: &str = "the world is not quiet";
const DRIFT: &str = "drift";

impl World {
    /// Whether the key that was to be adopted was deleted in the console first, or has the mark of a former resource: status
    /// says so, and no other key is made.
    fn awaits_foreign_key(&self) -> bool {
        let deleted = self.excused.contains(&KeyId(FOREIGN.to_owned()));
        self.live().is_some_and(|object| {
            let reason = condition::find(&object.status.conditions, READY).map(|it| it.reason.as_str());
            object.status.id.is_none()
                && (deleted && reason == Some("ExternalKeyMissing")
                    || self.former && reason == Some("OwnershipConflict"))
        })
    }
}

impl Play {
    /// No more faults, no more acts of users.
    pub fn peace(&mut self, survivor: Option<usize>) -> Result<(), String> {
        {
            let mut world = self.world.borrow_mut();
            world.note(|| "--- peace".into());
            world.vendor.lifetime = None;
            world.calm();
            if world.secret.as_ref().is_some_and(|secret| !secret.ours()) {
                world.store_secret(None);
            }
        }
        let present = present(survivor);
        // A write to status wakes no operator, so an operator that takes over for good starts again.
        for who in (0..2).filter(|_| survivor.is_some()) {
            self.crash(who);
        }
        self.go_on(&present, SignedDuration::from_hours(3))?;
        // Listings are compared with each other. A drift that an earlier, wrong listing showed counts as known when it
        // really occurs: it waits for the next full check.
        if self.settled().is_err_and(|error| error.starts_with(DRIFT)) {
            self.go_on(&present, RESYNC)?;
        }
        self.settled()?;
        Ok(())
    }

    /// Peace, after which nothing may change any more.
    pub fn lasting_peace(&mut self, survivor: Option<usize>) -> Result<(), String> {
        self.peace(survivor)?;
        // Whether the foreign key is there again is asked every ten minutes.
        if self.world.borrow().awaits_foreign_key() {
            return Ok(());
        }
        let present = present(survivor);
        // Sweeps look for the key of an entry for a day, and remove the entry then.
        let looks = self.world.borrow().sweeps && !self.world.borrow().ledger.is_empty();
        if looks {
            self.go_on(&present, SignedDuration::from_hours(26))?;
        }
        let before = self.effects();
        self.go_on(&present, SignedDuration::from_hours(24))?;
        self.settled()?;
        if before == self.effects() { Ok(()) } else { Err(NOT_QUIET.into()) }
    }

    fn effects(&self) -> (u64, u64) {
        let world = self.world.borrow();
        (world.writes, world.calls)
    }

    /// The operators work by themselves.
    fn go_on(&mut self, present: &[usize], span: SignedDuration) -> Result<(), String> {
        let end = plus(self.world.borrow().now, span);
        while self.world.borrow().now < end {
            let now = self.world.borrow().now;
            let mut busy = false;
            for &who in present {
                let due = self.world.borrow().operators[who].wake.is_some_and(|wake| wake <= now);
                if self.running[who].is_some() || due {
                    busy = true;
                    self.step(who, Fate::Fine, 0);
                }
                if self.world.borrow().sweeps && self.sweeps[who] <= now {
                    self.sweep_to_the_end(
                        who,
                        u16::try_from(now.as_second().rem_euclid(65_521)).unwrap_or(0),
                    );
                    self.sweeps[who] = plus(now, EVERY);
                }
                if self.polls[who] <= now {
                    let roll = u16::try_from(now.as_second().rem_euclid(65_536)).unwrap_or(0);
                    self.poll(who, roll);
                    self.polls[who] = plus(now, POLL);
                }
            }
            self.check()?;
            if !busy {
                let world = self.world.borrow();
                let wakes = present.iter().filter_map(|who| world.operators[*who].wake);
                let polls = present.iter().map(|who| self.polls[*who]);
                let sweeps = present.iter().map(|who| self.sweeps[*who]).filter(|_| world.sweeps);
                let lands = world.vendor.flights.iter().map(|it| it.0);
                let next = wakes.chain(polls).chain(sweeps).chain(lands).min().unwrap_or(end).min(end);
                let by = next.duration_since(now).max(SignedDuration::from_millis(1));
                drop(world);
                self.world.borrow_mut().advance(by);
            }
        }
        Ok(())
    }

    fn settled(&self) -> Result<(), String> {
        let world = self.world.borrow();
        let mark = mark();
        // A key that a user planted under a future serial is not counted, unless it was adopted.
        let named = world.live().and_then(|object| object.status.id.clone());
        let minted = |id: &KeyId| world.vendor.keys.iter().any(|key| key.id == *id && key.ours);
        // Sweeps revoke every key of a resource that is gone, whoever made it.
        let swept = world.sweeps && world.live().is_none();
        let live: Vec<_> = world
            .vendor
            .live(&mark)
            .filter(|key| swept || minted(&key.id) || named.as_ref() == Some(&key.id.0))
            .filter(|key| swept || !world.is_left_alone(key))
            .collect();
        let Some(object) = world.live() else {
            let stays = live.iter().all(|key| world.may_stay(key));
            return if stays { Ok(()) } else { Err(format!("a key outlives its resource: {live:?}")) };
        };
        if object.deleting {
            return Err(format!("the deletion does not end: {:?}", object.status));
        }
        let leaked = |key: &&&Listed| world.leaked.contains(&key.id) && !world.excused.contains(&key.id);
        if let Some(key) = live.iter().find(leaked) {
            return Err(format!("{} leaked and works: {:?}", key.id, object.status));
        }
        if !object.status.previous.is_empty() {
            return Err(format!("an overlap does not end: {:?}", object.status));
        }
        if live.is_empty() && world.awaits_foreign_key() {
            return Ok(());
        }
        let ids: BTreeSet<_> = live.iter().map(|key| key.id.clone()).collect();
        let [key] = live.as_slice() else {
            return Err(format!("{} live keys: {ids:?}, status {:?}", ids.len(), object.status));
        };
        let id = Some(&key.id);
        let held =
            |secret: &Stored| secret.ours() && secret.data().as_ref() == id && secret.key_id().as_ref() == id;
        if !world.secret.as_ref().is_some_and(held) {
            return Err(format!("the Secret does not hold {id:?}: {:?}", world.secret));
        }
        let wanted = object.spec.desired();
        let fields = drift::drift(&wanted.settings, key, &drift::Sent::default());
        if !fields.is_empty() {
            return Err(format!("{DRIFT}: {fields:?} of {key:?}"));
        }
        if object.status.id.as_ref() != Some(&key.id.0) || !object.is_ready() {
            return Err(format!("status {:?}, key {key:?}", object.status));
        }
        Ok(())
    }
}

fn present(survivor: Option<usize>) -> Vec<usize> {
    (0..2).filter(|who| survivor.is_none_or(|it| it == *who)).collect()
}
