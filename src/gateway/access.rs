//! How to access a vendor's management API, as data: which header carries the token.

/// How to access a vendor's management API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The header that carries the token.
    pub header: TokenHeader,
}

impl Access {
    /// A vendor on the public network, with a bearer token (RFC 6750).
    pub const PUBLIC: Self = Self { header: TokenHeader::Bearer };
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
