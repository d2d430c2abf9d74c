//! Every fault of the emulator at every kind of call: its class, and what the vendor holds afterwards.

use super::world::{KEYS, World, id, order, renamed, world};
use keysmith::emulator::Effect;
use keysmith::gateway::Gateway;
use keysmith::gateway::http::DEADLINE;
use keysmith::gateway::transport::LARGEST_ANSWER;
use keysmith::plan::fault::{Effect as Consequence, Fault, FaultKind};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    List,
    Mint,
    Amend,
    Revoke,
}

const OPS: [Op; 4] = [Op::List, Op::Mint, Op::Amend, Op::Revoke];

impl Op {
    fn method(self) -> &'static str {
        match self {
            Self::List => "GET",
            Self::Mint | Self::Amend => "POST",
            Self::Revoke => "DELETE",
        }
    }

    async fn run(self, world: &World) -> Result<(), Fault> {
        let edgee = world.edgee();
        let key = id("key_000001");
        match self {
            Self::List => edgee.list().await.map(drop),
            Self::Mint => edgee.mint(&order("new")).await.map(drop),
            Self::Amend => edgee.amend(&key, &renamed("renamed")).await,
            Self::Revoke => edgee.revoke(&key).await,
        }
    }

    /// The names of the keys that the vendor holds when the call was carried out, or was not.
    fn leaves(self, applied: bool) -> &'static [&'static str] {
        match (self, applied) {
            (Self::List, _) | (_, false) => &["old"],
            (Self::Mint, true) => &["old", "new"],
            (Self::Amend, true) => &["renamed"],
            (Self::Revoke, true) => &[],
        }
    }

    /// A call that changes nothing has no effect to be unsure of.
    fn unsure(self, kind: FaultKind) -> Fault {
        match self {
            Self::List => Fault::without_effect(kind),
            Self::Mint | Self::Amend | Self::Revoke => Fault::ambiguous(kind),
        }
    }
}

fn held(world: &World) -> Vec<String> {
    world.keys().into_iter().map(|key| key.name).collect()
}

/// One key, one call, one fault. Returns the outcome, how long it took, and the world.
async fn hit(op: Op, effect: &Effect) -> (Result<(), Fault>, Duration, World) {
    let world = world();
    world.key_by_hand("old");
    world.fault_once(op.method(), KEYS, effect.clone());
    let start = Instant::now();
    let outcome = op.run(&world).await;
    let took = start.elapsed();
    assert_eq!(world.emulator.calls().len(), 1, "{op:?} was sent again after {effect:?}");
    (outcome, took, world)
}

async fn ends(op: Op, effect: Effect, expected: Result<(), Fault>, applied: bool) {
    let (outcome, took, world) = hit(op, &effect).await;
    assert_eq!(outcome, expected, "{op:?} {effect:?}");
    assert_eq!(held(&world), op.leaves(applied), "{op:?} {effect:?}");
    let timed_out = matches!(outcome, Err(Fault { kind: FaultKind::Timeout { .. }, .. }));
    assert_eq!(timed_out, took == DEADLINE, "{op:?} {effect:?} {took:?}");
}

fn status(code: u16) -> Effect {
    Effect::Status { code, retry_after: None }
}

const TIMEOUT: FaultKind = FaultKind::Timeout { seconds: 30 };
const NOT_JSON: FaultKind = FaultKind::Strange("it is not JSON");
const CUT_SHORT: FaultKind = FaultKind::Strange("it is cut short");

#[tokio::test(start_paused = true)]
async fn without_a_fault_every_call_does_what_it_says() {
    for op in OPS {
        ends(op, Effect::Delay { millis: 0 }, Ok(()), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_had_no_effect() {
    let rejected = |status| FaultKind::Rejected { status, fields: Vec::new() };
    let refusals = [
        (400, rejected(400)),
        (401, FaultKind::TokenRefused),
        (402, rejected(402)),
        (403, FaultKind::Forbidden),
        (405, rejected(405)),
        (409, FaultKind::Conflict),
        (413, rejected(413)),
        (415, rejected(415)),
        (422, rejected(422)),
        (429, FaultKind::Throttled { until: None }),
    ];
    for (code, kind) in refusals {
        for op in OPS {
            let expected = Err(Fault::without_effect(kind.clone()));
            ends(op, status(code), expected, false).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_a_fault_except_for_what_should_be_gone() {
    for op in [Op::List, Op::Mint, Op::Amend] {
        let expected = Err(Fault::without_effect(FaultKind::NotFound));
        ends(op, status(404), expected, false).await;
    }
    ends(Op::Revoke, status(404), Ok(()), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_vendor_leaves_open_whether_the_call_was_carried_out() {
    for code in [408, 418, 425, 451, 500, 501, 502, 503, 504, 520, 599] {
        for op in OPS {
            let fault = || Err(op.unsure(FaultKind::Failed { status: code }));
            ends(op, status(code), fault(), false).await;
            ends(op, Effect::AppliedStatus { code }, fault(), true).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_leaves_open_whether_the_call_was_carried_out() {
    for op in OPS {
        let fault = || Err(op.unsure(FaultKind::Disconnected));
        ends(op, Effect::DropBefore, fault(), false).await;
        ends(op, Effect::DropAfter, fault(), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_after_thirty_seconds() {
    for op in OPS {
        let fault = || Err(op.unsure(TIMEOUT));
        ends(op, Effect::Hang, fault(), false).await;
        ends(op, Effect::HangAfter, fault(), true).await;
        ends(op, Effect::DelayAfter { millis: 30_001 }, fault(), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_waited_for_up_to_the_deadline() {
    for op in OPS {
        ends(op, Effect::Delay { millis: 29_999 }, Ok(()), true).await;
        ends(op, Effect::DelayAfter { millis: 29_999 }, Ok(()), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_may_be_carried_out_later() {
    for op in OPS {
        let (outcome, took, world) = hit(op, &Effect::Delay { millis: 31_000 }).await;
        assert_eq!(outcome, Err(op.unsure(TIMEOUT)));
        assert_eq!(took, DEADLINE);
        assert_eq!(held(&world), ["old"], "{op:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(held(&world), op.leaves(true), "{op:?}");
    }
}

/// An amendment is read back anyhow, so its answer is not looked at.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_leaves_open_whether_the_call_was_carried_out() {
    for (effect, kind, applied) in [
        (Effect::Truncate, CUT_SHORT, true),
        (Effect::Html, NOT_JSON, false),
        (Effect::GzipBomb, NOT_JSON, false),
    ] {
        for op in [Op::List, Op::Mint, Op::Revoke] {
            let fault = op.unsure(kind.clone());
            ends(op, effect.clone(), Err(fault), applied).await;
        }
        ends(Op::Amend, effect, Ok(()), applied).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_ten_megabytes_is_refused_whatever_was_asked() {
    for op in OPS {
        let fault = op.unsure(FaultKind::TooLarge { limit: LARGEST_ANSWER });
        ends(op, Effect::Oversize { bytes: 10 << 20 }, Err(fault), false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_just_the_limit_is_read() {
    let effect = |bytes| Effect::Oversize { bytes };
    ends(Op::List, effect(LARGEST_ANSWER), Ok(()), false).await;
    let fault = Fault::without_effect(FaultKind::TooLarge { limit: LARGEST_ANSWER });
    ends(Op::List, effect(LARGEST_ANSWER + 1), Err(fault), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_never_followed() {
    for location in [
        "http://edgee.test/edgee/v1/organizations/org_demo/api_keys",
        "/edgee/v1/organizations/org_demo/api_keys",
        "https://elsewhere.test/",
    ] {
        for op in OPS {
            let effect = Effect::Redirect { location: location.to_owned() };
            let fault = op.unsure(FaultKind::Redirected { status: 307 });
            ends(op, effect, Err(fault), false).await;
        }
    }
    for code in [300, 301, 302, 303, 304, 307, 308] {
        for op in OPS {
            let fault = op.unsure(FaultKind::Redirected { status: code });
            ends(op, status(code), Err(fault), false).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_listings_lag() {
    for op in OPS {
        ends(op, Effect::LagListing { millis: 60_000 }, Ok(()), true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_for_one_key_has_no_effect_whatever_happens_to_it() {
    for effect in [status(500), Effect::DropAfter, Effect::Hang, Effect::Html, Effect::Truncate] {
        for path in ["/key_000001", "/reveal"] {
            let world = world();
            world.key_by_hand("old");
            world.fault_once("GET", path, effect.clone());
            let edgee = world.edgee();
            let fault = if path == "/reveal" {
                edgee.recover(&id("key_000001")).await.err().unwrap()
            } else {
                edgee.get(&id("key_000001")).await.unwrap_err()
            };
            assert_eq!(fault.effect, Consequence::None, "{path} {effect:?}");
        }
    }
}
