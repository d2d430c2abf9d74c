//! What a pass over a key observes: the Secret, read only where it changed, and the facts that a decision is made from.

use super::ports::KeyPorts;
use super::{KeyPass, report};
use crate::api;
use crate::cluster::object;
use crate::gateway::account::Listing;
use crate::plan::capability::Ability;
use crate::plan::desired::Desired;
use crate::plan::facts::{Confirmed, Facts, Mends, Record, Target};
use crate::plan::naming::Serial;
use crate::plan::requests::RotationRequests;
use crate::plan::sighting::Sighting;
use crate::plan::{contest, hash};
use crate::protocol::doubt;
use crate::protocol::ports::VendorPort;
use crate::protocol::secret::Expected;

impl<P: KeyPorts> KeyPass<P> {
    /// State of the Secret for this resource, if it is known without reading it, because the Secret has not changed since
    /// it was last read or written. `first`: there was never a key, so the dry run finds out whether a Secret exists.
    pub(super) fn remembered_secret(&self, first: bool, expected: Expected<'_>) -> Option<Target> {
        if first {
            return Some(Target::Absent);
        }
        let remembered = self.ports.remember(&self.uid, |it| it.sighting());
        let recorded = || {
            let status = self.key.status.as_ref()?;
            Sighting::read(status.internal.secret.as_ref()?, &Record::from(status))
        };
        let known = self.secrets.unchanged(&self.uid, expected, remembered.into_iter().chain(recorded()))?;
        Some(Target::Ours(known.held))
    }

    /// State of the Secret for this resource: the known one, or else the one that is read.
    pub(super) async fn target(&self, known: Option<Target>, expected: Expected<'_>) -> kube::Result<Target> {
        if let Some(known) = known {
            return Ok(known);
        }
        let (target, sighting) = self.secrets.observe(&self.uid, expected).await?;
        self.sighted(sighting);
        Ok(target)
    }

    /// Remembers what was read of the Secret, or written into it, unless status records the same.
    pub(super) fn sighted(&self, sighting: Option<Sighting>) {
        let status = self.key.status.as_ref();
        let recorded = status.and_then(|it| Some((it.internal.secret.as_ref()?, Record::from(it))));
        let same = |it: &Sighting| {
            recorded.as_ref().is_some_and(|(record, served)| it.recorded(served).as_ref() == Some(record))
        };
        let sighting = sighting.filter(|it| !same(it));
        self.ports.remember(&self.uid, |it| it.sighted(sighting));
    }

    /// Whether an annotation requests a look at the key that was not taken yet.
    pub(super) fn demands_a_look(&self) -> bool {
        let requested = object::requested(self.key.as_ref());
        requested.is_some() && requested != self.status().last_handled_reconcile_at.as_ref()
    }

    /// Whether there was never a key, so that the Secret need not be read before its dry run.
    pub(super) fn is_new(&self, desired: &Desired) -> bool {
        let record = self.record();
        let blank = record.id.is_none() && record.settled == Serial(0) && record.previous.is_empty();
        blank
            && object::claim_of(self.key.as_ref(), &self.identity).is_none()
            && desired.external_id.is_none()
    }

    /// The observed facts. With `desired`, what the vendor returned for the served key counts as recorded already, so
    /// that the decision and the status written after it agree.
    pub(super) fn facts(&self, mut target: Target, ability: Ability, desired: Option<&Desired>) -> Facts {
        let key = self.key.as_ref();
        if let Target::Ours(held) = &mut target {
            held.key_id.take_if(|id| Some(&*id) == self.disowned.as_ref());
        }
        let stale_before = self.ports.remember(&self.uid, |it| it.stale_before());
        let latest = self.token_state().and_then(|it| it.account).and_then(|it| it.latest());
        let latest = latest.filter(|it| stale_before.is_none_or(|stale_before| it.as_of > stale_before));
        if let Some(latest) = &latest {
            self.ports.remember(&self.uid, |it| it.saw_listing(latest.as_of));
        }
        let view = latest.as_ref().map(|it| it.view(&self.identity));
        let external = key.spec.external_id.as_ref();
        let external = external.and_then(|id| latest.as_ref()?.key(id).cloned());
        let asked = |name| object::annotation(key, name).cloned();
        let mut facts = Facts {
            now: self.ports.now(),
            deleting: key.metadata.deletion_timestamp.is_some(),
            finalizer: object::has_finalizer(key),
            generation: key.metadata.generation,
            requested: self.demands_a_look() && self.confirmed == Confirmed::NotRead,
            claim: object::claim_of(key, &self.identity),
            record: self.record(),
            target,
            view,
            confirmed: self.confirmed.clone(),
            amended: self.amended.clone(),
            gone: self.gone.clone(),
            disabled: self.disabled.clone(),
            strays: self.strays.clone(),
            poll: self.ports.poll(),
            doubted: false,
            mended: Mends::default(),
            ability,
            identity: self.identity.clone(),
            requests: RotationRequests {
                trigger: None,
                rotate: asked(api::ROTATE_REQUESTED),
                leaked: asked(api::LEAKED),
            },
            external,
            spread: hash::fraction(&[b"rotation", self.uid.as_bytes()]),
            lost_since: None,
            proven: self.minting.as_ref().is_none_or(|it| it.proven(&self.ports, self.record().serial)),
            revision: None,
            under_name: self.ports.made_today(key),
            keys_per_day: self.ports.keys_per_day(),
            bounds: self.bounds.clone(),
        };
        if let Some((desired, seen)) = desired.zip(report::seen(&facts)) {
            let mut status = self.status();
            report::show(&mut status, &seen, desired);
            facts.record = Record { missing_since: facts.record.missing_since, ..Record::from(&status) };
        }
        facts.doubted = self.doubted(&facts, latest.as_deref());
        let lost = contest::is_lost(&facts);
        facts.lost_since = self.ports.remember(&self.uid, |it| it.saw_secret(lost, facts.now));
        let state = contest::state(&facts).to_owned();
        facts.mended = self.ports.remember(&self.uid, |it| it.mends(&state, facts.now));
        facts
    }

    /// Whether the account may differ from the one that the keys were made in. The listing is checked only where the
    /// key is missing: in all other cases the ConsoleToken's controller reports the doubt.
    pub(super) fn doubted(&self, facts: &Facts, latest: Option<&Listing>) -> bool {
        let missing = facts.confirmed == Confirmed::Gone || facts.record.missing_since.is_some();
        let shown = || Some(doubt::doubt(&self.ports, &self.token()?, latest?).is_some());
        self.token_state().is_some_and(|it| it.doubt.is_some()) || missing && shown().unwrap_or(false)
    }
}

/// Hash of the content that readers of the Secret should have by now. `None` while the Secret is not as it should be.
pub(super) fn revision(facts: &Facts) -> Option<String> {
    // If another controller keeps changing the Secret and it is left that way, readers have that content.
    let left = matches!(contest::judge(facts), contest::Contest::Left(_));
    let held = facts.target.held().filter(|held| held.intact && held.current || left)?;
    Some(format!("{}-{}", held.serial?, held.read.as_ref()?))
}
