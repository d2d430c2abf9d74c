use super::*;

fn clock() -> Clock {
    let start = Instant::now();
    Clock::from_fn(move || {
        let nanos = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
        plus(Timestamp::UNIX_EPOCH, SignedDuration::from_nanos(nanos))
    })
}

/// A process that was held up for two seconds has the calls of two seconds that are due.
#[tokio::test(start_paused = true)]
async fn calls_that_are_overdue_do_not_go_out_at_once() {
    let budget = Arc::new(Budget::new(Rate::given(50), clock()));
    let began = Instant::now();
    let calls: Vec<_> = (0..120)
        .map(|_| {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move { budget.acquire(Purpose::Ordinary).await.map(|()| began.elapsed()) })
        })
        .collect();
    // All of them wait; then the clock moves while none of them runs.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    let mut at = Vec::new();
    for call in calls {
        at.push(call.await.unwrap().unwrap());
    }
    at.sort_unstable();
    let most = at
        .iter()
        .map(|from| at.iter().filter(|it| (*from..*from + Duration::from_secs(1)).contains(*it)).count());
    assert!(most.max().unwrap() <= 61, "{at:?}");
    assert!(at.last().unwrap() <= &Duration::from_millis(4200), "and they catch up: {at:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_burst_go_out_at_the_rate() {
    let budget = Budget::new(Rate::new(10, 20), clock());
    let start = Instant::now();
    for _ in 0..58 {
        budget.acquire(Purpose::Ordinary).await.unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    assert!((3.9..4.2).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_finds_a_turn_where_issuing_has_to_wait() {
    let budget = Budget::new(Rate::new(1, 4), clock());
    budget.acquire(Purpose::Ordinary).await.unwrap();
    budget.acquire(Purpose::Ordinary).await.unwrap();
    let start = Instant::now();
    budget.acquire(Purpose::Revocation).await.unwrap();
    assert!(start.elapsed().is_zero());
    budget.acquire(Purpose::Ordinary).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_vendor_asked_for_holds_for_every_ordinary_call() {
    let budget = Budget::new(Rate::new(10, 20), clock());
    budget.pause(Some(Timestamp::from_second(30).unwrap()));
    assert!(budget.acquire(Purpose::Ordinary).await.is_err() && budget.open().is_err());
    tokio::time::sleep(Duration::from_secs(30)).await;
    budget.acquire(Purpose::Ordinary).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_revocation_tries_through_a_pause_and_pays_from_the_bucket() {
    let budget = Budget::new(Rate::new(1, 4), clock());
    budget.pause(Some(Timestamp::from_second(30).unwrap()));
    let start = Instant::now();
    for _ in 0..4 {
        budget.acquire(Purpose::Revocation).await.unwrap();
    }
    assert!(start.elapsed().is_zero());
    budget.acquire(Purpose::Revocation).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "the bucket is empty");
    assert!(budget.acquire(Purpose::Ordinary).await.is_err());
}

/// How many calls go out within that many seconds.
async fn calls_within(budget: &Budget, seconds: u64) -> u32 {
    let (end, mut calls) = (Instant::now() + Duration::from_secs(seconds), 0);
    while Instant::now() < end {
        match budget.acquire(Purpose::Ordinary).await {
            Ok(()) => calls += 1,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    calls
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_throttles_gets_half_the_calls_and_slowly_more_again() {
    let budget = Budget::new(Rate::new(20, 4), clock());
    for _ in 0..10 {
        // Ten refusals at once are one lesson.
        budget.throttled(None);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let first = calls_within(&budget, 10).await;
    assert!((100..=140).contains(&first), "{first} calls in ten seconds at half of 20 per second");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let later = calls_within(&budget, 10).await;
    assert!((195..=210).contains(&later), "{later}");
}

#[tokio::test(start_paused = true)]
async fn calls_settle_at_what_a_vendor_allows() {
    // A vendor of two calls per second, with a burst of two.
    let budget = Budget::new(Rate::new(20, 60), clock());
    let (mut allowance, mut at) = (2.0_f64, Instant::now());
    let (mut sent, mut refused) = (0, 0);
    let end = Instant::now() + Duration::from_secs(1800);
    let warm = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        if budget.acquire(Purpose::Ordinary).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        allowance = (allowance + at.elapsed().as_secs_f64() * 2.0).min(2.0);
        at = Instant::now();
        let counts = u32::from(at > warm);
        sent += counts;
        if allowance >= 1.0 {
            allowance -= 1.0;
        } else {
            refused += counts;
            budget.throttled(None);
        }
    }
    assert!(sent > 1680 * 2 * 6 / 10, "{sent} calls in 28 minutes");
    assert!(refused * 40 < sent, "{refused} of {sent} calls are refused");
}

#[tokio::test(start_paused = true)]
async fn the_lowest_given_rate_counts_as_long_as_its_token_is_there() {
    let budget = Budget::new(Rate::new(20, 60), clock());
    let (one, other) = (Arc::new(()), Arc::new(()));
    budget.give(&one, Some(50));
    budget.give(&other, None);
    let calls = calls_within(&budget, 1).await;
    assert!((50..=60).contains(&calls), "{calls}: no second has more than 1.2 times the calls");
    budget.give(&other, Some(5));
    calls_within(&budget, 2).await;
    assert_eq!(calls_within(&budget, 2).await, 10);
    drop(other);
    budget.give(&one, Some(50));
    calls_within(&budget, 2).await;
    let calls = calls_within(&budget, 2).await;
    assert!((99..=101).contains(&calls), "{calls}");
    budget.give(&one, None);
    calls_within(&budget, 2).await;
    let calls = calls_within(&budget, 2).await;
    assert!((39..=41).contains(&calls), "{calls}");
}
