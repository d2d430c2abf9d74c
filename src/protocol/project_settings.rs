//! `ProjectSettings`: read, compared, written where they differ, and read again. Nothing is created at the vendor, so
//! there is nothing to clean up: when the resource is deleted, the settings stay as they are.

use super::ports::{ObjectPort, Ports, TokenState, VendorPort};
use super::{Error, Pass, stale_or};
use crate::api::condition::{self, DRIFTED, STALLED};
use crate::api::{ProjectSettings, ProjectSettingsStatus, Reason, Verdict};
use crate::cluster::object::{self, Managed};
use crate::gateway::Project;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::limits;
use crate::plan::project::{self, Next};
use crate::plan::report;
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::report::project as words;
use crate::plan::retry;
use crate::plan::spec_error::SpecError;
use crate::plan::time;
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// What a pass over a `ProjectSettings` needs besides.
pub trait ProjectPorts: Ports + ObjectPort<ProjectSettings> {
    /// The resources of this kind that satisfy a condition.
    fn projects(&self, condition: impl Fn(&ProjectSettings) -> bool) -> Vec<Arc<ProjectSettings>>;
    /// The titles of the vendors that have settings of projects, for a refusal.
    fn vendors_with_projects(&self) -> Vec<&'static str>;
}

/// One pass over a `ProjectSettings`.
pub async fn pass<P: ProjectPorts>(settings: Arc<ProjectSettings>, ports: P) -> Result<Pass, Error> {
    if settings.metadata.deletion_timestamp.is_some() {
        return Ok(Pass::Rest(None));
    }
    let uid = settings.uid().unwrap_or_default();
    ProjectPass { ports, settings, uid }.apply().await
}

/// One pass over one resource.
struct ProjectPass<P: ProjectPorts> {
    ports: P,
    settings: Arc<ProjectSettings>,
    uid: String,
}

impl<P: ProjectPorts> ProjectPass<P> {
    /// The console token that it works with.
    fn token(&self) -> TokenRef {
        TokenRef::named_by(self.settings.as_ref())
    }

    fn status(&self) -> ProjectSettingsStatus {
        self.settings.status.clone().unwrap_or_default().moved()
    }

    fn token_state(&self) -> Option<TokenState<P::Vendor>> {
        self.ports.token_state(&self.token())
    }

    async fn apply(&mut self) -> Result<Pass, Error> {
        if !self.ports.caches_filled() {
            return Ok(Pass::Stale);
        }
        if self.settings.spec.suspend == Some(true) {
            return self.settle(self.status(), &words::suspended()).await;
        }
        let Some(token) = self.ports.token(&self.token()) else {
            let verdict = report::token::missing(&self.token(), self.ports.shares_tokens());
            return self.settle(self.status(), &verdict).await;
        };
        let capabilities = self.ports.capabilities(&token.spec().vendor);
        if !capabilities.is_some_and(|it| it.project_settings) {
            let title = capabilities.map_or("its vendor", |it| it.title);
            let able = self.ports.vendors_with_projects().into_iter();
            let refusal = SpecError::unsupported("spec.consoleTokenRef", words::unsupported(title, able));
            return self.settle(self.status(), &refusal.verdict()).await;
        }
        if let Err(refusal) = self.permitted(&token, &self.settings) {
            return self.settle(self.status(), &refusal.verdict()).await;
        }
        if let Err(refusal) =
            project::check(&self.settings.spec.settings, self.settings.spec.management_policy)
        {
            return self.settle(self.status(), &refusal.verdict()).await;
        }
        if let Some(verdict) = self.overruled() {
            return self.settle(self.status(), &verdict).await;
        }
        let state = self.token_state().filter(|it| Some(&it.uid) == token.meta().uid.as_ref());
        let stalled = state.as_ref().is_some_and(|it| it.stalled);
        match state.map(|it| it.usable().cloned()) {
            // The controller of the token has not looked at it yet; it will enqueue this resource.
            None => Ok(Pass::Rest(None)),
            Some(Err(why)) => {
                let verdict = report::token::not_ready(&self.token(), &why, stalled);
                self.publish(self.status(), &verdict).await
            }
            Some(Ok(account)) => self.compare(&account).await,
        }
    }

    /// Whether the limits of the token permit these settings.
    fn permitted(&self, token: &AnyToken, settings: &ProjectSettings) -> Result<(), SpecError> {
        let namespace = object::namespace(settings);
        let labels = self.ports.namespace_labels(&namespace);
        match limits::of(token, &namespace, labels.as_ref())? {
            Some(limits) => limits::check_project(limits, &token.reference(), &settings.metadata),
            None => Ok(()),
        }
    }

    /// Two resources for one project would overwrite each other's settings in an endless loop.
    fn overruled(&self) -> Option<Verdict> {
        let (token, project) = (self.token(), self.status().project_id);
        let rival = |it: &ProjectSettings| {
            let theirs = it.status.as_ref().and_then(|status| status.project_id.as_ref());
            let same_project = project.is_some() && theirs == project.as_ref();
            it.uid().as_ref() != Some(&self.uid)
                && (it.is_made_with(&token) || same_project)
                && project::precedes(it, &self.settings)
        };
        // ProjectSettings that are not permitted have no effect, and overrule no other.
        let permitted = |it: &Arc<ProjectSettings>| {
            let token = self.ports.token(&TokenRef::named_by(it.as_ref()));
            token.is_none_or(|token| self.permitted(&token, it).is_ok())
        };
        let first = self.ports.projects(rival).into_iter().find(permitted)?;
        Some(words::overruled(&first.name_any(), &object::namespace(first.as_ref())))
    }

    async fn compare(&mut self, account: &P::Vendor) -> Result<Pass, Error> {
        let mut project = match account.project().await {
            Ok(project) => project,
            Err(fault) => return self.failed(&fault, CallPurpose::ReadProject).await,
        };
        let mut status = self.seen(&project);
        let mut changed = Vec::new();
        loop {
            match project::next(&self.settings, &project.shown, !changed.is_empty()) {
                Next::Rest => {
                    self.drifted(&mut status, &[]);
                    let again = self.again();
                    let pass = self.settle(status, &words::applied()).await?;
                    if !changed.is_empty() {
                        self.ports.notify(self.settings.as_ref(), words::updated(&changed));
                    }
                    return Ok(if pass == Pass::Stale { pass } else { Pass::Rest(Some(again)) });
                }
                Next::Show(fields) => {
                    self.drifted(&mut status, &fields);
                    let again = self.again();
                    let pass = self.settle(status, &words::observed(&fields)).await?;
                    return Ok(if pass == Pass::Stale { pass } else { Pass::Rest(Some(again)) });
                }
                Next::NotApplied(fields) => {
                    self.drifted(&mut status, &fields);
                    return self.not_applied(status, &fields).await;
                }
                Next::Change(fields) => {
                    if let Err(fault) = account.change_project(project, &self.settings.spec.settings).await {
                        return self.failed(&fault, CallPurpose::ChangeProject).await;
                    }
                    changed = fields;
                    project = match account.project().await {
                        Ok(project) => project,
                        Err(fault) => return self.failed(&fault, CallPurpose::ReadBackProject).await,
                    };
                    status = self.seen(&project);
                    status.last_applied_at = Some(time::to_the_second(self.ports.now()));
                }
            }
        }
    }

    fn seen(&self, project: &Project) -> ProjectSettingsStatus {
        ProjectSettingsStatus {
            project_id: Some(project.id.clone()),
            observed: Some(project.shown.clone()),
            ..self.status()
        }
    }

    fn again(&self) -> Timestamp {
        retry::plus(self.ports.now(), retry::jittered(self.ports.poll(), &self.uid))
    }

    fn drifted(&self, status: &mut ProjectSettingsStatus, fields: &[&str]) {
        let (drifted, message) = (!fields.is_empty(), words::drifted(fields));
        let reason = if drifted { Reason::NotApplied } else { Reason::Applied };
        let generation = self.settings.metadata.generation;
        let wanted = condition::condition(DRIFTED, drifted, reason, &message, generation);
        condition::set(&mut status.conditions, wanted, self.ports.now());
    }

    async fn not_applied(
        &mut self,
        mut status: ProjectSettingsStatus,
        fields: &[&str],
    ) -> Result<Pass, Error> {
        let next = self.next(&mut status, None);
        let verdict = words::not_applied(fields, next);
        self.wait(status, &verdict, next).await
    }

    async fn failed(&mut self, fault: &Fault, purpose: CallPurpose) -> Result<Pass, Error> {
        if fault.is_paused() {
            // The controller of the token notices when it works again, and enqueues this resource.
            let stalled = self.token_state().is_some_and(|it| it.stalled);
            let verdict = report::token::not_ready(&self.token(), &fault.to_string(), stalled);
            return self.publish(self.status(), &verdict).await;
        }
        let mut status = self.status();
        let next = self.next(&mut status, Some(fault));
        let occurrence = report::occurrence(status.internal.last_pass.as_ref(), fault);
        let token = self.token().titled();
        let verdict = match fault.kind {
            FaultKind::Forbidden => words::forbidden(purpose, &token, next, occurrence).about(fault.name()),
            _ => report::failed(fault, purpose, next, occurrence),
        };
        self.wait(status, &verdict, next).await
    }

    fn next(&self, status: &mut ProjectSettingsStatus, fault: Option<&Fault>) -> Timestamp {
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        status.failures = Some(failures);
        let now = self.ports.now();
        match fault {
            Some(fault) => retry::after(fault, failures, &self.uid, now),
            None => retry::plus(now, retry::backoff(failures + 4, &self.uid)),
        }
    }

    async fn wait(
        &mut self,
        status: ProjectSettingsStatus,
        verdict: &Verdict,
        next: Timestamp,
    ) -> Result<Pass, Error> {
        Ok(self.publish(status, verdict).await?.until(Some(next)))
    }

    async fn settle(&mut self, mut status: ProjectSettingsStatus, verdict: &Verdict) -> Result<Pass, Error> {
        status.observed_generation = self.settings.metadata.generation;
        status.last_handled_reconcile_at = object::requested(self.settings.as_ref()).cloned();
        status.failures = None;
        self.publish(status, verdict).await
    }

    async fn publish(&mut self, mut status: ProjectSettingsStatus, verdict: &Verdict) -> Result<Pass, Error> {
        let (generation, now) = (self.settings.metadata.generation, self.ports.now());
        let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
        let notice = report::transition(conditions, last, verdict, generation, now);
        if condition::is_true(&status.conditions, STALLED) {
            status.observed_generation = generation;
        }
        let requeue_at = status.internal.last_pass.as_ref().and_then(|it| it.gives_up_at(now));
        match super::publish(&self.ports, &self.settings, &status).await {
            Ok(Some(object)) => {
                self.ports.wrote(&object);
                self.settings = object;
            }
            Ok(None) => return Ok(Pass::Rest(requeue_at)),
            Err(error) => return stale_or(error),
        }
        if let Some(notice) = notice {
            self.ports.notify(self.settings.as_ref(), notice);
        }
        Ok(Pass::Rest(requeue_at))
    }
}
