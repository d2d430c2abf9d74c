//! What a process remembers of one resource between passes. All of it may be lost: correctness never depends on it,
//! only the number of calls does.

use crate::plan::contest;
use crate::plan::facts::Mends;
use crate::plan::fault::Fault;
use crate::plan::naming::Serial;
use crate::plan::sighting::Sighting;
use crate::plan::spec_error::SpecError;
use jiff::Timestamp;

/// What is remembered of one resource.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// Listings that began at or before this time do not show the last vendor call.
    stale_before: Option<Timestamp>,
    /// The Secret as it was last read or written, unless status records the same.
    sighting: Option<Box<Sighting>>,
    /// Since when the Secret has been without the served key.
    lost_since: Option<Timestamp>,
    /// The states of the Secret that were corrected recently, with their times.
    mends: Vec<(String, Timestamp)>,
    /// The last create call with an unknown outcome: its serial, and its fault.
    unanswered: Option<(Serial, Fault)>,
    /// Why the specification of that generation is refused: it is not read anew in each pass.
    refused: Option<(i64, &'static str, SpecError)>,
}

impl Remembered {
    /// Whether nothing is remembered.
    pub fn is_blank(&self) -> bool {
        let Self { stale_before, sighting, lost_since, mends, unanswered, refused } = self;
        stale_before.is_none()
            && sighting.is_none()
            && lost_since.is_none()
            && mends.is_empty()
            && unanswered.is_none()
            && refused.is_none()
    }

    /// A pass sees a listing that began at this time: if it shows the last vendor call, nothing waits for one any longer.
    pub fn saw_listing(&mut self, as_of: Timestamp) {
        self.stale_before.take_if(|stale_before| *stale_before < as_of);
    }

    /// Records that a vendor call changed something at this time.
    pub fn changed_vendor(&mut self, at: Timestamp) {
        self.stale_before = self.stale_before.max(Some(at));
    }

    /// Listings that began at or before this time do not show the last vendor call.
    pub const fn stale_before(&self) -> Option<Timestamp> {
        self.stale_before
    }

    /// Records what was found in the Secret, or written into it.
    pub fn sighted(&mut self, sighting: Option<Sighting>) {
        self.sighting = sighting.map(Box::new);
    }

    /// What was last found in the Secret, or written into it, if it is not what status records.
    pub fn sighting(&self) -> Option<Sighting> {
        self.sighting.as_deref().cloned()
    }

    /// Records that the Secret was read at this time, with or without the served key. Returns since when it has been
    /// without.
    pub fn saw_secret(&mut self, lost: bool, at: Timestamp) -> Option<Timestamp> {
        self.lost_since = lost.then_some(self.lost_since.unwrap_or(at));
        self.lost_since
    }

    /// Records that the Secret was in that state and was corrected.
    pub fn mended(&mut self, state: &str, at: Timestamp) {
        self.mends.push((state.to_owned(), at));
    }

    /// How often the Secret was corrected recently.
    pub fn mends(&mut self, state: &str, now: Timestamp) -> Mends {
        contest::mends(&mut self.mends, state, now)
    }

    /// Records that the specification of that generation is refused with a driver of that name.
    pub fn refused(&mut self, generation: Option<i64>, driver: &'static str, refusal: &SpecError) {
        self.refused = generation.map(|generation| (generation, driver, refusal.clone()));
    }

    /// Why the specification of that generation is refused with a driver of that name, if that is remembered.
    pub fn refusal(&self, generation: Option<i64>, driver: &str) -> Option<SpecError> {
        let (of, with, refusal) = self.refused.as_ref()?;
        (Some(*of) == generation && *with == driver).then(|| refusal.clone())
    }

    /// Records the fault of the create call with that serial, whose outcome is unknown.
    pub fn unanswered(&mut self, serial: Serial, fault: Option<Fault>) {
        self.unanswered = fault.map(|fault| (serial, fault));
    }

    /// Fault of the create call with that serial, while it is remembered.
    pub fn fault_of(&self, serial: Option<Serial>) -> Option<Fault> {
        let (of, fault) = self.unanswered.as_ref()?;
        (Some(*of) == serial).then(|| fault.clone())
    }
}
