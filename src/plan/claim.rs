//! The claim: what is written down, by compare-and-swap, before anything irreversible happens.

use super::naming::Serial;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a serial was claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// To create something at the vendor.
    Create,
    /// To write the Secret over whatever serial stands in it; nothing is created under it.
    Restore,
    /// To remove everything; fences out whoever still holds an older claim.
    Delete,
}

/// A serial that somebody has taken, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The serial taken.
    pub serial: Serial,
    /// When it was taken, by the operator's clock.
    pub at: Timestamp,
    /// What for.
    pub purpose: Purpose,
    /// With `Delete`: since when an earlier create call has had no known outcome, if one has.
    pub unsettled: Option<Timestamp>,
    /// For a deposit: recognises what was sent under the claim, which may be something else by the time the answer
    /// is found.
    pub sent: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    serial: u64,
    at: Timestamp,
    purpose: Purpose,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsettled: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
}

impl Claim {
    /// As it stands in the annotation.
    pub fn encode(&self) -> String {
        let wire = Wire {
            serial: self.serial.0,
            at: self.at,
            purpose: self.purpose,
            unsettled: self.unsettled,
            sent: self.sent,
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads the annotation. `None`: it is absent, or somebody broke it; the other records of the serial
    /// (status, Secret, names at the vendor) then tell.
    pub fn decode(text: Option<&str>) -> Option<Self> {
        let wire: Wire = serde_json::from_str(text?).ok()?;
        Some(Self {
            serial: Serial(wire.serial),
            at: wire.at,
            purpose: wire.purpose,
            unsettled: wire.unsettled,
            sent: wire.sent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_survives_the_annotation() {
        let claim = Claim {
            serial: Serial(7),
            at: Timestamp::UNIX_EPOCH,
            purpose: Purpose::Delete,
            unsettled: None,
            sent: Some(u64::MAX),
        };
        assert_eq!(Claim::decode(Some(&claim.encode())), Some(claim));
    }

    #[test]
    fn a_broken_annotation_is_no_claim() {
        for text in [None, Some(""), Some("{}"), Some("7"), Some(r#"{"serial":-1}"#)] {
            assert_eq!(Claim::decode(text), None);
        }
    }
}
