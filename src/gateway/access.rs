//! How to access a vendor's management API, as data: which header carries the token, and which certificate
//! authorities are trusted.

/// How to access a vendor's management API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The header that carries the token.
    pub header: TokenHeader,
    /// The trusted certificate authorities.
    pub trust: Trust,
}

impl Access {
    /// A vendor on the public network, with a bearer token (RFC 6750).
    pub const PUBLIC: Self = Self { header: TokenHeader::Bearer, trust: Trust::Public };
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

/// The trusted certificate authorities. A self-hosted server may have a certificate that a private authority signed.
/// For a vendor on the public network, a private authority could only serve to intercept the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Public authorities only.
    #[default]
    Public,
    /// The private authorities that the transport was given, besides the public ones.
    Private,
}
