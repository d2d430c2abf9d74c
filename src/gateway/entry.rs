//! Reads what a vendor lists entry by entry, so that one odd entry does not stop an account.
//!
//! Accounts are shared: people make keys there by hand, and other programs do. An entry that cannot be read is skipped where
//! its name carries no mark. Where it carries one, it is read as far as that goes, and the fields that cannot be read are
//! named: such a field says nothing, neither "absent" nor "never".

use super::http::Wire;
use crate::plan::facts::Unread;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::naming::Mark;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A row of a listing, as a driver reads it. No field is required: an object without any can be read.
pub trait Entry: DeserializeOwned {
    /// The fields that are read, by the vendor's names.
    const FIELDS: &'static [&'static str];
    /// The field that says when a key stops working, where there is one.
    const EXPIRY: Option<&'static str> = None;
    /// The field without which an entry cannot be asked for again.
    const ID: &'static str;

    /// Whether it has an id, or need not have one.
    fn has_id(&self) -> bool;
}

/// An entry, as far as it can be read.
pub struct Read<T> {
    /// The entry. A field that cannot be read is as if it were absent.
    pub entry: T,
    /// The fields that cannot be read.
    pub unread: Vec<&'static str>,
}

impl<T: Entry> Read<T> {
    /// Whether a field could be read, or is absent.
    pub fn is_read(&self, field: &str) -> bool {
        !self.unread.contains(&field)
    }

    /// The same fields, for those who do not know the vendor's names.
    pub fn told_unread(&self) -> Vec<Unread> {
        let unread = |field: &&'static str| Unread { field, is_expiry: T::EXPIRY == Some(*field) };
        self.unread.iter().map(unread).collect()
    }

    /// Whether it has an id that can be used.
    fn has_id(&self) -> bool {
        self.is_read(T::ID) && self.entry.has_id()
    }
}

/// Whether the name in a row, which every vendor calls so, carries a mark.
pub fn is_marked(row: &Value) -> bool {
    row["name"].as_str().is_some_and(|name| Mark::parse(name).is_some())
}

/// What a listing has.
struct Entries<T> {
    /// Its entries, without those that were skipped.
    read: Vec<Read<T>>,
    /// How many were skipped.
    skipped: usize,
}

/// Reads one entry as far as it goes. `None`: it is no object.
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

/// Reads one entry that was asked for by its id.
pub fn single<T: Entry>(value: Value) -> Result<Read<T>, Fault> {
    let read = read::<T>(value).ok_or(Fault::without_effect(FaultKind::Malformed("it is no object")))?;
    if read.has_id() { Ok(read) } else { Err(malformed(None, T::ID)) }
}

/// Reads a listing. An entry that carries a mark and has no id that can be used is a fault: what it is cannot be asked for
/// again, and to leave it out would say that it is gone.
fn entries<T: Entry>(rows: impl Iterator<Item = (usize, Value)>) -> Result<Entries<T>, Fault> {
    let mut entries = Entries { read: Vec::new(), skipped: 0 };
    for (index, row) in rows {
        let marked = is_marked(&row);
        match read::<T>(row) {
            // Where the name is the id, one that cannot be an id is none of ours, whatever mark a person put into it.
            Some(read) if marked && !read.has_id() && T::ID != "name" => {
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

/// Reads a listing, and counts at the wire what was skipped.
pub fn listing<T: Entry>(wire: &Wire, rows: Vec<Value>) -> Result<Vec<Read<T>>, Fault> {
    part(wire, rows.into_iter().enumerate())
}

/// Reads those rows of a listing that are given, each with its index.
pub fn part<T: Entry>(
    wire: &Wire,
    rows: impl Iterator<Item = (usize, Value)>,
) -> Result<Vec<Read<T>>, Fault> {
    let Entries { read, skipped } = entries(rows)?;
    wire.count_skipped(skipped);
    Ok(read)
}

/// The fault of a read: that field, of that entry where there are more, cannot be read.
pub const fn malformed(entry: Option<usize>, field: &'static str) -> Fault {
    Fault::without_effect(FaultKind::MalformedField { entry, field })
}

/// A list that has to be there: nothing else is an empty one.
pub fn list(object: &mut Map<String, Value>, field: &'static str) -> Result<Vec<Value>, Fault> {
    match object.remove(field) {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err(malformed(None, field)),
    }
}
