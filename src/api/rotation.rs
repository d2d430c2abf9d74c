//! How a key is replaced by a new one, and what status records of it.

use super::shared::{Budget, RateLimit};
use super::text::{MAX_AGE, duration, object_name, time_of_day, time_zone};
use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels of a selector: an empty map would select everything, and schemars' `length` does not support maps.
fn labels(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <BTreeMap<String, String>>::json_schema(generator);
    schema.insert("minProperties".into(), 1.into());
    schema.insert("maxProperties".into(), 16.into());
    schema
}

/// When a key is replaced, and how long the previous key keeps working.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!(has(self.renewBefore) && has(self.renewBeforePercentage))",
        "renewBefore and renewBeforePercentage say the same in two ways: leave one of them out"),
    // A malformed duration is reported at the field itself.
    validation = Rule::new(MAX_AGE)
        .message("maxAge is shorter than overlap (24h when left out), so that old keys would pile up: raise maxAge or shorten overlap")
        .field_path(".maxAge"),
)]
pub struct RotationSpec {
    /// How long before its expiry a key is replaced; default: a third of its lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub renew_before: Option<String>,
    /// The same as a share of the key's lifetime, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 95))]
    pub renew_before_percentage: Option<u8>,
    /// The age at which a key is replaced, whether or not it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub max_age: Option<String>,
    /// How long the previous key keeps working after the Secret holds the new one; default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub overlap: Option<String>,
    /// How long a previous key that is still used after the overlap is kept in total; default: `overlap` plus a
    /// day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub max_overlap: Option<String>,
    /// How long the previous key is switched off before it is deleted, if the vendor can switch keys off. During
    /// this time, raising `overlap` switches it on again. Default `1h`; `0s` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "duration")]
    pub brown_out: Option<String>,
    /// How many previous keys may work beside the new one; default `2`. One more rotation revokes the oldest at
    /// once, so that budgets do not add up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub max_previous: Option<u8>,
    /// Any new value replaces the key once; the first value does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub trigger: Option<String>,
    /// Scheduled rotations wait for one of these windows, but not until the key is close to its expiry; empty means
    /// at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub windows: Vec<WindowSpec>,
    /// Workloads in the same namespace that read the Secret only at start. They are restarted once for each new
    /// content of the Secret, but not for the first. Needs permission to patch workloads; see the chart's
    /// `rbac.restartWorkloads`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub restart: Vec<RestartTarget>,
    /// Marks the Secret for Stakater Reloader (`reloader.stakater.com/match: "true"`), which then restarts the
    /// workloads configured for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloader: Option<bool>,
}

/// A time of the week in which scheduled rotations may begin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowSpec {
    /// Days on which the window opens; empty means every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// Opening time, `HH:MM`.
    #[schemars(schema_with = "time_of_day")]
    pub from: String,
    /// Closing time, `HH:MM`; on the next day if not later than `from`.
    #[schemars(schema_with = "time_of_day")]
    pub until: String,
    /// Time zone of `from` and `until`, such as `Europe/Berlin`; default UTC.
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

/// Workloads of one kind: one by name, or all with certain labels.
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

/// Limits of a key, as the vendor shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyLimits {
    /// The models that the key may call; empty means every model, or that the vendor shows none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// The spending limit; absent means none, or that the vendor does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Whether there is a spending limit whose amount the vendor does not show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub capped: bool,
    /// Limits of requests and tokens; absent means none, or that the vendor does not show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// When the key stops working; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Its lifetime in days, which a key that replaces it has as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_days: Option<u32>,
    /// False if the key is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// What happens to the key at the vendor when its resource is deleted: `Delete`, the default, revokes it, `Disable`
/// switches it off, `Retain` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The key is revoked.
    #[default]
    Delete,
    /// The key is switched off and stays.
    Disable,
    /// The key stays as it is and keeps working.
    Retain,
}

/// How far Keysmith manages the key named in `externalId`: `Manage`, the default, adopts it, `Observe` only reads
/// it. A key that was adopted before remains managed and is deleted with its resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// Everything: settings, Secret, rotation, deletion.
    #[default]
    Manage,
    /// Status only: nothing is written to the vendor or to a Secret.
    Observe,
}

/// The last rotation of the served key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRotation {
    /// When the new key was in the Secret.
    pub time: Timestamp,
    /// The cause: `Expiry`, `MaxAge`, `Trigger`, `Requested`, `Leaked`, `Changed`, `SecretLost`, `KeyLost` or
    /// `Expired`.
    pub reason: String,
    /// With a budget: `CarriedOver` if the new key and the previous one share what was left of the period, or
    /// `Restarted` if the vendor does not show what was left and the new key has the whole budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
}

/// A previous key: one that was replaced in the Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKey {
    /// The vendor's id.
    pub id: String,
    /// Its serial.
    pub serial: u64,
    /// When its successor was in the Secret.
    pub replaced_at: Timestamp,
    /// It works at least until this time.
    pub retire_after: Timestamp,
    /// Since when it is switched off before its deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Timestamp>,
    /// Its expiry, if the vendor does not enforce it and Keysmith does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when the vendor does not show it, if it was replaced for that reason. If it appears again, it works
    /// for the overlap like every previous key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// The budget that it will be cut to for the overlap, a decimal number; its successor gets the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_to: Option<String>,
    /// The budget that it was cut to, a decimal number. Its successor gets back what is not spent of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// Whether it was declared leaked; then it has no overlap.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaked: bool,
}

/// An unused key at the vendor that carries the resource's mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnusedKey {
    /// The vendor's id.
    pub id: String,
    /// When it was announced. It is revoked one poll later, unless the mark is removed from its name.
    pub told_at: Timestamp,
}

/// A state of the Secret to which something in the cluster keeps changing it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretContest {
    /// Hash of that state.
    pub state: String,
    /// Names of the parts that differ from what Keysmith writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// Since when the Secret is left in this state.
    pub since: Timestamp,
}

/// The Secret as it was when the served key was last found in it, or written into it, so that the next process need not
/// read a Secret that nobody has changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRecord {
    /// The resourceVersion of the Secret.
    pub resource_version: String,
    /// Hash of what the Secret was compared with: its template, labels and annotations.
    pub plan: String,
    /// Hash of the entries that applications read.
    pub content: String,
    /// Hash of everything that Keysmith would correct.
    pub state: String,
    /// Serial of the previous key whose entries stand beside the new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_serial: Option<u64>,
    /// The fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// Whether the key itself was found in it; a template that changes the letters of a key prevents that.
    #[serde(default)]
    pub key_found: bool,
}

/// Number of keys created within a day, so that no fault can create keys without end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyCount {
    /// When the count began.
    pub since: Timestamp,
    /// The highest serial before that time.
    pub serial: u64,
    /// Keys created since then.
    #[serde(default)]
    pub made: u64,
}

/// Spending of earlier keys in the current budget period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CarriedSpend {
    /// How much, in millionths of the vendor's currency.
    pub micros: u64,
    /// When the period ends; absent for a budget that never resets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
