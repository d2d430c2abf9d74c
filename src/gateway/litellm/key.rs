//! A key as LiteLLM shows it, in the answers to creation, to a listing, and to a look at one key.

use super::rhythm;
use crate::api::shared::{Period, RateLimit};
use crate::gateway::entry::{Entry, Read};
use crate::gateway::{guard, lenient};
use crate::plan::listing::{KeyId, Limit, Listed, Setting, Shown};
use crate::plan::naming::Mark;
use crate::plan::time::to_the_second;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The fields of a key that are read (§3).
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "named by the vendor")]
pub(super) struct Key {
    #[serde(default, deserialize_with = "hash")]
    token: Option<String>,
    #[serde(default)]
    key_alias: Option<String>,
    #[serde(default, deserialize_with = "lenient::micros")]
    spend: Option<u64>,
    #[serde(default, deserialize_with = "lenient::micros")]
    max_budget: Option<u64>,
    #[serde(default)]
    budget_duration: Option<String>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    expires: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::list")]
    models: Vec<String>,
    #[serde(default)]
    blocked: Option<bool>,
    #[serde(default)]
    rpm_limit: Option<u64>,
    #[serde(default)]
    tpm_limit: Option<u64>,
    #[serde(default)]
    max_parallel_requests: Option<u64>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    last_active: Option<Timestamp>,
    /// Makes serde accept an object only, not an array of its fields.
    #[serde(flatten)]
    _object: (),
}

/// Whether the text can be an id: a SHA-256 in lower hex. Other APIs have the secret in a field of this name, which
/// does not look like this.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if !is_hash(&text) => Err(serde::de::Error::custom("an id that is no SHA-256 in hex")),
        id => Ok(id),
    }
}

impl Entry for Key {
    const FIELDS: &'static [&'static str] = &[
        "token",
        "key_alias",
        "spend",
        "max_budget",
        "budget_duration",
        "expires",
        "models",
        "blocked",
        "rpm_limit",
        "tpm_limit",
        "max_parallel_requests",
        "created_at",
        "last_active",
    ];
    const EXPIRY: Option<&'static str> = Some("expires");
    const ID: &'static str = "token";
    const NAME: &'static str = "key_alias";

    fn has_id(&self) -> bool {
        self.token.is_some()
    }
}

/// The answer to a look at one key. Only newer versions answer for a deleted key (§5).
#[derive(Deserialize)]
pub(super) struct Info {
    info: Map<String, Value>,
    #[serde(flatten)]
    _object: (),
}

impl Info {
    pub(super) fn is_deleted(&self) -> bool {
        let deleted = self.info.get("deleted_at").is_some_and(|it| !it.is_null());
        deleted || self.info.get("status").is_some_and(|it| it == "deleted")
    }

    /// The user that the key belongs to.
    pub(super) fn user(&self) -> Option<&str> {
        self.info.get("user_id")?.as_str()
    }

    /// The key, with the id that was asked for: this answer leaves it out (§3).
    pub(super) fn named(mut self, id: &KeyId) -> Value {
        self.info.insert("token".to_owned(), Value::String(id.0.clone()));
        Value::Object(self.info)
    }
}

/// The answer to creation. The rest is not parsed with it: a key that is shown once must not be lost because a time is
/// malformed.
#[derive(Deserialize)]
pub(super) struct Created {
    key: SecretString,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Created {
    /// The key as far as it can be read, and its secret.
    pub(super) fn parts(mut self) -> (Option<Read<Key>>, SecretString) {
        if self.rest.get("token").is_none_or(Value::is_null)
            && let Some(id) = self.rest.remove("token_id")
        {
            self.rest.insert("token".to_owned(), id);
        }
        (crate::gateway::entry::read(Value::Object(self.rest)), self.key)
    }
}

/// The period with this rhythm; `None`: it is none of ours (§6).
fn period(rhythm_of_key: Option<&str>) -> Option<Period> {
    let all = [Period::Once, Period::Daily, Period::Weekly, Period::Monthly];
    let same = match rhythm_of_key.filter(|it| !it.is_empty()) {
        Some("24h") => Some("1d"),
        Some("1w") => Some("7d"),
        Some("1mo") => Some("30d"),
        other => other,
    };
    all.into_iter().find(|it| rhythm(*it) == same)
}

/// A key, as far as it could be read. `None`: it has no id.
pub(super) fn listed(read: Read<Key>) -> Option<Listed> {
    let shows = |fields: &[&str]| fields.iter().all(|it| read.is_read(it));
    let (models, limit) = (shows(&["models"]), shows(&["max_budget", "budget_duration"]));
    let (rates, spent) = (shows(&["rpm_limit", "tpm_limit", "max_parallel_requests"]), shows(&["spend"]));
    let active = shows(&["blocked"]);
    let unread = read.unread_fields();
    let key = read.entry;
    // A name without our mark is read as empty, so that it always counts as drift.
    let human = |name: &str| Mark::parse(name).map_or("", |_| Mark::display_in(name)).to_owned();
    let name = key.key_alias.unwrap_or_default();
    let period = period(key.budget_duration.as_deref());
    let rate = RateLimit {
        requests_per_minute: key.rpm_limit,
        tokens_per_minute: key.tpm_limit,
        parallel: key.max_parallel_requests,
    };
    let budget = match (key.max_budget, period) {
        _ if !limit => Setting::Hidden,
        (None, _) => Setting::Unset,
        (Some(micros), Some(period)) => Setting::Set(Limit { micros, period }),
        (Some(_), None) => Setting::Hidden,
    };
    Some(Listed {
        id: KeyId(key.token?),
        // The answer to creation has microseconds, later ones milliseconds (§3).
        created_at: key.created_at.map(to_the_second),
        expires_at: key.expires.map(to_the_second),
        last_used_at: key.last_active.map(to_the_second),
        spent: None,
        remaining: key
            .max_budget
            .filter(|_| limit && spent)
            .map(|it| it.saturating_sub(key.spend.unwrap_or(0))),
        unread,
        shown: Shown {
            display_name: (!guard::withheld(&name)).then(|| human(&name)),
            active: active.then_some(key.blocked != Some(true)),
            models: models.then_some(key.models),
            budget,
            capped: (limit && key.max_budget.is_some() && period.is_none()).then_some(true),
            other_period: limit && key.max_budget.is_some() && period.is_none(),
            rate_limit: if rates {
                Setting::shown(Some(rate).filter(|it| *it != RateLimit::default()))
            } else {
                Setting::Hidden
            },
            ..Shown::default()
        },
        name,
    })
}
