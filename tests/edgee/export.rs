//! Spending from the exported log (contract §1.11): columns by name in any spelling and order, both formats, and
//! malformed logs.

use super::stub::{Stub, saying};
use super::world::{id, order, world};
use crate::support::garbage::{bytes, fuzz, month, need};
use jiff::Timestamp;
use keysmith::emulator::Effect;
use keysmith::gateway::edgee::export::sums;
use keysmith::gateway::http::LARGEST_EXPORT;
use keysmith::gateway::{Gateway, Usage};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::listing::KeyId;
use keysmith::plan::usage::Spending;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spent(key: &str, (micros, calls): (u64, u64), last_used_at: Option<Timestamp>) -> Spending {
    Spending { key: key.to_owned(), micros, calls: Some(calls), last_used_at }
}

/// The sums of a log of three records, in any format.
fn three() -> Vec<Spending> {
    let (first, last) = (Some(at("2026-11-02T10:00:00Z")), Some(at("2026-11-03T10:00:00Z")));
    vec![spent("a", (1_750_000, 2), last), spent("b, \"the\" second", (7, 1), first)]
}

#[tokio::test(start_paused = true)]
async fn the_log_of_the_emulated_vendor_is_summed_by_key() {
    for ids in [false, true] {
        let world = world();
        world.switch(|it| it.export_key_ids = ids);
        let edgee = world.edgee();
        let mut keys = Vec::new();
        for name in ["first", "second, \"quoted\"", "unused"] {
            keys.push(edgee.mint(&order(name)).await.unwrap().key.id);
        }
        for (key, micros) in [(0, 1_500_000), (0, 250_000), (1, 7)] {
            assert!(world.emulator.edgee().spend(&keys[key].0, micros));
        }
        let result = edgee.spending(&month(), &keys).await.unwrap();
        let names = if ids { [keys[0].0.as_str(), &keys[1].0] } else { ["first", "second, \"quoted\""] };
        let used = Some(at("2026-11-21T08:00:00Z"));
        assert_eq!(result, [spent(names[0], (1_750_000, 2), used), spent(names[1], (7, 1), used)], "{ids}");
        // Only spending of the requested keys is returned.
        assert_eq!(edgee.spending(&month(), &keys[1..]).await.unwrap().len(), 1);
    }
}

#[test]
fn columns_are_found_by_name_whatever_their_spelling_and_order() {
    let quoted = r#""b, ""the"" second""#;
    for (header, of) in [
        ("Timestamp,API Key,Model,Cost", "T,K,m,C"),
        ("TIMESTAMP,api_key,model,COST", "T,K,m,C"),
        ("\u{feff}Timestamp,API Key,Cost", "T,K,C"),
        ("Cost,Tags,API-Key,Created At", "C,\"x,y\",K,T"),
        ("total_cost,api key name,date", "C,K,T"),
        ("\"Cost (USD)\",\"API Key\",\"Time\"", "C,K,T"),
        ("Cost,Key,Timestamp", "$C,K,T"),
        ("Cost,Key,Timestamp", " C ,K,T"),
        ("API Key,API Key ID,Cost,Timestamp", "a name,K,C,T"),
    ] {
        let row =
            |time: &str, key: &str, cost: &str| of.replace('T', time).replace('K', key).replace('C', cost);
        let rows = [
            row("2026-11-02T10:00:00Z", "a", "1.5"),
            row("2026-11-02T10:00:00Z", quoted, "0.000007"),
            row("2026-11-03T10:00:00Z", "a", "0.25"),
        ];
        for line in ["\n", "\r\n"] {
            let log = format!("{header}{line}{}{line}", rows.join(line));
            assert_eq!(sums(log.as_bytes()), Some(three()), "{log}");
        }
    }
}

#[test]
fn records_of_json_are_read_bare_and_enveloped_in_any_spelling() {
    let record = |time: &str, key: &str, cost: Value| {
        [
            json!({"timestamp": time, "api_key": key, "cost": cost, "tags": ["x"], "model": null}),
            json!({"Created At": time, "API Key ID": key, "apiKey": "a name", "totalCost": cost}),
            json!({"date": time, "key": key, "cost_usd": cost}),
        ]
    };
    for spelling in 0..3 {
        for cost in [json!(1.5), json!("1.5"), json!("1.500000")] {
            let records = json!([
                record("2026-11-02T10:00:00Z", "a", cost)[spelling],
                record("2026-11-02T10:00:00Z", "b, \"the\" second", json!(0.000_007))[spelling],
                record("2026-11-03T10:00:00Z", "a", json!("0.25"))[spelling],
                record("2026-11-01T10:00:00Z", "c", json!(null))[spelling],
            ]);
            let mut expected = three();
            expected.push(spent("c", (0, 1), Some(at("2026-11-01T10:00:00Z"))));
            for log in [records.to_string(), format!(" \n{}", json!({"data": records, "has_more": false}))] {
                assert_eq!(sums(log.as_bytes()), Some(expected.clone()), "{log}");
            }
        }
    }
}

/// A failed call cost nothing: an empty cell in CSV, null in JSON.
#[test]
fn a_call_without_a_cost_is_a_call() {
    let log = "Timestamp,API Key,Cost\n2026-11-02T10:00:00Z,a,\n2026-11-02T10:00:00Z,a, \n";
    assert_eq!(sums(log.as_bytes()), Some(vec![spent("a", (0, 2), Some(at("2026-11-02T10:00:00Z")))]));
}

#[test]
fn a_log_of_nothing_is_nothing() {
    for empty in ["", "  \n", "[]", r#"{"data":[]}"#, "Timestamp,API Key,Cost\n", "Timestamp,API Key,Cost"] {
        assert_eq!(sums(empty.as_bytes()), Some(Vec::new()), "{empty:?}");
    }
}

/// A malformed time does not drop the call.
#[test]
fn a_time_that_is_none_is_no_last_use() {
    let log = "Time,Key,Cost\nyesterday,a,1\n,a,1\n";
    assert_eq!(sums(log.as_bytes()), Some(vec![spent("a", (2_000_000, 2), None)]));
    let log = json!([{"time": 7, "key": "a", "cost": 2}, {"key": "a", "cost": 0}]).to_string();
    assert_eq!(sums(log.as_bytes()), Some(vec![spent("a", (2_000_000, 2), None)]));
}

#[test]
fn sums_that_no_number_holds_stay_at_the_largest() {
    let log = "Time,Key,Cost\n,a,1e300\n,a,1e300\n,b,-5\n";
    let result = sums(log.as_bytes()).unwrap();
    assert_eq!((result[0].micros, result[0].calls, result[1].micros), (u64::MAX, Some(2), 0));
}

/// A log with a malformed record is a fault, and never a smaller sum.
#[tokio::test(start_paused = true)]
async fn a_malformed_usage_log_is_a_fault_without_effect() {
    for body in [
        "<!DOCTYPE html><html></html>",
        "OK then",
        "a,b,c\n1,2,3\n",
        "Timestamp,API Key\nx,y\n",
        "Timestamp,Cost\nx,1\n",
        "API Key,Cost\nx,1\n",
        "Timestamp,API Key,Cost\n2026-11-02T10:00:00Z,a,much\n",
        "Timestamp,API Key,Cost\n2026-11-02T10:00:00Z,a,NaN\n",
        "Timestamp,API Key,Cost\n2026-11-02T10:00:00Z,a,1\n2026-11-02T10:00:00Z,a,1.2.3\n",
        "Timestamp,API Key,Cost\n2026-11-02T10:00:00Z,a,1\n2026-11-02T10:00:00Z,a\n",
        "Cost,Timestamp,API Key\n1,2026-11-02T10:00:00Z\n",
        "{}",
        "[",
        r#"{"data":{}}"#,
        r#"{"data":[7]}"#,
        r#"[{"key":"a"}]"#,
        r#"[{"cost":1}]"#,
        r#"[{"key":7,"cost":1}]"#,
        r#"[{"key":"a","cost":"much"}]"#,
        r#"[{"key":"a","cost":[1]}]"#,
        r#"[{"key":"a","cost":1},null]"#,
        r#"{"error":"Unauthorized"}"#,
    ] {
        let fault = saying(body).spending(&month(), &[id("k")]).await.expect_err(body);
        assert_eq!(fault.effect, Consequence::NotApplied, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

/// A URL holds a limited number of ids.
#[tokio::test(start_paused = true)]
async fn many_keys_are_asked_for_some_at_a_time_and_each_once() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let stub = Stub::by(move |request| {
        let uri = request.uri();
        assert_eq!(uri.path(), "/v1/organizations/org_demo/logs/export");
        assert!(uri.to_string().len() < 4096);
        let query: Vec<_> = uri.query().unwrap().split('&').map(str::to_owned).collect();
        assert_eq!(query[..3], ["from_date=2026-11-01", "to_date=2026-11-22", "format=csv"]);
        seen.lock().unwrap().extend(query[3..].iter().map(|it| it.replace("api_key_id%5B%5D=", "")));
        (200, "Timestamp,API Key,Cost\n".into())
    });
    let edgee = stub.edgee();
    assert!(edgee.spending(&month(), &[]).await.unwrap().is_empty());
    assert_eq!(stub.count(), 0, "without keys there is nothing to ask");
    let keys: Vec<KeyId> = (0..120).map(|n| id(&format!("key_{n:06}"))).collect();
    edgee.spending(&month(), &keys).await.unwrap();
    assert_eq!(stub.count(), 3);
    let asked = asked.lock().unwrap();
    let once: BTreeSet<_> = asked.iter().cloned().collect();
    assert_eq!((asked.len(), once.len()), (120, 120));
}

/// One failed part fails the whole reading; otherwise the sum would be too small.
#[tokio::test(start_paused = true)]
async fn faults_of_the_vendor_are_faults_without_effect() {
    for effect in [
        Effect::Status { code: 400, retry_after: None },
        Effect::Status { code: 401, retry_after: None },
        Effect::Status { code: 403, retry_after: None },
        Effect::Status { code: 404, retry_after: None },
        Effect::Status { code: 429, retry_after: Some("30".to_owned()) },
        Effect::Status { code: 500, retry_after: None },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
        Effect::Oversize { bytes: 20 << 20 },
    ] {
        let world = world();
        let rule = keysmith::emulator::Rule::once("GET", "/logs/export", effect.clone());
        world.emulator.faults().add(keysmith::emulator::Rule { skip: 1, ..rule });
        let keys: Vec<KeyId> = (0..60).map(|n| id(&format!("key_{n:06}"))).collect();
        let fault = world.edgee().spending(&month(), &keys).await.unwrap_err();
        assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_may_be_larger_than_other_answers_up_to_a_limit_of_its_own() {
    for (bytes, fits) in [(10 << 20, true), (LARGEST_EXPORT, true), (LARGEST_EXPORT + 1, false)] {
        let head = "Timestamp,API Key,Cost\n,a,";
        let log = format!("{head}{}", " ".repeat(bytes - head.len()));
        let result = saying(log).spending(&month(), &[id("a")]).await;
        let expected = Fault::without_effect(FaultKind::TooLarge { limit: LARGEST_EXPORT });
        let free = vec![spent("a", (0, 1), None)];
        assert_eq!(result, if fits { Ok(free) } else { Err(expected) }, "{bytes}");
    }
}

fn csv() -> impl Strategy<Value = Vec<u8>> {
    let cell = prop_oneof![
        "\\PC{0,8}",
        "[0-9]{1,40}(\\.[0-9]{0,20})?(e[0-9]{1,3})?",
        Just("2026-11-02T10:00:00Z".to_owned()),
        Just("\"".to_owned()),
        Just("a".to_owned()),
        Just(String::new()),
    ];
    let row = proptest::collection::vec(cell, 0..5);
    let rows = proptest::collection::vec(row, 0..6);
    let header = proptest::sample::select(vec![
        "Timestamp,API Key,Cost",
        "cost,key,time",
        "\"Cost\",\"Key",
        "Cost,,Key,Date",
        "",
    ]);
    (header, rows, any::<bool>()).prop_map(|(header, rows, quoted)| {
        let quote = |cell: &String| {
            if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
        };
        let rows: Vec<String> =
            rows.iter().map(|row| row.iter().map(quote).collect::<Vec<_>>().join(",")).collect();
        format!("{header}\n{}\n", rows.join("\n")).into_bytes()
    })
}

/// No panic, no key that the log does not name, and no more calls than bytes.
#[test]
fn no_log_makes_the_reader_panic_or_invent() {
    let record = json!({"timestamp": "2026-11-02T10:00:00Z", "api_key": "a", "cost": 1.25, "tags": []});
    let logs = prop_oneof![bytes(vec![record.clone(), json!({"data": [record]})], "data"), csv()];
    fuzz(1500, &logs, |log| {
        let Some(result) = sums(&log) else { return Ok(()) };
        let keys: BTreeSet<_> = result.iter().map(|it| &it.key).collect();
        need(keys.len() == result.len(), "a key twice")?;
        let calls: u64 = result.iter().filter_map(|it| it.calls).sum();
        need(calls <= log.len() as u64, "more calls than bytes")?;
        need(result.iter().all(|it| it.calls.is_some_and(|calls| calls > 0)), "a key without a call")
    });
}

/// Bytes that are not UTF-8 are neither an amount nor a key.
#[test]
fn a_cell_that_is_no_text_makes_no_log() {
    for row in [b",\xff,1\n", b",a,\xff\n"] {
        assert_eq!(sums(&[b"Time,Key,Cost\n".as_slice(), row].concat()), None);
    }
}

#[test]
fn deep_nesting_is_no_log_and_no_stack_overflow() {
    for open in ["[", "{\"data\":", "[{\"cost\":"] {
        assert_eq!(sums(open.repeat(100_000).as_bytes()), None);
    }
}
