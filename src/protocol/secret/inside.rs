//! The content of a Secret of ours: hashes that detect an edit, and the position of the key's bytes.

use super::Expected;
use crate::api::{
    CONTENT, EXPIRES_AT, FENCE, GROUP, KEY_AT, KEY_ID, MANAGED_BY_LABEL, MANAGER, PREVIOUS, RENDERED, SERIAL,
    TEMPLATE,
};
use crate::plan::facts::{Held, KeyInSecret, Target};
use crate::plan::hash;
use crate::plan::listing::KeyId;
use crate::plan::naming::Serial;
use crate::plan::template::{PREVIOUS_ENTRY, SecretPlan};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In entries up to this length the key is searched at every position, if it is not where it was recorded.
const SEARCHED: usize = 4096;
/// Minimum length of a key; no vendor's key is shorter.
const SHORTEST_KEY: usize = 8;

/// The positions of a key's bytes in a Secret, and a salted hash to recognise them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imprint {
    serial: u64,
    /// The vendor's id of the key. Builds before version 0.2 did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    length: usize,
    hash: String,
    /// Entry → offset of the key's first byte in it.
    at: BTreeMap<String, usize>,
}

impl Imprint {
    /// The imprint of a key in these entries. `None`: no entry contains the key verbatim, such as where a template
    /// changes its letters; the key can then not be read back from the Secret.
    pub fn new(entries: &BTreeMap<String, String>, key: &str, which: KeyInSecret, uid: &str) -> Option<Self> {
        if key.len() < SHORTEST_KEY {
            return None;
        }
        let found = |(entry, text): (&String, &String)| Some((entry.clone(), text.find(key)?));
        let at: BTreeMap<_, _> = entries.iter().filter_map(found).collect();
        let hash = fingerprint(key.as_bytes(), uid);
        (!at.is_empty()).then_some(Self {
            serial: which.serial.0,
            id: which.id.map(|id| id.0),
            length: key.len(),
            hash,
            at,
        })
    }

    /// Value of the annotation.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn of(secret: &Secret) -> Option<Self> {
        Self::decode(secret.annotations().get(KEY_AT)?)
    }

    /// Reads the value of the annotation.
    pub fn decode(annotation: &str) -> Option<Self> {
        serde_json::from_str(annotation).ok()
    }

    /// The serial of the key, if one of the words of this text is the key and the owner of the Secret has this UID.
    pub fn serial_of(&self, text: &str, uid: &str) -> Option<Serial> {
        let words = text.split(|c: char| !c.is_ascii_graphic() || "\"'`=:,;<>()[]{}\\".contains(c));
        let mut candidates = words.chain([text.trim()]).filter(|it| it.len() == self.length);
        candidates.find(|it| fingerprint(it.as_bytes(), uid) == self.hash)?;
        Serial::believed(self.serial)
    }

    /// Whether every recorded entry still contains the key.
    fn is_whole(&self, data: &BTreeMap<String, ByteString>, uid: &str) -> bool {
        self.at.iter().all(|(entry, at)| {
            let bytes = data.get(entry).and_then(|it| it.0.get(*at..at.checked_add(self.length)?));
            bytes.is_some_and(|bytes| fingerprint(bytes, uid) == self.hash)
        })
    }

    /// The bytes of the key: at a recorded position, or wherever else they are now.
    fn find<'a>(&self, data: &'a BTreeMap<String, ByteString>, uid: &str) -> Option<&'a [u8]> {
        let is_it = |bytes: &&[u8]| fingerprint(bytes, uid) == self.hash;
        let recorded = self.at.iter().filter_map(|(entry, at)| {
            let bytes = &data.get(entry)?.0;
            bytes.get(*at..at.checked_add(self.length)?)
        });
        let window = self.length.max(1);
        let short = data.values().map(|it| it.0.as_slice()).filter(|it| it.len() <= SEARCHED);
        let elsewhere = short.flat_map(|bytes| bytes.windows(window));
        recorded.chain(elsewhere).find(is_it)
    }
}

fn fingerprint(key: &[u8], uid: &str) -> String {
    hash::base32(&[b"key", uid.as_bytes(), key], 26)
}

/// The key in a Secret, with its serial and vendor id. Version 0.1 left no imprint; for its Secrets, `plan` names the entry that
/// consists of the key only, provided that the Secret was not edited since.
pub fn key_in(secret: &Secret, uid: &str, plan: Option<&SecretPlan>) -> Option<(KeyInSecret, SecretString)> {
    let data = secret.data.as_ref()?;
    let (key, bytes) = if let Some(imprint) = Imprint::of(secret) {
        let bytes = imprint.find(data, uid)?;
        (KeyInSecret { serial: Serial::believed(imprint.serial)?, id: imprint.id.map(KeyId) }, bytes)
    } else {
        let (serial, bytes) = before_imprints(secret, data, uid, plan?)?;
        (KeyInSecret { serial, id: None }, bytes)
    };
    let text = String::from_utf8(bytes.to_vec()).ok()?;
    Some((key, SecretString::from(text)))
}

fn before_imprints<'a>(
    secret: &Secret,
    data: &'a BTreeMap<String, ByteString>,
    uid: &str,
    plan: &SecretPlan,
) -> Option<(Serial, &'a [u8])> {
    let intact = secret.annotations().get(CONTENT) == Some(&content(secret, uid));
    if !intact || secret.annotations().contains_key(RENDERED) {
        return None;
    }
    let serial = serial(secret, SERIAL)?;
    let bare = plan.bare_entries().find_map(|entry| data.get(entry)).map(|it| it.0.as_slice())?;
    let like_a_key = bare.len() >= SHORTEST_KEY && bare.iter().all(u8::is_ascii_graphic);
    like_a_key.then_some((serial, bare))
}

fn serial(secret: &Secret, annotation: &str) -> Option<Serial> {
    secret.annotations().get(annotation).and_then(|it| it.parse().ok()).and_then(Serial::believed)
}

/// State of a Secret for the owner with that UID.
pub fn target(secret: &Secret, uid: &str, expected: Option<&Expected<'_>>) -> Target {
    let controller = secret.owner_references().iter().find(|it| it.controller == Some(true));
    match controller {
        Some(owner) if owner.uid == uid => {}
        Some(owner) => {
            return Target::Foreign { owner: format!("{} {}", owner.kind, owner.name) };
        }
        None => {
            return Target::Foreign {
                owner: "something else (this resource is not among its owners)".to_owned(),
            };
        }
    }
    let annotations = secret.annotations();
    let kind = secret.type_.as_deref().unwrap_or("Opaque");
    let plan = expected.map(|it| it.plan);
    Target::Ours(Held {
        serial: serial(secret, SERIAL),
        fence: serial(secret, FENCE),
        key_id: annotations.get(KEY_ID).cloned().map(KeyId),
        expires_at: annotations.get(EXPIRES_AT).and_then(|it| it.parse().ok()),
        previous: serial(secret, PREVIOUS),
        read: Some(read(secret, uid, plan)),
        intact: annotations.get(CONTENT) == Some(&content(secret, uid)),
        current: expected.is_none_or(|it| is_current(secret, uid, it)),
        kind_fits: plan.is_none_or(|plan| plan.kind == kind),
        key: key_in(secret, uid, plan).map(|(key, _)| key),
        whole: Imprint::of(secret).zip(secret.data.as_ref()).is_some_and(|(it, data)| it.is_whole(data, uid)),
        immutable: secret.immutable == Some(true),
        state: plan.map(|plan| state(secret, uid, plan)).unwrap_or_default(),
        differs: plan.map(|plan| differences(secret, uid, plan)).unwrap_or_default(),
    })
}

fn is_current(secret: &Secret, uid: &str, expected: &Expected<'_>) -> bool {
    let annotations = secret.annotations();
    let (plan, rendering) = (expected.plan, expected.rendering);
    let rendered = match annotations.get(RENDERED) {
        Some(used) => *used == rendering.used,
        // A Secret of version 0.1 is rewritten with an imprint, if the key can be read from it.
        None => {
            annotations.get(TEMPLATE) == Some(&rendering.all) && key_in(secret, uid, Some(plan)).is_none()
        }
    };
    rendered
        && plan.labels.iter().all(|(name, value)| secret.labels().get(name) == Some(value))
        && plan.annotations.iter().all(|(name, value)| annotations.get(name) == Some(value))
        && secret.labels().get(MANAGED_BY_LABEL).is_some_and(|it| it == MANAGER)
}

/// Hash of everything in the Secret that Keysmith would correct. If the same state returns after each correction,
/// another controller changes it back.
fn state(secret: &Secret, uid: &str, plan: &SecretPlan) -> String {
    let (labels, annotations) = (secret.labels(), secret.annotations());
    let labels = plan.labels.keys().map(String::as_str).chain([MANAGED_BY_LABEL]).map(|it| labels.get(it));
    let own = [SERIAL, KEY_ID, RENDERED];
    let annotations = plan.annotations.keys().map(String::as_str).chain(own).map(|it| annotations.get(it));
    let described = format!("{:?} {:?}", labels.collect::<Vec<_>>(), annotations.collect::<Vec<_>>());
    hash::base32(&[described.as_bytes(), content(secret, uid).as_bytes()], 16)
}

/// Names, never values, of what differs from what Keysmith writes.
fn differences(secret: &Secret, uid: &str, plan: &SecretPlan) -> Vec<String> {
    let none = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&none);
    let kept = |entry: &str| plan.data.contains_key(entry) || entry.starts_with(PREVIOUS_ENTRY);
    let added = data.keys().filter(|entry| !kept(entry)).map(|entry| format!("entry {entry} added"));
    let removed = plan
        .data
        .keys()
        .filter(|entry| !data.contains_key(*entry))
        .map(|entry| format!("entry {entry} removed"));
    let mut found: Vec<_> = added.chain(removed).collect();
    let labels = plan.labels.iter().filter(|(name, value)| secret.labels().get(*name) != Some(value));
    found.extend(labels.map(|(name, _)| format!("label {name}")));
    let annotations =
        plan.annotations.iter().filter(|(name, value)| secret.annotations().get(*name) != Some(value));
    found.extend(annotations.map(|(name, _)| format!("annotation {name}")));
    if secret.labels().get(MANAGED_BY_LABEL).is_none_or(|it| it != MANAGER) {
        found.push(format!("label {MANAGED_BY_LABEL}"));
    }
    if found.is_empty() && secret.annotations().get(CONTENT) != Some(&content(secret, uid)) {
        found.push("the content of an entry".to_owned());
    }
    found
}

/// Hash of what applications read, without the entries kept of a previous key.
fn read(secret: &Secret, uid: &str, plan: Option<&SecretPlan>) -> String {
    let mut parts: Vec<&[u8]> = vec![b"read", uid.as_bytes()];
    let kept = |entry: &str| plan.map_or(entry.starts_with(PREVIOUS_ENTRY), |plan| plan.is_previous(entry));
    let entries = secret.data.iter().flatten().filter(|(entry, _)| !kept(entry));
    for (entry, bytes) in entries {
        parts.push(entry.as_bytes());
        parts.push(&bytes.0);
    }
    hash::base32(&parts, 12)
}

/// Hash of everything in the Secret, salted with its owner, so that a manual edit is detected.
pub fn content(secret: &Secret, uid: &str) -> String {
    let mut parts: Vec<&[u8]> = vec![GROUP.as_bytes(), uid.as_bytes()];
    for (entry, bytes) in secret.data.iter().flatten() {
        parts.push(entry.as_bytes());
        parts.push(&bytes.0);
    }
    hash::base32(&parts, 26)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const KEY: &str = "sk-fake-0123456789";

    fn key_of(serial: u64) -> KeyInSecret {
        KeyInSecret { serial: Serial(serial), id: Some(KeyId(format!("key_{serial}"))) }
    }

    fn secret(entries: &[(&str, &str)]) -> Secret {
        let texts: BTreeMap<_, _> =
            entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let imprint = Imprint::new(&texts, KEY, key_of(3), "uid").unwrap();
        let data = texts.into_iter().map(|(name, text)| (name, ByteString(text.into_bytes()))).collect();
        let mut secret = Secret { data: Some(data), ..Secret::default() };
        secret.annotations_mut().insert(KEY_AT.to_owned(), imprint.encode());
        secret
    }

    #[expect(clippy::disallowed_methods, reason = "a test looks at a fake key")]
    fn found(secret: &Secret, uid: &str) -> Option<String> {
        key_in(secret, uid, None).map(|(_, key)| key.expose_secret().to_owned())
    }

    fn edited(mut secret: Secret, entry: &str, text: Option<&str>) -> Secret {
        let data = secret.data.get_or_insert_default();
        match text {
            Some(text) => data.insert(entry.to_owned(), ByteString(text.as_bytes().to_vec())),
            None => data.remove(entry),
        };
        secret
    }

    #[test]
    fn a_key_is_found_in_whatever_text_it_stands() {
        let key = "sk-edgee-emulated-1-abcdef";
        let entries = BTreeMap::from([("key".to_owned(), key.to_owned())]);
        let imprint = Imprint::new(&entries, key, key_of(3), "uid").unwrap();
        let imprint = Imprint::decode(&imprint.encode()).unwrap();
        for text in [
            key.to_owned(),
            format!("{key}\n"),
            format!("OPENAI_API_KEY={key}\nOTHER=1"),
            format!("{{\"apiKey\": \"{key}\"}}"),
            format!("2026-11-30 WARN Authorization: Bearer {key}, refused"),
        ] {
            assert_eq!(imprint.serial_of(&text, "uid"), Some(Serial(3)), "{text}");
            assert_eq!(imprint.serial_of(&text, "another"), None);
        }
        for text in ["", "sk-edgee-emulated-1-abcdeg", "sk-edgee-emulated-1"] {
            assert_eq!(imprint.serial_of(text, "uid"), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_found_as_long_as_its_bytes_stand_in_any_entry() {
        let toml = format!("[a]\nkey = \"{KEY}\" # x\n");
        let whole = secret(&[("key", KEY), ("config.toml", toml.as_str())]);
        let moved = format!("\n  {KEY}\n");
        let table = [
            ("as it was written", whole.clone(), true),
            ("an entry was added", edited(whole.clone(), "extra", Some("x")), true),
            ("one of two entries was overwritten", edited(whole.clone(), "key", Some("x")), true),
            ("one of two entries is gone", edited(whole.clone(), "config.toml", None), true),
            (
                "the key was moved within its entry",
                edited(edited(whole.clone(), "config.toml", None), "key", Some(&moved)),
                true,
            ),
            (
                "the key was renamed",
                edited(edited(secret(&[("key", KEY)]), "key", None), "other", Some(KEY)),
                true,
            ),
            (
                "every entry was overwritten",
                edited(secret(&[("key", KEY)]), "key", Some("sk-fake-9876543210")),
                false,
            ),
            ("every entry is gone", edited(secret(&[("key", KEY)]), "key", None), false),
        ];
        for (case, secret, stands) in table {
            assert_eq!(found(&secret, "uid"), stands.then(|| KEY.to_owned()), "{case}");
        }
    }

    #[test]
    fn an_imprint_of_another_resource_finds_nothing() {
        assert_eq!(found(&secret(&[("key", KEY)]), "another"), None);
    }

    #[test]
    fn a_template_that_changes_the_letters_of_a_key_leaves_no_imprint() {
        let entries = BTreeMap::from([("key".to_owned(), KEY.to_uppercase())]);
        assert_eq!(Imprint::new(&entries, KEY, key_of(1), "uid"), None);
    }
}
