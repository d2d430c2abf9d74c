//! Malformed answers, the same ones in every run, derived from the answers of a correct vendor.

use super::random::runner;
use jiff::Timestamp;
use keysmith::plan::fault::{Fault, Outcome};
use keysmith::plan::usage::Span;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestError;
use serde_json::{Value, json};
use std::fmt::Debug;

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[0-9]{1,40}".prop_map(Value::from),
        proptest::sample::select(vec!["", "true", "null", "9999-99-99T99:99:99Z", "-1", "\u{0}", "\u{feff}"])
            .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map("\\PC{0,8}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Every object and array in a document, by its JSON pointer.
fn containers(at: &str, value: &Value, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(n, child)| (n.to_string(), child)).collect(),
        _ => return,
    };
    found.push(at.to_owned());
    for (name, child) in children {
        containers(&format!("{at}/{name}"), child, found);
    }
}

/// Changes the n-th field of an object: another value, none, or a duplicate with another value.
fn change(object: &mut Value, (field, value, how): (usize, Value, u8)) {
    match object {
        Value::Object(map) => {
            let Some(name) = map.keys().nth(field % map.len().max(1)).cloned() else { return };
            match how {
                0 => drop(map.remove(&name)),
                1 => drop(map.insert(format!("{name}x"), value)),
                _ => drop(map.insert(name, value)),
            }
        }
        Value::Array(list) if list.is_empty() => list.push(value),
        Value::Array(list) => {
            let at = field % list.len();
            list[at] = value;
        }
        _ => {}
    }
}

/// A correct answer with one field of another value, without one field, or with one too many, at any depth; alone,
/// listed or in an envelope of that name.
fn almost_sound(sound: Vec<Value>, envelope: &'static str) -> impl Strategy<Value = Value> {
    let places = any::<proptest::sample::Index>();
    let change = (proptest::sample::select(sound), places, any::<usize>(), value(), 0..8_u8, 0..6_u8);
    change.prop_map(move |(mut body, place, field, value, how, shape)| {
        let mut found = Vec::new();
        containers("", &body, &mut found);
        if let Some(object) = body.pointer_mut(&found[place.index(found.len())]) {
            self::change(object, (field, value, how));
        }
        match shape {
            0 => json!([body]),
            1 => json!({envelope: [body], "has_more": false, "total_count": 1}),
            _ => body,
        }
    })
}

/// Bodies that are garbage: cut short, of wrong types, nested, or no JSON at all.
pub fn bytes(sound: Vec<Value>, envelope: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let text = |value: Value| value.to_string().into_bytes();
    let names: Vec<String> =
        sound.iter().filter_map(Value::as_object).flat_map(|it| it.keys().cloned()).collect();
    let opened = ["[", "{\"data\":", "{\"id\":[", "[{\"key\":"].map(str::to_owned);
    let opened: Vec<_> = opened.into_iter().chain([format!("{{\"{envelope}\":[")]).collect();
    let nested = (1..600_usize, proptest::sample::select(opened));
    let cut = (almost_sound(sound.clone(), envelope), any::<proptest::sample::Index>());
    let long = (proptest::sample::select(names), "-?[0-9]{1,200}(e[+-]?[0-9]{1,2})?");
    prop_oneof![
        2 => value().prop_map(text),
        5 => almost_sound(sound.clone(), envelope).prop_map(text),
        2 => cut.prop_map(move |(value, at)| {
            let mut bytes = text(value);
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        1 => vec(any::<u8>(), 0..200),
        1 => nested.prop_map(|(depth, open)| open.repeat(depth).into_bytes()),
        1 => (proptest::sample::select(sound), long).prop_map(|(sound, (name, number))| {
            let fields = sound.as_object().cloned().unwrap_or_default();
            let fields: Vec<_> = fields
                .into_iter()
                .map(|(field, value)| {
                    let value = if field == name { number.clone() } else { value.to_string() };
                    format!("{}:{value}", json!(field))
                })
                .collect();
            format!("{{{}}}", fields.join(",")).into_bytes()
        }),
    ]
}

/// Runs the cases of one seed.
pub fn fuzz<T: Debug>(
    cases: u32,
    strategy: &impl Strategy<Value = T>,
    check: impl Fn(T) -> Result<(), String>,
) {
    let result = runner(cases).run(strategy, |case| check(case).map_err(TestCaseError::fail));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, case)) => panic!("{why}: {case:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

pub fn need(holds: bool, why: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.to_owned()) }
}

/// The fault of a malformed 2xx answer: its effect is unknown only if the call could have one.
pub fn class<T>(outcome: &Result<T, Fault>, effect: Outcome) -> Result<(), String> {
    match outcome {
        Err(fault) => need(fault.kind.is_malformed() && fault.effect == effect, &format!("{fault:?}")),
        Ok(_) => Ok(()),
    }
}

/// The effect of a call by the status of its answer, whatever the body is.
pub fn effect_of(status: u16) -> Outcome {
    let certain = [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 429];
    if certain.contains(&status) { Outcome::NotApplied } else { Outcome::Unknown }
}

pub fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body[name].as_str().filter(|it| !it.is_empty())
}

pub fn masked(secret: &str) -> bool {
    !secret.bytes().all(|byte| byte.is_ascii_graphic()) || secret.contains('*') || secret.contains("...")
}

/// The month of Saturday, 21 November 2026, up to that day.
pub fn month() -> Span {
    let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    Span::month(now)
}
