//! What users do, in Kubernetes and in the vendor's console.

use super::cluster::{Object, Stored, mark};
use super::vendor::Request;
use super::world::World;
use keysmith::plan::facts::KeyId;
use keysmith::plan::naming::Serial;
use proptest::prelude::*;

/// One thing a user does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    EditSpec(u8),
    AskForLook(u8),
    StripClaim,
    BreakClaim,
    DeleteResource,
    DeleteSecret,
    EditSecret,
    /// Raises serial or fence by hand, or takes them off.
    EditAnnotations(u8),
    /// Names somebody else's key in the Secret's annotations.
    NameForeignKey,
    /// Puts a Secret of that name where there is none.
    TakeName,
    DeleteKey(u8),
    ChangeKey(u8),
    RenameKey(u8),
    /// Makes a key with our mark and the serial that comes next.
    PlantKey,
}

pub fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<u8>().prop_map(Act::EditSpec),
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
    ]
}

pub fn act(world: &mut World, what: Act) {
    match what {
        Act::EditSpec(seed) => edit(world, |object| {
            object.generation += 1;
            match seed % 4 {
                0 => object.spec.models = seed / 4 % 3,
                1 => object.spec.inactive = !object.spec.inactive,
                2 => object.spec.name = seed / 4 % 3,
                _ => object.spec.template = seed / 4 % 3,
            }
        }),
        Act::AskForLook(seed) => edit(world, |object| object.requested = Some(seed.to_string())),
        Act::StripClaim => world.strip(None),
        Act::BreakClaim => world.strip(Some("{\"serial\":".into())),
        Act::DeleteResource => edit(world, |object| {
            if !object.deleting {
                object.generation += 1;
                object.deleting = true;
            }
        }),
        Act::DeleteSecret => {
            world.tampered = true;
            world.store_secret(None);
        }
        Act::EditSecret => edit_secret(world, |secret| secret.data = Some(KeyId("by hand".into()))),
        Act::EditAnnotations(seed) => edit_secret(world, |secret| match seed {
            0 => secret.fence = None,
            1 => secret.serial = None,
            2 => secret.fence = secret.fence.map(|it| Serial(it.0 + 5)),
            3 => secret.serial = secret.serial.map(|it| Serial(it.0 + 5)),
            4 => secret.key_id = None,
            _ => (secret.serial, secret.fence, secret.key_id, secret.content) = (None, None, None, None),
        }),
        Act::NameForeignKey => edit_secret(world, |secret| {
            secret.key_id = Some(KeyId("key-0".into()));
            secret.serial = secret.serial.map(|it| Serial(it.0 + 3));
        }),
        Act::TakeName => {
            world.tampered = true;
            if world.secret.is_none() {
                world.store_secret(Some(Stored::default()));
            } else if world.secret.as_ref().is_some_and(|secret| !secret.ours) {
                world.store_secret(None);
            }
        }
        Act::DeleteKey(seed) => console(world, seed, |world, id| {
            let _ = world.vendor.apply(world.now, &Request::Revoke(id));
        }),
        Act::ChangeKey(seed) => console(world, seed, |world, id| {
            world.vendor.change(world.now, &id, |key| {
                key.shown.models = Some(vec!["by hand".into()]);
            });
        }),
        Act::RenameKey(seed) => console(world, seed, |world, id| {
            world.vendor.change(world.now, &id, |key| {
                key.name = "renamed".into();
                key.shown.display_name = Some("renamed".into());
            });
        }),
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
    }
}

fn edit(world: &mut World, change: impl FnOnce(&mut Object)) {
    if let Some(live) = world.live() {
        let mut object = (*live).clone();
        change(&mut object);
        world.store(object);
    }
}

fn edit_secret(world: &mut World, change: impl FnOnce(&mut Stored)) {
    if let Some(mut secret) = world.secret.clone().filter(|secret| secret.ours) {
        change(&mut secret);
        world.tampered = true;
        world.store_secret(Some(secret));
    }
}

fn console(world: &mut World, seed: u8, change: impl FnOnce(&mut World, KeyId)) {
    let live: Vec<_> = world.vendor.live(&mark()).map(|key| key.id.clone()).collect();
    if !live.is_empty() {
        let id = live[usize::from(seed) % live.len()].clone();
        change(world, id);
    }
}
