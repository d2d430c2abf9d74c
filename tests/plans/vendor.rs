//! The vendor of the model: keys with names, a listing that lags, requests that land after their sender gave up.

use super::class::{Class, LAG};
use super::fate::Fate;
use jiff::{SignedDuration, Timestamp};
use keysmith::plan::drift::Field;
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::plan::listing::{KeyId, Listed, Setting, Shown};
use keysmith::plan::naming::Mark;
use keysmith::plan::retry::plus;
use keysmith::plan::settings::Settings;
use std::collections::BTreeSet;

/// A key with its whole history.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: KeyId,
    /// Whether an operator of the model created it.
    pub ours: bool,
    history: Vec<(Timestamp, Option<Listed>)>,
}

impl Key {
    pub fn now(&self) -> Option<&Listed> {
        self.history.last().and_then(|(_, state)| state.as_ref())
    }

    /// The key as it was last listed.
    pub fn was(&self) -> &Listed {
        self.history.iter().rev().find_map(|(_, state)| state.as_ref()).unwrap()
    }

    /// Whether it ever had that mark; a listing may be older than a change of its name.
    pub fn was_marked(&self, mark: &Mark) -> bool {
        let states = self.history.iter().filter_map(|(_, state)| state.as_ref());
        states.into_iter().any(|key| mark.serial_in(&key.name).is_some())
    }

    fn at(&self, time: Timestamp) -> Option<&Listed> {
        let state = self.history.iter().rev().find(|(since, _)| *since <= time);
        state.and_then(|(_, state)| state.as_ref())
    }
}

/// The requests that change the vendor's state.
#[derive(Clone, Debug)]
pub enum Request {
    Mint {
        name: String,
        models: Vec<String>,
        ours: bool,
    },
    Amend {
        id: KeyId,
        fields: Vec<Field>,
        name: String,
        to: Settings,
    },
    Revoke(KeyId),
    /// Gives a key another secret and invalidates the old one, which the model represents by a new id.
    Rotate(KeyId),
}

/// The vendor.
#[derive(Clone, Default)]
pub struct Vendor {
    pub class: Class,
    pub keys: Vec<Key>,
    /// Requests that their sender gave up on, with the time at which they land.
    pub flights: Vec<(Timestamp, Request)>,
    /// The lifetime of a key, if it expires.
    pub lifetime: Option<SignedDuration>,
    /// Keys that work and are hidden for a while, from listings and from reads of one key.
    pub hidden: BTreeSet<KeyId>,
}

impl Vendor {
    pub fn get(&self, id: &KeyId) -> Option<&Listed> {
        self.keys.iter().find(|key| key.id == *id).and_then(Key::now)
    }

    /// The answer to a read of one key; without an endpoint for it, the listing with its lag.
    pub fn shown(&self, id: &KeyId, (now, roll): (Timestamp, u16)) -> Option<Listed> {
        if self.class.get_lags() {
            return self.list(now, roll).into_iter().find(|key| key.id == *id);
        }
        self.get(id).filter(|_| !self.hidden.contains(id)).cloned()
    }

    pub fn live<'a>(&'a self, mark: &'a Mark) -> impl Iterator<Item = &'a Listed> {
        self.keys.iter().filter_map(Key::now).filter(|key| mark.serial_in(&key.name).is_some())
    }

    /// Every entry has a lag of its own, so that neither order nor completeness is reliable.
    pub fn list(&self, now: Timestamp, roll: u16) -> Vec<Listed> {
        let seen = |(place, key): (usize, &Key)| {
            let mixed = usize::from(roll).wrapping_mul(31).wrapping_add(place.wrapping_mul(7919));
            let lag = match mixed % 4 {
                0 => SignedDuration::ZERO,
                1 => LAG,
                _ => SignedDuration::from_secs(i64::try_from(mixed % 30).unwrap_or(0)),
            };
            key.at(plus(now, -lag)).cloned()
        };
        let shown = self.keys.iter().enumerate().filter(|(_, key)| !self.hidden.contains(&key.id));
        shown.filter_map(seen).collect()
    }

    pub fn apply(&mut self, now: Timestamp, request: &Request) -> Result<Option<Listed>, Fault> {
        match request {
            Request::Mint { name, models, ours } => {
                let taken = self.keys.iter().filter_map(Key::now).any(|key| key.name == *name);
                if matches!(self.class, Class::Named | Class::Rotate) && taken {
                    return Err(Fault::without_effect(FaultKind::Conflict));
                }
                Ok(Some(self.mint(now, (name, models), *ours)))
            }
            Request::Amend { id, fields, name, to } => {
                let changed =
                    self.change(now, id, |key| fields.iter().for_each(|it| set(key, *it, (name, to))));
                changed.map(Some).ok_or(Fault::without_effect(FaultKind::NotFound))
            }
            Request::Revoke(id) => {
                if let Some(key) = self.keys.iter_mut().find(|key| key.id == *id) {
                    key.history.push((now, None));
                }
                Ok(None)
            }
            Request::Rotate(id) => {
                let Some(key) = self.keys.iter_mut().find(|key| key.id == *id && key.now().is_some()) else {
                    return Err(Fault::without_effect(FaultKind::NotFound));
                };
                let (ours, old) = (key.ours, key.was().clone());
                key.history.push((now, None));
                let models = old.shown.models.clone().unwrap_or_default();
                Ok(Some(self.mint(now, (&old.name, &models), ours)))
            }
        }
    }

    fn mint(&mut self, now: Timestamp, (name, models): (&str, &[String]), ours: bool) -> Listed {
        let id = KeyId(format!("key-{}", self.keys.len()));
        let listed = Listed {
            id: id.clone(),
            name: name.to_owned(),
            created_at: Some(now),
            expires_at: self.lifetime.map(|lifetime| plus(now, lifetime)),
            last_used_at: None,
            spent: None,
            remaining: None,
            unread: Vec::new(),
            shown: Shown {
                display_name: Some(Mark::display_in(name).to_owned()),
                active: Some(true),
                models: Some(models.to_vec()),
                budget: Setting::Unset,
                email: Setting::Hidden,
                debug_mode: Some(false),
                ..Shown::default()
            },
        };
        self.keys.push(Key { id, ours, history: vec![(now, Some(listed.clone()))] });
        listed
    }

    pub fn change(&mut self, now: Timestamp, id: &KeyId, change: impl FnOnce(&mut Listed)) -> Option<Listed> {
        let key = self.keys.iter_mut().find(|key| key.id == *id)?;
        let mut listed = key.now()?.clone();
        change(&mut listed);
        key.history.push((now, Some(listed.clone())));
        Some(listed)
    }
}

fn set(key: &mut Listed, field: Field, (name, to): (&String, &Settings)) {
    match field {
        Field::DisplayName => {
            key.name.clone_from(name);
            key.shown.display_name = Some(Mark::display_in(name).to_owned());
        }
        Field::Active => key.shown.active = Some(to.active),
        Field::Models => key.shown.models = Some(to.models.clone()),
        Field::Budget | Field::RateLimit | Field::Email | Field::DebugMode | Field::Expiry => {}
    }
}

/// The fault that a caller gets.
pub fn fault(fate: Fate) -> Fault {
    match fate {
        Fate::Fails => Fault::without_effect(FaultKind::Throttled { until: None }),
        _ => Fault::ambiguous(FaultKind::Timeout { seconds: 30 }),
    }
}
