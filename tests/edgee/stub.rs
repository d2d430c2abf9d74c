//! An Edgee stub: every answer is written by the test.

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

/// A driver whose vendor sends this answer to every request.
pub fn saying(body: impl Into<Bytes>) -> Edgee {
    Stub::always(200, body).edgee()
}

/// A driver whose vendor answers every request with this status and an error without details.
pub fn refusing(status: u16) -> Edgee {
    Stub::always(status, r#"{"error":{"type":"x","message":"y"}}"#).edgee()
}
