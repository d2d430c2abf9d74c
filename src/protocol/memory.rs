//! What a process remembers of one resource between passes. All of it may be lost: correctness never depends on it, only
//! the number of calls does.

use crate::plan::contest::Mends;
use crate::plan::fault::Fault;
use crate::plan::naming::Serial;
use jiff::Timestamp;

/// What is remembered of one resource.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Listings begun at or before this time do not show the last vendor call.
    stale_before: Option<Timestamp>,
    /// Since when its Secret has been seen without the served key.
    lost_since: Option<Timestamp>,
    /// The states of its Secret that were set right lately.
    mends: Vec<(String, Timestamp)>,
    /// The last create call whose outcome is not known: its serial, and how it failed.
    unanswered: Option<(Serial, Fault)>,
}

impl Remembered {
    /// A vendor call changed something at this time.
    pub fn changed_vendor(&mut self, at: Timestamp) {
        self.stale_before = self.stale_before.max(Some(at));
    }

    /// Listings begun at or before this time do not show the last vendor call.
    pub const fn stale_before(&self) -> Option<Timestamp> {
        self.stale_before
    }

    /// Its Secret was seen at this time, without the served key or with it. Returns since when it has been without.
    pub fn saw_secret(&mut self, lost: bool, at: Timestamp) -> Option<Timestamp> {
        self.lost_since = lost.then_some(self.lost_since.unwrap_or(at));
        self.lost_since
    }

    /// Its Secret was in that state and is set right.
    pub fn mended(&mut self, state: &str, at: Timestamp) {
        self.mends.push((state.to_owned(), at));
    }

    /// How often its Secret was set right lately.
    pub fn mends(&mut self, state: &str, now: Timestamp) -> Mends {
        Mends::count(&mut self.mends, state, now)
    }

    /// The create call under that serial failed in a way that may have had an effect.
    pub fn unanswered(&mut self, serial: Serial, fault: Option<Fault>) {
        self.unanswered = fault.map(|fault| (serial, fault));
    }

    /// How the create call under that serial failed, as long as that is remembered.
    pub fn fault_of(&self, serial: Option<Serial>) -> Option<Fault> {
        let (of, fault) = self.unanswered.as_ref()?;
        (Some(*of) == serial).then(|| fault.clone())
    }
}
