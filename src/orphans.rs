//! `keysmith orphans`: keys at vendors that no resource accounts for, and keys that were left there on purpose, for a
//! person to look at and to remove. The command works beside the operator, with the rights of the person who runs it.

pub mod command;
mod row;
pub mod table;

pub use row::Row;

use crate::cluster::inventory;
use crate::cluster::ledger::{self, Ledger};
use crate::gateway::account::{Account, Listing};
use crate::plan::class::ControllerClass;
use crate::plan::decision::STRAGGLING;
use crate::plan::fault::Fault;
use crate::plan::identity::AnyToken;
use crate::plan::ledger::{Book, Entry, TokenPlace};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::naming::ClusterId;
use crate::plan::orphans::Known;
use crate::plan::retry;
use crate::session::{EVERYTHING, Session, Unasked, Unread, objects};
use crate::{cluster, plan};
use jiff::Timestamp;
use std::collections::HashSet;
use std::sync::Arc;

/// The connections and the ledger that a survey uses.
pub struct Survey {
    /// Kubernetes and the vendors.
    pub session: Session,
    /// The ledger: the keys that were left at a vendor on purpose.
    pub ledger: Ledger,
}

/// The selection of tokens and keys; an empty selection means all of them.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only ConsoleTokens of this namespace.
    pub namespace: Option<String>,
    /// Only ConsoleTokens of this name.
    pub console_token: Option<String>,
    /// Only these keys.
    pub keys: Vec<String>,
    /// The class of the tokens: operators of different classes have ledgers and marks of their own.
    pub class: ControllerClass,
}

impl Choice {
    /// Reports a ConsoleToken name that selects nothing. A deleted ConsoleToken may still be named by the ledger.
    fn unmatched_token(&self, tokens: usize, others: usize, rows: usize) -> Vec<String> {
        let Some(name) = self.console_token.as_ref().filter(|_| tokens == 0 && others == 0 && rows == 0)
        else {
            return Vec::new();
        };
        let place =
            self.namespace.as_ref().map_or("any namespace".to_owned(), |it| format!("namespace {it}"));
        vec![format!("--console-token {name}: there is no such console token in {place}")]
    }

    fn unmatched_keys(&self, rows: &[Row]) -> Vec<String> {
        let absent = self.keys.iter().filter(|id| !rows.iter().any(|row| row.is(id)));
        absent.map(|id| format!("--key {id}: no key that is left has this id")).collect()
    }
}

/// A failed survey.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or failed a request.
    #[error("{0}; nobody can tell then whether a key is an orphan, and nothing is removed")]
    Unread(#[from] Unread),
    /// The ledger could not be opened.
    #[error("{}; nothing is removed", ledger_trouble(.0))]
    Ledger(#[from] ledger::Error),
}

fn ledger_trouble(error: &ledger::Error) -> String {
    match error {
        ledger::Error::Kubernetes { place, source } => match source.as_ref() {
            kube::Error::Api(status) if status.code == 403 => {
                let namespace = place.split('/').next().unwrap_or_default();
                format!(
                    "ConfigMap {place} cannot be used: forbidden (403); grant the right to get, list and patch configmaps in namespace \
                     {namespace}"
                )
            }
            other => format!("ConfigMap {place} cannot be used: {}", cluster::sentence(other)),
        },
        other => other.to_string(),
    }
}

/// The result of a survey.
pub struct Findings {
    /// The keys that are left.
    pub rows: Vec<Row>,
    /// ConsoleTokens whose vendor could not be asked.
    pub unasked: Vec<Unasked>,
    /// Selected names that do not exist, one sentence each.
    pub unmatched: Vec<String>,
    /// The number of ConsoleTokens of other controller classes, which were left out.
    pub others: usize,
    /// Whether there is a ledger. Without a ledger, a key that was left on purpose looks like an orphan.
    pub has_ledger: bool,
    cluster: ClusterId,
    asked: Vec<Asked>,
}

impl Findings {
    /// The number of ConsoleTokens whose vendors were to be asked.
    pub fn asked(&self) -> usize {
        self.asked.len() + self.unasked.len()
    }

    /// The number of ConsoleTokens whose vendors answered.
    pub fn answered(&self) -> usize {
        self.asked.len()
    }
}

/// An account with its listing of keys.
struct Asked {
    place: TokenPlace,
    account: Account,
    listing: Arc<Listing>,
}

/// The result of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The key is gone.
    Removed,
    /// The key was gone already, as its account confirmed; its ledger entry was removed.
    Forgotten,
    /// The key still exists; the text says why.
    Left(String),
}

impl Survey {
    /// Lists the vendors first, then reads the resources that may account for keys, then the ledger. In any other
    /// order, a key that is being created or retained at this moment would look like an orphan.
    pub async fn look(&self, choice: &Choice) -> Result<Findings, Error> {
        let cluster = objects::cluster(&self.session.client).await?.of_class(&choice.class);
        let (mut asked, mut unasked) = (Vec::new(), Vec::new());
        let tokens = objects::tokens(
            &self.session.client,
            choice.namespace.as_deref(),
            choice.console_token.as_deref(),
        );
        let mut others = 0;
        for token in tokens.await? {
            if token.token.as_ref().is_some_and(|it| it.class() != choice.class) {
                others += 1;
                continue;
            }
            let answer = match &token.token {
                Some(token) => self.ask(token).await,
                None => Err("it does not fit the present type; correct it first".to_owned()),
            };
            match answer {
                Ok(account) => asked.push(account),
                Err(why) => unasked.push(Unasked { token: token.reference, why }),
            }
        }
        let known = self.known(&cluster).await?;
        let mut rows = orphans(&asked, &known, &cluster);
        rows.extend(left(&asked, &known.book, choice));
        let mut unmatched = choice.unmatched_token(asked.len() + unasked.len(), others, rows.len());
        unmatched.extend(choice.unmatched_keys(&rows));
        rows.retain(|row| choice.keys.is_empty() || choice.keys.iter().any(|id| row.is(id)));
        Ok(Findings {
            rows,
            unasked,
            unmatched,
            has_ledger: known.book.since.is_some(),
            others,
            cluster,
            asked,
        })
    }

    /// Removes one of the keys found, if nothing accounts for it at this moment. The call goes through a ConsoleToken
    /// whose listing shows the key, because the account of any other token answers 404 for a key that still works.
    pub async fn remove(&self, row: &Row, findings: &Findings) -> Result<Removal, Error> {
        let holder = findings.asked.iter().find_map(|asked| Some((asked, asked.shows(row)?)));
        let Some((asked, key)) = holder else {
            return self.close(row, findings).await;
        };
        let known = self.known(&findings.cluster).await?;
        if is_accounted_for(&known, row, key, &findings.cluster) {
            return Ok(Removal::Left("a resource or the ledger accounts for it now".to_owned()));
        }
        if known.book.since.is_none() {
            return Ok(Removal::Left(format!("{}; it may have been kept on purpose", self.no_ledger())));
        }
        if let Err(fault) = asked.account.revoke(&key.id).await {
            return Ok(Removal::Left(fault.to_string()));
        }
        if let Some(entry) = row.entry() {
            self.ledger.forget(entry).await?;
        }
        Ok(Removal::Removed)
    }

    /// Removes the ledger entry of a key that no ConsoleToken lists, if the account of that entry confirms that the key
    /// is gone.
    async fn close(&self, row: &Row, findings: &Findings) -> Result<Removal, Error> {
        let left = |why: &str| Ok(Removal::Left(why.to_owned()));
        let Some(entry) = row.entry() else {
            return left("no ConsoleToken that was asked shows it");
        };
        let Some(asked) = findings.asked.iter().find(|it| entry.is_reached_by(&it.place)) else {
            return left(
                "no ConsoleToken that was asked shows it or is known to lead to its account; its entry stays in the ledger",
            );
        };
        match asked.lacks(entry, self.session.clock.now()).await {
            Ok(true) => {
                self.ledger.forget(entry).await?;
                Ok(Removal::Forgotten)
            }
            Ok(false) => left("it is there, or may still turn up; look again later"),
            Err(fault) => left(&format!("whether it is gone cannot be told: {fault}")),
        }
    }

    /// Says why there is no ledger, and what to do.
    pub fn no_ledger(&self) -> String {
        let namespace = self.ledger.namespace();
        format!(
            "there is no ConfigMap {} in namespace {namespace}; name the operator's namespace with --ledger-namespace, or, if \
             it never kept one, begin it: kubectl create configmap {} -n {namespace}",
            self.ledger.name(),
            self.ledger.name()
        )
    }

    async fn known(&self, cluster: &ClusterId) -> Result<Known, Error> {
        let known = inventory::everything(&self.session.client, cluster).await;
        let known = known.map_err(EVERYTHING.unread())?;
        Ok(Known { book: self.ledger.list().await?, ..known })
    }

    async fn ask(&self, token: &AnyToken) -> Result<Asked, String> {
        let (account, listing) = self.session.ask(token).await?;
        Ok(Asked { place: self.session.vendors.place(token), account, listing })
    }
}

impl Asked {
    /// The key of that row, if the listing of this account has it.
    fn shows(&self, row: &Row) -> Option<&Listed> {
        let wanted = row.key()?;
        let key = self.listing.keys.iter().find(|key| key.id == wanted.id)?;
        let here = match row.entry() {
            Some(entry) => entry.is_shown_by(&self.place, key),
            None => row.is_of(&self.place.place),
        };
        // A row without a ledger entry stands for a listed key, so its name has to match as well.
        (here && (row.entry().is_some() || wanted.name == key.name)).then_some(key)
    }

    /// Verifies that the key of an entry is gone: by its id, or, if only its mark is known, by a listing without any
    /// key of that mark.
    async fn lacks(&self, entry: &Entry, now: Timestamp) -> Result<bool, Fault> {
        if let Some(id) = &entry.key_id {
            return Ok(self.account.get(&KeyId(id.clone())).await?.is_none());
        }
        let lag = self.account.capabilities().listing_lag;
        if now < retry::plus(entry.time, STRAGGLING + lag) {
            return Ok(false);
        }
        let listing = self.account.probe().await?;
        Ok(!listing.keys.iter().any(|key| entry.covers(key)))
    }
}

/// Repeats the check right before a removal, with resources that were read just now.
fn is_accounted_for(known: &Known, row: &Row, key: &Listed, cluster: &ClusterId) -> bool {
    match row.entry() {
        None => !known.is_orphan(cluster, key),
        // An entry of this cluster may be about a key without a mark, such as an adopted key.
        Some(_) if plan::naming::Mark::parse(&key.name).is_some() => !known.lacks(cluster, key),
        Some(_) => known.ids.contains(&key.id.0),
    }
}

/// Lists the orphans. Several ConsoleTokens may show the same key, which is one row.
fn orphans(asked: &[Asked], known: &Known, cluster: &ClusterId) -> Vec<Row> {
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for account in asked {
        let keys = account.listing.keys.iter().filter(|key| known.is_orphan(cluster, key));
        let found = keys.map(|key| Row::listed(&account.place.place, key, &why(key, known)));
        let new = |row: &Row| seen.insert((row.api(), row.key().map(|key| key.id.clone())));
        rows.extend(found.filter(new));
    }
    rows
}

fn why(key: &Listed, known: &Known) -> String {
    let why = "no resource accounts for it";
    // A missing ledger is reported once for the survey, and not for each key.
    match known.doubt(key).filter(|_| known.book.since.is_some()) {
        None => why.to_owned(),
        Some(doubt) => format!("{why}; {doubt}, so it may have been kept on purpose"),
    }
}

fn left(asked: &[Asked], book: &Book, choice: &Choice) -> Vec<Row> {
    let wanted = |entry: &&Entry| {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        fits(&choice.namespace, &entry.owner.namespace)
            && fits(&choice.console_token, &entry.place.console_token)
    };
    book.entries.iter().filter(wanted).flat_map(|entry| left_by(entry, asked)).collect()
}

/// The rows of one entry: one row, or one row per key if several keys carry the mark of the entry.
fn left_by(entry: &Entry, asked: &[Asked]) -> Vec<Row> {
    let account = asked.iter().find(|it| entry.is_reached_by(&it.place));
    let shown = |it: &Asked| it.listing.keys.iter().any(|key| entry.is_shown_by(&it.place, key));
    let holder = asked.iter().find(|it| shown(it));
    let keys =
        holder.iter().flat_map(|it| it.listing.keys.iter().filter(|key| entry.is_shown_by(&it.place, key)));
    let owner = &entry.owner;
    let why = format!("{}: {} {}/{}", entry.why, owner.kind, owner.namespace, owner.name);
    let rows: Vec<_> = keys.map(|key| Row::listed(&entry.place, key, &why).of_entry(entry)).collect();
    if !rows.is_empty() {
        return rows;
    }
    let state = if account.is_some() { "not listed any more" } else { "its account was not asked" };
    vec![Row::unlisted(entry, &format!("{why}; {state}"))]
}
