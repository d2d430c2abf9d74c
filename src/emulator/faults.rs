//! Fault rules: which calls fail, and how.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Shared;
use super::wire::Inbound;

/// One rule: which calls fail, how often, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Only calls with this method; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Only calls with this text in their path or query, vendor prefix included; any when empty.
    #[serde(default)]
    pub path_contains: String,
    /// The number of matching calls that pass first.
    #[serde(default)]
    pub skip: u32,
    /// The number of matching calls that are hit after that; without a number, all until the rule is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens to a call that is hit.
    pub effect: Effect,
}

/// What happens to a call that is hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// Answered with this status and the vendor's error shape; not applied.
    Status {
        /// The HTTP status.
        code: u16,
        /// Value of a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// Applied, then answered with this status instead of the result.
    AppliedStatus {
        /// The HTTP status.
        code: u16,
    },
    /// The connection closes without an answer; not applied.
    DropBefore,
    /// Applied, then the connection closes without an answer.
    DropAfter,
    /// Waits, then applies and answers. The call is applied even if the caller has given up meanwhile, as at a real
    /// vendor.
    Delay {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// Applied at once, answered late.
    DelayAfter {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// Applied, and answered with the first half of the body.
    Truncate,
    /// 200 with an HTML page, as a captive proxy answers; not applied.
    Html,
    /// Never answered; not applied.
    Hang,
    /// Applied, never answered.
    HangAfter,
    /// 200 with a JSON document of that size; not applied.
    Oversize {
        /// Size of the body.
        bytes: usize,
    },
    /// 200 with a small gzip body that expands to 32 MiB; not applied.
    GzipBomb,
    /// 307 to that address, so that a client which follows the redirect sends method, body and token there; not
    /// applied.
    Redirect {
        /// The `Location`.
        location: String,
    },
    /// Lists of keys and of provider keys lack those whose id or name is one of these, or all if none is named; the
    /// keys themselves stay as they are. Only listings match, and other rules may hit the same call as well. The total
    /// is lowered by the rows that a page lacks, so this effect is for listings of one page.
    HideListed {
        /// Ids or names; empty means every key.
        #[serde(default)]
        keys: Vec<String>,
    },
    /// Lists of keys and of provider keys show these rows, unchanged, behind the real ones: keys of other users in an
    /// unexpected form. Only listings match, and other rules may hit the same call as well.
    ExtraRows {
        /// Any JSON.
        rows: Vec<Value>,
    },
    /// Lists of keys and of provider keys omit what was created within that time and still show what was
    /// deleted within it. Only listings match; another rule may hit the same call as well.
    LagListing {
        /// How far the listing is behind, in milliseconds.
        millis: u64,
    },
}

impl Effect {
    /// Whether the effect matches listings only, in addition to other effects.
    fn is_of_listings(&self) -> bool {
        matches!(self, Self::LagListing { .. } | Self::HideListed { .. } | Self::ExtraRows { .. })
    }
}

impl Rule {
    /// Hits the next call with this method and this text in its path, once.
    #[must_use]
    pub fn once(method: &str, path_contains: &str, effect: Effect) -> Self {
        Self { times: Some(1), ..Self::always(method, path_contains, effect) }
    }

    /// Hits every call with this method and this text in its path, until cleared.
    #[must_use]
    pub fn always(method: &str, path_contains: &str, effect: Effect) -> Self {
        let path_contains = path_contains.to_owned();
        Self { method: Some(method.to_owned()), path_contains, skip: 0, times: None, effect }
    }

    /// The reason why this rule cannot be applied, if there is one.
    pub(super) fn complaint(&self) -> Option<String> {
        match &self.effect {
            Effect::Status { code, .. } | Effect::AppliedStatus { code } if !(200..=599).contains(code) => {
                Some(format!("{code} is not a final HTTP status"))
            }
            Effect::Redirect { location } if http::HeaderValue::from_str(location).is_err() => {
                Some("location is not a header value".to_owned())
            }
            _ => None,
        }
    }

    fn matches(&self, inbound: &Inbound, listing: bool) -> bool {
        let method = self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(inbound.method.as_str()));
        let applies = listing || !self.effect.is_of_listings();
        method && applies && inbound.target().contains(&self.path_contains)
    }

    /// Counts a matching call, and returns whether it is hit.
    fn fires(&mut self) -> bool {
        if self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }
}

/// A handle to add and clear fault rules.
#[derive(Clone)]
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds a rule behind the existing ones. The first rule that hits a call decides, and later rules do not count that
    /// call.
    pub fn add(&self, rule: Rule) {
        self.shared.with(|state, _| state.faults.push(ActiveRule { rule, until: None }));
    }

    /// Adds a rule that ends after that time by the emulated clock.
    pub fn add_for(&self, rule: Rule, lasting: SignedDuration) {
        self.shared.with(|state, now| {
            let until = Some(now.checked_add(lasting).unwrap_or(Timestamp::MAX));
            state.faults.push(ActiveRule { rule, until });
        });
    }

    /// Removes all rules. Calls that already hang go on hanging.
    pub fn clear(&self) {
        self.shared.with(|state, _| state.faults.clear());
    }

    /// The rules that have not ended, with the rest of `skip` and `times`; a used-up rule has `times` 0.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        self.shared.with(|state, now| {
            let active = state.faults.iter().filter(|it| it.is_active(now));
            active.map(|it| it.rule.clone()).collect()
        })
    }
}

/// A rule and its end.
#[derive(Clone, Debug)]
pub(super) struct ActiveRule {
    rule: Rule,
    until: Option<Timestamp>,
}

impl ActiveRule {
    fn is_active(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The verdict of the rules on one call.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) effect: Option<Effect>,
    pub(super) lag: SignedDuration,
    pub(super) listing: Listing,
}

/// The distortions of a listing.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) hides_all: bool,
    pub(super) hidden: Vec<String>,
    pub(super) extra: Vec<Value>,
}

impl Listing {
    fn hide(&mut self, keys: &[String]) {
        self.hides_all |= keys.is_empty();
        self.hidden.extend_from_slice(keys);
    }
}

/// Applies the rules, in order, to one call.
pub(super) fn judge(rules: &mut [ActiveRule], inbound: &Inbound, listing: bool, now: Timestamp) -> Verdict {
    let mut verdict = Verdict::default();
    let active = rules.iter_mut().filter(|it| it.is_active(now)).map(|it| &mut it.rule);
    for rule in active.filter(|rule| rule.matches(inbound, listing)) {
        match rule.effect.clone() {
            Effect::HideListed { keys } if rule.fires() => verdict.listing.hide(&keys),
            Effect::ExtraRows { rows } if rule.fires() => verdict.listing.extra.extend(rows),
            Effect::LagListing { millis } if verdict.lag.is_zero() => {
                let lag = duration(millis);
                if rule.fires() {
                    verdict.lag = lag;
                }
            }
            Effect::LagListing { .. } | Effect::HideListed { .. } | Effect::ExtraRows { .. } => {}
            effect if verdict.effect.is_none() => {
                verdict.effect = rule.fires().then_some(effect);
            }
            _ => {}
        }
    }
    verdict
}

fn duration(millis: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
