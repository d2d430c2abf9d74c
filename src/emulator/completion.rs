//! One paid call to the data plane of any vendor: its cost and its answer.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::wire::Inbound;

/// What one call costs unless a header says otherwise: a thousandth of the vendor's currency.
const COST_MICROS: u64 = 1_000;

/// One paid call, in one of the two dialects.
pub(super) struct Completion<'a> {
    pub(super) number: usize,
    pub(super) model: &'a str,
    pub(super) now: Timestamp,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

pub(super) type Dialect = fn(&Completion<'_>) -> Value;

impl<'a> Completion<'a> {
    pub(super) fn new(inbound: &Inbound, model: &'a str, number: usize, now: Timestamp) -> Self {
        let input_tokens = u64::try_from(inbound.body.len().div_ceil(4)).unwrap_or(u64::MAX);
        Self { number, model, now, input_tokens, output_tokens: 16 }
    }

    /// A call of which only the cost is known.
    pub(super) fn cost_only(model: &'a str, now: Timestamp) -> Self {
        Self { number: 0, model, now, input_tokens: 0, output_tokens: 0 }
    }
}

/// The cost of a call in millionths: the header `x-emulator-cost`, in USD or EUR as the vendor counts.
pub(super) fn cost_micros(inbound: &Inbound) -> u64 {
    let header = inbound.header("x-emulator-cost").or_else(|| inbound.header("x-emulator-cost-usd"));
    header.and_then(micros).unwrap_or(COST_MICROS)
}

/// The part before the slash; the whole name if there is none.
pub(super) fn provider_of(model: &str) -> &str {
    model.split('/').next().unwrap_or(model)
}

/// A decimal number in millionths, without a detour through floating point.
fn micros(usd: &str) -> Option<u64> {
    let (whole, fraction) = usd.trim().split_once('.').unwrap_or((usd.trim(), ""));
    let fraction = format!("{fraction:0<6}");
    let fraction: u64 = fraction.get(..6)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// As `OpenAI` answers.
pub(super) fn chat_completion(completion: &Completion<'_>) -> Value {
    json!({
        "id": format!("chatcmpl-{:06}", completion.number),
        "object": "chat.completion",
        "created": completion.now.as_second(),
        "model": completion.model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": "Hello from the emulator." },
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": completion.input_tokens,
            "completion_tokens": completion.output_tokens,
            "total_tokens": completion.input_tokens.saturating_add(completion.output_tokens),
        },
    })
}

/// As Anthropic answers.
pub(super) fn message(completion: &Completion<'_>) -> Value {
    json!({
        "id": format!("msg_{:06}", completion.number),
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": [{ "type": "text", "text": "Hello from the emulator." }],
        "stop_reason": "end_turn",
        "usage": { "input_tokens": completion.input_tokens, "output_tokens": completion.output_tokens },
    })
}
