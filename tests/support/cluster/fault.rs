//! Faults on demand: which requests go wrong, and how.

use std::time::Duration;

use super::call::Call;

/// What happens to a request that a rule catches.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Refused with this code and reason; not applied. 429 and 503 carry `Retry-After: 1`.
    Status { code: u16, reason: String },
    /// The connection breaks before the request arrives; not applied.
    DropBefore,
    /// The connection breaks after the request was carried out.
    DropAfter,
    /// Carried out, but answered with this code (a 504 of a slow etcd).
    AppliedStatus { code: u16 },
    /// Arrives this much later.
    Delay(Duration),
    /// Carried out at once, answered this much later.
    DelayAnswer(Duration),
    /// Never arrives and is never answered.
    Hang,
    /// A watch is accepted, says nothing and never ends, like a half-open connection. For other verbs: `Hang`.
    Silence,
    /// A change is not told to the watches of this actor, and they never learn of it until they list again.
    DropWatchEvent,
}

/// Empty strings match everything; `resource` is `secrets` or `gatewayapikeys/status`. A dry run is met by the verb
/// `rehearse` only.
#[derive(Debug, Clone)]
pub struct Rule {
    pub actor: String,
    pub verb: String,
    pub resource: String,
    pub name_contains: String,
    /// Matching requests to let pass first.
    pub skip: usize,
    /// Matching requests to catch after that.
    pub times: usize,
    pub effect: Effect,
}

impl Rule {
    /// Catches the next request of any kind; narrow it with the struct update syntax.
    pub fn next(effect: Effect) -> Self {
        let any = String::new;
        Self { actor: any(), verb: any(), resource: any(), name_contains: any(), skip: 0, times: 1, effect }
    }

    fn catches(&self, actor: &str, verb: &str, resource: &str, name: &str) -> bool {
        let fits = |pattern: &str, text: &str| pattern.is_empty() || pattern == text;
        fits(&self.actor, actor)
            && fits(&self.verb, verb)
            && fits(&self.resource, resource)
            && name.contains(&self.name_contains)
    }

    /// Counts one matching request; whether this is one to catch.
    fn count(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let caught = self.times > 0;
        self.times = self.times.saturating_sub(1);
        caught
    }
}

/// The rules in force; the first that catches a request decides.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) rules: Vec<Rule>,
}

impl Faults {
    pub(super) fn of(&mut self, call: &Call) -> Option<Effect> {
        let (resource, name) = (call.resource(), call.name.as_deref().unwrap_or_default());
        let rules = self.rules.iter_mut().filter(|rule| rule.effect != Effect::DropWatchEvent);
        let verb = if call.dry_run() { "rehearse" } else { call.verb };
        let mut matching = rules.filter(|rule| rule.catches(&call.actor, verb, &resource, name));
        matching.find_map(|rule| rule.count().then(|| rule.effect.clone()))
    }

    pub(super) fn hides_event(&mut self, actor: &str, plural: &str, name: &str) -> bool {
        let rules = self.rules.iter_mut().filter(|rule| rule.effect == Effect::DropWatchEvent);
        let mut matching = rules.filter(|rule| rule.catches(actor, "watch", plural, name));
        matching.any(Rule::count)
    }
}
