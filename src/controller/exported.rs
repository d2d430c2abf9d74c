//! What metrics show of resources and tokens, read from the caches at each scrape.

use super::Subject;
use super::context::Process;
use super::kinds::{Listed, Stores};
use crate::api::kind::for_each_kind;
use crate::gateway::account::Account;
use crate::plan::identity::TokenRef;
use crate::plan::turns::Lane;
use crate::protocol::ports::TokenState;
use crate::runtime::metrics::resources::{Resource, Source, TokenHealth};
use std::sync::{Arc, Weak};

/// The caches and the accounts of a process, which its metrics must not keep alive.
pub struct Exported(Weak<Process>);

impl Exported {
    /// Those of this process.
    pub fn of(process: &Arc<Process>) -> Arc<Self> {
        Arc::new(Self(Arc::downgrade(process)))
    }
}

/// Shows every object of a kind that this operator works for: another shard or class shows its own.
fn each<K: Listed + Subject>(process: &Process, stores: &Stores, visit: &mut dyn FnMut(Resource<'_>)) {
    K::cache(stores).each(|object| {
        if !process.works_for(stores, object.as_ref()) {
            return;
        }
        let meta = object.meta();
        visit(Resource {
            kind: K::KIND,
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            name: meta.name.as_deref().unwrap_or_default(),
            conditions: object.conditions(),
            deleting: meta.deletion_timestamp.is_some(),
            expires_at: object.expires_at(),
            next_rotation: object.next_rotation(),
            previous: object.previous_keys(),
        });
    });
}

impl Source for Exported {
    fn each_resource(&self, visit: &mut dyn FnMut(Resource<'_>)) {
        let Some(process) = self.0.upgrade() else { return };
        for stores in &process.everywhere {
            for_each_kind!(K => each::<K>(&process, stores, visit));
        }
    }

    fn tokens(&self) -> Vec<TokenHealth> {
        let Some(process) = self.0.upgrade() else { return Vec::new() };
        let health = |(token, state): (TokenRef, TokenState<Account>)| {
            let account = state.account.as_ref();
            let own = || Lane::Token(token.clone());
            let lane = account.map_or_else(own, |it| Lane::Account(it.lists().account.clone()));
            TokenHealth {
                ready: state.ready.is_ok(),
                doubted: state.doubt.is_some(),
                held_back: account.is_some_and(|it| it.is_held_back()),
                listed_at: account.and_then(|it| it.listed_at()),
                waiting: process.gate.waiting_in(&lane),
                token,
            }
        };
        process.accounts.all().into_iter().map(health).collect()
    }

    fn queue(&self) -> (usize, f64) {
        let Some(process) = self.0.upgrade() else { return (0, 0.0) };
        (process.gate.waiting(), process.gate.oldest().as_secs_f64())
    }
}
