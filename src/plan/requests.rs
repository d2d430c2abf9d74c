//! Why a key is replaced, and what users request.

use serde::{Deserialize, Serialize};

/// Why a new key replaces the served one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The key is near its expiry.
    Expiry,
    /// The key has reached its maximum age.
    MaxAge,
    /// `spec.rotation.trigger` has a new value.
    Trigger,
    /// The annotation `keysmith.dev/rotate-requested-at` has a new value.
    Requested,
    /// The key was declared leaked.
    Leaked,
    /// A field changed that is fixed when a key is created.
    Changed,
    /// The Secret was deleted or edited, and the vendor does not reveal a key twice.
    SecretLost,
    /// The key was deleted at the vendor.
    KeyLost,
    /// The key expired.
    Expired,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::Expiry,
        Self::MaxAge,
        Self::Trigger,
        Self::Requested,
        Self::Leaked,
        Self::Changed,
        Self::SecretLost,
        Self::KeyLost,
        Self::Expired,
    ];

    /// The name in status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expiry => "Expiry",
            Self::MaxAge => "MaxAge",
            Self::Trigger => "Trigger",
            Self::Requested => "Requested",
            Self::Leaked => "Leaked",
            Self::Changed => "Changed",
            Self::SecretLost => "SecretLost",
            Self::KeyLost => "KeyLost",
            Self::Expired => "Expired",
        }
    }

    /// Whether the previous key keeps working for the overlap. An expired key may still work by the vendor's clock,
    /// and a missing key may appear again; only a leaked key gets no overlap.
    pub const fn overlaps(self) -> bool {
        !matches!(self, Self::Leaked)
    }
}

/// The rotation requests; once a key is created, all requests made until then are done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationRequests {
    /// `spec.rotation.trigger`
    pub trigger: Option<String>,
    /// `keysmith.dev/rotate-requested-at`
    pub rotate: Option<String>,
    /// `keysmith.dev/leaked`
    pub leaked: Option<String>,
}

impl RotationRequests {
    /// Hash of the rotation requests, which does not reveal them.
    pub fn fingerprint(&self) -> u64 {
        let text = format!("{:?}", (&self.trigger, &self.rotate, &self.leaked));
        let digest = super::hash::digest(&[text.as_bytes()]);
        // Integers in a CRD are signed, so the top bit must be zero.
        u64::from_be_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ]) >> 1
    }
}
