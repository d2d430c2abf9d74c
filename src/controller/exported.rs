//! What metrics show of resources and tokens, read from the caches at each scrape.

use super::Subject;
use super::context::Process;
use super::kinds::Stores;
use crate::cluster::object::Managed;
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

/// A resource without anything of its kind.
fn plain<K: Managed>(object: &K) -> Resource<'_> {
    let meta = object.meta();
    Resource {
        kind: K::KIND,
        namespace: meta.namespace.as_deref().unwrap_or_default(),
        name: meta.name.as_deref().unwrap_or_default(),
        conditions: &[],
        deleting: meta.deletion_timestamp.is_some(),
        expires_at: None,
        next_rotation: None,
        previous: 0,
    }
}

/// Whether the metrics of this operator show an object: another shard or class shows its own.
fn shows<K: Subject>(process: &Process, stores: &Stores, object: &K) -> bool {
    process.works_for(stores, object)
}

fn keys(process: &Process, stores: &Stores, visit: &mut dyn FnMut(Resource<'_>)) {
    stores.keys.each(|key| {
        if !shows(process, stores, key.as_ref()) {
            return;
        }
        let status = key.status.as_ref();
        visit(Resource {
            conditions: status.map_or(&[], |it| &it.conditions),
            expires_at: status.and_then(|it| it.expires_at),
            next_rotation: status.and_then(|it| it.next_rotation_time),
            previous: status.map_or(0, |it| it.previous.len()),
            ..plain(key.as_ref())
        });
    });
}

fn others(process: &Process, stores: &Stores, visit: &mut dyn FnMut(Resource<'_>)) {
    stores.provider_keys.each(|key| {
        if !shows(process, stores, key.as_ref()) {
            return;
        }
        let conditions = key.status.as_ref().map_or(&[][..], |it| &it.conditions);
        visit(Resource { conditions, ..plain(key.as_ref()) });
    });
    stores.projects.each(|settings| {
        if !shows(process, stores, settings.as_ref()) {
            return;
        }
        let conditions = settings.status.as_ref().map_or(&[][..], |it| &it.conditions);
        visit(Resource { conditions, ..plain(settings.as_ref()) });
    });
    stores.tokens.each(|token| {
        if !shows(process, stores, token.as_ref()) {
            return;
        }
        let conditions = token.status.as_ref().map_or(&[][..], |it| &it.conditions);
        visit(Resource { conditions, expires_at: token.spec.expires_at, ..plain(token.as_ref()) });
    });
    stores.cluster_tokens.each(|token| {
        if !shows(process, stores, token.as_ref()) {
            return;
        }
        let conditions = token.status.as_ref().map_or(&[][..], |it| &it.conditions);
        visit(Resource { conditions, expires_at: token.spec.token.expires_at, ..plain(token.as_ref()) });
    });
}

impl Source for Exported {
    fn each_resource(&self, visit: &mut dyn FnMut(Resource<'_>)) {
        let Some(process) = self.0.upgrade() else { return };
        for stores in &process.everywhere {
            keys(&process, stores, visit);
            others(&process, stores, visit);
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
