//! 429: how Retry-After is read.

use super::world::{KEYS, id, order, world};
use keysmith::emulator::Effect;
use keysmith::gateway::Gateway;
use keysmith::plan::fault::{FaultKind, Outcome as Consequence};

/// The seconds that a Retry-After demands, as of Saturday, 21 November 2026, 08:00 UTC.
async fn asked_for(retry_after: Option<&str>) -> Option<i64> {
    let mut waits = Vec::new();
    for method in ["GET", "POST", "DELETE"] {
        let world = world();
        let retry_after = retry_after.map(str::to_owned);
        world.fault_once(method, KEYS, Effect::Status { code: 429, retry_after });
        let edgee = world.edgee();
        let fault = match method {
            "GET" => edgee.list().await.unwrap_err(),
            "POST" => edgee.mint(&order("n")).await.err().unwrap(),
            _ => edgee.revoke(&id("key_000001")).await.unwrap_err(),
        };
        assert_eq!(fault.effect, Consequence::NotApplied);
        assert!(world.keys().is_empty());
        let FaultKind::Throttled { until } = fault.kind else { panic!("{fault:?}") };
        waits.push(until.map(|it| it.duration_since(world.clock.now()).as_secs()));
    }
    waits.dedup();
    assert_eq!(waits.len(), 1, "{waits:?}");
    waits[0]
}

#[tokio::test(start_paused = true)]
async fn seconds_are_seconds() {
    assert_eq!(asked_for(Some("30")).await, Some(30));
    assert_eq!(asked_for(Some(" 30 ")).await, Some(30));
    assert_eq!(asked_for(Some("0")).await, Some(0));
    assert_eq!(asked_for(Some("3600")).await, Some(3600));
}

#[tokio::test(start_paused = true)]
async fn a_date_is_a_date() {
    let at = |time: &'static str| async move { asked_for(Some(time)).await };
    assert_eq!(at("Sat, 21 Nov 2026 08:05:00 GMT").await, Some(300));
    assert_eq!(at("Sat, 21 Nov 2026 07:00:00 GMT").await, Some(0));
    assert_eq!(at("Thu, 01 Jan 1970 00:00:00 GMT").await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_capped_at_an_hour() {
    for long in [
        "3601",
        "4294967295",
        "4294967296",
        "1000000000000",
        "99999999999999999999999999",
        "Sun, 22 Nov 2026 08:00:00 GMT",
        "Thu, 31 Dec 2099 23:59:59 GMT",
    ] {
        assert_eq!(asked_for(Some(long)).await, Some(3600), "{long}");
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_as_good_as_nothing() {
    assert_eq!(asked_for(None).await, None);
    for nonsense in ["", "abc", "-1", "1.5", "+30", "1e3", "30s", "30, 60", "yesterday", "NaN"] {
        assert_eq!(asked_for(Some(nonsense)).await, None, "{nonsense}");
    }
}
