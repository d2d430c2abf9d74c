//! How a vendor's management API is reached, as data: in which header a token travels, and whose certificates are believed.

/// How a vendor's management API is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The header that a token travels in.
    pub header: TokenHeader,
    /// Whose certificates are believed.
    pub trust: Trust,
}

impl Access {
    /// A vendor on the public network, with a token as RFC 6750 has it.
    pub const PUBLIC: Self = Self { header: TokenHeader::Bearer, trust: Trust::Public };
}

/// The header that a token travels in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenHeader {
    /// `Authorization: Bearer <token>`
    #[default]
    Bearer,
    /// The token alone, in a header of that name.
    Named(&'static str),
}

/// Whose certificates are believed. A server of somebody's own may have one that a private authority signed; for a vendor on
/// the public network, such an authority could only help to read along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Public authorities only.
    #[default]
    Public,
    /// The private authorities that the transport was given, beside the public ones.
    Private,
}
