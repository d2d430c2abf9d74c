//! Usage and cost, which both APIs report in the same shape under different names (§2.9).

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use super::money::{self, Form};
use crate::emulator::calendar::{Stretch, day};
use crate::emulator::completion::provider_of;
use crate::emulator::fields::Complaint;
use crate::emulator::wire::Inbound;

/// The only paid feature of the emulator is chat.
pub(super) const FEATURE: &str = "text";
pub(super) const SUBFEATURE: &str = "chat";

const LONGEST_DAYS: i32 = 366;

/// One data-plane call.
#[derive(Clone, Debug)]
pub(super) struct Spent {
    pub(super) at: Timestamp,
    /// The id of the key, if the API has ids.
    pub(super) key_id: String,
    /// Name of the key. A reused name continues the history of the deleted key.
    pub(super) token: String,
    /// The member that owns the key.
    pub(super) member: Option<String>,
    pub(super) organization: String,
    pub(super) model: String,
    pub(super) nanos: i64,
}

/// The days of a report and the span of its rows.
pub(super) struct Range {
    begin: Date,
    /// The first day after the range.
    end: Date,
    step: Stretch,
}

impl Range {
    /// v3: `step` is required, days come both or not at all, and the last seven are the default.
    pub(super) fn of_v3(inbound: &Inbound, now: Timestamp) -> Result<Self, Complaint> {
        let step = step(inbound)?;
        let (begin, end) = match (date(inbound, "begin")?, date(inbound, "end")?) {
            (Some(begin), Some(end)) => (begin, end),
            (None, None) => {
                let end = day(now).saturating_add(Span::new().days(1));
                (end.saturating_sub(Span::new().days(7)), end)
            }
            _ => return Err(Complaint::new("begin", "begin and end come together.")),
        };
        Self { begin, end, step }.checked()
    }

    /// v2: everything is required; whether the last day counts is not documented.
    pub(super) fn of_v2(inbound: &Inbound, inclusive: bool) -> Result<Self, Complaint> {
        let step = step(inbound)?;
        let needed = |name: &str| {
            date(inbound, name)?.ok_or_else(|| Complaint::new(name, format!("{name} is required.")))
        };
        let (begin, end) = (needed("begin")?, needed("end")?);
        let end = if inclusive { end.saturating_add(Span::new().days(1)) } else { end };
        Self { begin, end, step }.checked()
    }

    pub(super) fn holds(&self, spent: &Spent) -> bool {
        (self.begin..self.end).contains(&day(spent.at))
    }

    fn checked(self) -> Result<Self, Complaint> {
        let days = self.begin.until(self.end).map_or(i32::MAX, |span| span.get_days());
        if (0..=LONGEST_DAYS).contains(&days) {
            return Ok(self);
        }
        Err(Complaint::new("end", format!("end must be after begin, by {LONGEST_DAYS} days at most.")))
    }
}

/// Whether a call passes the filters that both APIs have.
pub(super) fn passes(spent: &Spent, inbound: &Inbound) -> bool {
    let is = |name: &str, value: &str| inbound.param(name).is_none_or(|wanted| wanted == value);
    is("feature", FEATURE)
        && is("subfeature", SUBFEATURE)
        && is("provider", provider_of(&spent.model))
        && is("token", &spent.token)
}

/// Sums per key, stretch and feature.
pub(super) fn by_token<'a>(spent: impl Iterator<Item = &'a Spent>, range: &Range) -> Value {
    let mut tokens: BTreeMap<&str, BTreeMap<String, Sums>> = BTreeMap::new();
    for spent in spent.filter(|spent| range.holds(spent)) {
        let start = range.step.start(day(spent.at)).to_string();
        tokens.entry(&spent.token).or_default().entry(start).or_default().add(spent);
    }
    let show = |(token, stretches): (&&str, &BTreeMap<String, Sums>)| {
        let data: serde_json::Map<String, Value> =
            stretches.iter().map(|(start, sums)| (start.clone(), sums.show())).collect();
        json!({ "token": token, "data": data })
    };
    tokens.iter().map(show).collect()
}

/// Sums per member; spending of service keys belongs to no member.
pub(super) fn by_user<'a>(spent: impl Iterator<Item = &'a Spent>, range: &Range) -> Value {
    let mut users: BTreeMap<Option<&str>, i64> = BTreeMap::new();
    for spent in spent.filter(|spent| range.holds(spent)) {
        *users.entry(spent.member.as_deref()).or_default() += spent.nanos;
    }
    users.iter().map(|(user, nanos)| json!({ "user": user, "total_cost": cost(*nanos) })).collect()
}

#[derive(Default)]
struct Sums {
    calls: u64,
    nanos: i64,
    providers: BTreeMap<String, i64>,
}

impl Sums {
    fn add(&mut self, spent: &Spent) {
        self.calls += 1;
        self.nanos = self.nanos.saturating_add(spent.nanos);
        *self.providers.entry(provider_of(&spent.model).to_owned()).or_default() += spent.nanos;
    }

    fn show(&self) -> Value {
        let providers: BTreeMap<&str, Value> =
            self.providers.iter().map(|(provider, nanos)| (provider.as_str(), cost(*nanos))).collect();
        let sums =
            json!({ "total_cost": cost(self.nanos), "details": self.calls, "cost_per_provider": providers });
        json!({ format!("{FEATURE}__{SUBFEATURE}"): sums })
    }
}

fn cost(nanos: i64) -> Value {
    money::show(Some(nanos), Form::Number)
}

fn step(inbound: &Inbound) -> Result<Stretch, Complaint> {
    match inbound.param("step") {
        Some("1") => Ok(Stretch::Day),
        Some("2") => Ok(Stretch::Week),
        Some("3") => Ok(Stretch::Month),
        Some("4") => Ok(Stretch::Year),
        _ => Err(Complaint::new("step", "step must be one of 1, 2, 3, 4.")),
    }
}

fn date(inbound: &Inbound, name: &str) -> Result<Option<Date>, Complaint> {
    let read = |text: &str| {
        text.parse().map_err(|_| Complaint::new(name, format!("{name} must be a date, YYYY-MM-DD.")))
    };
    inbound.param(name).map(read).transpose()
}
