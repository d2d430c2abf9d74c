//! The log of vendor calls, which tests compare with their expectations. It holds no body, no header and no token.

use jiff::Timestamp;
use serde::Serialize;

/// One vendor call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Sequence number over the life of the emulator, from 1, in order of arrival.
    pub sequence: u64,
    /// When the request arrived.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path with query, vendor prefix included.
    pub path: String,
    /// The status of the answer; `None` while there is no answer, and for ever if none was sent.
    pub status: Option<u16>,
    /// Whether the vendor's handler ran. A handler that refused the request ran too.
    pub applied: bool,
}

#[derive(Default)]
pub(super) struct CallLog {
    calls: Vec<Call>,
    sequence: u64,
}

impl CallLog {
    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(super) fn count(&self, method: &str, path_contains: &str) -> usize {
        self.calls
            .iter()
            .filter(|call| call.method.eq_ignore_ascii_case(method) && call.path.contains(path_contains))
            .count()
    }

    pub(super) fn clear(&mut self) {
        self.calls.clear();
    }

    /// Adds an entry and returns its sequence number.
    pub(super) fn arrived(&mut self, at: Timestamp, method: &str, path: String) -> u64 {
        self.sequence += 1;
        let method = method.to_owned();
        self.calls.push(Call { sequence: self.sequence, at, method, path, status: None, applied: false });
        self.sequence
    }

    pub(super) fn applied(&mut self, sequence: u64) {
        if let Some(call) = self.find(sequence) {
            call.applied = true;
        }
    }

    pub(super) fn answered(&mut self, sequence: u64, status: u16) {
        if let Some(call) = self.find(sequence) {
            call.status = Some(status);
        }
    }

    /// The entry may be missing if the log was cleared during the call.
    fn find(&mut self, sequence: u64) -> Option<&mut Call> {
        let index = self.calls.binary_search_by_key(&sequence, |call| call.sequence).ok()?;
        self.calls.get_mut(index)
    }
}
