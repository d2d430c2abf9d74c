//! A key of v3, as the vendor returns it (contract §2.8).

use super::later;
use crate::gateway::edenai::budget::{ShownBudget, as_far_as_read, shown_budget};
use crate::gateway::entry::{Entry, Read};
use crate::gateway::{Order, guard, lenient};
use crate::plan::listing::{KeyId, Listed, Setting, Shown};
use crate::plan::naming::Mark;
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Key {
    #[serde(default, deserialize_with = "lenient::present_id")]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) token_type: Option<String>,
    #[serde(default)]
    pub(super) active_balance: Option<bool>,
    #[serde(default, deserialize_with = "lenient::present_micros")]
    pub(super) balance: Setting<u64>,
    #[serde(default)]
    pub(super) balance_reset_period: Option<String>,
    #[serde(default, deserialize_with = "lenient::micros")]
    pub(super) balance_reset_amount: Option<u64>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub(super) created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub(super) expire_time: Option<Timestamp>,
    #[serde(default)]
    pub(super) revoked: Option<bool>,
    /// Makes serde accept an object only, not an array of its fields.
    #[serde(flatten)]
    _object: (),
}

impl Entry for Key {
    const FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "token_type",
        "active_balance",
        "balance",
        "balance_reset_period",
        "balance_reset_amount",
        "created_at",
        "expire_time",
        "revoked",
    ];
    const EXPIRY: Option<&'static str> = Some("expire_time");
    const ID: &'static str = "id";

    fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

/// A key, as far as it could be read. `None`: it is revoked.
pub(super) fn listed(read: Read<Key>) -> Option<Listed> {
    let unread_fields = read.unread_fields();
    let Read { entry: key, unread } = read;
    let id = key.id.filter(|_| key.revoked != Some(true))?;
    // A name without our mark is read as empty, so that it always counts as drift.
    let human = |name: &str| Mark::parse(name).map_or("", |_| Mark::display_in(name)).to_owned();
    let shown = shown_budget(
        key.active_balance,
        key.balance,
        key.balance_reset_period.as_deref(),
        key.balance_reset_amount,
    );
    let ShownBudget { limit: budget, capped } = as_far_as_read(shown, &unread);
    let counts = key.active_balance != Some(false) && !unread.contains(&"active_balance");
    let remaining = key.balance.value().filter(|_| counts);
    Some(Listed {
        id: KeyId(id),
        created_at: key.created_at,
        expires_at: key.expire_time,
        last_used_at: None,
        spent: None,
        remaining,
        unread: unread_fields,
        shown: Shown {
            display_name: key.name.as_deref().filter(|it| !guard::withheld(it)).map(human),
            budget,
            capped,
            ..Shown::default()
        },
        name: key.name.unwrap_or_default(),
    })
}

/// A key whose every field could be read.
pub(super) fn whole(key: Key) -> Option<Listed> {
    listed(Read { entry: key, unread: Vec::new() })
}

/// A key that was renamed for an order; the next listing shows its budget.
pub(super) fn named(key: Key, order: &Order) -> Key {
    Key {
        name: Some(order.name.clone()),
        expire_time: order.expires_at.map(later),
        active_balance: None,
        balance: Setting::Hidden,
        balance_reset_period: None,
        balance_reset_amount: None,
        revoked: None,
        ..key
    }
}
