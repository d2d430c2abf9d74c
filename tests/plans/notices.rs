//! Whether a listing concerns a resource: a table over one settled key.

use jiff::{SignedDuration, Timestamp};
use keysmith::api::GatewayApiKey;
use keysmith::gateway::{cortecs, edenai_v3, edgee};
use keysmith::plan::capability::Capabilities;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::listing::{KeyId, Listed, Setting, Shown};
use keysmith::plan::naming::{ClusterId, Identity, Mark, Serial};
use keysmith::plan::notice::{Index, Subject, concerns};
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn mark() -> Mark {
    Mark::new(&ClusterId("c".into()), "u")
}

/// A settled key as the vendor shows it.
fn listed(vendor: &Capabilities, id: &str, serial: u64) -> Listed {
    Listed {
        id: KeyId(id.into()),
        name: mark().styled(vendor.names, "checkout", Serial(serial)),
        created_at: Some(ago(600)),
        expires_at: None,
        last_used_at: None,
        spent: None,
        remaining: None,
        unread: Vec::new(),
        shown: Shown { active: Some(true), ..Shown::default() },
    }
}

struct Case {
    vendor: &'static Capabilities,
    key: Value,
    claim: Option<Claim>,
    keys: Vec<Listed>,
}

impl Case {
    fn settled(vendor: &'static Capabilities) -> Self {
        let ready = json!({"type": "Ready", "status": "True", "reason": "Issued", "message": "", "lastTransitionTime": ago(600)});
        let key = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
            "metadata": {"name": "checkout", "namespace": "shop", "uid": "u", "generation": 1},
            "spec": {"consoleTokenRef": {"name": "t"}},
            "status": {
                "observedGeneration": 1, "conditions": [ready], "id": "served", "serial": 2, "settledSerial": 2,
                "active": true, "createdAt": ago(600),
            },
        });
        let claim = Some(Claim::new(Serial(2), ago(600), Purpose::Create));
        Self { vendor, key, claim, keys: vec![listed(vendor, "served", 2)] }
    }

    fn concerned(&self) -> bool {
        let key: GatewayApiKey = serde_json::from_value(self.key.clone()).unwrap();
        let identity = Identity::from(mark());
        let (claim, capabilities) = (self.claim, self.vendor);
        let subject = Subject { key: &key, claim, identity: &identity, capabilities, now: now() };
        concerns(&subject, &Index::new(now(), &self.keys))
    }
}

type Change = fn(&mut Case);

#[test]
fn a_listing_wakes_the_resources_whose_status_or_specification_differs() {
    let table: &[(&str, bool, Change)] = &[
        ("nothing", false, |_| {}),
        ("a foreign key beside it", false, |it| {
            it.keys.push(Listed { name: "theirs".into(), ..it.keys[0].clone() });
            it.keys[1].id = KeyId("theirs".into());
        }),
        ("the served key is not listed", true, |it| it.keys.clear()),
        ("the same, seen a moment ago", false, |it| {
            it.keys.clear();
            it.key["status"]["missingSince"] = json!(now() - SignedDuration::from_secs(30));
        }),
        ("the same, and the second look is due", true, |it| {
            it.keys.clear();
            it.key["status"]["missingSince"] = json!(ago(1));
        }),
        ("it is listed again", true, |it| it.key["status"]["missingSince"] = json!(ago(1))),
        ("its resource is being deleted", false, |it| {
            it.keys.clear();
            it.key["metadata"]["deletionTimestamp"] = json!(ago(1));
        }),
        ("its resource is suspended", false, |it| {
            it.keys.clear();
            it.key["spec"]["suspend"] = json!(true);
        }),
        ("a failure is waited out", false, |it| {
            it.keys[0].shown.active = Some(false);
            it.key["status"]["nextAttemptAt"] = json!(now() + SignedDuration::from_mins(1));
        }),
        ("it is switched off", true, |it| it.keys[0].shown.active = Some(false)),
        ("it was used", true, |it| it.keys[0].last_used_at = Some(ago(10))),
        ("it was used within the hour that status tells", false, |it| {
            it.keys[0].last_used_at = Some(ago(10));
            it.key["status"]["lastUsedAt"] = json!("2026-11-21T11:00:00Z");
        }),
        ("an earlier serial that nothing uses", true, |it| it.keys.push(listed(it.vendor, "late", 1))),
        ("an unused key that status announces", true, |it| {
            it.keys.push(listed(it.vendor, "late", 1));
            it.key["status"]["unused"] = json!([{"id": "late", "toldAt": ago(5)}]);
        }),
        ("an unused key that status announces and the listing does not show any more", true, |it| {
            it.key["status"]["unused"] = json!([{"id": "late", "toldAt": ago(5)}]);
        }),
        ("a previous key", false, |it| {
            it.keys.push(listed(it.vendor, "old", 1));
            it.key["status"]["previous"] =
                json!([{"id": "old", "serial": 1, "replacedAt": ago(5), "retireAfter": now()}]);
        }),
        ("a previous key that was missing", true, |it| {
            it.keys.push(listed(it.vendor, "old", 1));
            it.key["status"]["previous"] = json!([{
                "id": "old", "serial": 1, "replacedAt": ago(5), "retireAfter": now(), "missingSince": ago(5),
            }]);
        }),
        ("a serial above the claim", false, |it| it.keys.push(listed(it.vendor, "newer", 9))),
        ("the serial of a claim whose outcome is awaited", true, |it| {
            it.claim = Some(Claim::new(Serial(3), ago(1), Purpose::Create));
            it.keys.push(listed(it.vendor, "found", 3));
        }),
        ("a claim whose outcome is awaited and not listed", false, |it| {
            it.claim = Some(Claim::new(Serial(3), ago(1), Purpose::Create));
        }),
        ("a refused specification and a key that was used", false, |it| {
            it.keys[0].last_used_at = Some(ago(10));
            // As version 0.1 wrote it: in conditions only.
            let said = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Unsupported", "message": "", "observedGeneration": 1, "lastTransitionTime": ago(9)});
            it.key["status"]["conditions"] = json!([said("Ready", "False"), said("Stalled", "True")]);
        }),
        ("a refused specification of this version and a key that was used", false, |it| {
            it.keys[0].last_used_at = Some(ago(10));
            it.key["status"]["internal"]["lastPass"] = json!({"generation": 1, "givenUp": true});
        }),
    ];
    for vendor in [&edgee::CAPABILITIES, &edenai_v3::CAPABILITIES, &cortecs::CAPABILITIES] {
        for (what, expected, change) in table {
            let mut case = Case::settled(vendor);
            change(&mut case);
            assert_eq!(case.concerned(), *expected, "{}: {what}", vendor.name);
        }
    }
}

#[test]
fn settings_that_the_vendor_shows_are_compared_with_the_specification() {
    let table: &[(&str, Change)] = &[
        ("expiry", |it| it.keys[0].expires_at = Some(now())),
        ("the whole name", |it| it.keys[0].name = "mine".into()),
        ("models", |it| it.keys[0].shown.models = Some(vec!["m".into()])),
        ("display name", |it| it.keys[0].shown.display_name = Some("other".into())),
        ("budget", |it| it.keys[0].shown.capped = Some(true)),
        ("budget sent", |it| it.key["status"]["budget"] = json!({"amount": "5", "period": "Monthly"})),
        ("e-mail", |it| it.keys[0].shown.email = Setting::Set("x@example.com".into())),
        ("debug mode", |it| it.keys[0].shown.debug_mode = Some(true)),
    ];
    for (what, change) in table {
        let mut case = Case::settled(&edgee::CAPABILITIES);
        change(&mut case);
        assert!(case.concerned(), "{what}");
    }
}

#[test]
fn a_key_that_is_only_shown_is_compared_with_what_status_shows() {
    let table: &[(&str, bool, Change)] = &[
        ("as shown", false, |_| {}),
        ("other settings than written", false, |it| it.keys[0].shown.models = Some(vec!["m".into()])),
        ("switched off", true, |it| it.keys[0].shown.active = Some(false)),
        ("gone", true, |it| it.keys.clear()),
        ("not there yet", false, |it| {
            it.keys.clear();
            it.key["status"]["id"] = Value::Null;
        }),
        ("there now", true, |it| it.key["status"]["id"] = Value::Null),
    ];
    for (what, expected, change) in table {
        let mut case = Case::settled(&edgee::CAPABILITIES);
        case.key["spec"]["managementPolicy"] = json!("Observe");
        case.key["spec"]["externalId"] = json!("served");
        case.key["status"]["serial"] = Value::Null;
        case.claim = None;
        change(&mut case);
        assert_eq!(case.concerned(), *expected, "{what}");
    }
}

#[test]
fn a_thousand_settled_keys_cost_next_to_nothing() {
    let case = Case::settled(&edgee::CAPABILITIES);
    let keys: Vec<_> =
        (0..1000).map(|it| listed(case.vendor, &format!("key-{it}"), 9)).chain(case.keys.clone()).collect();
    let key: GatewayApiKey = serde_json::from_value(case.key.clone()).unwrap();
    let identity = Identity::from(mark());
    let index = Index::new(now(), &keys);
    let subject =
        Subject { key: &key, claim: case.claim, identity: &identity, capabilities: case.vendor, now: now() };
    for _ in 0..1000 {
        assert!(!concerns(&subject, &index));
    }
}
