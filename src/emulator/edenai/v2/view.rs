//! Custom tokens as v2 shows them. A balance is a string in the answer to a create, and a number in other answers
//! (§2.3).

use serde_json::{Map, Value, json};

use super::record::CustomToken;
use super::switches::Switches;
use crate::emulator::edenai::budget;
use crate::emulator::edenai::money::Form;
use crate::emulator::secret::last_four;
use crate::emulator::wire::stamp;

/// The answer to a create: no `token`, unless a switch says so.
pub(super) fn created(token: &CustomToken, switches: &Switches) -> Value {
    let mut body = settings(token, switches, Form::Text);
    if switches.token_in_create {
        body.insert("token".to_owned(), json!(token.secret));
    }
    Value::Object(body)
}

/// The answer to an update.
pub(super) fn updated(token: &CustomToken, switches: &Switches) -> Value {
    Value::Object(settings(token, switches, Form::Number))
}

/// An entry of the list, and the answer to a read.
pub(super) fn item(token: &CustomToken, switches: &Switches) -> Value {
    let mut body = settings(token, switches, Form::Number);
    if switches.token_in_reads {
        body.insert("token".to_owned(), json!(token.secret));
    }
    if switches.sessions_only {
        label(token, &mut body);
    }
    Value::Object(body)
}

fn settings(token: &CustomToken, switches: &Switches, form: Form) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(token.name));
    body.insert("token_type".to_owned(), json!(token.token_type));
    body.insert("expire_time".to_owned(), json!(token.expires_at.map(stamp)));
    budget::show(&token.budget, &mut body, form);
    if switches.resets {
        budget::show_reset(&token.budget, &mut body, form);
    }
    body
}

/// The fields that the API of September 2026 shows instead of the token (§2.3).
fn label(token: &CustomToken, body: &mut Map<String, Value>) {
    let last4 = last_four(&token.secret);
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("label", json!(token.name));
    put("masked", json!(format!("sk-eden-…{last4}")));
    put("key_prefix", json!("sk-eden-"));
    put("last4", json!(last4));
    put("revoked", json!(false));
    put("legacy", json!(false));
    put("synthesized", json!(false));
}
