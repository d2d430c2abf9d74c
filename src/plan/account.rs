//! The account that a console token leads to. The account is pinned when the token is first verified, and doubted
//! when all recorded keys are missing from a listing together: that points to another account rather than to
//! deleted keys.

use super::hash;
use super::listing::KeyId;
use super::retry::plus;
use crate::api::GatewayApiKey;
use crate::api::console_token::{AccountCandidate, ConsoleTokenAccount};
use crate::plan::time;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// One missing key was probably deleted by a person; this many at once were not.
const TOGETHER: usize = 2;
/// Characters of an account name derived from a credential.
const SHORT: usize = 16;

/// A key that a resource of the account records as served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The vendor's id.
    pub id: KeyId,
    /// From this time on, a listing must show the key; `None`: always, because its creation time is unknown.
    pub listed_by: Option<Timestamp>,
    /// Whether it belongs to this ConsoleToken and not to another one that leads to the same account.
    pub own: bool,
    /// Whether its resource is being deleted, so that the key may already be revoked.
    pub going: bool,
}

/// The served key in the resource's status, if any.
pub fn recorded(key: &GatewayApiKey, lag: SignedDuration, own: bool) -> Option<Recorded> {
    let status = key.status.as_ref()?;
    let id = KeyId(status.id.clone()?);
    let going = key.metadata.deletion_timestamp.is_some();
    Some(Recorded { id, listed_by: status.created_at.map(|at| plus(at, lag)), own, going })
}

/// The recorded keys that a listing begun at `as_of` should show but does not.
pub fn missing<'a>(recorded: &'a [Recorded], listed: &BTreeSet<&str>, as_of: Timestamp) -> Vec<&'a Recorded> {
    let old = |it: &&Recorded| it.listed_by.is_none_or(|at| at < as_of);
    recorded.iter().filter(old).filter(|it| !listed.contains(it.id.0.as_str())).collect()
}

/// The input for judging a listing.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The current time.
    pub now: Timestamp,
    /// When the listing began.
    pub as_of: Timestamp,
    /// The ids of all listed keys.
    pub listed: &'a BTreeSet<&'a str>,
    /// The keys that resources record.
    pub recorded: &'a [Recorded],
    /// Salted hash of the credential.
    pub credential: &'a str,
    /// The id of the token's account, if the vendor shows it.
    pub told: Option<&'a str>,
    /// Whether every token of the shown account lists all its keys. If not, another token of the same account
    /// proves nothing.
    pub whole: bool,
    /// The account in the annotation `keysmith.dev/accept-account`, if not handled yet.
    pub accepts: Option<&'a str>,
}

/// The result of judging a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// As far as is known, it is the account in which the keys were created.
    Sure,
    /// It is another account, or it lost its keys, and the user accepted that. The keys of this old account are
    /// left behind.
    Accepted(String),
    /// No recorded key is listed.
    Suspicious,
    /// The vendor shows another account id than before.
    Changed,
}

/// The account id from the vendor, if it is well-formed. A malformed id is not stored anywhere.
pub fn checked(told: Option<String>) -> Option<String> {
    let fits = |id: &str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'-'))
    };
    told.filter(|id| fits(id))
}

/// The account name if the vendor shows no id, derived from the salted hash of the credential.
pub fn unnamed(credential: &str) -> String {
    format!("token-{}", hash::base32(&[b"account", credential.as_bytes()], SHORT))
}

/// The account id that the vendor showed before, or `Ask` if the vendor must be asked for it.
pub fn known<'a>(
    pinned: Option<&'a ConsoleTokenAccount>,
    credential: &str,
    fresh: bool,
) -> Result<Option<&'a str>, Ask> {
    let Some(account) = pinned else { return Err(Ask) };
    let candidate = account.candidate.as_ref().filter(|it| it.credential == credential);
    match candidate {
        Some(candidate) => Ok(Some(candidate.id.as_str()).filter(|_| candidate.told)),
        None if account.credential != credential => Err(Ask),
        None if account.told => Ok(Some(&account.id)),
        // This version of Keysmith may be able to read the id although the one that pinned the account was not.
        None if fresh => Err(Ask),
        None => Ok(None),
    }
}

/// The vendor must be asked for the account id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask;

/// Judges a listing, and returns the account to record in status.
pub fn judge(pinned: Option<&ConsoleTokenAccount>, look: &Look<'_>) -> (ConsoleTokenAccount, Judgement) {
    let candidate = candidate(look);
    let pin = |id: String, told: bool| ConsoleTokenAccount {
        id,
        told,
        credential: look.credential.to_owned(),
        ..ConsoleTokenAccount::default()
    };
    let first = || pin(candidate.id.clone(), candidate.told);
    let before = pinned.cloned().unwrap_or_else(first);
    let question = question(pinned, &before, look);
    let same_credential = before.credential == look.credential;
    match question {
        Question::Open => (ConsoleTokenAccount { candidate: Some(candidate), ..before }, Judgement::Sure),
        Question::None { seen } => {
            let same = seen || same_credential || is_same(&before, look);
            let (id, told) = if same && (before.told || look.told.is_none()) {
                (before.id, before.told)
            } else {
                (candidate.id, candidate.told)
            };
            let accepted = before.accepted.filter(|it| !seen && it == look.credential);
            (ConsoleTokenAccount { accepted, ..pin(id, told) }, Judgement::Sure)
        }
        Question::Suspicious | Question::Changed if look.accepts == Some(candidate.id.as_str()) => {
            let accepted = Some(look.credential.to_owned());
            let account = ConsoleTokenAccount { accepted, ..pin(candidate.id, candidate.told) };
            (account, Judgement::Accepted(before.id))
        }
        Question::Suspicious | Question::Changed => {
            let since = before.doubted_since.unwrap_or_else(|| time::to_the_second(look.now));
            let account = ConsoleTokenAccount {
                doubted_since: Some(since),
                candidate: Some(candidate),
                accepted: None,
                ..before
            };
            let changed = question == Question::Changed;
            (account, if changed { Judgement::Changed } else { Judgement::Suspicious })
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// No doubt. `seen`: a recorded key is listed.
    None { seen: bool },
    /// The credential is new and the keys are too young to be listed; the next listing decides.
    Open,
    /// No recorded key is listed.
    Suspicious,
    /// The vendor shows another account id.
    Changed,
}

fn question(pinned: Option<&ConsoleTokenAccount>, before: &ConsoleTokenAccount, look: &Look<'_>) -> Question {
    if before.told && look.told.is_some_and(|told| told != before.id) {
        return Question::Changed;
    }
    if look.recorded.iter().any(|it| look.listed.contains(it.id.0.as_str())) {
        return Question::None { seen: true };
    }
    if look.recorded.is_empty() || before.accepted.as_deref() == Some(look.credential) {
        return Question::None { seen: false };
    }
    let missing = missing(look.recorded, look.listed, look.as_of);
    let own = missing.iter().any(|it| it.own);
    let unproven = pinned.is_some() && before.credential != look.credential && !is_same(before, look);
    // If the token created them itself, keys whose resources are being deleted may be missing because they were
    // revoked.
    let stay: Vec<_> = missing.iter().filter(|it| !it.going).collect();
    let together = stay.len() >= TOGETHER && stay.iter().any(|it| it.own);
    if together || own && unproven || was_suspicious(before) {
        return Question::Suspicious;
    }
    if unproven { Question::Open } else { Question::None { seen: false } }
}

/// Whether the account is doubted because of missing keys, not because the vendor showed another id.
fn was_suspicious(before: &ConsoleTokenAccount) -> bool {
    let other = before.candidate.as_ref().is_some_and(|it| before.told && it.told && it.id != before.id);
    before.doubted_since.is_some() && !other
}

/// Whether the vendor shows the pinned account, and every token of it lists all its keys.
fn is_same(before: &ConsoleTokenAccount, look: &Look<'_>) -> bool {
    look.whole && before.told && look.told == Some(before.id.as_str())
}

fn candidate(look: &Look<'_>) -> AccountCandidate {
    AccountCandidate {
        id: look.told.map_or_else(|| unnamed(look.credential), str::to_owned),
        told: look.told.is_some(),
        credential: look.credential.to_owned(),
    }
}

/// The status message while the account is doubted. `place` is the location of the token.
pub fn message(account: &ConsoleTokenAccount, judgement: &Judgement, place: &str) -> Option<String> {
    let old = &account.id;
    let new = account.candidate.as_ref().map_or(old, |it| &it.id);
    let meant = format!(
        "only if the move is meant, set the annotation keysmith.dev/accept-account={new} on this ConsoleToken: every key is then made anew there, \
         and the old ones keep WORKING in {old} (the ledger names them: keysmith orphans)"
    );
    match judgement {
        Judgement::Sure | Judgement::Accepted(_) => None,
        Judgement::Suspicious => Some(format!(
            "none of the keys made in account {old} is listed, as if the token led to another account; nothing is made or revoked, and Secrets stay \
             as they are; over by itself as soon as one of the keys is listed, which is looked for with each poll; otherwise put a token of {old} \
             into {place}; {meant}"
        )),
        Judgement::Changed => Some(format!(
            "the token leads to account {new}, and the keys were made in account {old}; nothing is made or revoked, and Secrets stay as they are; \
             put a token of {old} into {place}; {meant}"
        )),
    }
}
