//! One key that is left, in its printable form. Names and ids at a vendor are arbitrary text, so they are escaped here
//! once for every form of output. The values by which a removal identifies the key are kept beside it, unescaped.

use crate::columns::{printable, printable_json};
use crate::plan::identity::VendorApi;
use crate::plan::ledger::{Entry, Place};
use crate::plan::listing::Listed;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// One key that is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The driver.
    pub vendor: String,
    /// The organization or account.
    pub account: String,
    /// The management API.
    pub endpoint: String,
    /// The vendor's id; `None` if only a mark is known and no listed key carries it.
    pub key_id: Option<String>,
    /// Its name; `None` when the vendor does not list it.
    pub name: Option<String>,
    /// When the vendor created it.
    pub created_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Why the key exists.
    pub why: String,
    /// Its entry in the ledger, if it was left on purpose.
    #[serde(serialize_with = "shown")]
    pub ledger: Option<Entry>,
    #[serde(skip)]
    exact: Exact,
}

/// The key as the vendor lists it, or as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exact {
    place: Place,
    key: Option<Listed>,
    id: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn shown<S: Serializer>(entry: &Option<Entry>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut value = serde_json::to_value(entry).map_err(serde::ser::Error::custom)?;
    printable_json(&mut value);
    value.serialize(serializer)
}

impl Row {
    /// A key that its vendor lists.
    pub(super) fn listed(place: &Place, key: &Listed, why: &str) -> Self {
        Self {
            key_id: Some(printable(&key.id.0)),
            name: Some(printable(&key.name)),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            exact: Exact { place: place.clone(), key: Some(key.clone()), id: Some(key.id.0.clone()) },
            ..Self::at(place, why)
        }
    }

    /// A key that only the ledger has.
    pub(super) fn unlisted(entry: &Entry, why: &str) -> Self {
        let exact = Exact { place: entry.place.clone(), key: None, id: entry.key_id.clone() };
        let key_id = entry.key_id.as_deref().map(printable);
        Self { key_id, exact, ..Self::at(&entry.place, why) }.of_entry(entry)
    }

    fn at(place: &Place, why: &str) -> Self {
        Self {
            vendor: printable(&place.vendor),
            account: printable(&place.account),
            endpoint: printable(&place.endpoint),
            key_id: None,
            name: None,
            created_at: None,
            last_used_at: None,
            why: printable(why),
            ledger: None,
            exact: Exact { place: place.clone(), key: None, id: None },
        }
    }

    /// The same row with its entry in the ledger.
    pub(super) fn of_entry(self, entry: &Entry) -> Self {
        Self { ledger: Some(entry.clone()), ..self }
    }

    /// The key as it was listed.
    pub(super) fn key(&self) -> Option<&Listed> {
        self.exact.key.as_ref()
    }

    /// The entry in the ledger.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.ledger.as_ref()
    }

    /// Whether the key is in that account.
    pub(super) fn is_of(&self, place: &Place) -> bool {
        self.exact.place.agrees(place)
    }

    /// The management API that has the key.
    pub(super) fn api(&self) -> VendorApi {
        self.exact.place.api()
    }

    /// Whether a text given by a person identifies this key: its id, or its printable form.
    pub(super) fn is(&self, id: &str) -> bool {
        self.exact.id.as_deref() == Some(id) || self.key_id.as_deref() == Some(id)
    }
}
