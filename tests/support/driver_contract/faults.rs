//! The fault part of the driver contract: each fault of the emulator at each kind of call, the class of the fault that the
//! driver returns, and the keys that the vendor holds afterwards. The tests are written once for all drivers.

use super::stage::{OptionalCalls, Stage, stage};
use crate::support::orders::{budgeted, id, limit, order};
use crate::support::stub::{Aside, Stub};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::emulator::{Effect, Emulator, Rule, VendorId};
use keysmith::gateway::http::{DEADLINE, Wire};
use keysmith::gateway::transport::LARGEST_ANSWER;
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::plan::listing::KeyId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The driver under test, and how the tests prepare its emulated vendor and read it.
pub struct FaultContract {
    pub vendor_id: VendorId,
    pub token: &'static str,
    /// Method and path, as a fault rule names them, of the call that reads (GET), makes (POST), changes (the method of an
    /// update) or deletes (DELETE) keys.
    pub calls: fn(&'static str) -> (&'static str, &'static str),
    /// The answer to a call about a key that does not exist.
    pub gone: &'static str,
    /// The answers to calls that the driver makes beside the one in question.
    pub aside: Aside,
    pub connect: fn(Wire) -> Box<dyn Gateway>,
    pub kind: KeyType,
    /// The vendor's field for the id, and a time field that every key has.
    pub id: &'static str,
    pub name: &'static str,
    pub time: &'static str,
    /// The field of a listing that holds its rows; empty if a listing is a bare array.
    pub envelope: &'static str,
    /// The method of an update, if there is one.
    pub update: Option<&'static str>,
    /// Whether a listing is the only way to read a key, so that a 404 says nothing about it.
    pub looks_by_listing: bool,
    /// Makes the vendor answer removals with a body, which can be cut short.
    pub wordy: fn(&Emulator),
    /// Names and budgets in millionths of the keys that exist, oldest first.
    pub held: fn(&Emulator) -> Vec<(String, Option<u64>)>,
    /// The fault of a status as the answer to a create call, if the vendor deviates from the common one.
    pub mint_refused: fn(u16) -> Option<FaultKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    List,
    Mint,
    Amend,
    Revoke,
}

const BUDGET: u64 = 7;

impl Op {
    async fn run(
        self,
        gateway: &dyn Gateway,
        (contract, old): (&FaultContract, &KeyId),
    ) -> Result<(), Fault> {
        match self {
            Self::List => gateway.list().await.map(drop),
            Self::Mint => gateway.mint(&contract.order("new")).await.map(drop),
            Self::Amend => gateway.amend(old, &budgeted(Some(limit(BUDGET, Period::Once)))).await,
            Self::Revoke => gateway.revoke(old).await,
        }
    }

    /// The keys at the vendor after the call, applied or not.
    fn leaves(self, applied: bool) -> Vec<(String, Option<u64>)> {
        let key = |name: &str, budget: Option<u64>| (name.to_owned(), budget);
        match (self, applied) {
            (Self::List, _) | (_, false) => vec![key("old", None)],
            (Self::Mint, true) => vec![key("old", None), key("new", None)],
            (Self::Amend, true) => vec![key("old", Some(BUDGET * 1_000_000))],
            (Self::Revoke, true) => Vec::new(),
        }
    }

    /// A read has no effect that could be unknown.
    fn unsure(self, kind: FaultKind) -> Fault {
        match self {
            Self::List => Fault::without_effect(kind),
            Self::Mint | Self::Amend | Self::Revoke => Fault::ambiguous(kind),
        }
    }
}

fn status(code: u16) -> Effect {
    Effect::Status { code, retry_after: None }
}

const TIMEOUT: FaultKind = FaultKind::Timeout { seconds: 30 };
const NOT_JSON: FaultKind = FaultKind::Malformed("it is not JSON");
const GZIP: FaultKind = FaultKind::Malformed("it is compressed with gzip, although it was asked for without");
const CUT_SHORT: FaultKind = FaultKind::Malformed("it is cut short");

impl FaultContract {
    pub fn order(&self, name: &str) -> Order {
        Order { kind: self.kind, ..order(name) }
    }

    fn ops(&self) -> Vec<Op> {
        let all = [Op::List, Op::Mint, Op::Amend, Op::Revoke];
        all.into_iter().filter(|op| *op != Op::Amend || self.update.is_some()).collect()
    }

    fn method(&self, op: Op) -> &'static str {
        match op {
            Op::List => "GET",
            Op::Mint => "POST",
            Op::Amend => self.update.unwrap(),
            Op::Revoke => "DELETE",
        }
    }

    /// An id in the vendor's form.
    fn hashed(&self, id: &str) -> String {
        if self.id == "token" { format!("{:0>64}", id.len()) } else { id.to_owned() }
    }

    fn rule(&self, method: &'static str) -> (&'static str, &'static str) {
        (self.calls)(method)
    }

    fn stubbed(&self, stub: &Arc<Stub>) -> Box<dyn Gateway> {
        (self.connect)(stub.wire_beside(self.token, self.aside))
    }

    fn driver(&self, stage: &Stage) -> Box<dyn Gateway> {
        (self.connect)(stage.wire(self.vendor_id, self.token))
    }

    /// A driver whose vendor answers every request with this status and an error without details.
    fn refusing(&self, status: u16) -> Box<dyn Gateway> {
        self.stubbed(&Stub::always(status, self.gone))
    }

    /// One key, one call, one fault. Returns the result, its duration, and the stage.
    async fn hit(&self, op: Op, effect: &Effect) -> (Result<(), Fault>, Duration, Stage) {
        let stage = stage();
        (self.wordy)(&stage.emulator);
        let driver = self.driver(&stage);
        let old = driver.mint(&self.order("old")).await.unwrap().key.id;
        // Some vendors identify keys by their creation time, too.
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.emulator.clear_calls();
        let (method, path) = self.rule(self.method(op));
        stage.fault_once(method, path, effect.clone());
        let start = Instant::now();
        let outcome = op.run(driver.as_ref(), (self, &old)).await;
        let took = start.elapsed();
        let changes = ["POST", "PATCH", "PUT", "DELETE"].map(|method| stage.emulator.count(method, ""));
        let sent: usize = changes.iter().sum();
        assert_eq!(sent, usize::from(op != Op::List), "{op:?} was sent again after {effect:?}");
        (outcome, took, stage)
    }

    async fn ends(&self, op: Op, effect: Effect, (expected, applied): (Result<(), Fault>, bool)) {
        let (outcome, took, stage) = self.hit(op, &effect).await;
        assert_eq!(outcome, expected, "{op:?} {effect:?}");
        assert_eq!((self.held)(&stage.emulator), op.leaves(applied), "{op:?} {effect:?}");
        let timed_out = matches!(outcome, Err(Fault { kind: FaultKind::Timeout { .. }, .. }));
        assert_eq!(timed_out, took == DEADLINE, "{op:?} {effect:?} {took:?}");
    }

    pub async fn without_a_fault(&self) {
        for op in self.ops() {
            self.ends(op, Effect::Delay { millis: 0 }, (Ok(()), true)).await;
        }
    }

    pub async fn refusals(&self) {
        let rejected = |status| FaultKind::Rejected { status, fields: Vec::new() };
        let refusals = [
            (400, rejected(400)),
            (401, FaultKind::TokenRefused),
            (402, FaultKind::NoCredit),
            (403, FaultKind::Forbidden),
            (405, rejected(405)),
            (409, FaultKind::Conflict),
            (413, rejected(413)),
            (415, rejected(415)),
            (422, rejected(422)),
            (429, FaultKind::Throttled { until: None }),
        ];
        for (code, kind) in refusals {
            for op in self.ops() {
                let special = (self.mint_refused)(code).filter(|_| op == Op::Mint);
                let expected = Err(Fault::without_effect(special.unwrap_or_else(|| kind.clone())));
                self.ends(op, status(code), (expected, false)).await;
            }
        }
    }

    pub async fn unknown_paths(&self) {
        for op in self.ops() {
            let expected = if op == Op::Revoke { Ok(()) } else { Err(FaultKind::NotFound) };
            let expected = expected.map_err(Fault::without_effect);
            self.ends(op, status(404), (expected, false)).await;
        }
    }

    pub async fn failures(&self) {
        for code in [408, 418, 425, 451, 500, 501, 502, 503, 504, 520, 599] {
            for op in self.ops() {
                let fault = || Err(op.unsure(FaultKind::Failed { status: code, until: None }));
                self.ends(op, status(code), (fault(), false)).await;
                self.ends(op, Effect::AppliedStatus { code }, (fault(), true)).await;
            }
        }
    }

    pub async fn broken_connections(&self) {
        for op in self.ops() {
            let fault = || Err(op.unsure(FaultKind::Disconnected));
            self.ends(op, Effect::DropBefore, (fault(), false)).await;
            self.ends(op, Effect::DropAfter, (fault(), true)).await;
        }
    }

    pub async fn silence(&self) {
        for op in self.ops() {
            let fault = || Err(op.unsure(TIMEOUT));
            self.ends(op, Effect::Hang, (fault(), false)).await;
            self.ends(op, Effect::HangAfter, (fault(), true)).await;
            self.ends(op, Effect::DelayAfter { millis: 30_001 }, (fault(), true)).await;
        }
    }

    pub async fn slow_answers(&self) {
        for op in self.ops() {
            self.ends(op, Effect::Delay { millis: 29_999 }, (Ok(()), true)).await;
            self.ends(op, Effect::DelayAfter { millis: 29_999 }, (Ok(()), true)).await;
        }
    }

    pub async fn late_effects(&self) {
        for op in self.ops() {
            let (outcome, took, stage) = self.hit(op, &Effect::Delay { millis: 31_000 }).await;
            assert_eq!((outcome, took), (Err(op.unsure(TIMEOUT)), DEADLINE));
            assert_eq!((self.held)(&stage.emulator), op.leaves(false), "{op:?}");
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert_eq!((self.held)(&stage.emulator), op.leaves(true), "{op:?}");
        }
    }

    pub async fn unreadable_answers(&self) {
        for (effect, kind, applied) in [
            (Effect::Truncate, CUT_SHORT, true),
            (Effect::Html, NOT_JSON, false),
            (Effect::GzipBomb, GZIP, false),
        ] {
            for op in self.ops() {
                self.ends(op, effect.clone(), (Err(op.unsure(kind.clone())), applied)).await;
            }
        }
    }

    /// A malformed 2xx answer to an update: whether the key was changed is unknown.
    pub async fn unbelievable_updates(&self) {
        let Some(method) = self.update.map(|it| self.rule(it).0) else { return };
        let wanted = budgeted(Some(limit(BUDGET, Period::Once)));
        let lies = [
            "<html></html>",
            "[]",
            "null",
            "true",
            "7",
            r#""ok""#,
            r#"{"error":"no"}"#,
            r#"{"error":{"message":"no"},"id":"key_1"}"#,
            r#"{"id":"#,
        ];
        for lie in lies {
            let stub = Stub::by(move |request| match request.method().as_str() {
                it if it == method => (200, lie.into()),
                _ => (404, "{}".into()),
            });
            let driver = self.stubbed(&stub);
            let fault = driver.amend(&id("key_1"), &wanted).await.expect_err(lie);
            assert!(fault.kind.is_malformed(), "{lie}: {fault}");
            assert_eq!(fault, Fault::ambiguous(fault.kind.clone()), "{lie}");
        }
        for answer in ["", "  ", "{}", r#"{"id":"key_1","errors":0}"#] {
            let driver = self.stubbed(&Stub::always(200, answer));
            driver.amend(&id("key_1"), &wanted).await.expect(answer);
        }
    }

    /// A malformed entry of a listing: a foreign one is skipped, and one with our mark is read as far as possible.
    /// `row` makes an entry of a name and a field.
    pub async fn odd_entries(&self) {
        let named = self.id == "name";
        let mark = if named { "n-ks-aaaaaa-aaaaaaaaaaaaaaaa-1" } else { "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]" };
        let odd = [json!("tomorrow"), json!({}), json!(-1), json!(true)];
        for value in odd {
            let stage = stage();
            let driver = self.driver(&stage);
            let made = driver.mint(&self.order("old")).await.unwrap().key.id;
            let row = |name: &str| {
                let mut row = json!({self.name: name});
                if !named {
                    row[self.id] = json!(self.hashed(if name == mark { "key_odd" } else { "key_theirs" }));
                }
                row[self.time] = value.clone();
                row
            };
            let rows = vec![row("stranger"), row(mark), json!(7), json!([]), json!(null)];
            self.also_listed(&stage, rows);
            let listed = driver.list().await.unwrap_or_else(|fault| panic!("{value}: {fault}"));
            let ours: Vec<_> = listed.iter().filter(|key| key.name == mark).collect();
            assert_eq!((ours.len(), ours[0].unread_fields().as_slice()), (1, &[self.time][..]), "{value}");
            assert_eq!((ours[0].created_at, ours[0].expires_at), (None, None), "{value}");
            assert!(listed.iter().any(|key| key.id == made && key.unread.is_empty()), "{value}");
            assert!(!listed.iter().any(|key| key.name == "stranger"), "{value}");
            assert_eq!((driver.take_skipped(), driver.take_skipped()), (4, 0), "{value}");
        }
    }

    /// An entry with our mark must not be skipped, because its key would count as gone.
    pub async fn marked_entries_without_an_id(&self) {
        let mark = "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";
        let (long, token) = ("x".repeat(129), self.token);
        let texts = [
            "",
            ".",
            "..",
            "a b",
            "a\nb",
            "a/b",
            "ü",
            "a\u{202e}b",
            "x:y",
            &long,
            token,
            &format!("x-{token}"),
        ];
        let others = [json!(null), json!(7), json!(["a"])];
        for bad in texts.into_iter().map(Value::from).chain(others) {
            let stage = stage();
            let driver = self.driver(&stage);
            // If the name is the identity, a name that cannot be part of a path has no mark of ours; humans choose any
            // name.
            let stranger = if self.id == "name" {
                json!({"name": bad})
            } else {
                json!({self.id: bad, self.name: "theirs"})
            };
            self.also_listed(&stage, vec![stranger]);
            driver.list().await.unwrap_or_else(|fault| panic!("{bad}: {fault}"));
            // Legacy keys have no id at Eden AI v3 and do not count as malformed.
            let skipped = driver.take_skipped();
            assert!(skipped == 1 || skipped == 0 && bad.is_null(), "{bad}: {skipped}");
            if self.id == "name" {
                self.also_listed(&stage, vec![json!({"name": mark})]);
                assert!(driver.list().await.unwrap().iter().all(|key| key.name != mark));
                continue;
            }
            let mut row = json!({self.name: mark});
            row[self.id] = bad.clone();
            self.also_listed(&stage, vec![row]);
            let fault = self.driver(&stage).list().await.expect_err("a marked entry without an id");
            let FaultKind::MalformedField { entry: Some(number), field } = fault.kind else {
                panic!("{bad}: {fault}");
            };
            assert_eq!((field, fault.effect), (self.id, keysmith::plan::fault::Outcome::NotApplied), "{bad}");
            assert!((1..=3).contains(&number), "{bad}: {number}");
            assert!(fault.to_string().contains(&format!("{field} of entry {number}")), "{fault}");
        }
    }

    fn also_listed(&self, stage: &Stage, rows: Vec<Value>) {
        let (method, path) = self.rule("GET");
        stage.emulator.faults().add(Rule::always(method, path, Effect::ExtraRows { rows }));
    }

    /// An answer without a list does not say that there are no keys.
    pub async fn lists_that_are_none(&self) {
        let none = [json!(null), json!({}), json!(""), json!(0), json!(false)];
        for value in none {
            let envelope = match self.envelope {
                "" => value.clone(),
                name => json!({name: value, "total": 0, "total_count": 0, "has_more": false}),
            };
            let driver = self.stubbed(&Stub::always(200, envelope.to_string()));
            let fault = driver.list().await.expect_err(&envelope.to_string());
            assert!(fault.kind.is_malformed(), "{envelope}: {fault}");
            if !self.envelope.is_empty() {
                assert!(fault.to_string().contains(self.envelope), "{envelope}: {fault}");
            }
        }
    }

    pub async fn large_answers(&self) {
        for op in self.ops() {
            for bytes in [LARGEST_ANSWER + 1, 10 << 20] {
                let fault = Err(op.unsure(FaultKind::TooLarge { limit: LARGEST_ANSWER }));
                self.ends(op, Effect::Oversize { bytes }, (fault, false)).await;
            }
        }
        // A removal accepts any JSON as its answer, so also one of exactly the limit.
        let largest = Effect::Oversize { bytes: LARGEST_ANSWER };
        self.ends(Op::Revoke, largest, (Ok(()), false)).await;
    }

    pub async fn redirects(&self) {
        for op in self.ops() {
            for location in ["https://elsewhere.test/", "http://vendor.test/", "/"] {
                let effect = Effect::Redirect { location: location.to_owned() };
                let fault = op.unsure(FaultKind::Redirected { status: 307 });
                self.ends(op, effect, (Err(fault), false)).await;
            }
            for code in [300, 301, 302, 303, 304, 308] {
                let fault = op.unsure(FaultKind::Redirected { status: code });
                self.ends(op, status(code), (Err(fault), false)).await;
            }
        }
    }

    pub async fn lag(&self) {
        for op in self.ops() {
            self.ends(op, Effect::LagListing { millis: 60_000 }, (Ok(()), true)).await;
        }
    }

    pub async fn throttling(&self) {
        for (given, seconds) in [(Some("30"), Some(30)), (Some("86400"), Some(3600)), (Some("soon"), None)] {
            for op in self.ops() {
                let effect = Effect::Status { code: 429, retry_after: given.map(str::to_owned) };
                let (outcome, _, stage) = self.hit(op, &effect).await;
                let until = seconds.map(|it| stage.clock.now() + Duration::from_secs(it));
                assert_eq!(outcome, Err(Fault::without_effect(FaultKind::Throttled { until })), "{op:?}");
                assert_eq!((self.held)(&stage.emulator), op.leaves(false), "{op:?}");
                let effect = Effect::Status { code: 503, retry_after: given.map(str::to_owned) };
                let (outcome, _, stage) = self.hit(op, &effect).await;
                let until = seconds.map(|it| stage.clock.now() + Duration::from_secs(it));
                assert_eq!(outcome, Err(op.unsure(FaultKind::Failed { status: 503, until })), "{op:?}");
            }
        }
    }

    /// "Never treat 401, 403 or 5xx as gone" (contract §4.2): a key mistaken for gone would stay valid for ever.
    pub async fn only_404_is_gone(&self) {
        let key = id("key_1");
        for status in [400, 401, 402, 403, 405, 408, 409, 413, 415, 418, 422, 423, 429, 451, 500, 502, 503] {
            let driver = self.refusing(status);
            assert!(driver.revoke(&key).await.is_err(), "{status}");
            assert!(driver.get(&key).await.is_err(), "{status}");
            assert!(driver.recover(&key).await.is_err(), "{status}");
        }
        for status in [404, 410] {
            let driver = self.refusing(status);
            driver.revoke(&key).await.unwrap();
            match driver.get(&key).await {
                Ok(found) => assert!(found.is_none() && !self.looks_by_listing, "{status}"),
                Err(fault) => assert!(self.looks_by_listing, "{status}: {fault}"),
            }
            assert!(driver.list().await.is_err(), "{status}");
            assert!(driver.mint(&self.order("x")).await.is_err(), "{status}");
        }
    }
}

/// Defines the tests of one driver; the `faults` module of each vendor calls it.
macro_rules! fault_contract {
    ($contract:expr) => {
        $crate::support::driver_contract::faults::fault_contract! { $contract;
            without_a_fault: without_a_fault_every_call_does_what_it_says;
            refusals: a_refusal_had_no_effect;
            unknown_paths: an_unknown_path_is_a_fault_except_for_what_should_be_gone;
            failures: a_failure_of_the_vendor_leaves_open_whether_the_call_was_carried_out;
            broken_connections: a_broken_connection_leaves_open_whether_the_call_was_carried_out;
            silence: a_call_without_an_answer_ends_after_thirty_seconds;
            slow_answers: a_slow_answer_is_waited_for_up_to_the_deadline;
            late_effects: a_call_that_was_given_up_may_be_carried_out_later;
            unreadable_answers: an_answer_that_cannot_be_read_leaves_open_whether_the_call_was_carried_out;
            unbelievable_updates: an_answer_to_an_update_that_is_none_is_not_believed;
            odd_entries: one_odd_entry_does_not_stop_an_account;
            marked_entries_without_an_id: a_marked_entry_without_an_id_is_a_fault_that_names_entry_and_field;
            lists_that_are_none: only_a_list_is_an_empty_listing;
            large_answers: an_answer_beyond_the_limit_is_refused_whatever_was_asked;
            redirects: a_redirect_is_never_followed;
            lag: only_listings_lag;
            throttling: retry_after_is_honoured_up_to_an_hour;
            only_404_is_gone: only_an_answer_that_the_key_is_not_found_means_that_it_is_gone;
        }
    };
    ($contract:expr; $($case:ident: $name:ident;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $name() {
                $contract.$case().await;
            }
        )*
    };
}

pub(crate) use fault_contract;
