//! How to access a vendor's management API, as data: which header carries the token, and what refusals mean.

use crate::plan::fault::Fault;
use http::StatusCode;

/// How to access a vendor's management API.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The header that carries the token.
    pub header: TokenHeader,
    /// The fault of an answer whose status misleads, by its body, which is untrusted: nothing of it may get into the
    /// fault. `None`: the status means what it says.
    pub verdict: fn(StatusCode, &[u8]) -> Option<Fault>,
}

impl Access {
    /// A vendor on the public network, with a bearer token (RFC 6750).
    pub const PUBLIC: Self = Self { header: TokenHeader::Bearer, verdict: |_, _| None };
}

/// The header that carries the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenHeader {
    /// `Authorization: Bearer <token>`
    #[default]
    Bearer,
    /// The token alone, in a header of that name.
    Named(&'static str),
}
