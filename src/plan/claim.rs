//! The claim: an annotation that records, by compare-and-swap, which serial is about to be used, before any
//! irreversible call.

use super::naming::{Identity, Mark, Serial};
use super::requests::Cause;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a serial was claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// Create something at the vendor.
    Create,
    /// Write the Secret over a higher serial in it, or write back a claim that the resource lost. Nothing is
    /// created under this claim.
    Restore,
    /// Delete everything. Fences out every holder of an older claim.
    Delete,
}

/// A claimed serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The serial.
    pub serial: Serial,
    /// When it was claimed, by the operator's clock.
    pub at: Timestamp,
    /// Purpose of the claim.
    pub purpose: Purpose,
    /// With `Delete`, and with `Restore` after a lost claim: since when the outcome of an earlier create call may
    /// be unknown.
    pub unsettled: Option<Timestamp>,
    /// Hash of what is sent under the claim, or of the rotation requests when it was made. By the time the outcome
    /// is known, both may have changed.
    pub sent: Option<u64>,
    /// With `Create`: the cause of the rotation, if the key replaces a served one.
    pub cause: Option<Cause>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<String>,
}

impl Claim {
    /// A claim with no optional fields.
    pub const fn new(serial: Serial, at: Timestamp, purpose: Purpose) -> Self {
        Self { serial, at, purpose, unsettled: None, sent: None, cause: None }
    }

    /// The annotation's value. It contains the mark, so that a resource restored from a backup, with another UID,
    /// still finds its keys.
    pub fn encode(&self, identity: &Identity) -> String {
        let wire = Wire {
            serial: self.serial.0,
            at: self.at,
            purpose: self.purpose,
            unsettled: self.unsettled,
            sent: self.sent,
            cause: self.cause,
            mark: Some(identity.mark.short().to_owned()),
            former: identity.former.as_ref().map(|mark| mark.short().to_owned()),
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// The first mark in the annotation that is not `own`: that of the resource from which this one was copied or
    /// restored.
    pub fn former(text: Option<&str>, own: &Mark) -> Option<Mark> {
        let wire: Wire = serde_json::from_str(text?).ok()?;
        let marks = [wire.mark, wire.former].into_iter().flatten();
        marks.filter_map(|text| Mark::read(&text)).find(|mark| mark != own && mark.same_cluster(own))
    }

    /// Reads the annotation. `None`: it is absent, malformed, or a copy of another resource's claim, under which
    /// nothing was done for this resource. Then the serial comes from status, Secret and names at the vendor.
    pub fn decode(text: Option<&str>, identity: &Identity) -> Option<Self> {
        let wire: Wire = serde_json::from_str(text?).ok()?;
        // Version 0.1 wrote no mark.
        let ours = wire.mark.as_deref().is_none_or(|mark| {
            mark == identity.mark.short() || identity.former.as_ref().is_some_and(|it| it.short() == mark)
        });
        let serial = Serial::believed(wire.serial)?;
        ours.then_some(Self {
            serial,
            at: wire.at,
            purpose: wire.purpose,
            unsettled: wire.unsettled,
            sent: wire.sent,
            cause: wire.cause,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::naming::ClusterId;

    #[test]
    fn a_claim_survives_the_annotation() {
        let claim = Claim {
            serial: Serial(7),
            at: Timestamp::UNIX_EPOCH,
            purpose: Purpose::Delete,
            unsettled: None,
            sent: Some(u64::MAX),
            cause: Some(Cause::Trigger),
        };
        let mark = Mark::new(&ClusterId("c".into()), "u");
        let identity = Identity { mark: mark.clone(), former: None };
        let text = claim.encode(&identity);
        assert_eq!(Claim::decode(Some(&text), &identity), Some(claim));
        assert_eq!(Claim::former(Some(&text), &mark), None);
        let restored = Mark::new(&ClusterId("c".into()), "another");
        assert_eq!(Claim::former(Some(&text), &restored), Some(mark.clone()));
        let of_restored = Identity { mark: restored.clone(), former: Some(mark) };
        assert_eq!(Claim::decode(Some(&text), &of_restored), Some(claim));
        let copy = Identity { mark: restored, former: None };
        assert_eq!(Claim::decode(Some(&text), &copy), None, "the original still exists");
        let unmarked = r#"{"serial":3,"at":"2026-11-21T00:00:00Z","purpose":"create"}"#;
        assert_eq!(Claim::decode(Some(unmarked), &copy).map(|it| it.serial), Some(Serial(3)));
        let elsewhere = Mark::new(&ClusterId("another".into()), "another");
        assert_eq!(Claim::former(Some(&text), &elsewhere), None);
    }

    #[test]
    fn a_broken_annotation_is_no_claim() {
        const FAR: &str = r#"{"serial":18446744073709551615,"at":"2026-11-21T08:00:00Z","purpose":"create"}"#;
        let identity = Identity { mark: Mark::new(&ClusterId("c".into()), "u"), former: None };
        for text in [None, Some(""), Some("{}"), Some("7"), Some(r#"{"serial":-1}"#), Some(FAR)] {
            assert_eq!(Claim::decode(text, &identity), None);
        }
    }
}
