//! Keys as v3 shows them (§2.8). A secret is shown when a key is created or rotated, and never again.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::record::{KeyRecord, ManagementKey};
use super::switches::Switches;
use crate::emulator::edenai::budget;
use crate::emulator::route::Moment;
use crate::emulator::secret::last_four;
use crate::emulator::wire::stamp;

/// One key without its secret.
pub(super) fn key(record: &KeyRecord, switches: &Switches, now: Timestamp) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("id", if record.legacy { Value::Null } else { json!(record.id) });
    put("name", json!(record.name));
    put("token_type", json!(record.token_type));
    put("member", json!(record.member));
    put("masked", json!(masked(record)));
    put("expire_time", json!(record.expires_at.map(stamp)));
    put("revoked", json!(record.revoked_at.is_some()));
    put("revoked_at", json!(record.revoked_at.map(stamp)));
    let budget = record.budget.at(now);
    budget::show(&budget, &mut body, switches.balance);
    if switches.all_fields {
        budget::show_reset(&budget, &mut body, switches.balance);
        body.insert("default_tags".to_owned(), json!(record.default_tags));
    }
    Value::Object(body)
}

/// One key as a listing shows it. A listing that lags does not know a recent revocation yet.
pub(super) fn listed_key(record: &KeyRecord, switches: &Switches, moment: Moment) -> Value {
    let revoked_at = late(record.revoked_at, moment);
    key(&KeyRecord { revoked_at, ..record.clone() }, switches, moment.now)
}

/// One management key without its secret; the names of the fields are not documented (§2.8).
pub(super) fn management_key(record: &ManagementKey) -> Value {
    json!({
        "id": record.id,
        "name": record.name,
        "scopes": record.scopes,
        "masked": format!("mgmt-eden-…{}", last_four(&record.secret)),
        "expire_time": record.expires_at.map(stamp),
        "revoked": record.revoked_at.is_some(),
        "revoked_at": record.revoked_at.map(stamp),
    })
}

pub(super) fn masked(record: &KeyRecord) -> String {
    format!("sk-eden-…{}", last_four(&record.secret))
}

/// The time of an event, if it is old enough for the listing to know it.
pub(super) fn late(at: Option<Timestamp>, moment: Moment) -> Option<Timestamp> {
    at.filter(|at| moment.now.duration_since(*at) >= moment.lag)
}
