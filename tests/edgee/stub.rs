//! An Edgee of whom every answer is written by hand.

use super::world::{TOKEN, driver};
use bytes::Bytes;
use keysmith::gateway::edgee::Edgee;
use std::sync::Arc;

pub use crate::support::stub::Stub;

impl Stub {
    pub fn edgee(self: &Arc<Self>) -> Edgee {
        driver(self.wire(TOKEN))
    }
}

/// A driver whose vendor says this to everything.
pub fn saying(body: impl Into<Bytes>) -> Edgee {
    Stub::always(200, body).edgee()
}

/// A driver whose vendor answers everything with this status, and an error about nothing.
pub fn refusing(status: u16) -> Edgee {
    Stub::always(status, r#"{"error":{"type":"x","message":"y"}}"#).edgee()
}
