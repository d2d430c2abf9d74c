//! Records by serial. Deleted records are kept aside for listings that lag.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::route::Moment;

/// What a record must provide to be found and listed.
pub(super) trait TableRow: Clone {
    fn serial(&self) -> u64;
    fn id(&self) -> &str;
    /// The scope that sees the record, such as an organization or a user.
    fn scope(&self) -> &str;
    fn created_at(&self) -> Timestamp;
}

pub(super) struct Table<T> {
    live: BTreeMap<u64, T>,
    serials: HashMap<String, u64>,
    gone: Vec<(T, Timestamp)>,
    last_serial: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { live: BTreeMap::new(), serials: HashMap::new(), gone: Vec::new(), last_serial: 0 }
    }
}

impl<T: TableRow> Table<T> {
    /// Serials count from 1 and are never used twice.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.last_serial += 1;
        self.last_serial
    }

    pub(super) fn insert(&mut self, record: T) -> T {
        self.serials.insert(record.id().to_owned(), record.serial());
        self.live.insert(record.serial(), record.clone());
        record
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.live.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.live.values_mut()
    }

    pub(super) fn within<'a>(&'a self, scope: &'a str) -> impl DoubleEndedIterator<Item = &'a T> {
        self.iter().filter(move |record| record.scope() == scope)
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.live.get(self.serials.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.live.get_mut(self.serials.get(id)?)
    }

    pub(super) fn by_serial(&self, serial: u64) -> Option<&T> {
        self.live.get(&serial)
    }

    pub(super) fn remove(&mut self, id: &str, now: Timestamp) -> bool {
        let serial = self.serials.remove(id);
        let removed = serial.and_then(|serial| self.live.remove(&serial));
        let found = removed.is_some();
        self.gone.extend(removed.map(|record| (record, now)));
        found
    }

    /// Records deleted after that moment, newest last.
    pub(super) fn gone_since(&self, moment: Timestamp) -> impl Iterator<Item = &T> {
        self.gone.iter().filter(move |(_, deleted_at)| *deleted_at > moment).map(|(record, _)| record)
    }

    /// The records of a listing, newest first. A listing that lags does not have records created within the lag yet,
    /// and still has records deleted within it.
    pub(super) fn listed(&self, scope: &str, moment: Moment) -> Vec<&T> {
        let recent = |at: Timestamp| moment.now.duration_since(at) < moment.lag;
        let gone = self.gone.iter().filter(|(_, deleted_at)| recent(*deleted_at)).map(|(record, _)| record);
        let mut listed: Vec<&T> = self
            .iter()
            .chain(gone)
            .filter(|record| record.scope() == scope && !recent(record.created_at()))
            .collect();
        listed.sort_by_key(|record| std::cmp::Reverse(record.serial()));
        listed
    }
}

/// Implements [`TableRow`] for a record.
macro_rules! table_row {
    ($record:ty, $id:ident, $scope:ident) => {
        impl $crate::emulator::table::TableRow for $record {
            fn serial(&self) -> u64 {
                self.serial
            }
            fn id(&self) -> &str {
                &self.$id
            }
            fn scope(&self) -> &str {
                &self.$scope
            }
            fn created_at(&self) -> jiff::Timestamp {
                self.created_at
            }
        }
    };
}

pub(super) use table_row;
