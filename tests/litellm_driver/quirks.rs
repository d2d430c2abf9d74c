//! The oddities of LiteLLM, each by its number in `src/gateway/litellm.rs`.

use super::world::*;
use crate::support::driver_contract::stage::{OptionalCalls, Stage};
use crate::support::orders::{amendment, expiring, limit, settings};
use crate::support::stub::Stub;
use http::Method;
use keysmith::api::console_token::LiteLlmVendor;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::{Period, RateLimit};
use keysmith::emulator::litellm::{DataPlaneAnswer, Kind, Role};
use keysmith::emulator::{Effect, Rule, VendorId};
use keysmith::gateway::litellm::{DRIVER, LiteLlm};
use keysmith::gateway::{Amendment, Gateway, Order};
use keysmith::plan::drift::Field;
use keysmith::plan::fault::{Fault, FaultKind, Outcome};
use keysmith::plan::listing::Setting;
use keysmith::plan::settings::{Expiry, Settings};
use keysmith::plan::usage::Span;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const MONTHLY: Period = Period::Monthly;

fn refused(result: Result<impl Sized, Fault>) -> FaultKind {
    result.err().expect("it is refused").kind
}

/// Quirk 1.
#[tokio::test(start_paused = true)]
async fn a_token_of_lower_rank_lists_nothing_instead_of_a_shorter_listing() {
    let stage = stage();
    let made = stage.litellm().mint(&order("n")).await.unwrap().key.id;
    let litellm = stage.emulator.litellm();
    litellm.add_master(MASTER);
    for (user, role) in
        [("viewer", Role::ProxyAdminViewer), ("worker", Role::InternalUser), ("second", Role::ProxyAdmin)]
    {
        litellm.add_user(user, role, &format!("sk-litellm-emulated-{user}"));
    }
    for (token, sees, changes) in [
        (MASTER, true, true),
        ("sk-litellm-emulated-second", true, true),
        ("sk-litellm-emulated-viewer", true, false),
        ("sk-litellm-emulated-worker", false, false),
    ] {
        let driver = stage.with_token(token);
        match driver.list().await {
            Ok(keys) => assert!(sees && keys.iter().any(|key| key.id == made), "{token}"),
            Err(fault) => assert!(!sees && fault.kind == FaultKind::Forbidden, "{token}: {fault}"),
        }
        let rank = driver.rank().await;
        match &rank {
            Ok(rank) => {
                assert_eq!((sees, rank.unwrap().lacks.is_none()), (true, changes), "{token}: {rank:?}");
            }
            Err(fault) => assert!(!sees && fault.kind == FaultKind::Forbidden, "{token}: {fault}"),
        }
        let amended = driver.amend(&made, &budgeted(None)).await;
        assert_eq!(amended.is_ok(), changes, "{token}");
        assert!(changes || refused(amended) == FaultKind::Forbidden, "{token}");
    }
    // A key for models, and one without a user.
    let app = stage.made()[0].secret.clone();
    assert_eq!(refused(stage.with_token(&app).list().await), FaultKind::Forbidden);
    assert!(litellm.edit_key(&made.0, |key| key.kind = Kind::Default));
    assert_eq!(refused(stage.with_token(&app).list().await), FaultKind::Forbidden);
    assert_eq!(refused(stage.with_token(&app).mint(&order("x")).await), FaultKind::Forbidden);
    assert_eq!(refused(stage.with_token("sk-litellm-emulated-nobody").list().await), FaultKind::TokenRefused);
    assert_eq!(refused(stage.with_token("nonsense").list().await), FaultKind::TokenRefused);
}

/// Quirk 2.
#[tokio::test(start_paused = true)]
async fn a_listing_of_several_pages_is_whole_or_read_again() {
    let stage = stage();
    let driver = stage.litellm();
    for number in 0..250 {
        driver.mint(&order(&format!("n-{number}"))).await.unwrap();
    }
    assert_eq!(driver.list().await.unwrap().len(), 251, "with the token");
    let pages = || stage.emulator.count("GET", "/key/list");
    assert_eq!(pages(), 3);
    let row = |id: usize| json!({"token": format!("{id:064x}"), "key_alias": "n"});
    // While the pages are read, a key of the first page is deleted: `moving` of the first attempts see that.
    for (moving, whole) in [(0, true), (1, true), (3, true), (4, false)] {
        let attempt = AtomicUsize::new(0);
        let stub = Stub::by(move |request| {
            let second = request.uri().query().unwrap_or_default().contains("page=2");
            let attempt = attempt.fetch_add(usize::from(!second), Ordering::Relaxed);
            let gone = second && attempt <= moving;
            let (from, until, total) = match (second, gone) {
                (false, _) => (0, 100, 150),
                (true, false) => (100, 150, 150),
                (true, true) => (101, 150, 149),
            };
            let rows: Vec<_> = (from..until).map(row).collect();
            (200, json!({"keys": rows, "total_count": total}).to_string().into())
        });
        let driver = driver_of(&stub);
        match driver.list().await {
            Ok(keys) => assert!(whole && keys.len() == 150, "{moving}: {}", keys.len()),
            Err(fault) => {
                assert!(!whole && fault.to_string().contains("may be missing"), "{moving}: {fault}");
            }
        }
    }
    // One deleted and one made: the total is the same, and a key comes twice.
    let stub = Stub::by(move |request| {
        let second = request.uri().query().unwrap_or_default().contains("page=2");
        let rows: Vec<_> = if second { (99..149).map(row).collect() } else { (0..100).map(row).collect() };
        (200, json!({"keys": rows, "total_count": 150}).to_string().into())
    });
    assert!(driver_of(&stub).list().await.is_err());
}

fn driver_of(stub: &std::sync::Arc<Stub>) -> LiteLlm {
    driver(stub.wire_beside(TOKEN, rank_of_a_master_key))
}

/// Quirk 3.
#[tokio::test(start_paused = true)]
async fn gone_is_what_the_server_says_of_the_key_and_never_of_the_path() {
    for old in [false, true] {
        let stage = stage();
        stage.switch_litellm(|it| it.deleted_is_404 = old);
        let driver = stage.litellm();
        let made = driver.mint(&order("n")).await.unwrap().key.id;
        assert!(driver.get(&made).await.unwrap().is_some());
        driver.revoke(&made).await.unwrap();
        assert!(driver.get(&made).await.unwrap().is_none());
        driver.revoke(&made).await.unwrap();
        assert!(driver.get(&id("0".repeat(64).as_str())).await.unwrap().is_none());
    }
    // A proxy below a path that the endpoint does not name.
    let wrong = Stub::always(404, r#"{"detail":"Not Found"}"#);
    let (driver, key) = (driver(wrong.wire(TOKEN)), id("k"));
    let outcomes = [
        driver.get(&key).await.map(drop),
        driver.revoke(&key).await,
        driver.list().await.map(drop),
        driver.amend(&key, &budgeted(None)).await,
        driver.mint(&order("n")).await.map(drop),
    ];
    for outcome in outcomes {
        let fault = outcome.unwrap_err();
        assert!(fault.to_string().contains("spec.endpoint") && fault.kind.is_malformed(), "{fault}");
        assert_eq!(fault.effect, Outcome::NotApplied);
    }
}

/// Quirk 4.
#[tokio::test(start_paused = true)]
async fn a_database_that_is_down_is_no_refusal_and_takes_no_key_away() {
    let stage = stage();
    let driver = stage.litellm();
    let made = driver.mint(&order("n")).await.unwrap().key.id;
    stage.switch_litellm(|it| it.database_down = true);
    let failed = |status| FaultKind::Failed { status, until: None };
    let amended = driver.amend(&made, &budgeted(None)).await.unwrap_err();
    assert_eq!(amended, Fault::ambiguous(failed(400)));
    assert_eq!(driver.revoke(&made).await.unwrap_err(), Fault::ambiguous(failed(500)));
    assert_eq!(refused(driver.list().await), failed(500));
    assert_eq!(refused(driver.get(&made).await), failed(500));
}

/// Quirks 5 and 6.
#[tokio::test(start_paused = true)]
async fn a_key_calls_models_and_its_id_is_the_hash_of_its_secret() {
    use sha2::{Digest, Sha256};
    let stage = stage();
    let minted = stage.litellm().mint(&order("n")).await.unwrap();
    let id = &minted.key.id.0;
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16).unwrap()).collect();
    assert_eq!(bytes, Sha256::digest(clear(&minted.secret)).to_vec());
    let key = stage.only_made();
    assert_eq!((key.kind, key.user, key.team), (Kind::LlmApi, None, None));
    assert_eq!(stage.emulator.litellm().check(clear(&minted.secret), None), DataPlaneAnswer::Accepted);
}

#[tokio::test(start_paused = true)]
async fn every_field_is_part_of_the_create_call() {
    let stage = stage();
    let rate = RateLimit { requests_per_minute: Some(60), tokens_per_minute: None, parallel: Some(4) };
    let order = Order {
        models: vec!["gpt-small".to_owned()],
        budget: Some(limit(5, MONTHLY)),
        left: Some(2_000_000),
        expires_in_days: Some(7),
        rate_limit: Some(rate),
        active: false,
        ..order("n")
    };
    let place = LiteLlmVendor { team_id: Some("team-a".to_owned()), user_id: None };
    stage.emulator.litellm().add_team("team-a");
    let driver = LiteLlm::new(&place, stage.wire(VendorId::LiteLlm, TOKEN).accessed(DRIVER.access));
    let listed = driver.mint(&order).await.unwrap().key;
    let calls = stage.emulator.calls();
    assert_eq!(calls.iter().filter(|call| call.method == "POST").count(), 1);
    let key = stage.only_made();
    assert_eq!((key.budget, key.spend, key.rhythm.as_deref()), (Some(5_000_000), 3_000_000, Some("30d")));
    assert_eq!((key.rates.requests, key.rates.tokens, key.rates.parallel), (Some(60), None, Some(4)));
    assert_eq!((key.blocked, key.team.as_deref()), (Some(true), Some("team-a")));
    assert_eq!(key.expires.unwrap().duration_since(key.created_at).as_hours(), 7 * 24);
    // What is listed and what is read is the same, whatever the format of times.
    let seen = driver.get(&listed.id).await.unwrap().unwrap();
    let row = driver.list().await.unwrap().into_iter().find(|it| it.id == listed.id).unwrap();
    assert_eq!(seen, row);
    assert_eq!(seen.shown.rate_limit, Setting::Set(rate));
    assert_eq!((seen.shown.active, seen.remaining), (Some(false), Some(2_000_000)));
    assert_eq!(seen.shown.budget, Setting::Set(limit(5, MONTHLY)));
    let cut = |at: Option<jiff::Timestamp>| at.map(jiff::Timestamp::as_millisecond);
    assert_eq!((cut(listed.expires_at), &listed.shown), (cut(seen.expires_at), &seen.shown));
}

async fn amended(stage: &Stage, fields: &[Field], to: Settings) -> keysmith::emulator::litellm::KeyRecord {
    let id = id(&stage.only_made().id);
    stage.litellm().amend(&id, &amendment(fields, to)).await.unwrap();
    stage.only_made()
}

#[tokio::test(start_paused = true)]
async fn an_amendment_changes_its_field_and_no_other() {
    let stage = stage();
    let rate = RateLimit { requests_per_minute: Some(60), tokens_per_minute: Some(9), parallel: None };
    let full = Order {
        models: vec!["gpt-small".to_owned()],
        budget: Some(limit(5, MONTHLY)),
        rate_limit: Some(rate),
        ..order("n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]")
    };
    stage.litellm().mint(&full).await.unwrap();
    let mut expected = stage.only_made();
    let same = |mut key: keysmith::emulator::litellm::KeyRecord,
                of: &keysmith::emulator::litellm::KeyRecord| {
        (key.updated_at, key.settings_updated_at) = (of.updated_at, of.settings_updated_at);
        key
    };
    let other = RateLimit { parallel: Some(1), ..RateLimit::default() };
    let steps: [(Field, Settings); 8] = [
        (Field::DisplayName, Settings { display_name: "other".to_owned(), ..settings() }),
        (Field::Active, Settings { active: false, ..settings() }),
        (Field::Models, Settings { models: vec!["gpt-large".to_owned()], ..settings() }),
        (Field::Models, settings()),
        (Field::Budget, Settings { budget: Some(limit(7, Period::Daily)), ..settings() }),
        (Field::Budget, settings()),
        (Field::RateLimit, Settings { rate_limit: Some(other), ..settings() }),
        (Field::RateLimit, settings()),
    ];
    for (field, to) in steps {
        let found = amended(&stage, &[field], to.clone()).await;
        match field {
            Field::DisplayName => expected.alias = Some("other".to_owned()),
            Field::Active => expected.blocked = Some(true),
            Field::Models => expected.models.clone_from(&to.models),
            Field::Budget => {
                expected.budget = to.budget.map(|it| it.micros);
                expected.rhythm = to.budget.map(|_| "1d".to_owned());
                expected.reset_at = found.reset_at;
            }
            _ => {
                let rate = to.rate_limit.unwrap_or_default();
                let rates = &mut expected.rates;
                (rates.requests, rates.tokens) = (rate.requests_per_minute, rate.tokens_per_minute);
                rates.parallel = rate.parallel;
            }
        }
        assert!(same(found.clone(), &expected) == expected, "{field:?}: {found:?}");
    }
}

/// Quirk 7.
#[tokio::test(start_paused = true)]
async fn an_expiry_is_moved_to_the_second_and_cleared_also_where_null_is_ignored() {
    for ignores in [false, true] {
        let stage = stage();
        stage.switch_litellm(|it| it.null_is_ignored = ignores);
        let driver = stage.litellm();
        let made = driver.mint(&Order { expires_in_days: Some(9), ..order("n") }).await.unwrap().key.id;
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
        let at: jiff::Timestamp = "2026-12-24T00:00:00Z".parse().unwrap();
        driver.amend(&made, &expiring(Expiry::At(at))).await.unwrap();
        assert_eq!(stage.only_made().expires, Some(at));
        driver.amend(&made, &expiring(Expiry::Never)).await.unwrap();
        assert_eq!(stage.only_made().expires, None);
    }
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn the_expiry_is_the_one_that_the_server_tells() {
    let stage = stage();
    stage.switch_litellm(|it| it.rounds_lifetimes = true);
    let key = stage.litellm().mint(&Order { expires_in_days: Some(7), ..order("n") }).await.unwrap().key;
    assert_eq!(key.expires_at, stage.only_made().expires);
    assert_eq!(key.expires_at.unwrap().to_string(), "2026-11-29T00:00:00Z");
}

/// Quirk 9.
#[tokio::test(start_paused = true)]
async fn what_was_spent_stays_spent_unless_it_is_said_otherwise() {
    let stage = stage();
    let driver = stage.litellm();
    let made = driver.mint(&Order { budget: Some(limit(5, MONTHLY)), ..order("n") }).await.unwrap().key.id;
    assert!(stage.emulator.litellm().spend(&made.0, 3_000_000));
    let left = async || driver.get(&made).await.unwrap().unwrap().remaining;
    assert_eq!(left().await, Some(2_000_000));
    driver.amend(&made, &budgeted(Some(limit(10, MONTHLY)))).await.unwrap();
    assert_eq!(left().await, Some(7_000_000));
    let shared = Amendment { left: Some(500_000), ..budgeted(Some(limit(10, MONTHLY))) };
    driver.amend(&made, &shared).await.unwrap();
    assert_eq!(left().await, Some(500_000));
    let secret = stage.only_made().secret;
    assert!(stage.emulator.litellm().spend(&made.0, 600_000));
    assert_eq!(left().await, Some(0));
    assert_eq!(stage.emulator.litellm().check(&secret, None), DataPlaneAnswer::OverBudget);
    // The month ends.
    tokio::time::sleep(std::time::Duration::from_secs(86_400 * 11)).await;
    assert_eq!(left().await, Some(10_000_000));
}

#[tokio::test(start_paused = true)]
async fn budgets_of_every_period_are_the_vendors_own_and_read_back() {
    let stage = stage();
    let driver = stage.litellm();
    let ends = [
        (Period::Once, None),
        (Period::Daily, Some("2026-11-22T00:00:00Z")),
        (Period::Weekly, Some("2026-11-23T00:00:00Z")),
        (Period::Monthly, Some("2026-12-01T00:00:00Z")),
    ];
    for (number, (period, end)) in ends.into_iter().enumerate() {
        let budget = Some(limit(5, period));
        let name = format!("n-{number}");
        let made = driver.mint(&Order { budget, ..order(&name) }).await.unwrap().key;
        assert_eq!(made.shown.budget, Setting::shown(budget), "{period:?}");
        let key = stage.emulator.litellm().keys().into_iter().find(|key| key.id == made.id.0).unwrap();
        assert_eq!(key.reset_at.map(|it| it.to_string()).as_deref(), end, "{period:?}");
    }
}

/// Quirk 10.
#[tokio::test(start_paused = true)]
async fn a_budget_in_another_rhythm_is_a_limit_of_unknown_size_and_drift() {
    let stage = stage();
    let driver = stage.litellm();
    let made = driver.mint(&Order { budget: Some(limit(5, MONTHLY)), ..order("n") }).await.unwrap().key.id;
    for (rhythm, known) in [
        (Some("14d"), None),
        (Some("1h"), None),
        (Some("24h"), Some(Period::Daily)),
        (Some("1w"), Some(Period::Weekly)),
        (Some("1mo"), Some(MONTHLY)),
        (Some(""), Some(Period::Once)),
        (None, Some(Period::Once)),
    ] {
        assert!(stage.emulator.litellm().edit_key(&made.0, |key| key.rhythm = rhythm.map(str::to_owned)));
        let shown = driver.get(&made).await.unwrap().unwrap().shown;
        let limit = known.map_or(Setting::Hidden, |period| Setting::Set(limit(5, period)));
        assert_eq!((shown.budget, shown.other_period), (limit, known.is_none()), "{rhythm:?}");
        assert_eq!(shown.capped, known.is_none().then_some(true), "{rhythm:?}");
    }
    assert!(stage.emulator.litellm().edit_key(&made.0, |key| key.budget = Some(0)));
    let shown = driver.get(&made).await.unwrap().unwrap();
    assert_eq!((shown.shown.budget, shown.remaining), (Setting::Set(limit(0, Period::Once)), Some(0)));
}

/// Quirk 11.
#[tokio::test(start_paused = true)]
async fn one_key_is_deleted_by_one_call_and_by_its_id() {
    let stage = stage();
    let driver = stage.litellm();
    let made = driver.mint(&order("n")).await.unwrap().key.id;
    let namesake = stage.emulator.litellm().add_key("n");
    driver.revoke(&made).await.unwrap();
    let left: Vec<_> =
        stage.emulator.vendor(VendorId::LiteLlm).keys().into_iter().map(|key| key.id).collect();
    assert_eq!(left, [namesake.id]);
    let stub = Stub::always(200, r#"{"deleted_keys":["k"]}"#);
    driver_of(&stub).revoke(&id("k")).await.unwrap();
    assert_eq!(stub.sent(), json!({"keys": ["k"]}));
}

/// Quirk 12.
#[tokio::test(start_paused = true)]
async fn a_taken_name_is_told_from_a_name_that_is_not_admitted() {
    let stage = stage();
    let driver = stage.litellm();
    let name = "checkout [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";
    driver.mint(&order(name)).await.unwrap();
    let fault = driver.mint(&order(name)).await.err().unwrap();
    assert_eq!(fault, Fault::ambiguous(FaultKind::Conflict));
    stage.switch_litellm(|it| it.restricts_names = true);
    let fault = driver.mint(&order("checkout [ks-aaaaaa-aaaaaaaaaaaaaaaa-2]")).await.err().unwrap();
    let fields = vec!["spec.displayName"];
    assert_eq!(fault, Fault::without_effect(FaultKind::Rejected { status: 400, fields }));
    // Nothing is known while the listing fails.
    let (_, list) = VendorId::LiteLlm.call("GET");
    stage.emulator.faults().add(Rule::always("GET", list, Effect::Status { code: 500, retry_after: None }));
    assert_eq!(driver.mint(&order(name)).await.err().unwrap().effect, Outcome::Unknown);
}

/// Quirk 13.
#[tokio::test(start_paused = true)]
async fn a_token_is_minted_for_the_user_of_the_token_or_for_the_one_that_is_named() {
    let stage = stage();
    let manages = Order { kind: KeyType::Management, ..order("token-2") };
    let minted = stage.litellm().mint(&manages).await.unwrap();
    let key = stage.only_made();
    assert_eq!((key.kind, key.user.as_deref()), (Kind::Management, Some("keysmith")));
    let successor = stage.with_token(clear(&minted.secret));
    assert_eq!(successor.list().await.unwrap().len(), 2);
    // It may delete itself.
    successor.revoke(&minted.key.id).await.unwrap();
    stage.emulator.litellm().add_master(MASTER);
    let wire = || stage.wire(VendorId::LiteLlm, MASTER).accessed(DRIVER.access);
    let unnamed = LiteLlm::new(&LiteLlmVendor::default(), wire());
    let fault = unnamed.mint(&manages).await.err().unwrap();
    assert!(fault.to_string().contains("spec.vendor.litellm.userId"), "{fault}");
    let place = LiteLlmVendor { user_id: Some("keysmith".to_owned()), team_id: None };
    LiteLlm::new(&place, wire()).mint(&manages).await.unwrap();
    assert_eq!(stage.only_made().user.as_deref(), Some("keysmith"));
}

/// Quirk 15.
#[tokio::test(start_paused = true)]
async fn a_team_that_does_not_exist_gets_no_key_and_takes_none_away() {
    let stage = stage();
    let place = LiteLlmVendor { team_id: Some("team-a".to_owned()), user_id: None };
    let driver = LiteLlm::new(&place, stage.wire(VendorId::LiteLlm, TOKEN).accessed(DRIVER.access));
    let fault = driver.mint(&order("n")).await.err().unwrap();
    assert!(fault.to_string().contains("spec.vendor.litellm.teamId") && stage.made().is_empty(), "{fault}");
    let made = stage.litellm().mint(&order("n")).await.unwrap().key.id;
    // The team was deleted.
    assert!(stage.emulator.litellm().edit_key(&made.0, |key| key.team = Some("gone".to_owned())));
    let fault = driver.amend(&made, &budgeted(None)).await.unwrap_err();
    assert!(fault.to_string().contains("teamId") && fault.kind != FaultKind::NotFound, "{fault}");
    assert!(driver.get(&made).await.unwrap().is_some());
}

/// Quirk 14.
#[tokio::test(start_paused = true)]
async fn a_401_about_the_key_does_not_give_the_token_up() {
    let stage = stage();
    stage.switch_litellm(|it| (it.unknown_key_is_401, it.deleted_is_404) = (true, true));
    let driver = stage.litellm();
    let made = driver.mint(&order("n")).await.unwrap().key.id;
    assert!(stage.emulator.litellm().delete_key(&made.0));
    let gone = driver.amend(&made, &budgeted(None)).await.unwrap_err();
    assert_eq!(gone, Fault::without_effect(FaultKind::NotFound));
    assert!(stage.emulator.litellm().revoke_token(TOKEN));
    assert_eq!(refused(driver.amend(&made, &budgeted(None)).await), FaultKind::TokenRefused);
}

#[tokio::test(start_paused = true)]
async fn spending_is_read_by_id_over_all_pages() {
    let stage = stage();
    let driver = stage.litellm();
    let made = driver.mint(&order("n")).await.unwrap().key.id;
    assert!(stage.emulator.litellm().spend(&made.0, 1_250_000));
    tokio::time::sleep(std::time::Duration::from_secs(86_400)).await;
    assert!(stage.emulator.litellm().spend(&made.0, 250_000));
    let spent = driver.spending(&Span::month(stage.clock.now()), &[]).await.unwrap();
    assert_eq!(
        spent.iter().map(|it| (it.key.as_str(), it.micros, it.calls)).collect::<Vec<_>>(),
        [(made.0.as_str(), 1_500_000, Some(2))]
    );
    let page = |number: u64, more: bool| {
        json!({"results": [{"breakdown": {"api_keys": {"k": {"metrics": {"spend": number, "api_requests": 1}}}}}],
            "metadata": {"has_more": more}})
    };
    let stub = Stub::by(move |request| match *request.method() {
        Method::GET if request.uri().query().is_some_and(|it| it.contains("&page=1")) => {
            (200, page(1, true).to_string().into())
        }
        _ => (200, page(2, false).to_string().into()),
    });
    let spent = driver_of(&stub).spending(&Span::month(stage.clock.now()), &[]).await.unwrap();
    assert_eq!((spent[0].micros, spent[0].calls, stub.count()), (3_000_000, Some(2), 2));
    let other: Value =
        json!({"results": [{"breakdown": {"api_keys": {"k": {"metrics": {}}}}}], "metadata": {}});
    let stub = Stub::always(200, other.to_string());
    assert!(driver_of(&stub).spending(&Span::month(stage.clock.now()), &[]).await.is_err());
}

/// Quirk 16.
#[tokio::test(start_paused = true)]
async fn models_and_groups_of_models_are_listed() {
    let stage = stage();
    stage.switch_litellm(|it| it.more_models = vec!["openai/*".to_owned()]);
    let driver = stage.litellm();
    let listed = driver.models().unwrap().catalog().await.unwrap().unwrap();
    assert_eq!(listed, ["gpt-small", "gpt-large", "openai/*"]);
    assert_eq!(stage.emulator.count("GET", "/v1/models"), 0);
    let grouped = json!({"data": [
        {"model_name": "a", "model_info": {"access_groups": ["beta", 7]}}, {"model_name": 7}, 7, {"model_name": "b"},
    ]});
    let stub = Stub::always(200, grouped.to_string());
    assert_eq!(driver_of(&stub).models().unwrap().catalog().await.unwrap().unwrap(), ["a", "beta", "b"]);
    assert!(driver_of(&Stub::always(200, r#"{"data":null}"#)).models().unwrap().catalog().await.is_err());
}
