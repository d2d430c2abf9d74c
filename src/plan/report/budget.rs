//! How much of its budget a key has spent: the conditions `BudgetLow` and `BudgetExhausted`, and the share in
//! status.

use super::super::budget::period_end;
use super::super::capability::Capabilities;
use super::super::desired::Desired;
use super::super::listing::{Limit, Listed};
use super::super::money;
use super::super::naming::{Identity, Serial};
use super::super::usage::{Span, Spent, share};
use super::Notice;
use crate::api::condition::{self, BUDGET_EXHAUSTED, BUDGET_LOW, Condition, READY};
use crate::api::shared::Period;
use crate::api::{EventReason, GatewayApiKeyStatus, Reason, Verdict};
use crate::plan::time::clock;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The smallest budget with which a key is created, in millionths.
const LENT: u64 = 1;
/// From this spent share on, in percent, a budget is low.
const LOW: u64 = 80;
/// Value in status if spending is unknown.
const UNKNOWN: &str = "unknown";

/// A budget and its source.
#[derive(Clone, Copy, Debug)]
pub struct Purse<'a> {
    /// The budget last sent to the vendor.
    pub limit: Limit,
    /// The vendor's currency.
    pub currency: &'a str,
    /// IANA name of the time zone in which budget periods begin.
    pub zone: &'a str,
    /// Kind and name of the console token.
    pub token: &'a str,
    /// Whether the vendor shows the spending of keys, so that setting `spec.usage` of the ConsoleToken helps.
    pub readable: bool,
    /// Whether `spec.usage` is set.
    pub read: bool,
}

impl<'a> Purse<'a> {
    /// The budget in status, if there is one. `read`: whether `spec.usage` of the ConsoleToken `token` is set.
    pub fn of(
        status: &GatewayApiKeyStatus,
        capabilities: &'a Capabilities,
        token: &'a str,
        read: bool,
    ) -> Option<Self> {
        let (currency, zone) = (capabilities.budget.currency, capabilities.budget.zone);
        let readable = capabilities.usage.spending.is_some();
        let limit = status.budget.as_ref().and_then(money::limit)?;
        Some(Self { limit, currency, zone, token, readable, read })
    }
}

/// What is known of the served key's spending.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The key as the vendor last showed it.
    pub seen: Option<&'a Listed>,
    /// The part of the budget reserved for previous keys, in millionths.
    pub parked: u64,
    /// The last reading of spending.
    pub spent: Option<&'a Spent>,
    /// The marks of the resource.
    pub identity: &'a Identity,
    /// Serial of the key.
    pub serial: Option<Serial>,
    /// The vendor's id of the key.
    pub id: Option<&'a str>,
    /// The current time.
    pub now: Timestamp,
}

/// The spending of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// Amount spent in the current period, in millionths.
    pub micros: u64,
    /// Whether the served key has no budget left, so that the gateway refuses it.
    pub refused: bool,
}

/// The spending if the served key has `left` and previous keys hold `parked` of the budget.
pub fn left_over(limit: Limit, left: u64, parked: u64) -> Spending {
    // If the budget is spent, a new key is created with the smallest budget that the vendor accepts.
    let refused = left <= LENT;
    Spending { micros: limit.micros.saturating_sub(left).saturating_sub(parked), refused }
}

/// Spending of the served key in the current budget period; `None` if unknown.
pub fn spent(limit: Limit, evidence: &Evidence<'_>) -> Option<Spending> {
    if let Some(left) = evidence.seen.and_then(|key| key.remaining) {
        return Some(left_over(limit, left, evidence.parked));
    }
    let read = evidence.spent.filter(|_| limit.period == Period::Monthly)?;
    // A reading of the previous month does not count for this one.
    let current = read.span.since == Span::month(evidence.now).since;
    let micros = || read.of_key(evidence.identity, evidence.serial, evidence.id);
    current.then(micros).map(|micros| Spending { micros, refused: micros >= limit.micros })
}

/// The spent share in steps of five percent, so that status is not written for every call.
pub fn used(limit: Limit, spent: Option<Spending>) -> String {
    spent.map_or_else(|| UNKNOWN.to_owned(), |spent| format!("{}%", share(spent.micros, limit.micros)))
}

/// Updates the share and both conditions. Returns an event if one is due. Without a budget, all three are removed.
pub fn tell(
    status: &mut GatewayApiKeyStatus,
    purse: Option<(&Purse<'_>, Option<Spending>)>,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some((purse, spent)) = purse.filter(|(purse, _)| purse.limit.micros > 0) else {
        status.budget_used = None;
        status.internal.budget_generation = None;
        status.internal.budget_spent_since = None;
        status.conditions.retain(|it| it.type_ != BUDGET_LOW && it.type_ != BUDGET_EXHAUSTED);
        return None;
    };
    status.budget_used = Some(used(purse.limit, spent));
    status.internal.budget_generation = generation;
    let was_spent = status.internal.budget_spent_since.is_some();
    status.internal.budget_spent_since = spent
        .filter(|spent| spent.refused)
        .map(|_| status.internal.budget_spent_since.unwrap_or_else(|| crate::plan::time::to_the_second(now)));
    let [low, exhausted] = conditions(purse, spent, generation, now);
    let became_low = condition::set(&mut status.conditions, low.clone(), now);
    condition::set(&mut status.conditions, exhausted.clone(), now);
    if spent.is_some_and(|spent| spent.refused) {
        let notice = || Notice::warning(EventReason::BudgetExhausted, &exhausted.message);
        return (!was_spent).then(notice);
    }
    if was_spent && spent.is_some() {
        let note = format!("there is budget again ({}), and the gateway accepts the key", amount(purse));
        return Some(Notice::news(EventReason::BudgetAvailable, note));
    }
    (became_low && low.status == "True").then(|| Notice::warning(EventReason::BudgetLow, &low.message))
}

fn conditions(
    purse: &Purse<'_>,
    spent: Option<Spending>,
    generation: Option<i64>,
    now: Timestamp,
) -> [Condition; 2] {
    let amount = amount(purse);
    let Some(spent) = spent else {
        let how = if purse.read {
            format!("it is to be read by spec.usage of {}: see its condition UsageRead", purse.token)
        } else if purse.readable {
            format!("set spec.usage of {} to have it read", purse.token)
        } else {
            "look into the vendor's console".to_owned()
        };
        let message = format!(
            "no spending of the key is read, so that nothing is known of its budget of {amount}: the gateway refuses the key when it is spent; {how}"
        );
        let brief = "no spending of the key is read: see condition BudgetExhausted";
        return [(BUDGET_LOW, brief), (BUDGET_EXHAUSTED, &message)]
            .map(|(kind, text)| condition::unknown(kind, Reason::SpendingNotRead, text, generation));
    };
    let low = if spent.refused {
        let message = "all of the budget is spent: see condition BudgetExhausted";
        condition::condition(BUDGET_LOW, true, Reason::BudgetNearlySpent, message, generation)
    } else if share(spent.micros, purse.limit.micros) >= LOW {
        let message = format!(
            "{LOW} % or more of the budget of {amount} is spent; the gateway refuses the key when all of it is; raise spec.budget.amount, or \
             find out what spends it"
        );
        condition::condition(BUDGET_LOW, true, Reason::BudgetNearlySpent, &message, generation)
    } else {
        let message = format!("less than {LOW} % of the budget of {amount} is spent");
        condition::condition(BUDGET_LOW, false, Reason::BudgetLeft, &message, generation)
    };
    let exhausted = if spent.refused {
        let message = exhausted(purse, now);
        condition::condition(BUDGET_EXHAUSTED, true, Reason::BudgetSpent, &message, generation)
    } else {
        let message = format!("the budget of {amount} is not spent");
        condition::condition(BUDGET_EXHAUSTED, false, Reason::BudgetLeft, &message, generation)
    };
    [low, exhausted]
}

fn exhausted(purse: &Purse<'_>, now: Timestamp) -> String {
    let until = match period_end(purse.limit.period, purse.zone, now) {
        Some(end) => format!(
            "until the next period begins at {}; raise spec.budget.amount to have it accepted before",
            clock(end)
        ),
        None => "until spec.budget.amount is raised, because its period is Once".to_owned(),
    };
    format!("the budget of {} is spent: the gateway REFUSES the key {until}", amount(purse))
}

/// Whether the budget period has ended in which the budget was found to be spent.
pub fn is_over(spent_since: Option<Timestamp>, period: Period, zone: &str, now: Timestamp) -> bool {
    spent_since.and_then(|since| period_end(period, zone, since)).is_some_and(|end| end <= now)
}

/// When a key whose budget is spent will be accepted again.
pub fn renewed_at(status: &GatewayApiKeyStatus, desired: &Desired, now: Timestamp) -> Option<Timestamp> {
    let period = status.budget.as_ref()?.period;
    status.internal.budget_spent_since.and_then(|_| period_end(period, &desired.zone, now))
}

fn amount(purse: &Purse<'_>) -> String {
    let amount = money::decimal(purse.limit.micros);
    let each = match purse.limit.period {
        Period::Once => "in all",
        Period::Daily => "a day",
        Period::Weekly => "a week",
        Period::Monthly => "a month",
    };
    format!("{amount} {} {each}", purse.currency)
}

/// The verdict for `Ready` while the gateway refuses the served key, although everything is as specified.
pub fn refusal(status: &GatewayApiKeyStatus) -> Option<Verdict> {
    status.internal.budget_spent_since?;
    let exhausted = condition::find(&status.conditions, BUDGET_EXHAUSTED)?;
    // A budget with a period is available again without any change.
    let once = status.budget.as_ref().is_none_or(|budget| budget.period == Period::Once);
    Some(Verdict::reconciling(Reason::BudgetSpent, exhausted.message.clone()).stalled_if(once))
}

/// Sets `Ready` to False while the budget is spent, whatever its reason.
pub fn refuse(status: &mut GatewayApiKeyStatus, now: Timestamp) {
    if status.internal.budget_spent_since.is_none() {
        return;
    }
    if let Some(last) = &mut status.internal.last_pass {
        last.works = false;
    }
    for ready in status.conditions.iter_mut().filter(|it| it.type_ == READY && it.status == "True") {
        "False".clone_into(&mut ready.status);
        ready.last_transition_time = Time(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { micros: 20_000_000, period: Period::Monthly };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_old_keys_hold_for_their_overlap_is_not_spent() {
        let spent = |left, parked| left_over(LIMIT, left, parked);
        assert_eq!(spent(20_000_000, 0), Spending { micros: 0, refused: false });
        assert_eq!(spent(10_000_000, 10_000_000), Spending { micros: 0, refused: false });
        assert_eq!(spent(4_000_000, 10_000_000), Spending { micros: 6_000_000, refused: false });
        // The served key is refused even if a previous key could still spend.
        assert_eq!(spent(1, 10_000_000), Spending { micros: 9_999_999, refused: true });
        assert_eq!(spent(0, 0), Spending { micros: 20_000_000, refused: true });
        assert_eq!(spent(30_000_000, 0).micros, 0, "filled up in the console");
        assert!(
            !used(Limit { micros: 0, ..LIMIT }, Some(spent(0, 0))).is_empty(),
            "nothing is divided by zero"
        );
    }

    #[test]
    fn a_budget_that_is_spent_is_so_until_its_period_ends() {
        let since = Some(at("2026-11-28T03:00:00Z"));
        let over = |since, period, now| is_over(since, period, "UTC", at(now));
        assert!(!over(None, Period::Monthly, "2027-01-01T00:00:00Z"));
        assert!(!over(since, Period::Monthly, "2026-11-30T23:59:59Z"));
        assert!(over(since, Period::Monthly, "2026-12-01T00:00:00Z"));
        assert!(over(since, Period::Daily, "2026-11-29T00:00:00Z"));
        assert!(!over(since, Period::Once, "2036-01-01T00:00:00Z"));
    }

    #[test]
    fn a_key_whose_budget_is_spent_is_not_ready_whatever_else_is_said() {
        let told = at("2026-11-28T03:00:00Z");
        for (spent_since, ready) in [(Some(told), false), (None, true)] {
            let mut status = GatewayApiKeyStatus::default();
            Verdict::settled(Reason::Issued, "").apply(
                &mut status.conditions,
                &mut status.internal.last_pass,
                Some(1),
                told,
            );
            status.internal.budget_spent_since = spent_since;
            refuse(&mut status, told);
            assert_eq!(condition::is_true(&status.conditions, READY), ready);
            assert_eq!(status.internal.last_pass.map(|it| it.works), Some(ready));
        }
    }
}
