//! Facts for the tables of deposits: one at rest, from which each test departs.

use super::cluster::mark;
use super::known::{at, claim, id};
use jiff::SignedDuration;
use keysmith::api::condition::{READY, condition};
use keysmith::api::{ProviderKeyStatus, Reason};
use keysmith::plan::deposit::{DepositFacts, DepositView, ListedDeposit, Wanted};
use keysmith::plan::facts::KeyId;
use keysmith::plan::naming::Serial;
use std::collections::BTreeSet;

pub fn keys(names: &[&str]) -> BTreeSet<KeyId> {
    names.iter().map(|name| id(name)).collect()
}

pub fn wanted() -> Wanted {
    Wanted { content: "content".into(), assigned_to: keys(&["app"]) }
}

pub fn entry(serial: u64, name: &str, assigned: &[&str]) -> ListedDeposit {
    ListedDeposit {
        id: Some(id(name)),
        name: Some(mark().name("provider", Serial(serial))),
        assigned_to: Some(keys(assigned)),
    }
}

pub fn view(seconds: i64, deposits: &[ListedDeposit]) -> DepositView {
    DepositView { as_of: at(seconds), deposits: deposits.to_vec() }
}

pub fn bare() -> ListedDeposit {
    ListedDeposit { id: None, name: None, assigned_to: None }
}

pub fn new() -> DepositFacts {
    DepositFacts {
        now: at(0),
        mark: mark(),
        finalizer: true,
        generation: Some(1),
        requested: false,
        claim: None,
        status: ProviderKeyStatus {
            conditions: vec![condition(READY, true, Reason::Deposited, "", Some(1))],
            ..ProviderKeyStatus::default()
        },
        view: None,
        looked: false,
        tried: BTreeSet::new(),
        reassigned: false,
        listing_lag: SignedDuration::from_secs(30),
    }
}

/// Deposit `one` of serial 1 is at the vendor as wanted.
pub fn deposited() -> DepositFacts {
    DepositFacts {
        claim: Some(claim(1, -90_000)),
        status: ProviderKeyStatus {
            id: Some("one".into()),
            serial: Some(1),
            settled_serial: Some(1),
            content: Some("content".into()),
            assigned_to: vec!["app".into()],
            created_at: Some(at(-90_000)),
            ..new().status
        },
        ..new()
    }
}

pub fn pending(ago: i64) -> DepositFacts {
    DepositFacts { claim: Some(claim(2, -ago)), ..deposited() }
}

pub fn looked(facts: DepositFacts, seconds: i64, deposits: &[ListedDeposit]) -> DepositFacts {
    DepositFacts { view: Some(view(seconds, deposits)), looked: true, ..facts }
}

pub fn superseding(facts: DepositFacts, old: &[&str]) -> DepositFacts {
    let status =
        ProviderKeyStatus { superseded: old.iter().map(|it| (*it).to_owned()).collect(), ..facts.status };
    DepositFacts { status, ..facts }
}

pub fn tried(facts: DepositFacts, names: &[&str]) -> DepositFacts {
    DepositFacts { tried: keys(names), ..facts }
}
