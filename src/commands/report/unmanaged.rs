//! The keys at the vendors that no GatewayApiKey accounts for.

use crate::cluster::inventory;
use crate::output::Failure;
use crate::plan::identity::AnyToken;
use crate::plan::listing::Listed;
use crate::plan::naming::{ClusterId, Mark};
use crate::plan::orphans::Known;
use crate::session::vendors::Everything;
use crate::session::{EVERYTHING, Session, Unasked, objects};
use jiff::Timestamp;
use std::collections::{BTreeSet, HashSet};

/// Such a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmanaged {
    /// The vendor, as `keysmith explain` names it, and the account, where it is known.
    pub account: String,
    /// The vendor's id.
    pub id: String,
    /// The name in the vendor's console.
    pub name: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// What is known of it, and what can be done.
    pub what: &'static str,
}

/// Asks the vendor of every console token of that namespace, or of all.
pub async fn read(
    session: &Session,
    namespace: Option<&str>,
) -> Result<(Vec<Unmanaged>, Vec<Unasked>), Failure> {
    let cluster = objects::cluster(&session.client).await?;
    let (mut asked, mut unasked) = (Vec::new(), Vec::new());
    for found in objects::tokens(&session.client, namespace, None).await? {
        let answer = match &found.token {
            Some(token) => session.ask(token).await,
            None => Err("it does not fit the present type; correct it first".to_owned()),
        };
        match (answer, found.token) {
            (Ok((_, listing)), Some(token)) => asked.push((token, listing)),
            (Err(why), _) => unasked.push(Unasked { token: found.reference, why }),
            (Ok(_), None) => {}
        }
    }
    // The listings come first: a key that is made meanwhile has its resource then.
    let everything = Everything::read(&session.client).await?;
    let known = inventory::everything(&session.client, &cluster).await.map_err(EVERYTHING.unread())?;
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    for (token, listing) in &asked {
        let api = session.vendors.place(token).place.api();
        let ids = everything.ids_at(token);
        let unmanaged = listing.keys.iter().filter_map(|key| {
            let what = what(key, &ids, &known, &cluster)?;
            Some(Unmanaged { what, ..row(token, key) })
        });
        // Several tokens may lead to one account.
        rows.extend(unmanaged.filter(|it| seen.insert((api.clone(), it.account.clone(), it.id.clone()))));
    }
    rows.sort_by(|one, other| {
        (&one.account, &one.name, &one.id).cmp(&(&other.account, &other.name, &other.id))
    });
    Ok((rows, unasked))
}

/// What is known of a key that no GatewayApiKey names; `None`: a resource accounts for it.
fn what(key: &Listed, ids: &BTreeSet<String>, known: &Known, cluster: &ClusterId) -> Option<&'static str> {
    if ids.contains(&key.id.0) {
        return None;
    }
    match Mark::parse(&key.name).map(|(mark, _)| mark) {
        Some(mark) if known.marks.contains(&mark) => None,
        Some(mark) if mark.is_of(cluster) => Some(
            "made by Keysmith, and its resource is gone: left on purpose, or an orphan; see keysmith orphans",
        ),
        Some(_) => Some("made by Keysmith in another cluster, or in this one under another controller class"),
        None => Some("made by a person or another program; keysmith adopt takes it over"),
    }
}

fn row(token: &AnyToken, key: &Listed) -> Unmanaged {
    let status = token.status();
    let vendor = status.and_then(|it| it.vendor.clone()).unwrap_or_default();
    let account =
        status.and_then(|it| it.account.as_ref()).map_or_else(String::new, |it| format!(", {}", it.id));
    Unmanaged {
        account: vendor + &account,
        id: key.id.0.clone(),
        name: key.name.clone(),
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        what: "",
    }
}
