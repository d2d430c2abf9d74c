//! The data plane, which accepts the keys of both APIs. 401 and 402 are documented (§2.5, §2.10), their bodies are not.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::World;
use super::budget::Budget;
use super::usage::Spent;
use crate::emulator::completion::{Completion, chat_completion, cost_micros};
use crate::emulator::wire::{self, Inbound, Reply};

/// The model of a call that does not name one.
pub(super) const SPENT_ON: &str = "mistral/mistral-large";

/// The verdict of the data plane on a call with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlaneAnswer {
    /// 200.
    Accepted,
    /// 401: no such key, no key given, or a revoked key.
    UnknownKey,
    /// 401.
    Expired,
    /// 402: the balance of the key is spent.
    OverBudget,
    /// 402: the credits of the account are spent.
    NoCredits,
}

impl DataPlaneAnswer {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Accepted => 200,
            Self::UnknownKey | Self::Expired => 401,
            Self::OverBudget | Self::NoCredits => 402,
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Accepted => "OK",
            Self::UnknownKey => "Invalid API key.",
            Self::Expired => "This API key has expired.",
            Self::OverBudget => "The balance of this API key is exhausted.",
            Self::NoCredits => "Insufficient credits.",
        }
    }
}

/// The properties of a key that decide the verdict, for both APIs.
pub(super) struct Standing<'a> {
    pub(super) budget: &'a Budget,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) sandbox: bool,
}

/// Judges a call without a change of state. A sandbox key costs nothing, so it needs no credits.
pub(super) fn judge(world: &World, secret: &str, now: Timestamp) -> DataPlaneAnswer {
    let Some(key) = world.v2.standing(secret).or_else(|| world.v3.standing(secret)) else {
        return DataPlaneAnswer::UnknownKey;
    };
    if key.expires_at.is_some_and(|expiry| now >= expiry) {
        DataPlaneAnswer::Expired
    } else if key.budget.exhausted(now) {
        DataPlaneAnswer::OverBudget
    } else if world.credits <= 0 && !key.sandbox {
        DataPlaneAnswer::NoCredits
    } else {
        DataPlaneAnswer::Accepted
    }
}

/// Answers one call to the data plane.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    match (&inbound.method, &inbound.segments_from(1)[..]) {
        // The documentation of v3 once had `llm` in the path, and has none by September 2026.
        (
            &Method::POST,
            ["v3", "chat", "completions"]
            | ["v3" | "v2", "llm", "chat", "completions"]
            | ["v2", "llm", "chat"],
        ) => complete(world, inbound, now),
        _ => error(404, "Not found."),
    }
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    error(code, "The emulator was told to fail this call.")
}

fn complete(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    let secret = inbound.bearer().unwrap_or_default();
    let verdict = judge(world, secret, now);
    if verdict != DataPlaneAnswer::Accepted {
        return error(verdict.status(), verdict.detail());
    }
    let body: Value = serde_json::from_slice(&inbound.body).unwrap_or_default();
    let Some(model) = body["model"].as_str() else {
        return error(400, "model is required.");
    };
    let completion = Completion::new(inbound, model, world.calls() + 1, now);
    let micros = cost_micros(inbound);
    charge(world, secret, Charge { model, micros, now });
    wire::json(200, &chat_completion(&completion))
}

/// A paid call, as it is charged.
#[derive(Clone, Copy)]
pub(super) struct Charge<'a> {
    pub(super) model: &'a str,
    pub(super) micros: u64,
    pub(super) now: Timestamp,
}

impl Charge<'_> {
    /// The cost of a call. A sandbox call is free, and is counted nevertheless.
    pub(super) fn nanos(&self, sandbox: bool) -> i64 {
        if sandbox { 0 } else { i64::try_from(self.micros).unwrap_or(i64::MAX).saturating_mul(1_000) }
    }

    /// The usage record of the call.
    pub(super) fn spent(&self, key_id: &str, token: &str, nanos: i64) -> Spent {
        Spent {
            at: self.now,
            key_id: key_id.to_owned(),
            token: token.to_owned(),
            member: None,
            organization: String::new(),
            model: self.model.to_owned(),
            nanos,
        }
    }
}

/// Charges the key, the usage, and the credits of the account. Returns whether the key exists.
pub(super) fn charge(world: &mut World, secret: &str, charge: Charge<'_>) -> bool {
    let nanos = world.v2.charge(secret, charge).or_else(|| world.v3.charge(secret, charge));
    world.credits = world.credits.saturating_sub(nanos.unwrap_or_default());
    nanos.is_some()
}

fn error(status: u16, detail: &str) -> Reply {
    wire::json(status, &json!({ "detail": detail }))
}
