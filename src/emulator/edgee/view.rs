//! Records as the console API shows them. Only the answers to create and reveal read a secret.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::record::{KeyKind, KeyRecord, ProviderKeyRecord, TokenRecord};
use super::switches::{Blank, Switches};
use crate::emulator::secret::last_four;
use crate::emulator::wire::stamp;

/// Whether a key shows its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Hidden,
    Revealed,
}

/// How an unset field of one type is shown.
struct Blanks {
    zero: Value,
    empty: Value,
}

/// §1.3. Absent means absent: optional fields are left out rather than null, unless a switch says otherwise.
pub(super) fn key(record: &KeyRecord, switches: &Switches, sight: Sight) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("object", json!("ai_gateway_api_key"));
    put("id", json!(record.id));
    put("organization_id", json!(record.organization));
    put("name", json!(record.name));
    put("type", json!(record.kind));
    put("active", json!(record.active));
    put("debug_mode", json!(record.debug_mode));
    put("created_at", json!(stamp(record.created_at)));
    if let Some(assistant) = record.coding_assistant.as_ref().filter(|_| record.kind == KeyKind::CodingAgent)
    {
        put("coding_assistant", json!(assistant));
    }
    if let Some(email) = record.email.as_ref().filter(|_| switches.email_echo) {
        put("email", json!(email));
    }
    match sight {
        Sight::Revealed => put("key", json!(record.secret)),
        Sight::Hidden if switches.masked_key => put("key", json!(masked(&record.secret))),
        Sight::Hidden => None,
    };
    put_limits(&mut body, record, switches);
    put_time(&mut body, "expires_at", record.expires_at, switches.expires_at);
    put_time(&mut body, "last_used_at", record.last_used_at, switches.last_used_at);
    Value::Object(body)
}

/// §1.10. The credential is never shown.
pub(super) fn provider_key(record: &ProviderKeyRecord) -> Value {
    json!({
        "id": record.id,
        "provider": record.provider,
        "name": record.name,
        "api_key_ids": record.api_key_ids,
        "created_at": stamp(record.created_at),
        "created_by": record.created_by,
        "active": record.active,
    })
}

/// §1.13, without `token`.
pub(super) fn token(record: &TokenRecord, switches: &Switches) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("object", json!("api_token"));
    put("id", json!(record.id));
    put("user_id", json!(record.user));
    put("name", json!(record.name));
    put("from_browser", json!(false));
    put("created_at", json!(stamp(record.created_at)));
    put("updated_at", json!(stamp(record.created_at)));
    put_time(&mut body, "expires_at", record.expires_at, switches.expires_at);
    put_time(&mut body, "last_used_at", record.last_used_at, switches.last_used_at);
    Value::Object(body)
}

fn put_limits(body: &mut Map<String, Value>, record: &KeyRecord, switches: &Switches) {
    let models = (!record.models.is_empty()).then(|| json!(record.models));
    let unset = switches.unset_limits;
    put(body, "models", models, unset, Blanks { zero: json!([]), empty: json!([]) });
    let max_usage = record.max_usage.map(|usd| json!(usd));
    put(body, "max_usage", max_usage, unset, Blanks { zero: json!(0), empty: json!(0) });
}

fn put_time(body: &mut Map<String, Value>, name: &str, at: Option<Timestamp>, blank: Blank) {
    let blanks = Blanks { zero: json!("0001-01-01T00:00:00Z"), empty: json!("") };
    put(body, name, at.map(|at| json!(stamp(at))), blank, blanks);
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<Value>, blank: Blank, blanks: Blanks) {
    let shown = value.or(match blank {
        Blank::Zero => Some(blanks.zero),
        Blank::Absent => None,
        Blank::Null => Some(Value::Null),
        Blank::Empty => Some(blanks.empty),
    });
    body.extend(shown.map(|value| (name.to_owned(), value)));
}

fn masked(secret: &str) -> String {
    format!("sk-edgee-****{}", last_four(secret))
}
