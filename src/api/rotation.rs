//! How a key is replaced by a new one, and what status tells of it.

use super::text::{MAX_AGE, duration, object_name, time_of_day, time_zone};
use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels to select by: no label at all would select everything. schemars' `length` is not for maps.
fn labels(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <BTreeMap<String, String>>::json_schema(generator);
    schema.insert("minProperties".into(), 1.into());
    schema.insert("maxProperties".into(), 16.into());
    schema
}

/// When a key is replaced, and how long the old one goes on working.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!(has(self.renewBefore) && has(self.renewBeforePercentage))",
        "renewBefore and renewBeforePercentage say the same in two ways: leave one of them out"),
    // What is no duration is said of the field itself.
    validation = Rule::new(MAX_AGE)
        .message("maxAge is shorter than overlap (24h when left out), so that old keys would pile up: raise maxAge or shorten overlap")
        .field_path(".maxAge"),
)]
pub struct RotationSpec {
    /// A key that expires is replaced this long before; a third of its lifetime when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub renew_before: Option<String>,
    /// The same as a share of the lifetime that is left then, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 95))]
    pub renew_before_percentage: Option<u8>,
    /// A key is replaced when it is this old, whether it expires or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub max_age: Option<String>,
    /// The old key goes on working this long after the Secret holds the new one; `24h` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub overlap: Option<String>,
    /// An old key that is still used after the overlap is waited for this long in all; `overlap` and a day
    /// when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub max_overlap: Option<String>,
    /// Where the vendor can switch keys off, the old key is off this long before it is deleted, so that raising
    /// `overlap` can still bring it back; `1h` when left out, `0s` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub brown_out: Option<String>,
    /// So many old keys work beside the new one at most; `2` when left out. With one more replacement the oldest is
    /// revoked at once, so that budgets do not add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub max_previous: Option<u8>,
    /// Any new value replaces the key once; the first value does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub trigger: Option<String>,
    /// Scheduled replacements wait for one of these, but not so long that the key comes near its expiry; at any time
    /// when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<WindowSpec>,
    /// Workloads in the same namespace that read the Secret only when they start: restarted once for each new
    /// content of the Secret, not for the first. Needs the right to patch workloads; see the chart's
    /// `rbac.restartWorkloads`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub restart: Vec<RestartTarget>,
    /// Marks the Secret for Stakater Reloader (`reloader.stakater.com/match: "true"`), which then restarts what
    /// it is told to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloader: Option<bool>,
}

/// A time of the week in which scheduled replacements may begin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowSpec {
    /// Days on which it begins; every day when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// When it begins, `HH:MM`.
    #[schemars(schema_with = "time_of_day")]
    pub from: String,
    /// When it ends, `HH:MM`; on the next day if that is not later than `from`.
    #[schemars(schema_with = "time_of_day")]
    pub until: String,
    /// Time zone of `from` and `until`, such as `Europe/Berlin`; UTC when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_zone")]
    pub time_zone: Option<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Workloads of one kind: one by its name, or those with certain labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.name) != has(self.selector)", "exactly one of name and selector"))]
pub struct RestartTarget {
    /// The kind.
    pub kind: WorkloadKind,
    /// Name of one workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub name: Option<String>,
    /// Labels of the workloads themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Kinds of workloads that can be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 `StatefulSet`.
    StatefulSet,
    /// apps/v1 `DaemonSet`.
    DaemonSet,
}

/// Objects that carry all of these labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// The labels; at least one.
    #[schemars(schema_with = "labels")]
    pub match_labels: BTreeMap<String, String>,
}

/// What becomes of the key at the vendor when its resource is deleted: `Delete`, also when left out, revokes it,
/// `Disable` switches it off, `Retain` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is revoked.
    #[default]
    Delete,
    /// It is switched off and stays.
    Disable,
    /// It stays as it is, and works.
    Retain,
}

/// How far Keysmith goes with the key named in `externalId`: `Manage`, also when left out, takes it over, `Observe`
/// only looks at it. A key that was taken over before stays Keysmith's, and ends with its resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// Everything: settings, Secret, replacement, removal.
    #[default]
    Manage,
    /// Only status: nothing is written to the vendor or to a Secret.
    Observe,
}

/// The last replacement of the served key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRotation {
    /// When the Secret held the new key.
    pub time: Timestamp,
    /// Why: `Expiry`, `MaxAge`, `Trigger`, `Requested`, `Leaked`, `Changed`, `SecretLost`, `KeyLost` or `Expired`.
    pub reason: String,
    /// With a budget: `CarriedOver`, the new key and the old one share what was left of the period, or `Restarted`, it is
    /// not told what was spent and the new key has the whole budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
}

/// A key whose place in the Secret another one has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKey {
    /// The vendor's id.
    pub id: String,
    /// Its serial.
    pub serial: u64,
    /// When the Secret held its successor.
    pub replaced_at: Timestamp,
    /// It works at least until then.
    pub retire_after: Timestamp,
    /// Since when it is switched off, before it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// When it was to stop working, where the vendor's keys never do and Keysmith sees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when the vendor does not show it, where it was replaced for that. Should it show up again, it works for the
    /// overlap like every previous key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// What it is still to be left of its budget for the overlap, a decimal number; the rest is its successor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_to: Option<String>,
    /// What it was left of its budget, a decimal number. What it does not spend goes back to its successor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// It was declared leaked: there is no overlap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaked: bool,
}

/// A key at the vendor that carries the resource's mark and that nothing uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnusedKey {
    /// The vendor's id.
    pub id: String,
    /// When it was told. It is revoked a poll later, unless the mark is taken out of its name.
    pub told_at: Timestamp,
}

/// A state of the Secret that something in the cluster brings back time and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretContest {
    /// Hash of that state.
    pub state: String,
    /// What is not as Keysmith writes it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// Since when it is left as it is.
    pub since: Timestamp,
}

/// Counts keys of a day, so that a fault somewhere cannot have them made without end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyCount {
    /// When the count began.
    pub since: Timestamp,
    /// The highest serial before it.
    pub serial: u64,
    /// Keys that were made since.
    #[serde(default)]
    pub made: u64,
}

/// What earlier keys spent of the running period of the budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedSpend {
    /// How much, in millionths of the vendor's currency.
    pub micros: u64,
    /// When the period ends; absent for a budget that never starts anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
