//! The messages about ConsoleTokens and their dependents.

use super::{Book, at};
use keysmith::api::condition::{self, LOW_BALANCE, USAGE_READ};
use keysmith::api::console_token::{AccountCandidate, ConsoleTokenAccount};
use keysmith::api::{ConsoleToken, EventReason, Reason, Verdict};
use keysmith::plan::account::{self, Judgement};
use keysmith::plan::fault::{Fault, FaultKind, Occurrence, Unreachable};
use keysmith::plan::identity::{AnyToken, TokenRef};
use keysmith::plan::listing::{KeyId, Listed, Shown};
use keysmith::plan::orphans::{self, Orphan, Stage, Suspects};
use keysmith::plan::report::{Notice, deletion, token as words};
use keysmith::plan::token;
use serde_json::{Value, json};

fn console_token(spec: Value) -> AnyToken {
    let mut whole = json!({"vendor": {"edgee": {"organizationId": "org_12345"}}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let token: ConsoleToken = serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "ConsoleToken",
        "metadata": {"name": "edgee", "namespace": "shop"}, "spec": whole,
    }))
    .unwrap();
    token.into()
}

fn reference() -> TokenRef {
    given().reference()
}

fn given() -> AnyToken {
    console_token(json!({"secretRef": {"name": "edgee-console", "key": "token"}}))
}

fn minted() -> AnyToken {
    console_token(json!({"mint": {"issuerRef": {"name": "root"}, "secret": {"name": "minted"}}}))
}

fn account() -> ConsoleTokenAccount {
    let candidate = AccountCandidate { id: "org_b".to_owned(), ..AccountCandidate::default() };
    ConsoleTokenAccount {
        id: "org_a".to_owned(),
        candidate: Some(candidate),
        ..ConsoleTokenAccount::default()
    }
}

pub fn ready(book: &mut Book) {
    book.ready(&words::verified(&given()));
    for kind in [
        FaultKind::TokenRefused,
        FaultKind::Forbidden,
        FaultKind::NotFound,
        FaultKind::Unreachable(Unreachable::Connect),
        FaultKind::Unreachable(Unreachable::Certificate),
        FaultKind::Unreachable(Unreachable::Private),
        FaultKind::Malformed("it is not JSON"),
        FaultKind::Throttled { until: None },
        FaultKind::Failed { status: 503, until: None },
    ] {
        let fault = Fault::without_effect(kind);
        book.ready(&words::refused(&fault, &given(), "", at(5), Occurrence::Repeated));
    }
    let refused = Fault::without_effect(FaultKind::TokenRefused);
    book.ready(&words::refused(&refused, &given(), "", at(5), Occurrence::First));
    book.ready(&words::refused(&refused, &minted(), "", at(5), Occurrence::Repeated));
    let hint = keysmith::gateway::edenai_v2::CAPABILITIES.refused;
    book.ready(&words::refused(&refused, &given(), hint, at(5), Occurrence::Repeated));
    let account = account();
    for judgement in [Judgement::Suspicious, Judgement::Changed] {
        let message = account::message(&account, &judgement, &token::place(&given())).unwrap();
        book.ready(&match judgement {
            Judgement::Changed => Verdict::stalled(Reason::AccountChanged, message),
            _ => Verdict::reconciling(Reason::AccountSuspicious, message),
        });
    }
    book.ready(&words::minting("minted-console-token", None));
    book.ready(&words::mint_taken("minted-console-token"));
    book.ready(&words::never_minted());
    book.ready(&deletion::token_in_use(&["GatewayApiKey checkout".to_owned()], None).still_ready(true));
    let lost = token::lost(&given());
    book.ready(&deletion::token_in_use(&["GatewayApiKey checkout".to_owned()], Some(&lost)));
    book.ready(&words::missing(&reference(), true));
    book.ready(&words::not_ready(&reference(), &refused.to_string(), true));
    book.ready(&words::missing(&TokenRef::shared("edgee"), true));
    book.ready(&words::missing(&TokenRef::shared("edgee"), false));
    book.ready(&token::cluster_tokens_only().verdict());
    conditions(book);
}

fn conditions(book: &mut Book) {
    for at_expiry in ["2026-11-27T00:00:00Z", "2026-12-05T00:00:00Z", "2027-12-05T00:00:00Z"] {
        let token = console_token(json!({
            "secretRef": {"name": "edgee-console", "key": "token"}, "expiresAt": at_expiry,
        }));
        book.condition(&words::expiry(&token, at(0)).unwrap().0);
    }
    for (low, reason) in [(true, Reason::BalanceLow), (false, Reason::BalanceFine)] {
        let message = words::balance(low, "20", "EUR");
        book.condition(&condition::condition(LOW_BALANCE, low, reason, &message, Some(1)));
    }
    book.condition(&condition::condition(USAGE_READ, true, Reason::UsageKnown, "spending was read", Some(1)));
    unread(book);
}

fn listed(id: &str) -> Listed {
    Listed {
        id: KeyId(id.to_owned()),
        name: id.to_owned(),
        created_at: None,
        expires_at: None,
        last_used_at: None,
        spent: None,
        remaining: None,
        shown: Shown::default(),
        unread: Vec::new(),
    }
}

pub fn events(book: &mut Book) {
    book.event(&words::account_accepted("org_a", "org_b", 12));
    book.event(&words::secret_not_held("edgee-console", 403));
    for doubt in [None, Some("the vendor does not say when it was made")] {
        let orphan = Orphan { key: listed("key_000077"), since: at(0), stage: Stage::Suspected, doubt };
        book.event(&orphans::found(&[orphan], &Suspects::default()).unwrap());
    }
    book.event(&orphans::revoked(&[KeyId("key_000077".to_owned())]).unwrap());
    book.event(&Notice::warning(EventReason::LowBalance, words::balance(true, "20", "EUR")));
    let token = console_token(json!({
        "secretRef": {"name": "edgee-console", "key": "token"}, "expiresAt": "2026-12-05T00:00:00Z",
    }));
    let expiring = words::expiry(&token, at(0)).unwrap().0;
    book.event(&Notice::warning(EventReason::ExpiringSoon, expiring.message));
}

fn unread(book: &mut Book) {
    let forbidden = Fault::without_effect(FaultKind::Forbidden);
    let down = Fault::without_effect(FaultKind::Failed { status: 503, until: None });
    for (spending, balance) in
        [(Some(&forbidden), None), (None, Some(&down)), (Some(&forbidden), Some(&down))]
    {
        let (reason, message) = words::unread(spending, balance).unwrap();
        book.condition(&condition::condition(USAGE_READ, false, reason, &message, Some(1)));
        book.event(&Notice::warning(EventReason::UsageUnread, message));
    }
}
