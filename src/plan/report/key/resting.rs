//! What is said of a key while nothing is done for it.

use super::{Found, Scene};
use crate::api::{Reason, Verdict};
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::drift;
use crate::plan::time::clock;

/// The verdict if the decision is to rest.
pub fn resting(decision: &Decision, scene: &Scene<'_>) -> Option<Verdict> {
    let secret = scene.secret;
    let until = match decision.step {
        Step::Rest(Some(until)) => clock(until),
        _ => "the next poll".to_owned(),
    };
    Some(match &decision.why {
        Why::Fresh if !scene.active => Verdict::settled(
            Reason::Disabled,
            format!(
                "the vendor REFUSES the key in Secret {secret}, because spec.active is false; set spec.active: true to have calls accepted"
            ),
        ),
        Why::Fresh => Verdict::settled(Reason::Issued, format!("Secret {secret} holds the key")),
        Why::Suspended => suspended(scene),
        Why::Observed => Verdict::settled(
            Reason::Observed,
            "the key is only looked at, as managementPolicy: Observe says; set managementPolicy: Manage to take it over",
        ),
        Why::ExternalMissing => Verdict::stalled(
            Reason::ExternalKeyMissing,
            "spec.externalId: the vendor knows no key with that id; delete this resource and create one that names another key, or one \
             without spec.externalId to have a key made; looked at again every ten minutes",
        ),
        Why::OwnedElsewhere(here) => {
            let whose = if *here { "another resource of this cluster" } else { "another cluster" };
            Verdict::stalled(
                Reason::OwnershipConflict,
                format!(
                    "spec.externalId: the key belongs to {whose}, as Keysmith's mark in its name says, and nothing is changed; FIRST set \
                     spec.deletionPolicy: Retain on that resource and delete it then, or, where it does not exist any more, take the mark \
                     out of the key's name in the vendor's console; looked at again every ten minutes"
                ),
            )
        }
        Why::KeyMissing => Verdict::reconciling(
            Reason::KeyMissing,
            format!(
                "the vendor does not list the key any more, so that the key in Secret {secret} may not work; looked at again at {until}; \
                 if it is still missing, a new key is made"
            ),
        ),
        Why::AccountDoubted => Verdict::reconciling(
            Reason::AccountSuspicious,
            format!(
                "the vendor does not list this key, perhaps because the console token leads to another account now; nothing is made or revoked; \
                 see condition Ready of the token that spec.consoleTokenRef names; looked at again at {until}"
            ),
        ),
        Why::MintingStopped(at) => Verdict::stalled(
            Reason::MintingStopped,
            format!(
                "as many keys as --max-keys-per-day admits were made for this resource within a day, so that something is wrong; {}; no other \
                 key is made before {}; look for the cause in the events; where keys or Secrets were lost, mend that and set the annotation \
                 keysmith.dev/reconcile-requested-at to a new value; raise --max-keys-per-day if this many are meant",
                scene.found.served(secret),
                clock(*at)
            ),
        ),
        Why::LimitExceeded(error) => error.verdict(),
        Why::AnswerLost => unanswered(scene, &until),
        Why::NotApplied(fields) => Verdict::reconciling(
            Reason::NotApplied,
            format!(
                "the vendor accepted a change of {} and does not show it, so that the old value may be in force; compare the key in the vendor's \
                 console; tried again within twenty minutes, and when the specification changes",
                drift::paths(fields)
            ),
        ),
        Why::Deleting => awaited(scene, &until),
        why => return unwritten(why, scene, &until),
    })
}

fn suspended(scene: &Scene<'_>) -> Verdict {
    let secret = scene.secret;
    let message = match scene.found {
        Found::Key if scene.expired => format!(
            "spec.suspend is true, and the key in Secret {secret} HAS EXPIRED: applications have no key that works; take spec.suspend away to \
             have it replaced"
        ),
        Found::Key => format!(
            "spec.suspend is true: nothing is made, changed or replaced; the key in Secret {secret} works{}; take spec.suspend away when \
             Keysmith is to go on",
            scene
                .expires
                .map_or_else(String::new, |at| format!(" until {} and is NOT replaced then", clock(at)))
        ),
        Found::Other => format!(
            "spec.suspend is true, and Secret {secret} does not hold the key: applications have no key that works; take spec.suspend away to \
             have the Secret restored"
        ),
        Found::Nothing => format!(
            "spec.suspend is true, and Secret {secret} does not exist: applications have no key; take spec.suspend away to have it restored"
        ),
        Found::Unissued => "spec.suspend is true, and there is no key: applications have none that works; take spec.suspend away to have one made"
            .to_owned(),
    };
    Verdict::settled(Reason::Suspended, message).still_ready(scene.found == Found::Key && !scene.expired)
}

/// The verdict while the outcome of the last create call is unknown: the response was lost or malformed, or was an
/// error that may come after the key was created.
fn unanswered(scene: &Scene<'_>, until: &str) -> Verdict {
    let why = scene.unanswered.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let message = format!(
        "the last create call may have made a key{why}, and the vendor lists none yet; {}; another one is made after {until} unless that key \
         turns up",
        scene.found.served(scene.secret)
    );
    Verdict::reconciling(Reason::Recovering, message)
}

/// The verdict for a deletion that waits because a create call may still be running.
fn awaited(scene: &Scene<'_>, until: &str) -> Verdict {
    let why = scene.unanswered.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let message = format!(
        "the last create call may have made a key{why}; Keysmith waits until {until} to revoke it, then this resource goes"
    );
    Verdict::reconciling(Reason::Deleting, message)
}

/// The verdict while the Secret is not written.
fn unwritten(why: &Why, scene: &Scene<'_>, until: &str) -> Option<Verdict> {
    let secret = scene.secret;
    let again =
        if scene.reveals { "the same key" } else { "a NEW key, because the vendor shows a key only once" };
    Some(match why {
        Why::SecretTaken(owner) => Verdict::stalled(
            Reason::SecretConflict,
            format!(
                "spec.secret.name: Secret {secret} belongs to {owner}, and no key is written into it; create another GatewayApiKey with another \
                 spec.secret.name and delete this one, or delete the Secret if nothing needs it; looked at again every minute"
            ),
        ),
        Why::TypeFixed => Verdict::stalled(
            Reason::InvalidSpec,
            format!(
                "spec.secret.template.type: Secret {secret} has another type, and Kubernetes does not let it change; write the old type again, or \
                 delete the Secret: it is made again at once, with {again}"
            ),
        ),
        Why::Contested => Verdict::stalled(
            Reason::SecretContested,
            format!(
                "something in the cluster took the key out of Secret {secret} again: applications have no key; find the policy, webhook or \
                 controller (kubectl get secret {secret} -o yaml --show-managed-fields) and have it leave Secrets with the label \
                 app.kubernetes.io/managed-by=keysmith alone; a new key is made after {until}, or when you set the annotation \
                 keysmith.dev/reconcile-requested-at to a new value"
            ),
        ),
        Why::SecretImmutable => Verdict::stalled(
            Reason::SecretImmutable,
            format!(
                "Secret {secret} is immutable, and has to be written; no key is made for it; delete the Secret: it is made again at once, with {again}"
            ),
        ),
        _ => return None,
    })
}
