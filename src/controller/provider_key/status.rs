//! What a deposit's status says, and who else is told.

use super::super::{Error, Pass, stale_or};
use super::{Work, deposited_verdict, missing_verdict};
use crate::api::condition::{self, Course, READY};
use crate::api::{ProviderKeyStatus, Reason, Verdict};
use crate::cluster::object;
use crate::plan::deposit::{DepositDecision, DepositWhy as Why};
use crate::plan::fault::Fault;
use crate::plan::report::{self, Notice};
use crate::plan::retry;
use jiff::Timestamp;

impl Work {
    pub(super) async fn rest(
        &mut self,
        decision: &DepositDecision,
        until: Option<Timestamp>,
    ) -> Result<Pass, Error> {
        let shown = until.map(report::clock).unwrap_or_default();
        let verdict = match decision.why {
            Why::Fresh => return self.settle(&self.at_rest()).await,
            Why::AnswerLost => Verdict::reconciling(
                Reason::Recovering,
                format!("the answer to the last create call was lost and nothing of it is listed; deposited again after {shown} unless it turns up"),
            ),
            Why::Superseded => Verdict::reconciling(
                Reason::Progressing,
                format!("the vendor still lists an earlier deposit, perhaps only for a while; looked at again at {shown}"),
            )
            .still_ready(true),
            Why::Missing => missing_verdict(self.status().missing_since.unwrap_or_default()),
            _ => return Ok(Pass::Rest(until)),
        };
        Ok(match self.publish(self.status(), &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(until),
        })
    }

    pub(super) fn say_deposited(&self, why: Why) {
        let notice = match why {
            Why::Lost => Notice::warning(
                "Redeposited",
                "the credential was removed at the vendor and is deposited again",
            ),
            Why::ContentChanged => Notice::news(
                "Deposited",
                "the changed credential is at the vendor; the earlier one is removed next",
            ),
            _ => Notice::news("Deposited", "the credential is at the vendor"),
        };
        self.context.notify(self.deposit.as_ref(), notice);
    }

    pub(super) fn at_rest(&self) -> Verdict {
        let left = self.status().left_behind;
        if left.is_empty() {
            return deposited_verdict();
        }
        let message = format!(
            "the credential is at the vendor, and so are earlier ones that it did not remove: {}; remove them in its console",
            left.join(", ")
        );
        Verdict::settled(Reason::Deposited, message)
    }

    pub(super) async fn settle(&mut self, verdict: &Verdict) -> Result<Pass, Error> {
        let mut status = self.status();
        status.observed_generation = self.deposit.metadata.generation;
        status.last_handled_reconcile_at = object::requested(self.deposit.as_ref()).cloned();
        status.failures = None;
        status.next_attempt_at = None;
        self.publish(status, verdict).await
    }

    pub(super) async fn failed(&mut self, fault: &Fault, doing: &str) -> Result<Pass, Error> {
        if fault.reason() == Reason::ConsoleTokenNotReady {
            return self.blocked(&fault.to_string()).await;
        }
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, &self.uid, self.context.clock.now());
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let verdict = report::failed(fault, doing, next);
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(Some(next)),
        })
    }

    pub(super) async fn blocked(&mut self, why: &str) -> Result<Pass, Error> {
        let message =
            format!("ConsoleToken {} is not Ready: {why}; continues by itself when it is", self.token_name());
        self.publish(self.status(), &Verdict::reconciling(Reason::ConsoleTokenNotReady, message)).await
    }

    pub(super) async fn publish(
        &mut self,
        mut status: ProviderKeyStatus,
        verdict: &Verdict,
    ) -> Result<Pass, Error> {
        let before = condition::find(&status.conditions, READY).map(|it| it.reason.clone());
        // Tools that follow kstatus look at Stalled only in a status of the present generation.
        if verdict.course == Course::Stalled {
            status.observed_generation = self.deposit.metadata.generation;
        }
        verdict.apply(&mut status.conditions, self.deposit.metadata.generation, self.context.clock.now());
        let news = !verdict.ready && before.as_deref() != Some(verdict.reason.as_str());
        match object::publish(&self.context.client, self.deposit.as_ref(), &status).await {
            Ok(Some(object)) => self.wrote(object),
            Ok(None) => return Ok(Pass::Rest(None)),
            Err(error) => return stale_or(error),
        }
        if news && verdict.reason != Reason::Progressing {
            let note = verdict.message.clone();
            // Keys and deposits are often applied together; that one waits for the other is ordinary.
            let notice = match verdict.reason {
                Reason::GatewayKeyNotReady => Notice::news(verdict.reason.as_str(), note),
                _ => Notice::warning(verdict.reason.as_str(), note),
            };
            self.context.notify(self.deposit.as_ref(), notice);
        }
        Ok(Pass::Rest(None))
    }

    pub(super) fn say_left_behind(&self, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        let note = format!(
            "the vendor did not remove {}, or does not show whether it did; remove it in the vendor's console",
            ids.join(", ")
        );
        self.context.metrics.left_behind("ProviderKey", ids.len());
        self.context.notify(self.deposit.as_ref(), Notice::warning("LeftBehind", note));
    }
}
