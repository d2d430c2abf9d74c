//! The answers of the real server, field by field, and the values that the state puts into them. `shapes.json` is what
//! version 1.108.7 answers for a key without settings.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::record::KeyRecord;
use crate::emulator::secret::last_four;

static SHAPES: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("shapes.json")).unwrap_or_default());

/// The fields of an answer of that name.
pub(super) fn of(name: &str) -> Map<String, Value> {
    SHAPES.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The amount as the JSON number that the vendor sends.
#[expect(clippy::cast_precision_loss, reason = "2^53 millionths are more money than anybody has here")]
pub(super) fn usd(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// Milliseconds, cut, in six digits.
pub(super) fn zulu(at: Timestamp) -> String {
    format!("{}Z", written(millis(at)))
}

fn offset(at: Timestamp) -> String {
    format!("{}+00:00", written(millis(at)))
}

fn micros(at: Timestamp) -> String {
    format!("{}Z", written(Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)))
}

fn millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// As Python writes it: no fraction if it is zero, otherwise six digits.
fn written(at: Timestamp) -> String {
    let format = if at.subsec_nanosecond() == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
    at.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// The values of a key, with times in that format.
fn laid(key: &KeyRecord, shape: &str, time: fn(Timestamp) -> String) -> Map<String, Value> {
    let mut fields = of(shape);
    let mut put = |name: &str, value: Value| {
        // An answer has the fields of its shape and no others.
        if let Some(slot) = fields.get_mut(name) {
            *slot = value;
        }
    };
    put("token", json!(key.id));
    put("token_id", json!(key.id));
    put("key_name", json!(format!("sk-...{}", last_four(&key.secret))));
    put("key_alias", json!(key.alias));
    put("spend", json!(usd(key.spend)));
    put("total_spend", json!(usd(key.total)));
    put("max_budget", json!(key.budget.map(usd)));
    put("budget_duration", json!(key.rhythm));
    put("budget_reset_at", json!(key.reset_at.map(time)));
    put("expires", json!(key.expires.map(time)));
    put("models", json!(key.models));
    put("user_id", json!(key.user));
    put("team_id", json!(key.team));
    put("rpm_limit", json!(key.rates.requests));
    put("tpm_limit", json!(key.rates.tokens));
    put("max_parallel_requests", json!(key.rates.parallel));
    put("blocked", json!(key.blocked));
    put("key_type", json!(key.kind));
    put("allowed_routes", routes(key));
    put("created_at", json!(time(key.created_at)));
    put("created_by", json!(key.created_by));
    put("updated_at", json!(time(key.updated_at)));
    put("updated_by", json!(key.created_by));
    put("settings_updated_at", json!(key.settings_updated_at.map(time)));
    put("last_active", json!(key.last_active.map(time)));
    fields
}

fn routes(key: &KeyRecord) -> Value {
    use super::record::Kind;
    match key.kind {
        Kind::LlmApi => json!(["llm_api_routes"]),
        Kind::Management => json!(["management_routes"]),
        Kind::ReadOnly => json!(["info_routes"]),
        Kind::Default => json!([]),
    }
}

/// The answer to creation: the one that shows the secret.
pub(super) fn created(key: &KeyRecord) -> Value {
    let mut fields = laid(key, "created", zulu);
    fields.insert("key".to_owned(), json!(key.secret));
    fields.insert("expires".to_owned(), json!(key.expires.map(micros)));
    Value::Object(fields)
}

/// A row of a listing.
pub(super) fn listed(key: &KeyRecord) -> Value {
    Value::Object(laid(key, "listed", zulu))
}

/// The answer to a look at one key, which echoes what was asked for.
pub(super) fn info(asked: &str, key: &KeyRecord, now: Timestamp) -> Value {
    let mut fields = laid(key, "info", offset);
    let status = if key.blocked == Some(true) {
        "revoked"
    } else if key.expired(now) {
        "expired"
    } else {
        "active"
    };
    fields.insert("status".to_owned(), json!(status));
    json!({"key": asked, "info": fields})
}

/// The same for a deleted key.
pub(super) fn deleted(asked: &str, key: &KeyRecord, at: Timestamp) -> Value {
    let mut fields = laid(key, "deleted", offset);
    fields.insert("deleted_at".to_owned(), json!(offset(at)));
    json!({"key": asked, "info": fields})
}

/// The answer to a change.
pub(super) fn updated(asked: &str, key: &KeyRecord) -> Value {
    let mut fields = laid(key, "updated", offset);
    fields.insert("key".to_owned(), json!(asked));
    Value::Object(fields)
}
