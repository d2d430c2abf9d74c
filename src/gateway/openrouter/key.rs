//! A key as OpenRouter shows it, and its limit (§3).

use crate::api::shared::Period;
use crate::gateway::entry::{Entry, Read, malformed};
use crate::gateway::{guard, lenient};
use crate::plan::budget::period_end;
use crate::plan::fault::Fault;
use crate::plan::listing::{KeyId, Limit, Listed, Setting, Shown};
use crate::plan::naming::Mark;
use crate::plan::time::to_the_second;
use crate::plan::usage::Spending;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

/// The fields of a key that are read.
#[derive(Deserialize)]
pub(super) struct Key {
    #[serde(default, deserialize_with = "lenient::present_id")]
    hash: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "lenient::micros")]
    limit: Option<u64>,
    #[serde(default, deserialize_with = "lenient::micros")]
    limit_remaining: Option<u64>,
    #[serde(default)]
    limit_reset: Option<String>,
    #[serde(default, deserialize_with = "lenient::micros")]
    usage: Option<u64>,
    #[serde(default, deserialize_with = "lenient::micros")]
    usage_daily: Option<u64>,
    #[serde(default, deserialize_with = "lenient::micros")]
    usage_weekly: Option<u64>,
    #[serde(default, deserialize_with = "lenient::micros")]
    usage_monthly: Option<u64>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    updated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    expires_at: Option<Timestamp>,
    /// Makes serde accept an object only, not an array of its fields.
    #[serde(flatten)]
    _object: (),
}

impl Entry for Key {
    const FIELDS: &'static [&'static str] = &[
        "hash",
        "name",
        "disabled",
        "limit",
        "limit_remaining",
        "limit_reset",
        "usage",
        "usage_daily",
        "usage_weekly",
        "usage_monthly",
        "created_at",
        "updated_at",
        "expires_at",
    ];
    const EXPIRY: Option<&'static str> = Some("expires_at");
    const ID: &'static str = "hash";

    fn has_id(&self) -> bool {
        self.hash.is_some()
    }
}

impl Key {
    /// What the key spent in the running period, in millionths.
    pub(super) fn spent_in(&self, period: Period) -> u64 {
        let spent = match period {
            Period::Once => self.usage,
            Period::Daily => self.usage_daily,
            Period::Weekly => self.usage_weekly,
            Period::Monthly => self.usage_monthly,
        };
        spent.unwrap_or(0)
    }
}

/// The answer to a look at one key.
#[derive(Deserialize)]
pub(super) struct Inside {
    pub(super) data: Value,
    #[serde(flatten)]
    _object: (),
}

/// The answer to creation. The key is not parsed with it: a secret that is shown once must not be lost because a time is
/// malformed.
#[derive(Deserialize)]
pub(super) struct Created {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    key: Option<SecretString>,
    #[serde(flatten)]
    _object: (),
}

impl Created {
    /// The key as far as it can be read, and its secret, which some pages show inside the key (§4).
    pub(super) fn parts(self) -> (Option<Read<Key>>, Option<SecretString>) {
        let inside = || self.data["key"].as_str().map(SecretString::from);
        let secret = self.key.clone().or_else(inside);
        (crate::gateway::entry::read(self.data), secret)
    }
}

const PERIODS: [Period; 4] = [Period::Once, Period::Daily, Period::Weekly, Period::Monthly];

/// How often a limit is reset, in the vendor's terms: at midnight UTC of each day, of Monday, of the first of a month.
const fn reset(period: Period) -> Option<&'static str> {
    match period {
        Period::Once => None,
        Period::Daily => Some("daily"),
        Period::Weekly => Some("weekly"),
        Period::Monthly => Some("monthly"),
    }
}

/// The fields of a limit. `left`: what may still be spent in the running period, after `spent`; `None`: the whole limit counts.
/// The vendor is never sent zero, of which the meaning is not documented (§9).
#[expect(
    clippy::cast_precision_loss,
    reason = "the vendor counts in doubles; 2^53 millionths are nine billion dollars"
)]
pub(super) fn limit(limit: Option<Limit>, spent: u64, left: Option<u64>) -> [(String, Value); 2] {
    let micros = limit.map(|it| left.map_or(it.micros, |left| spent.saturating_add(left)).max(1));
    [
        ("limit".to_owned(), json!(micros.map(|it| it as f64 / 1_000_000.0))),
        ("limit_reset".to_owned(), json!(limit.and_then(|it| reset(it.period)))),
    ]
}

/// Whether the limit was set in the running period, so that it may leave out what other keys had spent before.
fn is_of_this_period(period: Period, set_at: Option<Timestamp>, now: Timestamp) -> bool {
    let end = |at| period_end(period, "UTC", at);
    period == Period::Once || set_at.is_some_and(|at| end(at) == end(now))
}

/// A key, as far as it could be read. `None`: it has no id.
pub(super) fn listed(read: Read<Key>, now: Timestamp) -> Option<Listed> {
    let shows = |fields: &[&str]| fields.iter().all(|it| read.is_read(it));
    let (limited, active) = (shows(&["limit", "limit_reset"]), shows(&["disabled"]));
    let told = limited && shows(&["limit_remaining"]);
    let unread = read.unread_fields();
    let key = read.entry;
    let name = key.name.unwrap_or_default();
    // A name without our mark always differs, whatever else is in it.
    let human = |name: &str| Mark::parse(name).map_or("", |_| Mark::display_in(name)).to_owned();
    let period =
        PERIODS.into_iter().find(|it| reset(*it) == key.limit_reset.as_deref().filter(|it| !it.is_empty()));
    let budget = match (key.limit, period) {
        _ if !limited => Setting::Hidden,
        (None, _) => Setting::Unset,
        (Some(micros), Some(period)) => Setting::Set(Limit { micros, period }),
        (Some(_), None) => Setting::Hidden,
    };
    let other_period = limited && key.limit.is_some() && period.is_none();
    let set_at = key.updated_at.max(key.created_at);
    Some(Listed {
        id: KeyId(key.hash?),
        created_at: key.created_at.map(to_the_second),
        expires_at: key.expires_at.map(to_the_second),
        // Not told (§3).
        last_used_at: None,
        spent: None,
        remaining: key.limit.and(key.limit_remaining).filter(|_| told),
        unread,
        shown: Shown {
            display_name: (!guard::withheld(&name)).then(|| human(&name)),
            active: active.then_some(key.disabled != Some(true)),
            budget,
            may_be_reduced: budget.value().is_some_and(|it| is_of_this_period(it.period, set_at, now)),
            capped: other_period.then_some(true),
            other_period,
            ..Shown::default()
        },
        name,
    })
}

/// What a key spent in the running month (§6).
pub(super) fn spending(key: Key) -> Result<Spending, Fault> {
    let micros = key.usage_monthly.ok_or(malformed(None, "usage_monthly"))?;
    Ok(Spending { key: key.hash.unwrap_or_default(), micros, ..Spending::default() })
}
