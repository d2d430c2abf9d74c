//! Quirks 10 and 12: the spending of keys, and the balance.

use super::world::{TOKEN, order, saying, stage};
use crate::support::garbage::month;
use crate::support::stub::Stub;
use keysmith::emulator::Effect;
use keysmith::gateway::cortecs::Cortecs;
use keysmith::gateway::http::LARGEST_EXPORT;
use keysmith::gateway::{Credit, Gateway, Usage};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::usage::{Money, Span, Spending};
use serde_json::json;

fn span(path: &str) -> Span {
    Span { path: Some(path.to_owned()), ..month() }
}

fn spent(key: &str, micros: u64, calls: u64) -> Spending {
    Spending { key: key.to_owned(), micros, calls: Some(calls), last_used_at: None }
}

/// Quirk 10.
#[tokio::test(start_paused = true)]
async fn one_call_reads_the_spending_of_every_key_by_its_name() {
    let stage = stage();
    let cortecs = stage.cortecs();
    for name in ["first", "second", "unused"] {
        cortecs.mint(&order(name)).await.unwrap();
    }
    for (name, micros) in [("first", 1_500_000), ("first", 250_000), ("second", 7)] {
        assert!(stage.emulator.cortecs().spend(name, micros));
    }
    stage.emulator.clear_calls();
    for path in ["manage/usage", "/manage/usage/", "//manage//usage"] {
        let result = cortecs.spending(&span(path), &[]).await.unwrap();
        assert_eq!(result, [spent("first", 1_750_000, 2), spent("second", 7, 1)], "{path}");
    }
    assert_eq!(stage.emulator.calls().len(), 3);
}

/// Quirk 10. The undocumented path is not guessed.
#[tokio::test(start_paused = true)]
async fn without_a_usage_path_no_call_is_sent_and_the_field_is_named() {
    let stage = stage();
    let fault = stage.cortecs().spending(&month(), &[]).await.unwrap_err();
    assert_eq!(fault.effect, Consequence::NotApplied);
    assert!(fault.to_string().contains("spec.usage.path"), "{fault}");
    for elsewhere in ["../v2/manage/usage", "manage/../keys", "manage/.", "a/\t"] {
        let fault = stage.cortecs().spending(&span(elsewhere), &[]).await.unwrap_err();
        assert!(fault.kind.is_malformed(), "{elsewhere}: {fault}");
    }
    assert!(stage.emulator.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_path_that_the_vendor_does_not_know_is_a_fault() {
    let stage = stage();
    let unknown = Fault::without_effect(FaultKind::NotFound);
    assert_eq!(stage.cortecs().spending(&span("usage"), &[]).await.unwrap_err(), unknown);
    stage.switch(|it| it.usage = false);
    assert_eq!(stage.cortecs().spending(&span("manage/usage"), &[]).await.unwrap_err(), unknown);
}

#[tokio::test(start_paused = true)]
async fn a_span_is_asked_for_to_the_second_by_day_and_key() {
    let stub = Stub::by(|request| {
        let query =
            "from=2026-11-01T00%3A00%3A00Z&until=2026-11-21T08%3A00%3A00Z&bucket=1d&group_by=user_key";
        let right = request.uri().path() == "/v1/manage/usage" && request.uri().query() == Some(query);
        (if right { 200 } else { 400 }, r#"{"rows":[]}"#.into())
    });
    let until = month().until + std::time::Duration::from_millis(900);
    let fine = Span { until, ..span("manage/usage") };
    assert!(Cortecs::new(stub.wire(TOKEN)).spending(&fine, &[]).await.unwrap().is_empty());
}

/// Quirk 10. The figures may have any of the usual field names.
#[tokio::test(start_paused = true)]
async fn a_row_is_read_whatever_its_figures_are_called() {
    for cost in ["cost", "total_cost", "costs", "spend", "amount", "price"] {
        for calls in ["requests", "request_count", "calls", "count"] {
            let rows = json!([
                {"user_id": "u", "key_name": "n", "bucket": "2026-11-02", cost: "1.25", calls: 3, "tokens": 9},
                {"user_id": "u", "key_name": "n", "bucket": "2026-11-03", cost: 0.75, calls: "many"},
                {"key_name": null, cost: 0},
            ]);
            let body =
                json!({"from": "a", "until": "b", "bucket": "1d", "group_by": "user_key", "rows": rows});
            let result = saying(body.to_string()).spending(&span("x"), &[]).await.unwrap();
            let second = Spending { calls: None, ..spent("n", 750_000, 0) };
            let unattributed = Spending { calls: None, ..spent("", 0, 0) };
            assert_eq!(result, [spent("n", 1_250_000, 3), second, unattributed], "{cost} {calls}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_are_a_fault_and_never_a_smaller_sum() {
    for body in [
        json!({}),
        json!([]),
        json!(null),
        json!({"rows": null}),
        json!({"rows": {}}),
        json!({"rows": [null]}),
        json!({"rows": [["n", 1]]}),
        json!({"rows": [{"key_name": "n"}]}),
        json!({"rows": [{"key_name": "n", "cost": null}]}),
        json!({"rows": [{"key_name": "n", "cost": "much"}]}),
        json!({"rows": [{"key_name": "n", "cost": {"eur": 1}}]}),
        json!({"rows": [{"key_name": 7, "cost": 1}]}),
        json!({"rows": [{"key_name": "n", "cost": 1}, {"key_name": "n", "cost": "NaN"}]}),
    ] {
        let fault = saying(body.to_string()).spending(&span("x"), &[]).await.expect_err(&body.to_string());
        assert_eq!(fault.effect, Consequence::NotApplied, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
    let extreme = json!({"rows": [{"key_name": "n", "cost": 1e300}, {"key_name": "n", "cost": -5}]});
    let result = saying(extreme.to_string()).spending(&span("x"), &[]).await.unwrap();
    assert_eq!((result[0].micros, result[1].micros), (u64::MAX, 0));
}

#[tokio::test(start_paused = true)]
async fn usage_has_a_limit_of_its_own() {
    for (bytes, fits) in [(10 << 20, true), (LARGEST_EXPORT, true), (LARGEST_EXPORT + 1, false)] {
        let (open, close) = (r#"{"rows":[],"padding":""#, r#""}"#);
        let body = format!("{open}{}{close}", "x".repeat(bytes - open.len() - close.len()));
        let result = saying(body).spending(&span("x"), &[]).await;
        let expected = Fault::without_effect(FaultKind::TooLarge { limit: LARGEST_EXPORT });
        assert_eq!(result, if fits { Ok(Vec::new()) } else { Err(expected) }, "{bytes}");
    }
}

fn eur(micros: i64) -> Money {
    Money { micros, currency: "EUR".to_owned() }
}

/// Quirk 12.
#[tokio::test(start_paused = true)]
async fn a_balance_is_read_bare_and_wrapped() {
    for wrapped in [false, true] {
        let stage = stage();
        stage.switch(|it| it.wrapped_balance = wrapped);
        let cortecs = stage.cortecs();
        assert_eq!(cortecs.balance().await.unwrap(), Some(eur(1_000_000_000)), "{wrapped}");
        cortecs.mint(&order("n")).await.unwrap();
        assert!(stage.emulator.cortecs().spend("n", 1_000_500_000));
        assert_eq!(cortecs.balance().await.unwrap(), Some(eur(-500_000)), "{wrapped}");
    }
}

/// Quirk 12.
#[tokio::test(start_paused = true)]
async fn a_balance_may_miss_its_amount_or_its_currency_and_then_says_nothing() {
    for (balance, expected) in [
        (json!({"current_balance": 1234.56, "currency": "EUR"}), Some(eur(1_234_560_000))),
        (json!({"current_balance": "-0.5", "currency": "EUR", "since": 7}), Some(eur(-500_000))),
        (json!({"current_balance": 0, "currency": "EUR"}), Some(eur(0))),
        (json!({"current_balance": 5}), None),
        (json!({"current_balance": 5, "currency": null}), None),
        (json!({"currency": "EUR"}), None),
        (json!({"current_balance": null, "currency": "EUR"}), None),
        (json!({}), None),
        (json!({"data": null}), None),
    ] {
        for body in [balance.clone(), json!({"data": balance})] {
            assert_eq!(saying(body.to_string()).balance().await.unwrap(), expected, "{body}");
        }
    }
}

/// Quirk 12.
#[tokio::test(start_paused = true)]
async fn a_balance_that_cannot_be_read_is_a_fault() {
    let good = json!({"current_balance": 5, "currency": "EUR"});
    for body in [
        json!(null),
        json!(5),
        json!([]),
        json!([good]),
        json!([[5, "EUR"]]),
        json!({"current_balance": "much", "currency": "EUR"}),
        json!({"current_balance": "--5", "currency": "EUR"}),
        json!({"current_balance": [5], "currency": "EUR"}),
        json!({"current_balance": 1e300, "currency": "EUR"}),
        json!({"current_balance": 5, "currency": 978}),
        json!({"data": {"current_balance": "much", "currency": "EUR"}}),
        json!({"data": [5, "EUR"]}),
    ] {
        let fault = saying(body.to_string()).balance().await.expect_err(&body.to_string());
        assert_eq!(fault.effect, Consequence::NotApplied, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_vendor_are_faults_without_effect() {
    for effect in [
        Effect::Status { code: 403, retry_after: None },
        Effect::Status { code: 500, retry_after: None },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
        Effect::Truncate,
        Effect::Oversize { bytes: 20 << 20 },
    ] {
        let stage = stage();
        stage.fault_once("GET", "/users/balance", effect.clone());
        stage.fault_once("GET", "/manage/usage", effect.clone());
        let cortecs = stage.cortecs();
        assert_eq!(cortecs.balance().await.unwrap_err().effect, Consequence::NotApplied, "{effect:?}");
        let fault = cortecs.spending(&span("manage/usage"), &[]).await.unwrap_err();
        assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?}");
    }
}
