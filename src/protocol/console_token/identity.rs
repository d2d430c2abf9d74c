//! The identity of the token's account: pinned in status, compared with every listing, changed only by the annotation
//! that accepts another account.

use super::TokenPass;
use super::ports::{AccountPort, TokenPorts};
use crate::api::console_token::ConsoleTokenAccount;
use crate::api::{ACCEPT_ACCOUNT, ConsoleTokenStatus, GatewayApiKey, Reason, Verdict};
use crate::cluster::ledger;
use crate::gateway::account::Listing;
use crate::plan::account::{self, Judgement, Look};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::ledger::{Entry, Why};
use crate::plan::report;
use crate::plan::token;
use crate::protocol::ports::VendorPort;
use crate::protocol::{self, doubt};

/// The account as identified in a pass.
pub(super) struct Found {
    account: ConsoleTokenAccount,
    /// Whether the annotation was handled in this pass.
    accepted: bool,
}

impl<P: TokenPorts> TokenPass<P> {
    /// Why the account of this listing must not be used; `None` if it may be.
    pub(super) async fn identify(
        &mut self,
        account: &P::Vendor,
        credential: &str,
        listing: &Listing,
        fresh: bool,
    ) -> Result<Option<Verdict>, Fault> {
        let pinned = self.token.status().and_then(|it| it.account.clone());
        let told = match account::known(pinned.as_ref(), credential, fresh) {
            Ok(told) => {
                if let Some(told) = told {
                    account.set_whose(told);
                }
                told.map(str::to_owned)
            }
            Err(account::Ask) => account::checked(whose(account).await?),
        };
        let (recorded, listed) = (doubt::recorded(&self.ports, &self.token), listing.ids());
        let look = Look {
            now: self.ports.now(),
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
            self.notify(report::token::account_accepted(old, &judged.0.id, *left));
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
        let handled = self.token.status().and_then(|it| it.last_handled_accept_account.as_ref());
        self.token.annotation(ACCEPT_ACCOUNT).filter(|it| Some(*it) != handled).map(String::as_str)
    }

    /// Writes the keys that stay in the account of that name into the ledger. Returns how many they are.
    async fn leave(&self, old: &str) -> Result<usize, ledger::Error> {
        let mut entries = Vec::new();
        self.ports.each_key_of(&self.reference(), |key| entries.extend(self.left(key, old)));
        match self.ports.enter(&entries).await {
            // A full ledger is reported in events and logs; the keys do not wait for room in it.
            Ok(()) | Err(ledger::Error::Full(_)) => Ok(entries.len()),
            Err(error) => Err(error),
        }
    }

    fn left(&self, key: &GatewayApiKey, old: &str) -> Vec<Entry> {
        let Some(status) = &key.status else { return Vec::new() };
        let served = status.id.clone().map(|id| (id, status.serial));
        let previous = status.previous.iter().map(|it| (it.id.clone(), Some(it.serial)));
        let entry = |(id, serial): (String, Option<u64>)| {
            let mut entry = protocol::leaving(&self.ports, key, &self.reference(), Why::AccountChanged);
            if entry.place.account.is_empty() {
                old.clone_into(&mut entry.place.account);
            }
            Entry { key_id: Some(id), serial, ..entry }
        };
        served.into_iter().chain(previous).map(entry).collect()
    }

    /// Whether this token was seen to lead to the pinned account.
    pub(super) fn is_proven(&self, credential: &str) -> bool {
        let account = self.token.status().and_then(|it| it.account.as_ref());
        account.is_some_and(|it| it.credential == credential)
    }

    /// The doubt found before, which stays until a listing clears it.
    pub(super) fn doubted(&self) -> Option<String> {
        let before = self.ports.token_state(&self.reference());
        before.filter(|it| Some(&it.uid) == self.token.meta().uid.as_ref()).and_then(|it| it.doubt)
    }

    pub(super) fn report_account(&self, status: &mut ConsoleTokenStatus) {
        let asked = self.token.annotation(ACCEPT_ACCOUNT);
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
async fn whose<V: AccountPort>(account: &V) -> Result<Option<String>, Fault> {
    match account.whose().await {
        Err(fault) if matches!(fault.kind, FaultKind::Forbidden | FaultKind::NotFound) => Ok(None),
        other => other,
    }
}
