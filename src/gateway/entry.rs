//! Parses a vendor's listing entry by entry, so that one malformed entry does not block an account.
//!
//! Accounts are shared: users and other programs create keys there. A malformed entry is skipped if its name carries
//! no mark. An entry with a mark is read as far as possible, and its malformed fields are named: such a field means
//! neither "absent" nor "never".

use super::http::Wire;
use super::paging::{MOST_ROWS, TOO_MANY_ROWS};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::Unread;
use crate::plan::naming::Mark;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// An entry of a listing, as a driver reads it. No field is required: an object without fields can be read.
pub trait Entry: DeserializeOwned {
    /// Names of the fields that are read, as the vendor names them.
    const FIELDS: &'static [&'static str];
    /// The field with a key's expiry, if there is one.
    const EXPIRY: Option<&'static str> = None;
    /// The field without which an entry cannot be fetched again.
    const ID: &'static str;

    /// The field with the name, which carries the mark.
    const NAME: &'static str = "name";

    /// Whether the entry has an id, or needs none.
    fn has_id(&self) -> bool;
}

/// An entry, as far as it can be read.
pub struct Read<T> {
    /// The entry. A malformed field is treated as absent.
    pub entry: T,
    /// The malformed fields.
    pub unread: Vec<&'static str>,
}

impl<T: Entry> Read<T> {
    /// Whether a field could be read, or is absent.
    pub fn is_read(&self, field: &str) -> bool {
        !self.unread.contains(&field)
    }

    /// The malformed fields for callers that do not know the vendor's field names.
    pub fn unread_fields(&self) -> Vec<Unread> {
        let unread = |field: &&'static str| Unread { field, is_expiry: T::EXPIRY == Some(*field) };
        self.unread.iter().map(unread).collect()
    }

    /// Whether the entry has a usable id.
    fn has_id(&self) -> bool {
        self.is_read(T::ID) && self.entry.has_id()
    }
}

/// Whether the name in a row carries a mark.
pub fn is_marked<T: Entry>(row: &Value) -> bool {
    row[T::NAME].as_str().is_some_and(|name| Mark::parse(name).is_some())
}

/// Content of a listing.
struct Entries<T> {
    /// The entries, without those that were skipped.
    read: Vec<Read<T>>,
    /// Number of entries that were skipped.
    skipped: usize,
}

/// Reads one entry as far as possible. `None`: it is not an object.
pub fn read<T: Entry>(value: Value) -> Option<Read<T>> {
    if !value.is_object() {
        return None;
    }
    if let Ok(entry) = T::deserialize(&value) {
        return Some(Read { entry, unread: Vec::new() });
    }
    let Value::Object(mut fields) = value else {
        return None;
    };
    let mut unread = T::FIELDS.to_vec();
    unread.retain(|field| {
        fields.remove_entry(*field).is_some_and(|(name, value)| {
            let alone = Value::Object(Map::from_iter([(name, value)]));
            let readable = T::deserialize(&alone).is_ok();
            if let (true, Value::Object(alone)) = (readable, alone) {
                fields.extend(alone);
            }
            !readable
        })
    });
    let entry = T::deserialize(Value::Object(fields)).ok()?;
    Some(Read { entry, unread })
}

/// Reads one entry that was fetched by its id.
pub fn single<T: Entry>(value: Value) -> Result<Read<T>, Fault> {
    let read = read::<T>(value).ok_or(Fault::without_effect(FaultKind::Malformed("it is no object")))?;
    if read.has_id() { Ok(read) } else { Err(malformed(None, T::ID)) }
}

/// Reads a listing. An entry with a mark but without a usable id is a fault: it cannot be fetched again, and leaving
/// it out would mean that its key is gone.
fn entries<T: Entry>(rows: impl Iterator<Item = (usize, Value)>) -> Result<Entries<T>, Fault> {
    let mut entries = Entries { read: Vec::new(), skipped: 0 };
    for (index, row) in rows {
        let marked = is_marked::<T>(&row);
        match read::<T>(row) {
            // Where the name is the id, an entry whose name cannot be an id is not ours, even if a user put a mark
            // into it.
            Some(read) if marked && !read.has_id() && T::ID != T::NAME => {
                return Err(malformed(Some(index + 1), T::ID));
            }
            Some(read) if read.has_id() && (marked || read.unread.is_empty()) => {
                entries.read.push(read);
            }
            _ => entries.skipped += 1,
        }
    }
    Ok(entries)
}

/// Reads a listing, and counts skipped entries at the wire.
pub fn listing<T: Entry>(wire: &Wire, rows: Vec<Value>) -> Result<Vec<Read<T>>, Fault> {
    if rows.len() > MOST_ROWS {
        return Err(TOO_MANY_ROWS);
    }
    part(wire, rows.into_iter().enumerate())
}

/// Reads the given rows of a listing, each with its index.
pub fn part<T: Entry>(
    wire: &Wire,
    rows: impl Iterator<Item = (usize, Value)>,
) -> Result<Vec<Read<T>>, Fault> {
    let Entries { read, skipped } = entries(rows)?;
    wire.count_skipped(skipped);
    Ok(read)
}

/// The fault of a malformed field, and of which entry if there are several.
pub const fn malformed(entry: Option<usize>, field: &'static str) -> Fault {
    Fault::without_effect(FaultKind::MalformedField { entry, field })
}

/// A list that must be present: a missing list is not an empty one.
pub fn list(object: &mut Map<String, Value>, field: &'static str) -> Result<Vec<Value>, Fault> {
    match object.remove(field) {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err(malformed(None, field)),
    }
}
