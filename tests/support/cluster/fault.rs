//! Faults on demand: which requests fail, and how.

use std::time::Duration;

use super::call::Call;

/// The effect on a request that a rule matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Refused with this code and reason; not applied. 429 and 503 carry `Retry-After: 1`.
    Status { code: u16, reason: String },
    /// The connection breaks before the request arrives; not applied.
    DropBefore,
    /// The connection breaks after the request was applied.
    DropAfter,
    /// Applied, but answered with this code (a 504 of a slow etcd).
    AppliedStatus { code: u16 },
    /// Arrives this much later.
    Delay(Duration),
    /// Applied at once, answered this much later.
    DelayAnswer(Duration),
    /// Never arrives and is never answered.
    Hang,
    /// A watch is accepted, sends nothing and never ends, like a half-open connection. For other verbs: `Hang`.
    Silence,
    /// A change is not sent to the watches of this actor, which see the change only when they list again.
    DropWatchEvent,
}

/// Empty strings match everything; `resource` is `secrets` or `gatewayapikeys/status`. A dry run matches only the verb
/// `rehearse`.
#[derive(Debug, Clone)]
pub struct Rule {
    pub actor: String,
    pub verb: String,
    pub resource: String,
    pub name_contains: String,
    /// The number of matching requests that pass first.
    pub skip: usize,
    /// The number of matching requests that are hit after that.
    pub times: usize,
    pub effect: Effect,
}

impl Rule {
    /// Hits the next request of any kind; narrow it with the struct update syntax.
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

    /// Counts one matching request, and returns whether it is hit.
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

/// The active rules; the first rule that hits a request decides.
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
