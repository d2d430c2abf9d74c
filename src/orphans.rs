//! `keysmith orphans`: what is left at vendors that no resource accounts for, and what was left there on purpose, for
//! a person to look at and to remove. It works beside the operator, with the rights of whoever runs it.

pub mod command;
mod row;
pub mod table;

pub use row::Row;

use crate::api::ConsoleToken;
use crate::cluster::inventory;
use crate::cluster::ledger::{self, Ledger};
use crate::gateway::account::{Account, Listing};
use crate::plan::decision::STRAGGLING;
use crate::plan::fault::Fault;
use crate::plan::identity::TokenRef;
use crate::plan::ledger::{Book, Entry, TokenPlace};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::naming::ClusterId;
use crate::plan::orphans::Known;
use crate::plan::retry;
use crate::session::{EVERYTHING, Session, Unasked, Unread};
use crate::{cluster, plan};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::HashSet;
use std::sync::Arc;

/// What a survey is made with.
pub struct Survey {
    /// Kubernetes and the vendors.
    pub session: Session,
    /// What was left behind.
    pub ledger: Ledger,
}

/// What to look at; everything where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Only ConsoleTokens of this namespace.
    pub namespace: Option<String>,
    /// Only ConsoleTokens of this name.
    pub console_token: Option<String>,
    /// Only these keys.
    pub keys: Vec<String>,
}

impl Choice {
    /// Says so where no ConsoleToken has the name that was asked for. One that is gone may still be named by the ledger.
    fn unmatched_token(&self, tokens: usize, rows: usize) -> Vec<String> {
        let Some(name) = self.console_token.as_ref().filter(|_| tokens == 0 && rows == 0) else {
            return Vec::new();
        };
        let place =
            self.namespace.as_ref().map_or("any namespace".to_owned(), |it| format!("namespace {it}"));
        vec![format!("--console-token {name}: there is no such ConsoleToken in {place}")]
    }

    fn unmatched_keys(&self, rows: &[Row]) -> Vec<String> {
        let absent = self.keys.iter().filter(|id| !rows.iter().any(|row| row.is(id)));
        absent.map(|id| format!("--key {id}: no key that is left has this id")).collect()
    }
}

/// A survey that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not do what it was asked.
    #[error("{0}; nobody can tell then whether a key is an orphan, and nothing is removed")]
    Unread(#[from] Unread),
    /// The ledger did not open.
    #[error("{}; nothing is removed", ledger_trouble(.0))]
    Ledger(#[from] ledger::Error),
}

fn ledger_trouble(error: &ledger::Error) -> String {
    match error {
        ledger::Error::Kubernetes { place, source } => match source.as_ref() {
            kube::Error::Api(status) if status.code == 403 => {
                let namespace = place.split('/').next().unwrap_or_default();
                format!(
                    "ConfigMap {place} cannot be used: forbidden (403); grant the right to get and patch configmaps in namespace \
                     {namespace}"
                )
            }
            other => format!("ConfigMap {place} cannot be used: {}", cluster::sentence(other)),
        },
        other => other.to_string(),
    }
}

/// What a survey found.
pub struct Findings {
    /// What is left.
    pub rows: Vec<Row>,
    /// Console tokens that could not be asked.
    pub unasked: Vec<Unasked>,
    /// What was chosen and is not there, one sentence each.
    pub unmatched: Vec<String>,
    /// Whether there is a ledger. Without one, what was left on purpose looks like an orphan.
    pub has_ledger: bool,
    cluster: ClusterId,
    asked: Vec<Asked>,
}

impl Findings {
    /// How many ConsoleTokens were to be asked.
    pub fn asked(&self) -> usize {
        self.asked.len() + self.unasked.len()
    }

    /// How many of them answered.
    pub fn answered(&self) -> usize {
        self.asked.len()
    }
}

/// An account whose keys are listed.
struct Asked {
    place: TokenPlace,
    account: Account,
    listing: Arc<Listing>,
}

/// What became of a key that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was gone already, which its account says when asked for it; its entry went from the ledger.
    Forgotten,
    /// It is still there, and why.
    Left(String),
}

impl Survey {
    /// Lists the vendors, then reads what may account for keys, then the ledger: in any other order, what is being
    /// made or left behind at this moment would be an orphan.
    pub async fn look(&self, choice: &Choice) -> Result<Findings, Error> {
        let cluster = self.session.cluster().await?;
        let (mut asked, mut unasked) = (Vec::new(), Vec::new());
        let tokens = self.session.tokens(choice.namespace.as_deref(), choice.console_token.as_deref());
        for token in tokens.await? {
            let asking = TokenRef::beside(token.namespace(), &token.name_any());
            let answer = match token.0 {
                Ok(token) => self.ask(&token).await,
                Err(_) => Err("it does not fit the present type; correct it first".to_owned()),
            };
            match answer {
                Ok(account) => asked.push(account),
                Err(why) => unasked.push(Unasked { token: asking, why }),
            }
        }
        let known = self.known(&cluster).await?;
        let mut rows = orphans(&asked, &known, &cluster);
        rows.extend(left(&asked, &known.book, choice));
        let mut unmatched = choice.unmatched_token(asked.len() + unasked.len(), rows.len());
        unmatched.extend(choice.unmatched_keys(&rows));
        rows.retain(|row| choice.keys.is_empty() || choice.keys.iter().any(|id| row.is(id)));
        Ok(Findings { rows, unasked, unmatched, has_ledger: known.book.since.is_some(), cluster, asked })
    }

    /// Removes one of the keys found, if still nothing accounts for it at this very moment: through a ConsoleToken whose
    /// listing shows it, for any other would say of a key that lives that it is gone.
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

    /// No ConsoleToken shows it: what stands in the ledger goes only if its own account says that it is gone.
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

    /// What is the matter where there is no ledger, and what to do.
    pub fn no_ledger(&self) -> String {
        let namespace = self.ledger.namespace();
        format!(
            "there is no ConfigMap {} in namespace {namespace}; name the operator's namespace with --ledger-namespace, or, if \
             it never kept one, begin it: kubectl create configmap {} -n {namespace}",
            ledger::NAME,
            ledger::NAME
        )
    }

    async fn known(&self, cluster: &ClusterId) -> Result<Known, Error> {
        let known = inventory::everything(&self.session.client, cluster).await;
        let known = known.map_err(EVERYTHING.unread())?;
        Ok(Known { book: self.ledger.list().await?, ..known })
    }

    async fn ask(&self, token: &ConsoleToken) -> Result<Asked, String> {
        let account = self.session.connect(token).await?;
        let listing = account.probe().await.map_err(|fault| fault.to_string())?;
        Ok(Asked { place: self.session.vendors.place(token), account, listing })
    }
}

impl Asked {
    /// The key of that row, if this account's listing shows it.
    fn shows(&self, row: &Row) -> Option<&Listed> {
        let wanted = row.key()?;
        let key = self.listing.keys.iter().find(|key| key.id == wanted.id)?;
        let here = match row.entry() {
            Some(entry) => entry.is_shown_by(&self.place, key),
            None => row.is_of(&self.place.place),
        };
        // A row without an entry is a key as it was listed: under that name.
        (here && (row.entry().is_some() || wanted.name == key.name)).then_some(key)
    }

    /// Looks once more whether the key of an entry is gone: for the key itself, or where only its mark is known, for any
    /// key with that mark.
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

/// Asked again right before a removal, of what was read just now.
fn is_accounted_for(known: &Known, row: &Row, key: &Listed, cluster: &ClusterId) -> bool {
    match row.entry() {
        None => !known.is_orphan(cluster, key),
        // An entry of ours may speak of a key without a mark, such as one that was adopted.
        Some(_) if plan::naming::Mark::parse(&key.name).is_some() => !known.lacks(cluster, key),
        Some(_) => known.ids.contains(&key.id.0),
    }
}

/// Several ConsoleTokens may show the same key: it is one row.
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
    // Without a ledger that is said once, and not of each key.
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

/// An entry is one row, or one per key where it speaks of a mark that several carry.
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
