//! The identity of the token's account: pinned in status, compared with every listing, changed only by the annotation
//! that accepts another account.

use super::Work;
use crate::api::console_token::ConsoleTokenAccount;
use crate::api::{ACCEPT_ACCOUNT, ConsoleTokenStatus, GatewayApiKey, Reason, Verdict};
use crate::cluster::{ledger, object};
use crate::controller::doubt;
use crate::controller::live::Live;
use crate::gateway::account::{Account, Listing};
use crate::plan::account::{self, Judgement, Look};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::ledger::{Entry, Why};
use crate::plan::report;
use crate::plan::token;
use crate::protocol;
use kube::ResourceExt;
use std::sync::Arc;

/// The account as identified in a pass.
pub(super) struct Found {
    account: ConsoleTokenAccount,
    /// Whether the annotation was handled in this pass.
    accepted: bool,
}

impl Work {
    /// Why the account of this listing must not be used; `None` if it may be.
    pub(super) async fn identify(
        &mut self,
        account: &Account,
        credential: &str,
        listing: &Listing,
        fresh: bool,
    ) -> Result<Option<Verdict>, Fault> {
        let pinned = self.token.status.as_ref().and_then(|it| it.account.clone());
        let told = match account::known(pinned.as_ref(), credential, fresh) {
            Ok(told) => {
                if let Some(told) = told {
                    account.set_whose(told);
                }
                told.map(str::to_owned)
            }
            Err(account::Ask) => account::checked(whose(account).await?),
        };
        let (recorded, listed) = (self.context.recorded(&self.token), doubt::ids(listing));
        let look = Look {
            now: self.context.clock.now(),
            as_of: listing.as_of,
            listed: &listed,
            recorded: &recorded,
            credential,
            told: told.as_deref(),
            whole: account.capabilities().lists_whole_account,
            accepts: self.accepts(),
        };
        let mut judged = account::judge(pinned.as_ref(), &look);
        let mut accepted = None;
        let mut unwritten = None;
        if let Judgement::Accepted(old) = &judged.1 {
            match self.leave(old).await {
                Ok(left) => accepted = Some((old.clone(), left)),
                Err(error) => {
                    unwritten = Some(error);
                    judged = account::judge(pinned.as_ref(), &Look { accepts: None, ..look });
                }
            }
        }
        if let Some((old, left)) = &accepted {
            self.context.notify(&*self.token, report::token::account_accepted(old, &judged.0.id, *left));
        }
        let message = account::message(&judged.0, &judged.1, &token::place(&self.token));
        let message = message.map(|it| match unwritten {
            Some(error) => format!("{it}; that was asked for, and the ledger could not be written: {error}"),
            None => it,
        });
        let verdict = message.map(|it| match judged.1 {
            Judgement::Changed => Verdict::stalled(Reason::AccountChanged, it),
            _ => Verdict::reconciling(Reason::AccountSuspicious, it),
        });
        self.account = Some(Found { account: judged.0, accepted: accepted.is_some() });
        Ok(verdict)
    }

    /// The account that the annotation accepts, unless it was handled already.
    fn accepts(&self) -> Option<&str> {
        let handled = self.token.status.as_ref().and_then(|it| it.last_handled_accept_account.as_ref());
        object::annotation(self.token.as_ref(), ACCEPT_ACCOUNT)
            .filter(|it| Some(*it) != handled)
            .map(String::as_str)
    }

    /// Writes the keys that stay in the account of that name into the ledger. Returns how many they are.
    async fn leave(&self, old: &str) -> Result<usize, ledger::Error> {
        let keys = self.context.keys_of(&self.token);
        let entries: Vec<Entry> = keys.iter().flat_map(|key| self.left(key, old)).collect();
        match self.context.ledger.record(&entries).await {
            // A full ledger is reported in events and logs; the keys do not wait for room in it.
            Ok(()) | Err(ledger::Error::Full(_)) => Ok(entries.len()),
            Err(error) => Err(error),
        }
    }

    fn left(&self, key: &GatewayApiKey, old: &str) -> Vec<Entry> {
        let Some(status) = &key.status else { return Vec::new() };
        let served = status.id.clone().map(|id| (id, status.serial));
        let previous = status.previous.iter().map(|it| (it.id.clone(), Some(it.serial)));
        let live = Live(Arc::clone(&self.context));
        let entry = |(id, serial): (String, Option<u64>)| {
            let mut entry = protocol::leaving(&live, key, &self.reference(), Why::AccountChanged);
            if entry.place.account.is_empty() {
                old.clone_into(&mut entry.place.account);
            }
            Entry { key_id: Some(id), serial, ..entry }
        };
        served.into_iter().chain(previous).map(entry).collect()
    }

    /// Whether this token was seen to lead to the pinned account.
    pub(super) fn is_proven(&self, credential: &str) -> bool {
        let account = self.token.status.as_ref().and_then(|it| it.account.as_ref());
        account.is_some_and(|it| it.credential == credential)
    }

    /// The doubt found before, which stays until a listing clears it.
    pub(super) fn doubted(&self) -> Option<String> {
        let before = self.context.accounts.state(&self.reference());
        before.filter(|it| Some(&it.uid) == self.token.uid().as_ref()).and_then(|it| it.doubt)
    }

    pub(super) fn report_account(&self, status: &mut ConsoleTokenStatus) {
        let asked = object::annotation(self.token.as_ref(), ACCEPT_ACCOUNT);
        // If the annotation is removed and set again, the same value is a new request.
        status.last_handled_accept_account.take_if(|_| asked.is_none());
        let Some(found) = &self.account else { return };
        status.account = Some(found.account.clone());
        if found.accepted {
            status.last_handled_accept_account = asked.cloned();
        }
    }
}

/// The account's id, where the vendor returns it. 403 or 404 on that endpoint is no id, not an error.
async fn whose(account: &Account) -> Result<Option<String>, Fault> {
    match account.whose().await {
        Err(fault) if matches!(fault.kind, FaultKind::Forbidden | FaultKind::NotFound) => Ok(None),
        other => other,
    }
}
