//! The claim: what is written down, by compare-and-swap, before anything irreversible happens.

use super::naming::{Identity, Mark, Serial};
use super::rotation::Cause;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a serial was claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// To create something at the vendor.
    Create,
    /// To write the Secret over whatever serial stands in it, or to put back the claim that an object lost; nothing is
    /// created under it.
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
    /// With `Delete`, and with `Restore` where a claim was lost: since when an earlier create call may have had no known
    /// outcome.
    pub unsettled: Option<Timestamp>,
    /// Recognises what was sent under the claim, or asked for when it was made, which may be something else by the
    /// time the answer is found.
    pub sent: Option<u64>,
    /// With `Create`: why a new key takes the place of the served one, if it does.
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
    /// A claim for nothing but its serial.
    pub const fn new(serial: Serial, at: Timestamp, purpose: Purpose) -> Self {
        Self { serial, at, purpose, unsettled: None, sent: None, cause: None }
    }

    /// As it stands in the annotation. The mark comes with it, so that a resource restored from a backup, whose UID
    /// is another one, still knows its keys.
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

    /// The mark in an annotation that is not `own`: that of the resource it was copied or restored from.
    pub fn former(text: Option<&str>, own: &Mark) -> Option<Mark> {
        let wire: Wire = serde_json::from_str(text?).ok()?;
        let marks = [wire.mark, wire.former].into_iter().flatten();
        marks.filter_map(|text| Mark::read(&text)).find(|mark| mark != own && mark.same_cluster(own))
    }

    /// Reads the annotation. `None`: it is absent, broken, or a copy of another resource's, under which nothing was ever done
    /// for this one; the other records of the serial (status, Secret, names at the vendor) then tell.
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
