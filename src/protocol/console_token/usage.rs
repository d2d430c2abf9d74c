//! What the keys of a token spent, and what its account has left: read where `spec.usage` asks for it, at its
//! interval, and written into status in coarse steps.

use super::TokenPass;
use super::ports::{AccountPort, TokenMeasure, TokenPorts};
use crate::api::condition::{self, LOW_BALANCE, USAGE_READ};
use crate::api::console_token::UsageSpec;
use crate::api::{ConsoleTokenStatus, EventReason, GatewayApiKey, Reason};
use crate::cluster::object;
use crate::plan::facts::Record;
use crate::plan::fault::Fault;
use crate::plan::identity::ObjectName;
use crate::plan::listing::KeyId;
use crate::plan::naming::{Identity, Serial};
use crate::plan::report::budget::Evidence;
use crate::plan::report::{self, Notice};
use crate::plan::retry;
use crate::plan::usage::{self, KeySpending, Money, Span, Spent};
use crate::protocol;
use crate::protocol::ports::VendorPort;
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// A reading, or why it failed.
pub(super) struct Reading {
    balance: Option<Money>,
    trouble: Option<(Reason, String)>,
}

impl<P: TokenPorts> TokenPass<P> {
    /// Reads usage if it is due. Returns when it is due next.
    pub(super) async fn read_usage(&mut self, account: &P::Vendor) -> Option<Timestamp> {
        let Some(spec) = self.token.spec().usage.clone() else {
            self.enqueue_read();
            return None;
        };
        let interval = match usage::interval(&spec, account.capabilities()) {
            Ok(interval) => interval,
            Err(refusal) => {
                let trouble = Some((refusal.reason, refusal.to_string()));
                self.reading = Some(Reading { balance: None, trouble });
                return None;
            }
        };
        let (now, uid) = (self.ports.now(), self.uid());
        let every = retry::jittered(interval, &uid);
        if let Some(next) = account.usage_due(every) {
            return Some(next);
        }
        let spent = self.spent(account, &spec).await;
        let balance = account.balance().await;
        let trouble = report::token::unread(spent.as_ref().err(), balance.as_ref().err());
        if let Ok(Some(spent)) = &spent {
            self.export_spending(account, spent);
        }
        let balance = balance.ok().flatten();
        if let Some(money) = &balance {
            self.ports.measure_token(&self.reference(), TokenMeasure::Balance(money.clone()));
        }
        self.reading = Some(Reading { balance, trouble });
        Some(retry::plus(now, every))
    }

    /// Enqueues keys whose status still shows usage, so that they remove it.
    fn enqueue_read(&self) {
        self.ports.each_key_of(&self.reference(), |key| {
            if key.status.as_ref().is_some_and(|it| it.usage.is_some()) {
                self.ports.enqueue_key(&name(key));
            }
        });
    }

    async fn spent(&self, account: &P::Vendor, spec: &UsageSpec) -> Result<Option<Arc<Spent>>, Fault> {
        let mut ids = Vec::new();
        self.ports.each_key_of(&self.reference(), |key| {
            let Some(status) = &key.status else { return };
            let previous = status.previous.iter().map(|it| it.id.clone());
            ids.extend(status.id.iter().cloned().chain(previous).map(KeyId));
        });
        if ids.is_empty() {
            return Ok(None);
        }
        let span = Span { path: spec.path.clone(), ..Span::month(self.ports.now()) };
        account.spending(span, &ids).await
    }

    /// Sets the exact metrics; keys whose status would change are enqueued.
    fn export_spending(&self, account: &P::Vendor, spent: &Spent) {
        let currency = account.capabilities().budget.currency;
        let mut exported = Vec::new();
        self.ports.each_key_of(&self.reference(), |key| {
            let Some(status) = &key.status else { return };
            let identity = Identity::from(protocol::mark(&self.ports, key));
            let (id, budget) = (status.id.as_deref(), Record::from(status).sent.budget);
            let one = spent.of(&identity, id);
            let serial = status.serial.map(Serial);
            let now = self.ports.now();
            let evidence =
                Evidence { seen: None, parked: 0, spent: Some(spent), identity: &identity, serial, id, now };
            let used =
                budget.map(|limit| report::budget::used(limit, report::budget::spent(limit, &evidence)));
            let remaining = account.capabilities().tells_remaining;
            if status.usage != Some(spent.told(&identity, id, currency))
                || !remaining && status.budget_used != used
            {
                self.ports.enqueue_key(&name(key));
            }
            exported.push(KeySpending {
                namespace: object::namespace(key),
                name: key.name_any(),
                currency,
                micros: one.micros,
                budget: budget.map(|it| it.micros),
            });
        });
        self.ports.measure_token(&self.reference(), TokenMeasure::Spending(self.uid(), exported));
    }

    /// Writes the last reading into status, and removes what is not read any more.
    pub(super) fn report_usage(&self, status: &mut ConsoleTokenStatus, notices: &mut Vec<Notice>) {
        let Some(spec) = &self.token.spec().usage else {
            status.balance = None;
            status.conditions.retain(|it| it.type_ != LOW_BALANCE && it.type_ != USAGE_READ);
            return;
        };
        let (generation, now) = (self.token.meta().generation, self.ports.now());
        if spec.low_balance.is_none() {
            status.conditions.retain(|it| it.type_ != LOW_BALANCE);
        }
        let Some(reading) = &self.reading else { return };
        let (reason, message) = reading.trouble.clone().unwrap_or((Reason::UsageKnown, String::new()));
        let known = reading.trouble.is_none();
        let wanted = condition::condition(USAGE_READ, known, reason, &message, generation);
        if condition::set(&mut status.conditions, wanted, now) && !known {
            notices.push(Notice::warning(EventReason::UsageUnread, message));
        }
        let Some(money) = &reading.balance else { return };
        let shown = usage::balance(money);
        if let Some(threshold) = &spec.low_balance {
            let low = usage::is_low(money, threshold);
            let message = report::token::balance(low, threshold, &shown.currency);
            let reason = if low { Reason::BalanceLow } else { Reason::BalanceFine };
            let wanted = condition::condition(LOW_BALANCE, low, reason, &message, generation);
            if condition::set(&mut status.conditions, wanted, now) && low {
                notices.push(Notice::warning(EventReason::LowBalance, message));
            }
        }
        status.balance = Some(shown);
    }
}

fn name(key: &GatewayApiKey) -> ObjectName {
    ObjectName::new(&object::namespace(key), &key.name_any())
}
