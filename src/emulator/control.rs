//! `/_emulator/` and the help page: all functions of the handles over HTTP. No answer holds a secret.

mod vendors;

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Emulator;
use super::edgee::KeyRecord;
use super::faults::Rule;
use super::fields::{Complaint, Fields};
use super::handle::{VendorHandle, VendorId};
use super::wire::{self, Inbound, Reply};

const HELP: &str = "\
keysmith emulator: LLM-gateway vendors on one port. All keys and tokens are fake.

  /edgee/v1/...            Edgee Console API (Authorization: Bearer <console token>)
  /edgee-gateway/v1/...    Edgee data plane: POST chat/completions, POST messages, GET models
  /edenai/v3/manage/...    Eden AI management API (Bearer <auth key>, or <issuer key> for auth-keys/)
  /edenai/v2/...           Eden AI custom tokens: user/custom_token/, cost_management/ (Bearer <API key>)
  /edenai-gateway/v3/...   Eden AI data plane: POST chat/completions, with keys of v3 and v2
  /cortecs/v1/manage/...   Cortecs management API (Bearer <management key>)
  /cortecs-gateway/v1/...  Cortecs data plane: POST chat/completions
  /litellm/key/...         LiteLLM key management API (Bearer <token of an administrator>); data plane: /litellm-gateway/v1/...
  /openrouter/v1/...       OpenRouter management API (Bearer <management key>); data plane: /openrouter-gateway/v1/...

  GET    /_emulator/state                       organizations, numbers of keys, switches, clock
  GET    /_emulator/calls                       log of vendor calls;  DELETE clears it
  GET    /_emulator/counts?method=&pathContains=
  GET    /_emulator/faults                      rules;  DELETE clears them
  POST   /_emulator/faults                      {\"method\":\"POST\",\"pathContains\":\"/api_keys\",\"times\":1,\"effect\":{\"kind\":\"dropAfter\"}}
                                                one that ends: \"seconds\":20 beside \"effect\"
         a listing without keys                 {\"effect\":{\"kind\":\"hideListed\",\"keys\":[\"key_000001\"]}}; every key: no \"keys\"
         a stranger's rows in a listing         {\"effect\":{\"kind\":\"extraRows\",\"rows\":[{\"id\":\"key_x\",\"max_usage\":\"a lot\"}]}}
         404 for a key that works               {\"method\":\"GET\",\"pathContains\":\"/api_keys/key_000001\",\"effect\":{\"kind\":\"status\",\"code\":404}}
         HTML with 200 to an update             {\"method\":\"PATCH\",\"times\":1,\"effect\":{\"kind\":\"html\"}}
  POST   /_emulator/clock                       {\"advanceSeconds\":3600}
  POST   /_emulator/edgee/organizations         {\"id\":\"org_demo\"}
  POST   /_emulator/edgee/tokens                {\"token\":\"...\",\"organizations\":[\"org_demo\"]}
  DELETE /_emulator/edgee/tokens/{token}
  PATCH  /_emulator/edgee/switches              {\"flatErrors\":true}
  GET    /_emulator/edgee/keys?organization=
  PATCH  /_emulator/edgee/keys/{id}             {\"active\":false,\"maxUsage\":null}
  DELETE /_emulator/edgee/keys/{id}

  and for each VENDOR of edenai-v2, edenai-v3, cortecs, litellm, openrouter (keys of edenai-v2 and cortecs go by name). A token, issuer or session
  is of the demo's account, or of another one that \"account\" names: a word of yours, at cortecs user/project or a word for
  both. A known token changes hands:

  POST   /_emulator/VENDOR/tokens               {\"token\":\"...\"}, {\"token\":\"...\",\"account\":\"globex\"}
  DELETE /_emulator/VENDOR/tokens/{token}
  POST   /_emulator/edenai-v3/issuers           {\"token\":\"...\"}
  POST   /_emulator/edenai-v2/sessions          {\"token\":\"...\"}
  PATCH  /_emulator/VENDOR/switches             {\"deleteOk\":true}, {\"count\":true}, {\"keyLimit\":5}
  GET    /_emulator/VENDOR/keys?account=
  POST   /_emulator/VENDOR/keys                 {\"name\":\"made-by-hand\"}
  POST   /_emulator/VENDOR/keys/{id}/spend      {\"micros\":250000}
  DELETE /_emulator/VENDOR/keys/{id}
";

type Answer = Result<Reply, Problem>;

/// Why a control call failed.
enum Problem {
    NotFound,
    Invalid(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Organization {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: String,
    organizations: Vec<String>,
}

/// Answers every path that belongs to no vendor.
pub(super) fn answer(emulator: &Emulator, inbound: &Inbound) -> Reply {
    let path = inbound.segments_from(0);
    let answer = match (inbound.method.as_str(), &path[..]) {
        ("GET", [""]) => Ok(wire::bytes(200, "text/plain; charset=utf-8", HELP)),
        (method, ["_emulator", "edgee", rest @ ..]) => edgee(emulator, inbound, (method, rest)),
        (method, ["_emulator", vendor, rest @ ..]) if vendors::named(vendor).is_some() => {
            vendors::answer(emulator, inbound, (method, vendor, rest))
        }
        (method, ["_emulator", rest @ ..]) => shared(emulator, inbound, (method, rest)),
        _ => Err(Problem::NotFound),
    };
    answer.unwrap_or_else(|problem| match problem {
        Problem::NotFound => wire::json(404, &json!({ "error": "not found; GET / lists what exists" })),
        Problem::Invalid(why) => wire::json(400, &json!({ "error": why })),
    })
}

fn shared(emulator: &Emulator, inbound: &Inbound, route: (&str, &[&str])) -> Answer {
    match route {
        ("GET", ["state"]) => Ok(wire::json(200, &state(emulator))),
        ("GET", ["calls"]) => Ok(wire::json(200, &emulator.calls())),
        ("DELETE", ["calls"]) => {
            emulator.clear_calls();
            Ok(wire::no_content())
        }
        ("GET", ["counts"]) => Ok(wire::json(200, &counts(emulator, inbound))),
        ("GET", ["faults"]) => Ok(wire::json(200, &emulator.faults().rules())),
        ("POST", ["faults"]) => add_fault(emulator, inbound),
        ("DELETE", ["faults"]) => {
            emulator.faults().clear();
            Ok(wire::no_content())
        }
        ("POST", ["clock"]) => {
            let Advance { advance_seconds } = body(inbound)?;
            emulator.advance(SignedDuration::from_secs(advance_seconds));
            Ok(wire::json(200, &json!({ "now": emulator.now() })))
        }
        _ => Err(Problem::NotFound),
    }
}

fn edgee(emulator: &Emulator, inbound: &Inbound, route: (&str, &[&str])) -> Answer {
    let edgee = emulator.edgee();
    match route {
        ("POST", ["organizations"]) => {
            let Organization { id } = body(inbound)?;
            edgee.add_organization(&id);
            Ok(wire::no_content())
        }
        ("POST", ["tokens"]) => {
            let Token { token, organizations } = body(inbound)?;
            edgee.add_token(&token, &organizations.iter().map(String::as_str).collect::<Vec<_>>());
            Ok(wire::no_content())
        }
        ("DELETE", ["tokens", token]) => done(edgee.revoke_token(token)),
        ("PATCH", ["switches"]) => set_switches(&emulator.vendor(VendorId::Edgee), inbound),
        ("GET", ["keys"]) => Ok(wire::json(200, &keys(emulator, inbound))),
        ("PATCH", ["keys", id]) => edit_key(emulator, inbound, id),
        ("DELETE", ["keys", id]) => done(edgee.delete_key(id)),
        _ => Err(Problem::NotFound),
    }
}

fn state(emulator: &Emulator) -> Value {
    let edgee = emulator.edgee();
    let organizations: Vec<Value> = edgee
        .organizations()
        .into_iter()
        .map(|id| json!({ "keys": edgee.keys(&id).len(), "providerKeys": edgee.provider_keys(&id).len(), "id": id }))
        .collect();
    json!({
        "now": emulator.now(),
        "edgee": { "organizations": organizations, "switches": edgee.switches() },
        "edenai-v2": vendors::state(emulator, VendorId::EdenAiV2),
        "edenai-v3": vendors::state(emulator, VendorId::EdenAiV3),
        "cortecs": vendors::state(emulator, VendorId::Cortecs),
        "litellm": vendors::state(emulator, VendorId::LiteLlm),
        "openrouter": vendors::state(emulator, VendorId::OpenRouter),
    })
}

fn counts(emulator: &Emulator, inbound: &Inbound) -> Value {
    let method = inbound.param("method");
    let path = inbound.param("pathContains").unwrap_or_default();
    let calls = match method {
        Some(method) => emulator.count(method, path),
        None => emulator.calls().iter().filter(|call| call.path.contains(path)).count(),
    };
    json!({ "calls": calls, "edgee": emulator.edgee().counts() })
}

fn add_fault(emulator: &Emulator, inbound: &Inbound) -> Answer {
    let mut fields: serde_json::Map<String, Value> = body(inbound)?;
    let seconds: Option<i64> = match fields.remove("seconds") {
        Some(seconds) => serde_json::from_value(seconds).map_err(|error| invalid(&error))?,
        None => None,
    };
    let rule: Rule = serde_json::from_value(Value::Object(fields)).map_err(|error| invalid(&error))?;
    if let Some(why) = rule.complaint() {
        return Err(Problem::Invalid(why));
    }
    match seconds {
        Some(seconds) => emulator.faults().add_for(rule, SignedDuration::from_secs(seconds)),
        None => emulator.faults().add(rule),
    }
    Ok(wire::no_content())
}

fn set_switches(handle: &VendorHandle, inbound: &Inbound) -> Answer {
    handle.switch(body(inbound)?).map_err(|error| invalid(&error))?;
    Ok(wire::json(200, &handle.switches()))
}

fn keys(emulator: &Emulator, inbound: &Inbound) -> Value {
    let edgee = emulator.edgee();
    let organizations = match inbound.param("organization") {
        Some(organization) => vec![organization.to_owned()],
        None => edgee.organizations(),
    };
    organizations.iter().flat_map(|id| edgee.keys(id)).map(|key| show(&key)).collect()
}

fn show(key: &KeyRecord) -> Value {
    json!({
        "id": key.id,
        "organization": key.organization,
        "name": key.name,
        "active": key.active,
        "models": key.models,
        "maxUsage": key.max_usage,
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
    })
}

/// Null clears a limit or the expiry. An unknown field is an error here, unlike at the vendor.
fn edit_key(emulator: &Emulator, inbound: &Inbound, id: &str) -> Answer {
    const EDITABLE: [&str; 7] = ["name", "active", "debugMode", "models", "maxUsage", "email", "expiresAt"];
    let mut fields = Fields::parse(&inbound.body);
    let unknown = fields.names().find(|name| !EDITABLE.contains(name)).map(str::to_owned);
    if let Some(name) = unknown {
        fields.complain(&name, format!("{name} cannot be edited; one of {}.", EDITABLE.join(", ")));
    }
    let name = fields.text_if_given("name");
    let (active, debug_mode) = (fields.flag("active"), fields.flag("debugMode"));
    let (models, max_usage) = (fields.texts("models"), fields.amount("maxUsage"));
    let (email, expires_at) = (fields.text("email"), fields.time("expiresAt"));
    fields.finish().map_err(|complaints| Problem::Invalid(joined(&complaints)))?;
    done(emulator.edgee().edit_key(id, |key| {
        key.name = name.unwrap_or_else(|| key.name.clone());
        key.active = active.value().unwrap_or(key.active);
        key.debug_mode = debug_mode.value().unwrap_or(key.debug_mode);
        models.amend(&mut key.models);
        max_usage.amend_option(&mut key.max_usage);
        email.amend_option(&mut key.email);
        expires_at.amend_option(&mut key.expires_at);
    }))
}

fn done(found: bool) -> Answer {
    if found { Ok(wire::no_content()) } else { Err(Problem::NotFound) }
}

fn body<'a, T: Deserialize<'a>>(inbound: &'a Inbound) -> Result<T, Problem> {
    serde_json::from_slice(&inbound.body).map_err(|error| invalid(&error))
}

fn invalid(error: &serde_json::Error) -> Problem {
    Problem::Invalid(error.to_string())
}

fn joined(complaints: &[Complaint]) -> String {
    complaints.iter().map(|complaint| complaint.message.as_str()).collect::<Vec<_>>().join(" ")
}
