//! The acts of users, in Kubernetes and in the vendor's console.

use super::cluster::{ENTRY, FOREIGN, Object, Spec, Stored, mark};
use super::model::Reached;
use super::vendor::Request;
use super::world::{Policy, World};
use jiff::SignedDuration;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use keysmith::api::rotation::DeletionPolicy;
use keysmith::api::{CONTENT, FENCE, KEY_ID, SERIAL};
use keysmith::plan::listing::KeyId;
use keysmith::plan::naming::Serial;
use keysmith::plan::retry::plus;
use kube::ResourceExt;
use proptest::prelude::*;

/// One act of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    EditSpec(u8),
    AskForLook(u8),
    StripClaim,
    BreakClaim,
    DeleteResource,
    DeleteSecret,
    EditSecret,
    /// Raises serial or fence by hand, or removes them.
    EditAnnotations(u8),
    /// Names a foreign key in the Secret's annotations.
    NameForeignKey,
    /// Creates a Secret of that name if there is none.
    TakeName,
    DeleteKey(u8),
    ChangeKey(u8),
    RenameKey(u8),
    /// Switches a key off, or on.
    SwitchKey(u8),
    /// Calls the gateway with a key.
    UseKey(u8),
    /// Requests a rotation.
    Rotate(u8),
    /// Declares the served key leaked.
    Leak,
    /// Forces the deletion of the resource, whatever happens to the key.
    ForceOrphan,
    /// Creates a key with our mark and the next serial.
    PlantKey,
    /// Replaces the resource by its original manifest, without finalizer and annotations.
    ReplaceObject,
    /// Adds an entry to the Secret that is not the key.
    DressSecret,
    /// Makes the Secret immutable.
    FixSecret,
    /// Changes the admission policy.
    SetPolicy(u8),
    /// The vendor hides the served key for a while.
    HideKey,
    /// The vendor shows every key again.
    ShowKeys,
    /// The token is changed to one of another account, or back.
    ChangeAccount,
    /// Others fill the ledger, or make room in it.
    FillLedger,
    /// For less than ten minutes, once, the API server lists no resource: its database is being restored.
    LoseSight,
}

pub fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => any::<u8>().prop_map(Act::EditSpec),
        4 => any::<u8>().prop_map(Act::Rotate),
        3 => Just(Act::Leak),
        1 => any::<u8>().prop_map(Act::SwitchKey),
        1 => any::<u8>().prop_map(Act::UseKey),
        1 => Just(Act::ForceOrphan),
        2 => any::<u8>().prop_map(Act::AskForLook),
        1 => Just(Act::StripClaim),
        1 => Just(Act::BreakClaim),
        2 => Just(Act::DeleteResource),
        3 => Just(Act::DeleteSecret),
        2 => Just(Act::EditSecret),
        2 => (0_u8..6).prop_map(Act::EditAnnotations),
        1 => Just(Act::NameForeignKey),
        2 => Just(Act::TakeName),
        4 => any::<u8>().prop_map(Act::DeleteKey),
        2 => any::<u8>().prop_map(Act::ChangeKey),
        1 => any::<u8>().prop_map(Act::RenameKey),
        1 => Just(Act::PlantKey),
        2 => Just(Act::ReplaceObject),
        2 => Just(Act::DressSecret),
        1 => Just(Act::FixSecret),
        2 => any::<u8>().prop_map(Act::SetPolicy),
        3 => Just(Act::HideKey),
        2 => Just(Act::ShowKeys),
        1 => Just(Act::ChangeAccount),
    ]
}

pub fn act(world: &mut World, what: Act) {
    world.faults += 1;
    match what {
        Act::EditSpec(seed) => edit(world, |object| {
            object.generation += 1;
            change(&mut object.spec, seed % 14, seed / 14);
        }),
        Act::Rotate(seed) => edit(world, |object| object.rotate = Some(seed.to_string())),
        Act::Leak => {
            // The request stays.
            let asked = Some(world.version.to_string());
            edit(world, |object| object.leaked = asked);
        }
        Act::ForceOrphan => edit(world, |object| object.forced = true),
        Act::AskForLook(seed) => edit(world, |object| object.requested = Some(seed.to_string())),
        Act::StripClaim => world.strip(None),
        Act::BreakClaim => world.strip(Some("{\"serial\":".into())),
        Act::DeleteResource => {
            world.abandoned |= world.bare && world.live().is_some_and(|live| !live.finalizer);
            edit(world, |object| {
                if !object.deleting {
                    object.generation += 1;
                    object.deleting = true;
                }
            });
        }
        Act::DeleteSecret => {
            world.tampered = true;
            world.store_secret(None);
        }
        Act::EditSecret => edit_secret(world, |secret| put(secret, ENTRY, "by hand")),
        Act::EditAnnotations(seed) => edit_secret(world, |secret| match seed {
            0 => remove(secret, &[FENCE]),
            1 => remove(secret, &[SERIAL]),
            2 => raise(secret, FENCE, 5),
            3 => raise(secret, SERIAL, 5),
            4 => remove(secret, &[KEY_ID]),
            _ => remove(secret, &[SERIAL, FENCE, KEY_ID, CONTENT]),
        }),
        Act::NameForeignKey => edit_secret(world, |secret| {
            secret.annotations_mut().insert(KEY_ID.to_owned(), FOREIGN.to_owned());
            raise(secret, SERIAL, 3);
        }),
        Act::TakeName => {
            world.tampered = true;
            if world.secret.is_none() {
                world.store_secret(Some(Stored::default()));
            } else if world.secret.as_ref().is_some_and(|secret| !secret.ours()) {
                world.store_secret(None);
            }
        }
        Act::ReplaceObject => {
            world.strip(None);
            world.bare |= world.live().is_some_and(|live| live.finalizer && !live.deleting);
            edit(world, |object| {
                // An object that is being deleted keeps its finalizers, or is removed.
                object.finalizer &= object.deleting;
                (object.rotate, object.requested) = (None, None);
            });
        }
        Act::DressSecret => edit_secret(world, |secret| put(secret, "added", "by hand")),
        Act::FixSecret => edit_secret(world, |secret| secret.immutable = Some(true)),
        Act::SetPolicy(seed) => {
            let policies = [Policy::None, Policy::Refuses, Policy::Dresses, Policy::Strips];
            world.set_policy(policies[usize::from(seed) % 4]);
            world.tampered = true;
        }
        Act::ChangeAccount => {
            let to = if world.elsewhere.is_none() { Reached::Other } else { Reached::Own };
            world.move_account(to);
        }
        Act::FillLedger => world.ledger_full = !world.ledger_full,
        Act::LoseSight => {
            world.sightless_until.get_or_insert(plus(world.now, SignedDuration::from_mins(9)));
        }
        at_the_vendor => in_the_console(world, at_the_vendor),
    }
}

fn in_the_console(world: &mut World, what: Act) {
    match what {
        Act::DeleteKey(seed) => console(world, seed, |world, id| {
            let _ = world.vendor.apply(world.now, &Request::Revoke(id.clone()));
            world.excused.insert(id);
        }),
        Act::ChangeKey(seed) => console(world, seed, |world, id| {
            world.vendor.change(world.now, &id, |key| {
                key.shown.models = Some(vec!["by hand".into()]);
            });
        }),
        Act::SwitchKey(seed) => console(world, seed, |world, id| {
            world.vendor.change(world.now, &id, |key| {
                key.shown.active = key.shown.active.map(|on| !on);
            });
            world.excused.insert(id);
        }),
        Act::UseKey(seed) => console(world, seed, |world, id| {
            let now = world.now;
            world.vendor.change(now, &id, |key| key.last_used_at = Some(now));
        }),
        Act::RenameKey(seed) => console(world, seed, |world, id| {
            world.excused.insert(id.clone());
            world.vendor.change(world.now, &id, |key| {
                key.name = "renamed".into();
                key.shown.display_name = Some("renamed".into());
            });
        }),
        Act::HideKey => {
            let served = world.live().and_then(|live| live.status.id.clone()).map(KeyId);
            world.vendor.hidden.extend(served);
        }
        Act::ShowKeys => world.vendor.hidden.clear(),
        Act::PlantKey => {
            let Some(live) = world.live() else { return };
            world.planted = true;
            let next = live
                .claim()
                .map(|claim| claim.serial)
                .max(live.status.serial.map(Serial))
                .unwrap_or_default()
                .next();
            let planted = Request::Mint { name: mark().name("planted", next), models: vec![], ours: false };
            let _ = world.vendor.apply(world.now, &planted);
        }
        _ => unreachable!("an act in the cluster"),
    }
}

fn change(spec: &mut Spec, what: u8, to: u8) {
    match what {
        0 => spec.models = to % 3,
        1 => spec.inactive = !spec.inactive,
        2 => spec.name = to % 3,
        3 => spec.template = to % 3,
        4 | 5 => spec.fixed = to % 3,
        6 | 7 => spec.trigger = (to > 1).then_some(to % 5),
        8 => spec.patient = !spec.patient,
        9 => spec.max_age = to.is_multiple_of(2).then_some(5 + to),
        10 => spec.restart = !spec.restart,
        11 => spec.keep_previous = !spec.keep_previous,
        12 => spec.suspended = !spec.suspended,
        _ => {
            let policies = [DeletionPolicy::Delete, DeletionPolicy::Disable, DeletionPolicy::Retain];
            spec.deletion = policies[usize::from(to) % 3];
        }
    }
}

fn edit(world: &mut World, change: impl FnOnce(&mut Object)) {
    if let Some(live) = world.live() {
        let mut object = (*live).clone();
        change(&mut object);
        world.store(object);
    }
}

fn edit_secret(world: &mut World, change: impl FnOnce(&mut Secret)) {
    if let Some(mut stored) = world.secret.clone().filter(Stored::ours) {
        change(&mut stored.secret);
        world.tampered = true;
        world.store_secret(Some(stored));
    }
}

fn put(secret: &mut Secret, entry: &str, text: &str) {
    let data = secret.data.get_or_insert_default();
    data.insert(entry.to_owned(), ByteString(text.as_bytes().to_vec()));
}

fn remove(secret: &mut Secret, annotations: &[&str]) {
    for annotation in annotations {
        secret.annotations_mut().remove(*annotation);
    }
}

fn raise(secret: &mut Secret, annotation: &str, by: u64) {
    if let Some(number) = secret.annotations_mut().get_mut(annotation) {
        *number = number.parse::<u64>().map_or_else(|_| number.clone(), |it| (it + by).to_string());
    }
}

fn console(world: &mut World, seed: u8, change: impl FnOnce(&mut World, KeyId)) {
    let live: Vec<_> = world.vendor.live(&mark()).map(|key| key.id.clone()).collect();
    if !live.is_empty() {
        let id = live[usize::from(seed) % live.len()].clone();
        change(world, id);
    }
}

impl World {
    /// The ConsoleToken controller notices the change of the account at once: it connects, lists and compares before any key is
    /// given the connection.
    fn move_account(&mut self, to: Reached) {
        if self.reached() != to {
            self.elsewhere = (to == Reached::Other).then_some(self.now);
            self.wake();
        }
    }

    fn set_policy(&mut self, policy: Policy) {
        let refuses = |policy| matches!(policy, Policy::Refuses | Policy::Strips);
        if refuses(policy) != refuses(self.policy) {
            self.refusing_since = refuses(policy).then_some(self.now);
        }
        self.policy = policy;
    }

    /// Users undo every act that keeps the world from settling.
    pub fn calm(&mut self) {
        self.set_policy(Policy::None);
        self.vendor.hidden.clear();
        self.ledger_full = false;
        self.move_account(Reached::Own);
        if self.secret.as_ref().is_some_and(|it| it.secret.immutable == Some(true)) {
            self.store_secret(None);
        }
        if self.live().is_some_and(|live| live.spec.suspended || live.spec.max_age.is_some()) {
            edit(self, |object| {
                object.generation += 1;
                object.spec.suspended = false;
                object.spec.max_age = None;
            });
        }
    }
}
