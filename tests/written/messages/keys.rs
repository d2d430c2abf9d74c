//! The messages about GatewayApiKeys.

use super::{Book, at};

use keysmith::api::rotation::{DeletionPolicy, PreviousKey, SecretContest};
use keysmith::api::shared::{Budget, Period};
use keysmith::api::{EventReason, GatewayApiKey, GatewayApiKeyStatus};
use keysmith::cluster::ledger;
use keysmith::gateway::edgee;
use keysmith::plan::decision::{Decision, Step, Why};
use keysmith::plan::deletion::{Left, LeftWhy};
use keysmith::plan::desired::{self, Desired};
use keysmith::plan::drift::Field;
use keysmith::plan::fault::{Fault, FaultKind, Occurrence};
use keysmith::plan::listing::{KeyId, Limit};
use keysmith::plan::models::{Found as FoundModels, Unknown};
use keysmith::plan::naming::Serial;
use keysmith::plan::report::budget::{self, Purse, Spending};
use keysmith::plan::report::call_purpose::CallPurpose;
use keysmith::plan::report::conditions::{Looked, Rotation};
use keysmith::plan::report::deletion::{Blocked, DeletionBlocker};
use keysmith::plan::report::key::{self, Found, Scene};
use keysmith::plan::report::{conditions as report, deletion, models};
use keysmith::plan::requests::Cause;
use keysmith::plan::storing::Refused;
use serde_json::json;

const SECRET: &str = "checkout-llm";

fn id() -> KeyId {
    KeyId("key_000042".to_owned())
}

fn previous(leaked: bool) -> PreviousKey {
    PreviousKey {
        id: "key_000041".to_owned(),
        serial: 1,
        replaced_at: at(0),
        retire_after: at(1440),
        disabled_at: None,
        expires_at: None,
        missing_since: None,
        cut_to: None,
        share: None,
        leaked,
    }
}

/// A served key with a previous key.
fn status() -> GatewayApiKeyStatus {
    GatewayApiKeyStatus {
        id: Some(id().0),
        serial: Some(2),
        previous: vec![previous(false)],
        budget: Some(Budget { amount: "20".to_owned(), period: Period::Monthly }),
        ..GatewayApiKeyStatus::default()
    }
}

fn wanted() -> Desired {
    let key: GatewayApiKey = serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"consoleTokenRef": {"name": "edgee"}, "expiresInDays": 90, "secret": {"name": SECRET}},
    }))
    .unwrap();
    desired::desired(&key, &edgee::CAPABILITIES, None).unwrap()
}

fn down() -> Fault {
    Fault::ambiguous(FaultKind::Failed { status: 503, until: None })
}

pub fn ready(book: &mut Book) {
    let later = Step::Rest(Some(at(5)));
    let why = [
        Why::Fresh,
        Why::Observed,
        Why::ExternalMissing,
        Why::OwnedElsewhere(true),
        Why::OwnedElsewhere(false),
        Why::KeyMissing,
        Why::AccountDoubted,
        Why::MintingStopped(at(1440)),
        Why::NotApplied(vec![Field::Models, Field::Budget]),
        Why::SecretTaken("Deployment web".to_owned()),
        Why::TypeFixed,
        Why::Contested,
        Why::SecretImmutable,
    ];
    for why in why {
        let decision = Decision { step: later.clone(), why };
        book.ready(&key::resting(&decision, &Scene::new(SECRET, true)).unwrap());
    }
    let rest = |why| Decision { step: later.clone(), why };
    book.ready(&key::resting(&rest(Why::Fresh), &Scene::new(SECRET, false)).unwrap());
    for found in [Found::Key, Found::Other, Found::Nothing, Found::Unissued] {
        let scene = Scene { found, ..Scene::new(SECRET, true) };
        book.ready(&key::resting(&rest(Why::Suspended), &scene).unwrap());
    }
    for unanswered in [None, Some(down())] {
        let scene = Scene { unanswered, ..Scene::new(SECRET, true) };
        book.ready(&key::resting(&rest(Why::AnswerLost), &scene).unwrap());
    }
    for (expires, reveals) in [(None, false), (Some(at(14400)), true)] {
        let scene = Scene { expires, reveals, ..Scene::new(SECRET, true) };
        book.ready(
            &key::resting(&rest(Why::Suspended), &Scene { found: Found::Nothing, ..scene.clone() }).unwrap(),
        );
        book.ready(&key::resting(&rest(Why::Suspended), &scene).unwrap());
        book.ready(&key::resting(&rest(Why::Suspended), &Scene { expired: true, ..scene.clone() }).unwrap());
        book.ready(&key::resting(&rest(Why::TypeFixed), &scene).unwrap());
        book.ready(
            &key::failed(&down(), CallPurpose::ListKeys, at(5), Occurrence::First, &scene).still_ready(true),
        );
    }
    let failing =
        GatewayApiKeyStatus { next_rotation_time: Some(at(7)), expires_at: Some(at(14400)), ..status() };
    book.ready(
        &key::replacement_failed(&down(), Cause::Expiry, &failing, Occurrence::First).still_ready(true),
    );
    let refused = Fault::without_effect(FaultKind::Forbidden);
    book.ready(
        &key::replacement_failed(&refused, Cause::Expiry, &failing, Occurrence::Repeated).still_ready(true),
    );
    book.ready(&key::key_missing(&id(), at(0)));
    book.ready(&key::altered(SECRET, "entry OPENAI_API_KEY"));
    book.ready(&key::applying());
    book.ready(&key::checking());
    book.ready(&key::taking_over());
    book.ready(&key::given_up());
    book.ready(&key::secret_unreadable(SECRET, "shop", "Forbidden (403)"));
    book.ready(&key::undecodable("spec.budget.amount: invalid type: integer, expected a string"));
    book.ready(&report::leak_pending("key_000042", false));
    book.ready(&report::leak_pending("key_000042", true));
    book.ready(&budget::refusal(&spent(Some(25_000_000))).unwrap());
}

/// Status after that part of its budget was spent.
fn spent(micros: Option<u64>) -> GatewayApiKeyStatus {
    let mut status = status();
    budget::tell(&mut status, Some((&purse(), micros.map(spending))), Some(1), at(0));
    status
}

fn spending(micros: u64) -> Spending {
    Spending { micros, refused: micros >= purse().limit.micros }
}

fn purse() -> Purse<'static> {
    Purse {
        limit: Limit { micros: 20_000_000, period: Period::Monthly },
        currency: "USD",
        zone: "UTC",
        token: "ConsoleToken edgee",
        readable: true,
        read: true,
    }
}

fn all(book: &mut Book, change: impl FnOnce(&mut GatewayApiKeyStatus)) {
    let mut status = status();
    change(&mut status);
    book.conditions(&status.conditions);
}

pub fn conditions(book: &mut Book) {
    let overdue = Rotation { overdue: true, tells_use: false };
    for (tells_use, minutes) in [(true, 0), (false, 0), (true, 9_999_999), (false, 9_999_999)] {
        let rotation = Rotation { overdue: false, tells_use };
        all(book, |status| drop(report::tell_of_rotation(status, rotation, Some(1), at(minutes))));
    }
    all(book, |status| {
        status.previous[0].disabled_at = Some(at(0));
        report::tell_of_rotation(status, Rotation::default(), Some(1), at(0));
    });
    all(book, |status| {
        (status.rotation_failures, status.next_rotation_time) = (Some(3), Some(at(7)));
        status.expires_at = Some(at(14400));
        report::tell_of_rotation(status, overdue, Some(1), at(0));
    });
    all(book, |status| {
        status.previous = vec![previous(true)];
        key::resting(
            &Decision { step: Step::Rest(None), why: Why::AccountDoubted },
            &Scene::new(SECRET, true),
        )
        .unwrap()
        .apply(&mut status.conditions, &mut status.internal.last_pass, Some(1), at(0));
        report::tell_of_leak(status, true, false, Some(1), at(0));
    });
    all(book, |status| drop(report::tell_of_leak(status, true, true, Some(1), at(0))));
    all(book, |status| {
        let differs = vec!["label app.kubernetes.io/managed-by".to_owned()];
        status.secret_contest = Some(SecretContest { state: "h".to_owned(), differs, since: at(0) });
        report::tell_of_contest(status, SECRET, Some(1), at(0));
    });
    all(book, |status| drop(report::tell_of_expiry(status, &wanted(), Some(1), at(0))));
    let missing = Looked { missing: vec!["Deployment/web".to_owned()], unseen: None };
    let unseen = Looked { missing: Vec::new(), unseen: Some("Forbidden (403)".to_owned()) };
    for looked in [missing, unseen, Looked::default()] {
        all(book, |status| drop(report::tell_of_consumers(status, Some(&looked), Some(1), at(0))));
    }
    for found in found_models() {
        all(book, |status| drop(models::tell(status, Some((&found, "Edgee")), Some(1), at(0))));
    }
    book.condition(&report::still_in_use(&wanted().policy, Some(1)));
    for micros in [None, Some(0), Some(17_000_000), Some(25_000_000)] {
        book.conditions(&spent(micros).conditions);
    }
    for readable in [true, false] {
        let unread = Purse { readable, read: false, ..purse() };
        all(book, |status| drop(budget::tell(status, Some((&unread, None)), Some(1), at(0))));
    }
}

/// No unknown model, one without a similar name, and more than are named.
fn found_models() -> Vec<FoundModels> {
    let unknown = |name: &str, nearest: &[&str]| Unknown {
        name: name.to_owned(),
        nearest: nearest.iter().map(|it| (*it).to_owned()).collect(),
    };
    let near = unknown("openai/gpt-5.3", &["openai/gpt-5.2", "openai/gpt-5.2-mini"]);
    let several = ["a", "b", "c"].map(|it| unknown(it, &[])).into_iter().chain([near.clone()]);
    [Vec::new(), vec![near], several.collect()]
        .into_iter()
        .map(|unknown| FoundModels { unknown, resolved: Vec::new() })
        .collect()
}

fn steps() -> Vec<(Step, Why)> {
    let (serial, id) = (Serial(2), id());
    let mut steps: Vec<_> = [
        Cause::Expiry,
        Cause::MaxAge,
        Cause::Trigger,
        Cause::Requested,
        Cause::Leaked,
        Cause::Changed,
        Cause::SecretLost,
        Cause::KeyLost,
        Cause::Expired,
    ]
    .into_iter()
    .map(|cause| (Step::Issue(serial), Why::Rotation(cause)))
    .collect();
    steps.extend([
        (Step::Issue(Serial(1)), Why::NeverIssued),
        (Step::Retire(id.clone()), Why::Leaked),
        (Step::Retire(id.clone()), Why::TooMany),
        (Step::Retire(id.clone()), Why::Overlap),
        (Step::Switch(id.clone(), false), Why::Overlap),
        (Step::Switch(id.clone(), true), Why::Overlap),
        (Step::RecordKey(serial, id.clone()), Why::Relinked),
        (Step::RecordKey(serial, id.clone()), Why::TakenOver),
        (Step::Restore(serial, id.clone()), Why::SecretDeleted),
        (Step::Restore(serial, id.clone()), Why::SecretEdited),
        (Step::Rewrite(serial, id.clone()), Why::SecretEdited),
        (Step::Rewrite(serial, id.clone()), Why::TemplateChanged),
        (Step::Amend(id.clone(), vec![Field::Active]), Why::Drift(vec![Field::Active])),
        (Step::Amend(id.clone(), vec![Field::Budget, Field::Email]), Why::SpecChanged),
        (Step::Revoke(vec![id]), Why::Unused),
    ]);
    steps
}

pub fn events(book: &mut Book) {
    for (step, why) in steps() {
        let decision = Decision { step, why };
        book.event(&key::taken(&decision, SECRET, Some(at(1440)), true).unwrap());
        if matches!(decision.why, Why::Rotation(Cause::Expiry)) {
            book.event(&key::taken(&decision, SECRET, Some(at(1440)), false).unwrap());
        }
    }
    let lag = jiff::SignedDuration::from_secs(60);
    book.text("appended where a gateway lags behind", &key::lingering(lag).unwrap());
    book.text("appended to Rotated where budgets add up", &key::spendable(&status(), "USD").unwrap());
    book.event(&key::unused_found(&[id()], at(5)));
    book.event(&key::not_ours(&id()));
    for notice in report::restarted(
        &["Deployment/web".to_owned()],
        &["StatefulSet/search".to_owned()],
        &["DaemonSet/edge".to_owned()],
    ) {
        book.event(&notice);
    }
    let now = at(0);
    let overdue = Rotation { overdue: true, tells_use: false };
    let mut status =
        GatewayApiKeyStatus { rotation_failures: Some(3), expires_at: Some(at(14400)), ..status() };
    tell(book, report::tell_of_rotation(&mut status, overdue, Some(1), now));
    tell(book, report::tell_of_leak(&mut status, true, false, Some(1), now));
    let contest = SecretContest { state: "h".to_owned(), differs: vec!["entry key".to_owned()], since: now };
    status.secret_contest = Some(contest);
    tell(book, report::tell_of_contest(&mut status, SECRET, Some(1), now));
    status.expires_at = None;
    tell(book, report::tell_of_expiry(&mut status, &wanted(), Some(1), now));
    let unlisted = found_models().remove(1);
    tell(book, models::tell(&mut status, Some((&unlisted, "Edgee")), Some(1), now));
    let used = report::still_in_use(&wanted().policy, Some(1));
    book.event(&keysmith::plan::report::Notice::warning(EventReason::PreviousKeyInUse, used.message));
    for micros in [17_000_000, 25_000_000, 0] {
        tell(book, budget::tell(&mut status, Some((&purse(), Some(spending(micros)))), Some(1), now));
    }
}

fn tell(book: &mut Book, notice: Option<keysmith::plan::report::Notice>) {
    book.event(&notice.expect("news"));
}

pub fn deletion(book: &mut Book) {
    let failed = FaultKind::Failed { status: 503, until: None };
    let (refused, failed) = (Fault::without_effect(FaultKind::TokenRefused), Fault::without_effect(failed));
    let whys = [
        DeletionBlocker::Paused(refused),
        DeletionBlocker::Failed(CallPurpose::RevokeKey, failed),
        DeletionBlocker::TokenUnusable,
        DeletionBlocker::Doubted("the vendor shows none of the keys that were made with it".to_owned()),
        DeletionBlocker::Slow(20),
        DeletionBlocker::Unrecorded {
            keys: vec![KeyId("key_000042".to_owned())],
            error: ledger::Error::Full("keysmith/keysmith-ledger-shop".to_owned()).to_string(),
        },
    ];
    let (known, unknown) = (status(), GatewayApiKeyStatus::default());
    let (token, none) = ("ConsoleToken edgee", None);
    for why in &whys {
        let retry =
            matches!(why, DeletionBlocker::Failed(..) | DeletionBlocker::Unrecorded { .. }).then(|| at(5));
        book.ready(&deletion::blocked(&Blocked { why, token, retry, status: &known, leaked: false }));
    }
    let why = &whys[0];
    book.ready(&deletion::blocked(&Blocked { why, token, retry: none, status: &known, leaked: true }));
    book.ready(&deletion::blocked(&Blocked { why, token, retry: none, status: &unknown, leaked: false }));
    book.ready(&deletion::token_lost(
        "Secret edgee-console is gone and cannot come back, because the namespace is being deleted",
    ));
    let awaited = Decision { step: Step::Rest(Some(at(3))), why: Why::Deleting };
    book.ready(
        &key::resting(&awaited, &Scene { unanswered: Some(down()), ..Scene::new(SECRET, true) }).unwrap(),
    );
    book.ready(&key::token_needed("ConsoleToken minted"));
    book.event(&deletion::released(&[], true).unwrap());
    for why in [
        LeftWhy::Policy(DeletionPolicy::Retain),
        LeftWhy::Policy(DeletionPolicy::Disable),
        LeftWhy::Forced,
        LeftWhy::NotOurs,
    ] {
        let left = Left { id: id(), serial: Some(Serial(2)), why };
        book.event(&deletion::released(&[left], false).unwrap());
    }
}

/// The texts of a real API server.
pub fn storing(book: &mut Book) {
    let refused = [
        (
            403,
            "secrets \"checkout-llm\" is forbidden: User \"system:serviceaccount:keysmith-system:keysmith\" cannot create resource \"secrets\" in API group \"\" in the namespace \"shop\"",
            None,
        ),
        (
            403,
            "secrets \"checkout-llm\" is forbidden: exceeded quota: few, requested: count/secrets=1, used: count/secrets=5, limited: count/secrets=5",
            None,
        ),
        (
            422,
            "secrets \"checkout-llm\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'labels' denied request: every Secret needs the label team",
            None,
        ),
        (
            422,
            "Secret \"checkout-llm\" is invalid: data: Forbidden: field is immutable when `immutable` is set",
            Some(("FieldValueForbidden", "data")),
        ),
        (
            422,
            "Secret \"checkout-llm\" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes",
            Some(("FieldValueTooLong", "metadata.annotations")),
        ),
        (
            422,
            "Secret \"checkout-llm\" is invalid: metadata.labels: Invalid value: \"Search and Ads\"",
            Some(("FieldValueInvalid", "metadata.labels")),
        ),
        (
            403,
            "secrets \"checkout-llm\" is forbidden: unable to create new content in namespace shop because it is being terminated",
            Some(("NamespaceTerminating", "metadata.namespace")),
        ),
    ];
    for (code, message, first) in refused {
        book.ready(&Refused::new(code, message, first, true).verdict(SECRET, false));
    }
    let update = "secrets \"checkout-llm\" is forbidden: User \"k\" cannot update resource \"secrets\" in API group \"\"";
    book.ready(&Refused::new(403, update, None, false).verdict(SECRET, true));
}
