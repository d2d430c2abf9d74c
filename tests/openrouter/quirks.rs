//! The oddities of OpenRouter, each by its number in `src/gateway/openrouter.rs`.

use super::world::*;
use crate::support::driver_contract::stage::{OptionalCalls, Stage};
use crate::support::stub::Stub;
use jiff::{SignedDuration, Timestamp};
use keysmith::api::shared::Period;
use keysmith::emulator::Effect;
use keysmith::emulator::openrouter::DataPlaneAnswer;
use keysmith::gateway::{Amendment, Gateway, Order, ProviderKeyOrder};
use keysmith::plan::drift::{Field, Sent, drift};
use keysmith::plan::fault::FaultKind;
use keysmith::plan::listing::{KeyId, Limit, Listed, Setting};
use keysmith::plan::settings::Settings;
use keysmith::plan::usage::{Money, Span};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const USD: u64 = 1_000_000;

impl Stage {
    async fn shown(&self, key: &KeyId) -> Listed {
        self.openrouter().get(key).await.unwrap().unwrap()
    }

    fn later(&self, days: i64) {
        self.emulator.advance(SignedDuration::from_hours(24 * days));
    }

    /// The driver with the emulator's time, which `later` moved.
    fn today(&self) -> Timestamp {
        self.emulator.now()
    }
}

fn switched(active: bool) -> Amendment {
    amendment(&[Field::Active], Settings { active, ..settings() })
}

/// Quirk 1.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_off_stays_listed() {
    let stage = stage();
    let driver = stage.openrouter();
    let made = driver.mint(&order("n")).await.unwrap().key;
    assert_eq!(made.shown.active, Some(true));
    driver.amend(&made.id, &switched(false)).await.unwrap();
    let listed = driver.list().await.unwrap();
    assert_eq!((listed.len(), listed[0].shown.active), (1, Some(false)));
    driver.amend(&made.id, &switched(true)).await.unwrap();
    assert_eq!(driver.list().await.unwrap()[0].shown.active, Some(true));
}

/// Quirk 2.
#[tokio::test(start_paused = true)]
async fn a_listing_of_several_pages_is_whole_or_read_again() {
    let stage = stage();
    stage.switch_openrouter(|it| it.page_size = 10);
    let driver = stage.openrouter();
    for (keys, calls) in [(0, 1), (1, 2), (10, 2), (11, 3), (28, 4)] {
        while stage.openrouter_keys().len() < keys {
            driver.mint(&order("n")).await.unwrap();
        }
        stage.emulator.clear_calls();
        assert_eq!(driver.list().await.unwrap().len(), keys);
        assert_eq!(stage.emulator.count("GET", "/v1/keys"), calls, "{keys}");
    }
    // Wherever a key is deleted or made while the pages are read, no other key is missing from the result.
    for deleted in 0..28 {
        for made in [false, true] {
            let ids: Vec<String> = (0..28).map(|it| format!("{it:064x}")).collect();
            let gone = ids[deleted].clone();
            let asked = AtomicUsize::new(0);
            let stub = Stub::by(move |request| {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let offset = query.split("offset=").nth(1).map_or(0, |it| it.parse().unwrap());
                // After the first page.
                let moved = asked.fetch_add(1, Ordering::Relaxed) > 0;
                let mut now: Vec<&str> = ids.iter().map(String::as_str).collect();
                if moved {
                    now.retain(|it| *it != gone);
                }
                if moved && made {
                    now.insert(0, "new");
                }
                let row = |hash: &str| json!({"hash": hash, "name": "n"});
                let rows: Vec<Value> = now.into_iter().skip(offset).take(10).map(row).collect();
                (200, json!({"data": rows}).to_string().into())
            });
            let listed = super::world::driver(stub.wire(TOKEN)).list().await.unwrap();
            for id in (0..28).filter(|id| *id != deleted).map(|it| format!("{it:064x}")) {
                assert!(listed.iter().any(|key| key.id.0 == id), "{id} is missing; {deleted} {made}");
            }
        }
    }
    // Rows that never stand still.
    let asked = AtomicUsize::new(0);
    let restless = Stub::by(move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        (200, json!({"data": [{"hash": format!("h{number}"), "name": "n"}]}).to_string().into())
    });
    let fault = super::world::driver(restless.wire(TOKEN)).list().await.unwrap_err();
    assert!(fault.to_string().contains("may be missing"), "{fault}");
    assert_eq!(restless.count(), 8);
}

/// Quirks 3 and 4.
#[tokio::test(start_paused = true)]
async fn the_secret_is_found_beside_the_key_and_inside_it() {
    for (inside, offsets, names) in [(false, false, false), (true, true, true)] {
        let stage = stage();
        stage.switch_openrouter(|it| {
            (it.secret_inside, it.offset_times, it.label_is_name) = (inside, offsets, names);
        });
        let minted = stage.openrouter().mint(&order("n")).await.unwrap();
        let key = &stage.openrouter_keys()[0];
        assert_eq!(clear(&minted.secret), key.secret);
        assert_eq!((minted.key.id.0.as_str(), minted.key.name.as_str()), (key.hash.as_str(), "n"));
        assert_eq!(minted.key.created_at, Some(key.created_at));
        assert!(minted.key.unread.is_empty());
    }
}

/// Quirk 5.
#[tokio::test(start_paused = true)]
async fn an_expiry_is_sent_once_in_utc() {
    let stage = stage();
    let driver = stage.openrouter();
    let at: Timestamp = "2026-12-21T08:00:00.5Z".parse().unwrap();
    let dated = Order { expires_in_days: Some(30), expires_at: Some(at), ..order("n") };
    let made = driver.mint(&dated).await.unwrap().key;
    assert_eq!(
        made.expires_at,
        Some("2026-12-21T08:01:00Z".parse().unwrap()),
        "and not shorter, whatever the call takes"
    );
    let all = [Field::DisplayName, Field::Active, Field::Budget, Field::Expiry];
    driver.amend(&made.id, &amendment(&all, settings())).await.unwrap();
    assert_eq!(stage.openrouter_keys()[0].expires_at, made.expires_at);
    assert!(driver.mint(&order("for good")).await.unwrap().key.expires_at.is_none());
}

/// Quirk 6.
#[tokio::test(start_paused = true)]
async fn a_key_is_made_switched_on() {
    let stage = stage();
    let made = stage.openrouter().mint(&Order { active: false, ..order("n") }).await.unwrap().key;
    assert_eq!(made.shown.active, Some(true), "the engine switches it off");
}

/// Quirk 7.
#[tokio::test(start_paused = true)]
async fn a_successor_may_spend_the_rest_and_the_whole_from_the_next_period_on() {
    for (period, days) in [(Period::Daily, 1), (Period::Weekly, 7), (Period::Monthly, 31)] {
        let stage = stage();
        let budget = Some(limit(100, period));
        let wanted = Settings { budget, display_name: String::new(), ..settings() };
        let sent = Sent::all(&wanted);
        let driver = stage.openrouter();
        let mint = async |left| driver.mint(&Order { budget, left, ..order("n") }).await.unwrap().key;
        let whole = mint(None).await;
        assert_eq!(whole.shown.budget, Setting::shown(budget));
        let rest = mint(Some(40 * USD)).await;
        assert_eq!((rest.remaining, stage.openrouter_keys()[1].limit), (Some(40 * USD), Some(40 * USD)));
        assert!(drift(&wanted, &rest, &sent).is_empty(), "{period:?}: less in this period is what was sent");
        // It spent ten of that, and is given another ten back.
        assert!(stage.emulator.openrouter().spend(&rest.id.0, 10 * USD));
        let given = Amendment { left: Some(40 * USD), ..budgeted(budget) };
        driver.amend(&rest.id, &given).await.unwrap();
        let shown = stage.shown(&rest.id).await;
        assert_eq!((shown.remaining, stage.openrouter_keys()[1].limit), (Some(40 * USD), Some(50 * USD)));
        // Another amount was asked for.
        let edited = Settings { budget: Some(limit(60, period)), ..wanted.clone() };
        assert_eq!(drift(&edited, &shown, &sent), [Field::Budget]);
        // A human raised it.
        assert!(stage.emulator.openrouter().edit_key(&rest.id.0, |key| key.limit = Some(101 * USD)));
        assert_eq!(drift(&wanted, &stage.shown(&rest.id).await, &sent), [Field::Budget]);
        assert!(stage.emulator.openrouter().edit_key(&rest.id.0, |key| key.limit = Some(50 * USD)));
        // In the next period, the whole counts again.
        stage.later(days);
        let emulator = stage.emulator.clone();
        let clock = keysmith::runtime::clock::Clock::from_fn(move || emulator.now());
        let later = Stage { emulator: stage.emulator.clone(), clock };
        assert!(later.today() > stage.clock.now());
        let shown = later.shown(&rest.id).await;
        assert_eq!(shown.remaining, Some(50 * USD));
        assert_eq!(drift(&wanted, &shown, &sent), [Field::Budget], "{period:?}");
        later.openrouter().amend(&rest.id, &budgeted(budget)).await.unwrap();
        assert!(drift(&wanted, &later.shown(&rest.id).await, &sent).is_empty());
    }
}

/// Quirk 7, for a budget that is never reset, and for one that is spent.
#[tokio::test(start_paused = true)]
async fn a_budget_that_is_spent_leaves_its_successor_nothing() {
    let stage = stage();
    let driver = stage.openrouter();
    let budget = Some(limit(100, Period::Once));
    let made = driver.mint(&Order { budget, left: Some(1), ..order("n") }).await.unwrap();
    assert_eq!(made.key.remaining, Some(1));
    let key = stage.openrouter_keys().remove(0);
    assert!(stage.emulator.openrouter().spend(&key.hash, 5));
    assert_eq!(stage.emulator.openrouter().check(&key.secret), DataPlaneAnswer::OverLimit);
    stage.later(400);
    let wanted = Settings { budget, display_name: String::new(), ..settings() };
    assert!(drift(&wanted, &stage.shown(&made.key.id).await, &Sent::all(&wanted)).is_empty());
    // The part of a previous key: what it spent in all, and its share.
    let share =
        Amendment { left: Some(2 * USD), ..budgeted(Some(Limit { micros: 2 * USD, period: Period::Once })) };
    driver.amend(&made.key.id, &share).await.unwrap();
    assert_eq!(stage.openrouter_keys()[0].limit, Some(2 * USD + 5));
    driver.amend(&made.key.id, &budgeted(None)).await.unwrap();
    assert_eq!(stage.shown(&made.key.id).await.shown.budget, Setting::Unset);
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn keys_of_another_workspace_are_another_account() {
    let stage = stage();
    let team = stage.emulator.openrouter().add_workspace("team");
    let (default, other) = (stage.openrouter(), stage.in_workspace(&team));
    default.mint(&order("a")).await.unwrap();
    let made = other.mint(&order("b")).await.unwrap().key;
    let names = async |driver: &dyn Gateway| -> Vec<String> {
        driver.list().await.unwrap().into_iter().map(|key| key.name).collect()
    };
    assert_eq!((names(&default).await, names(&other).await), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(stage.openrouter_keys()[1].workspace, team);
    other.provider_keys().unwrap().create(&provider_key(&[&made.id.0])).await.unwrap();
    let lists = async |driver: &dyn Gateway| driver.provider_keys().unwrap().list().await.unwrap().len();
    assert_eq!((lists(&default).await, lists(&other).await), (0, 1));
    assert!(stage.in_workspace("nowhere").list().await.is_err(), "and not an empty listing");
}

/// Quirk 9.
#[tokio::test(start_paused = true)]
async fn gone_is_what_the_vendor_says_of_a_key_and_never_of_a_path() {
    let stage = stage();
    let driver = stage.openrouter();
    let made = driver.mint(&order("n")).await.unwrap().key.id;
    driver.revoke(&made).await.unwrap();
    assert!(driver.get(&made).await.unwrap().is_none());
    driver.revoke(&made).await.unwrap();
    for page in ["<html>Not found</html>", "", r#"{"error":"Not Found"}"#, "{}"] {
        let driver = super::world::driver(Stub::always(404, page).wire(TOKEN));
        let faults = [driver.get(&made).await.err(), driver.revoke(&made).await.err()];
        for fault in faults {
            let fault =
                fault.unwrap_or_else(|| panic!("{page}: a wrong path was taken for a key that is gone"));
            assert!(fault.to_string().contains("spec.endpoint"), "{page}: {fault}");
        }
    }
    // Whether an expired key stays listed is not documented: both are read as they are.
    for vanish in [false, true] {
        let stage = self::stage();
        stage.switch_openrouter(|it| it.expired_keys_vanish = vanish);
        let driver = stage.openrouter();
        let at = stage.today() + SignedDuration::from_hours(24);
        let dated = Order { expires_in_days: Some(1), expires_at: Some(at), ..order("n") };
        let made = driver.mint(&dated).await.unwrap().key;
        stage.later(2);
        assert_eq!(driver.list().await.unwrap().is_empty(), vanish);
        assert_eq!(driver.get(&made.id).await.unwrap().is_none(), vanish);
    }
}

/// Quirk 10.
#[tokio::test(start_paused = true)]
async fn an_ordinary_key_is_no_token() {
    let stage = stage();
    let made = stage.openrouter().mint(&order("n")).await.unwrap();
    let with = |token: &str| {
        let wire = stage.wire(keysmith::emulator::VendorId::OpenRouter, token);
        super::world::driver(wire)
    };
    let refused = async |token: &str| with(token).list().await.unwrap_err().kind;
    assert_eq!(refused(clear(&made.secret)).await, FaultKind::Forbidden);
    assert_eq!(refused("nonsense").await, FaultKind::TokenRefused);
    stage.switch_openrouter(|it| it.key_limit = 1);
    let full = stage.openrouter().mint(&order("m")).await.err().unwrap();
    assert_eq!(full.kind, FaultKind::KeyLimit { status: 403 });
    assert!(with(clear(&made.secret)).mint(&order("m")).await.err().unwrap().kind == FaultKind::Forbidden);
}

/// Quirk 11.
#[tokio::test(start_paused = true)]
async fn spending_is_told_by_key_and_the_balance_is_what_is_left_of_the_credits() {
    let stage = stage();
    let driver = stage.openrouter();
    let [first, second] =
        [driver.mint(&order("a")).await, driver.mint(&order("b")).await].map(|it| it.unwrap().key.id);
    let openrouter = stage.emulator.openrouter();
    openrouter.set_credits(20_000_000);
    assert!(openrouter.spend(&first.0, 1_250_000) && openrouter.spend(&second.0, 500_000));
    let span = Span::month(stage.today());
    let spent = driver.spending(&span, &[]).await.unwrap();
    let of = |id: &KeyId| spent.iter().find(|it| it.key == id.0).map(|it| it.micros);
    assert_eq!((of(&first), of(&second)), (Some(1_250_000), Some(500_000)));
    let left = |micros| Some(Money { micros, currency: "USD".to_owned() });
    assert_eq!(driver.balance().await.unwrap(), left(18_250_000));
    openrouter.set_credits(1_000_000);
    assert_eq!(driver.balance().await.unwrap(), left(-750_000));
    stage.fault_once("GET", "/credits", Effect::Status { code: 403, retry_after: None });
    assert_eq!(driver.balance().await.unwrap_err().kind, FaultKind::Forbidden, "and not nothing");
    // A new month begins.
    stage.later(31);
    let spent = driver.spending(&Span::month(stage.today()), &[]).await.unwrap();
    assert!(spent.iter().all(|it| it.micros == 0), "{spent:?}");
}

fn provider_key(keys: &[&str]) -> ProviderKeyOrder {
    ProviderKeyOrder {
        name: "team [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]".to_owned(),
        provider: "amazon-bedrock".to_owned(),
        credential: SecretString::from(r#"{"accessKeyId":"fake","secretAccessKey":"canary"}"#),
        keys: keys.iter().copied().map(id).collect(),
    }
}

/// Quirk 12.
#[tokio::test(start_paused = true)]
async fn a_provider_key_is_restricted_to_keys_of_the_account() {
    let stage = stage();
    let driver = stage.openrouter();
    let keys = driver.provider_keys().unwrap();
    let [first, second] =
        [driver.mint(&order("a")).await, driver.mint(&order("b")).await].map(|it| it.unwrap().key.id);
    let made = keys.create(&provider_key(&[&first.0])).await.unwrap();
    let stored = || stage.emulator.openrouter().provider_keys();
    assert_eq!(stored()[0].key, r#"{"accessKeyId":"fake","secretAccessKey":"canary"}"#);
    assert_eq!(
        (made.created_at, stored()[0].allowed.clone()),
        (Some(stored()[0].created_at), Some(vec![first.0.clone()]))
    );
    keys.assign(&made.id, &[first.clone(), second.clone()]).await.unwrap();
    let listed = keys.list().await.unwrap();
    assert_eq!(listed[0].assigned_to, Some([first, second].into()));
    assert_eq!(listed[0].name.as_deref(), Some("team [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]"));
    keys.assign(&made.id, &[]).await.unwrap();
    assert_eq!(stored()[0].allowed, None);
    let foreign = keys.create(&provider_key(&["f00"])).await.unwrap_err();
    assert_eq!(foreign.kind, FaultKind::Rejected { status: 400, fields: vec!["spec.gatewayKeyRefs"] });
    for number in 0..120 {
        keys.create(&ProviderKeyOrder { name: format!("n{number}"), ..provider_key(&[]) }).await.unwrap();
    }
    assert_eq!(keys.list().await.unwrap().len(), 121);
    keys.delete(&made.id).await.unwrap();
    keys.delete(&made.id).await.unwrap();
    assert_eq!(keys.list().await.unwrap().len(), 120);
    let short = Stub::always(200, r#"{"data":[{"id":"a","name":"n"}],"total_count":2}"#);
    let fault = super::world::driver(short.wire(TOKEN)).provider_keys().unwrap().list().await.unwrap_err();
    assert!(fault.to_string().contains("may be missing"), "{fault}");
}
