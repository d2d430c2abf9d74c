//! Facts for the tables of provider keys: one at rest; each test changes some of them.

use super::cluster::mark;
use super::known::{at, claim, id};
use jiff::SignedDuration;
use keysmith::api::LastPass;
use keysmith::api::ProviderKeyStatus;
use keysmith::api::provider_key::ProviderKeyInternal;
use keysmith::plan::listing::KeyId;
use keysmith::plan::naming::Serial;
use keysmith::plan::provider_key::{ListedProviderKey, ProviderKeyFacts, ProviderKeyListing, Wanted};
use std::collections::BTreeSet;

pub fn keys(names: &[&str]) -> BTreeSet<KeyId> {
    names.iter().map(|name| id(name)).collect()
}

pub fn wanted() -> Wanted {
    Wanted { content: "content".into(), assigned_to: keys(&["app"]) }
}

pub fn entry(serial: u64, name: &str, assigned: &[&str]) -> ListedProviderKey {
    ListedProviderKey {
        id: Some(id(name)),
        name: Some(mark().name("provider", Serial(serial))),
        assigned_to: Some(keys(assigned)),
    }
}

pub fn view(seconds: i64, provider_keys: &[ListedProviderKey]) -> ProviderKeyListing {
    ProviderKeyListing { as_of: at(seconds), keys: provider_keys.to_vec() }
}

pub fn bare() -> ListedProviderKey {
    ListedProviderKey { id: None, name: None, assigned_to: None }
}

pub fn new() -> ProviderKeyFacts {
    ProviderKeyFacts {
        now: at(0),
        mark: mark(),
        finalizer: true,
        generation: Some(1),
        requested: false,
        claim: None,
        status: ProviderKeyStatus {
            internal: ProviderKeyInternal {
                last_pass: Some(LastPass { generation: Some(1), works: true, ..LastPass::default() }),
                ..ProviderKeyInternal::default()
            },
            ..ProviderKeyStatus::default()
        },
        view: None,
        looked: false,
        tried: BTreeSet::new(),
        reassigned: false,
        listing_lag: SignedDuration::from_secs(30),
    }
}

/// Provider key `one` of serial 1 is at the vendor as wanted.
pub fn at_rest() -> ProviderKeyFacts {
    ProviderKeyFacts {
        claim: Some(claim(1, -90_000)),
        status: ProviderKeyStatus {
            id: Some("one".into()),
            serial: Some(1),
            internal: ProviderKeyInternal {
                settled_serial: Some(1),
                credential_hash: Some("content".into()),
                ..new().status.internal
            },
            assigned_to: vec!["app".into()],
            created_at: Some(at(-90_000)),
            ..new().status
        },
        ..new()
    }
}

pub fn pending(ago: i64) -> ProviderKeyFacts {
    ProviderKeyFacts { claim: Some(claim(2, -ago)), ..at_rest() }
}

pub fn looked(
    facts: ProviderKeyFacts,
    seconds: i64,
    provider_keys: &[ListedProviderKey],
) -> ProviderKeyFacts {
    ProviderKeyFacts { view: Some(view(seconds, provider_keys)), looked: true, ..facts }
}

pub fn superseding(facts: ProviderKeyFacts, old: &[&str]) -> ProviderKeyFacts {
    let status =
        ProviderKeyStatus { superseded: old.iter().map(|it| (*it).to_owned()).collect(), ..facts.status };
    ProviderKeyFacts { status, ..facts }
}

pub fn tried(facts: ProviderKeyFacts, names: &[&str]) -> ProviderKeyFacts {
    ProviderKeyFacts { tried: keys(names), ..facts }
}
