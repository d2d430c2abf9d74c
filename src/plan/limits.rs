//! What the resources of a namespace may do with a ClusterConsoleToken: `allowedNamespaces` and `limits`, checked before
//! every effect. The admission policy of the installation checks the same where a single specification shows it.

use super::duration;
use super::identity::{AnyToken, TokenRef};
use super::money::{decimal, micros};
use super::spec_error::SpecError;
use crate::api::cluster_console_token::{AllowedNamespaces, BudgetLimit, Limits, Permission};
use crate::api::console_token::NamespaceUse;
use crate::api::rotation::{DeletionPolicy, KeyCount};
use crate::api::shared::{Budget, Period};
use crate::api::{CLAIM, GatewayApiKey, GatewayApiKeyStatus, ProviderKey, Reason};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Labels of a namespace. `None`: they cannot be read.
pub type Labels<'a> = Option<&'a BTreeMap<String, String>>;

/// Whether the namespace with these labels is allowed.
pub fn allows(allowed: Option<&AllowedNamespaces>, namespace: &str, labels: Labels<'_>) -> bool {
    let Some(allowed) = allowed else { return false };
    let chosen = |selector: &LabelSelector| labels.is_some_and(|labels| selects(selector, labels));
    allowed.names.iter().any(|it| it == namespace) || allowed.selector.as_ref().is_some_and(chosen)
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    selector.match_labels.iter().flatten().all(equal)
        && selector.match_expressions.iter().flatten().all(|it| meets(it, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let among = value.is_some_and(|value| requirement.values.iter().flatten().any(|it| it == value));
    match requirement.operator.as_str() {
        "In" => among,
        "NotIn" => !among,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // An operator that this version does not know chooses nothing.
        _ => false,
    }
}

/// The limits of a token, if the resources of a namespace have any: those of a ClusterConsoleToken that allows the
/// namespace. An error if it does not.
pub fn of<'a>(
    token: &'a AnyToken,
    namespace: &str,
    labels: Labels<'_>,
) -> Result<Option<&'a Limits>, SpecError> {
    let Some(sharing) = token.sharing() else { return Ok(None) };
    if allows(sharing.allowed_namespaces.as_ref(), namespace, labels) {
        return Ok(Some(sharing.limits.as_ref().unwrap_or(&NONE)));
    }
    let unread =
        labels.is_none() && sharing.allowed_namespaces.as_ref().is_some_and(|it| it.selector.is_some());
    let hint = if unread {
        "; the labels of the namespace cannot be read: grant Keysmith list and watch on namespaces"
    } else {
        ""
    };
    let message = format!(
        "{} does not allow namespace {namespace}: what exists keeps working, and nothing is made, changed or replaced; have the namespace added \
         to its spec.allowedNamespaces, or delete this{hint}",
        token.reference().titled()
    );
    Err(SpecError {
        reason: Reason::NamespaceNotAllowed,
        tolerated: true,
        ..SpecError::invalid("spec.consoleTokenRef", message)
    })
}

/// No limits but the defaults: nothing of `permitted`, no providers.
static NONE: Limits = Limits {
    budget: None,
    expiry: None,
    keys: None,
    types: Vec::new(),
    models: Vec::new(),
    providers: Vec::new(),
    required_labels: Vec::new(),
    secret: None,
    rotation: None,
    permitted: Vec::new(),
};

/// What is wrong with a resource, by field.
struct Findings {
    token: String,
    found: Vec<(String, String)>,
}

impl Findings {
    fn new(token: &TokenRef) -> Self {
        Self { token: token.titled(), found: Vec::new() }
    }

    fn add(&mut self, field: &str, what: impl Into<String>) {
        self.found.push((field.to_owned(), what.into()));
    }

    fn refuse_unless(&mut self, limits: &Limits, permission: Permission, field: &str) {
        if !limits.permitted.contains(&permission) {
            self.add(
                field,
                format!(
                    "is not permitted; leave it out, or have {} added to its limits.permitted",
                    permission.name()
                ),
            );
        }
    }

    fn check_labels(&mut self, limits: &Limits, meta: &ObjectMeta) {
        let has = |label: &str| {
            meta.labels.as_ref().and_then(|it| it.get(label)).is_some_and(|value| !value.is_empty())
        };
        for label in limits.required_labels.iter().filter(|it| !has(it)) {
            self.add("metadata.labels", format!("{label} is required; set it"));
        }
    }

    fn done(self) -> Result<(), SpecError> {
        let Self { token, found } = self;
        let limits = format!("the limits of {token}");
        match found.as_slice() {
            [] => Ok(()),
            [(field, what)] => Err(exceeded(field, format!("{what} ({limits})"))),
            several => {
                let all: Vec<_> = several.iter().map(|(field, what)| format!("{field}: {what}")).collect();
                Err(exceeded(SpecError::SEVERAL, format!("{} ({limits})", all.join("; "))))
            }
        }
    }
}

fn exceeded(field: &str, message: String) -> SpecError {
    SpecError { reason: Reason::LimitExceeded, tolerated: true, ..SpecError::invalid(field, message) }
}

/// Checks the specification of a key by itself.
pub fn check_key(limits: &Limits, token: &TokenRef, key: &GatewayApiKey) -> Result<(), SpecError> {
    let (spec, mut found) = (&key.spec, Findings::new(token));
    found.check_labels(limits, &key.metadata);
    let kind = spec.kind.unwrap_or_default();
    if !limits.types.is_empty() && !limits.types.contains(&kind) {
        let types: Vec<_> = limits.types.iter().map(|it| format!("{it:?}")).collect();
        found.add("spec.type", format!("{kind:?} is not permitted; use {}", types.join(" or ")));
    }
    if let Some(limit) = &limits.budget {
        check_budget(limit, spec.budget.as_ref(), &mut found);
    }
    if let Some(limit) = &limits.expiry {
        match (spec.expires_in_days, limit.maximum_days) {
            (None, None) if limit.required == Some(true) => {
                found.add("spec.expiresInDays", "is required; set it");
            }
            (None, Some(most)) => found.add("spec.expiresInDays", format!("is required; set at most {most}")),
            (Some(days), Some(most)) if days > most => {
                found.add("spec.expiresInDays", format!("must be at most {most}"));
            }
            _ => {}
        }
    }
    if !limits.models.is_empty() {
        if spec.models.is_empty() {
            found.add("spec.models", format!("is required; name models among {}", limits.models.join(", ")));
        }
        for model in spec.models.iter().filter(|it| !matches_any(&limits.models, it)) {
            found.add(
                "spec.models",
                format!("{model} is not permitted; name models among {}", limits.models.join(", ")),
            );
        }
    }
    if spec.external_id.is_some() {
        found.refuse_unless(limits, Permission::ExternalId, "spec.externalId");
    }
    if spec.deletion_policy == Some(DeletionPolicy::Retain) {
        found.refuse_unless(limits, Permission::Retain, "spec.deletionPolicy Retain");
    }
    if spec.debug_mode == Some(true) {
        found.refuse_unless(limits, Permission::DebugMode, "spec.debugMode");
    }
    found.done()
}

/// Checks what a key puts into its Secret. Such a Secret is not written at all.
pub fn check_secret(limits: &Limits, token: &TokenRef, key: &GatewayApiKey) -> Result<(), SpecError> {
    let mut found = Findings::new(token);
    let template = key.spec.secret.as_ref().and_then(|it| it.template.as_ref());
    let Some(limit) = &limits.secret else { return Ok(()) };
    let kind = template.and_then(|it| it.kind.as_deref()).unwrap_or("Opaque");
    if !limit.types.is_empty() && !limit.types.iter().any(|it| it == kind) {
        found.add(
            "spec.secret.template.type",
            format!("{kind} is not permitted; use {}", limit.types.join(" or ")),
        );
    }
    let labels = template.and_then(|it| it.metadata.as_ref()).map(|it| &it.labels);
    if let Some(permitted) = &limit.labels {
        for label in labels.into_iter().flatten().map(|it| it.0).filter(|it| !matches_any(permitted, it)) {
            found.add(
                "spec.secret.template.metadata.labels",
                format!("{label} is not permitted; leave it out"),
            );
        }
    }
    found.done()
}

fn check_budget(limit: &BudgetLimit, budget: Option<&Budget>, found: &mut Findings) {
    let bounds = [&limit.maximum, &limit.per_namespace];
    let Some(budget) = budget else {
        if let Some(most) = bounds.into_iter().flatten().next() {
            found.add("spec.budget", format!("is required; set at most {} {:?}", most.amount, most.period));
        } else if limit.required == Some(true) {
            found.add("spec.budget", "is required; set it");
        }
        return;
    };
    for most in bounds.into_iter().flatten() {
        // A budget that is never renewed spends least.
        if budget.period != most.period && budget.period != Period::Once {
            found.add("spec.budget.period", format!("must be {:?} or Once", most.period));
        } else if amount(budget) > amount(most) {
            found.add("spec.budget.amount", format!("must be at most {}", most.amount));
        }
    }
}

/// An amount in millionths; one that cannot be read is as large as can be.
fn amount(budget: &Budget) -> u64 {
    micros(&budget.amount).unwrap_or(u64::MAX)
}

/// Checks a ProviderKey.
pub fn check_provider_key(limits: &Limits, token: &TokenRef, key: &ProviderKey) -> Result<(), SpecError> {
    let mut found = Findings::new(token);
    found.check_labels(limits, &key.metadata);
    if !matches_any(&limits.providers, &key.spec.provider) {
        let what = match limits.providers.as_slice() {
            [] => "no provider keys are permitted; delete this, or have the provider added to its limits.providers".to_owned(),
            some => format!("{} is not permitted; use {}", key.spec.provider, some.join(" or ")),
        };
        found.add("spec.provider", what);
    }
    if key.spec.scope.is_some() {
        found.refuse_unless(limits, Permission::Organization, "spec.scope Organization");
    }
    found.done()
}

/// Checks ProjectSettings.
pub fn check_project(limits: &Limits, token: &TokenRef, meta: &ObjectMeta) -> Result<(), SpecError> {
    let mut found = Findings::new(token);
    found.check_labels(limits, meta);
    found.refuse_unless(limits, Permission::ProjectSettings, "spec.consoleTokenRef");
    found.done()
}

/// Whether the annotation `keysmith.dev/force-orphan` of a resource has an effect.
pub fn may_force_orphan(token: Option<&AnyToken>) -> bool {
    permits(token, Permission::ForceOrphan)
}

/// Whether `deletionPolicy: Retain` of a resource has an effect.
pub fn may_retain(token: Option<&AnyToken>) -> bool {
    permits(token, Permission::Retain)
}

/// Whether a token permits this. A ConsoleToken, or a token that is gone, limits nothing.
fn permits(token: Option<&AnyToken>, permission: Permission) -> bool {
    let permitted = |limits: &Limits| limits.permitted.contains(&permission);
    token.and_then(AnyToken::sharing).is_none_or(|it| it.limits.as_ref().is_some_and(permitted))
}

/// What another key of the namespace takes of the limits that keys share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whether its key exists at the vendor.
    pub exists: bool,
    /// Whether its specification is within the limits by itself.
    pub fits: bool,
    /// Creation of the resource and its UID: the older resource comes first.
    pub age: (Option<Timestamp>, String),
    /// The budget last sent to the vendor, in millionths.
    pub sent: u64,
    /// The budget in its specification, in millionths.
    pub wanted: u64,
    /// Whether a call of its present specification may be on its way: it counts with what it wants then.
    pub open: bool,
}

impl Share {
    /// The share of this key under these limits.
    pub fn of(limits: &Limits, token: &TokenRef, key: &GatewayApiKey) -> Self {
        let status = key.status.as_ref();
        let sent = status.and_then(|it| it.budget.as_ref()).map_or(0, amount);
        let created = key.metadata.creation_timestamp.as_ref().map(|it| it.0);
        let looked = status.and_then(|it| it.observed_generation);
        Self {
            open: (key.annotations().contains_key(CLAIM) && looked != key.metadata.generation)
                || status.is_some_and(is_unanswered),
            exists: status.is_some_and(|it| it.id.is_some() || !it.previous.is_empty()),
            fits: check_key(limits, token, key).is_ok(),
            age: (created, key.metadata.uid.clone().unwrap_or_default()),
            sent,
            wanted: key.spec.budget.as_ref().map_or(0, amount),
        }
    }
}

/// Whether a create call may have had an effect that is not recorded yet.
fn is_unanswered(status: &GatewayApiKeyStatus) -> bool {
    status.id.is_none() && status.failures.is_some()
}

/// How many old keys may work beside the served one: each has its whole budget where the vendor does not tell what is
/// spent, so that more would multiply what a namespace can spend.
pub fn most_previous(limits: &Limits) -> usize {
    let bounded = |it: &BudgetLimit| it.maximum.is_some() || it.per_namespace.is_some();
    if limits.budget.as_ref().is_some_and(bounded) { 1 } else { usize::MAX }
}

/// Whether the keys of a namespace have limits in common.
fn count_together(limits: &Limits) -> bool {
    let budget = limits.budget.as_ref().is_some_and(|it| it.per_namespace.is_some());
    budget || limits.keys.as_ref().is_some_and(|it| it.per_namespace.is_some())
}

/// Checks a key against every limit of its token. `labels`: those of its namespace. `others`: the shares of the other keys of
/// the namespace with that token, wanted only where they count.
pub fn exceeds(
    token: &AnyToken,
    key: &GatewayApiKey,
    labels: Labels<'_>,
    others: impl FnOnce(&Limits) -> Vec<Share>,
) -> Result<(), SpecError> {
    let reference = TokenRef::named_by(key);
    let namespace = key.namespace().unwrap_or_default();
    let Some(limits) = of(token, &namespace, labels)? else { return Ok(()) };
    check_key(limits, &reference, key)?;
    let others = if count_together(limits) { others(limits) } else { Vec::new() };
    check_sum(limits, &reference, &Share::of(limits, &reference, key), others.iter())
}

/// Checks a key against what the other keys of its namespace have. A resource that is older counts with what it wants,
/// if that is permitted, so that two new ones do not both find room for one; so does one for which a call may be on its
/// way. Any other counts with what it has.
pub fn check_sum<'a>(
    limits: &Limits,
    token: &TokenRef,
    own: &Share,
    others: impl Iterator<Item = &'a Share> + Clone,
) -> Result<(), SpecError> {
    let mut found = Findings::new(token);
    let first = |it: &Share| it.fits && (it.age < own.age || it.open);
    let counts = |it: &&Share| it.exists || first(it);
    if let Some(most) = limits.keys.as_ref().and_then(|it| it.per_namespace).filter(|_| !own.exists) {
        let there = others.clone().filter(counts).count();
        if there >= usize::try_from(most).unwrap_or(usize::MAX) {
            let what =
                format!("the namespace has {there} keys with this token, and may have {most}; delete one");
            found.add("spec.consoleTokenRef", what);
        }
    }
    let bound = limits.budget.as_ref().and_then(|it| it.per_namespace.as_ref());
    // A budget that does not grow is as it was.
    if let Some(most) = bound.filter(|_| own.wanted > own.sent || !own.exists) {
        let claimed = |it: &Share| if first(it) { it.sent.max(it.wanted) } else { it.sent };
        let sum = others.filter(counts).map(claimed).fold(0, u64::saturating_add);
        let left = amount(most).saturating_sub(sum);
        if own.wanted > left {
            let (sum, left) = (decimal(sum), decimal(left));
            let what = format!(
                "must be at most {left}: other keys of the namespace have {sum} of {} {:?}",
                most.amount, most.period
            );
            found.add("spec.budget.amount", what);
        }
    }
    found.done()
}

/// When a key may be created again, if the namespace created as many within a day as it may.
pub fn stopped(limits: &Limits, made: Option<&KeyCount>) -> Option<Timestamp> {
    let most = limits.keys.as_ref()?.per_namespace_and_day?;
    let made = made.filter(|it| it.made >= u64::from(most))?;
    Some(super::retry::plus(made.since, SignedDuration::from_hours(24)))
}

/// The least time between two rotations that a user requests.
pub fn least_apart(limits: &Limits) -> SignedDuration {
    let text = limits.rotation.as_ref().and_then(|it| it.minimum_interval.as_deref());
    text.and_then(|text| duration::parse("limits.rotation.minimumInterval", text).ok()).unwrap_or_default()
}

/// Whether a text matches a pattern in which `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(before) = last.replace(part) {
            let Some((_, after)) = rest.split_once(before) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// Limit of namespaces in the status of a token.
const MOST_NAMESPACES: usize = 100;

/// What one namespace has of a token.
#[derive(Default)]
struct Use {
    keys: u32,
    /// Sums of budgets in millionths, in the order of `PERIODS`.
    budgets: [u64; 4],
}

const PERIODS: [Period; 4] = [Period::Once, Period::Monthly, Period::Weekly, Period::Daily];

/// What each namespace has of a token: the namespaces with most keys, and how many there are besides.
#[derive(Default)]
pub struct Uses(BTreeMap<String, Use>);

impl Uses {
    /// Counts a key of a namespace.
    pub fn count(&mut self, namespace: &str, status: &GatewayApiKeyStatus) {
        if status.id.is_none() {
            return;
        }
        let now = self.0.entry(namespace.to_owned()).or_default();
        now.keys = now.keys.saturating_add(1);
        let Some(budget) = &status.budget else { return };
        for (period, sum) in PERIODS.iter().zip(&mut now.budgets) {
            if *period == budget.period {
                *sum = sum.saturating_add(amount(budget));
            }
        }
    }

    /// The counts for status, and the number of namespaces that are left out.
    pub fn shown(self) -> (Vec<NamespaceUse>, Option<u32>) {
        let budget =
            |(period, sum): (Period, u64)| (sum > 0).then(|| Budget { amount: decimal(sum), period });
        let shown = |(namespace, it): (String, Use)| NamespaceUse {
            namespace,
            keys: it.keys,
            budgets: PERIODS.into_iter().zip(it.budgets).filter_map(budget).collect(),
        };
        let mut uses: Vec<_> = self.0.into_iter().map(shown).collect();
        uses.sort_by(|one, other| {
            other.keys.cmp(&one.keys).then_with(|| one.namespace.cmp(&other.namespace))
        });
        let more = uses.len().saturating_sub(MOST_NAMESPACES);
        uses.truncate(MOST_NAMESPACES);
        uses.sort_by(|one, other| one.namespace.cmp(&other.namespace));
        (uses, u32::try_from(more).ok().filter(|it| *it > 0))
    }
}

#[cfg(test)]
mod tests;
