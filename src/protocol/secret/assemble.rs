//! The Secret as it is sent: entries, labels and annotations around the key.

use super::inside::{Imprint, content, key_in, target};
use super::{Delivery, Guard, Key, Undelivered};
use crate::api::{
    CONTENT, DECORATIONS, EXPIRES_AT, FENCE, KEY_AT, KEY_ID, MANAGED_BY_LABEL, MANAGER, PREVIOUS, RENDERED,
    SERIAL, TEMPLATE,
};
use crate::plan::facts::{KeyInSecret, Target};
use crate::plan::naming::Serial;
use crate::plan::template::{PREVIOUS_ENTRY, Variables};
use crate::protocol::ports::SecretPort;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// The serial of the key of a Secret, if this text contains the key. `annotation`: the Secret's `keysmith.dev/key-at`;
/// `uid`: that of its owner.
#[expect(clippy::disallowed_methods, reason = "what leaves here is whether it is the key of a Secret")]
pub fn serial_in(text: &SecretString, annotation: &str, uid: &str) -> Option<Serial> {
    Imprint::decode(annotation)?.serial_of(text.expose_secret(), uid)
}

impl<S: SecretPort> Guard<S> {
    /// Renders the Secret of a delivery, based on the present one if there is one.
    pub(super) fn assemble(
        &self,
        present: Option<Secret>,
        delivery: &Delivery<'_>,
    ) -> Result<Secret, Undelivered> {
        let uid = &delivery.owner.uid;
        let bytes_in_secret;
        let key = match delivery.key {
            Key::Given(key) => key,
            Key::Present => {
                let found = present.as_ref().and_then(|secret| key_in(secret, uid, Some(delivery.plan)));
                // The Secret contained the key when it was last read; the next read decides.
                let served = found.filter(|(key, _)| key.is(delivery.serial, delivery.id));
                bytes_in_secret = served.ok_or(Undelivered::Superseded)?.1;
                &bytes_in_secret
            }
        };
        let (filled, imprint) = self.render(delivery, key)?;
        let mut secret = present.unwrap_or_else(|| self.blank(delivery));
        secret.type_ = Some(delivery.plan.kind.clone());
        let previous = previous(&secret, delivery);
        match &previous {
            Some((serial, _)) => secret.annotations_mut().insert(PREVIOUS.to_owned(), serial.to_string()),
            None => secret.annotations_mut().remove(PREVIOUS),
        };
        let mut entries = filled;
        entries.extend(previous.into_iter().flat_map(|(_, entries)| entries));
        secret.data = Some(entries);
        decorate(&mut secret, delivery);
        match imprint {
            Some(imprint) => secret.annotations_mut().insert(KEY_AT.to_owned(), imprint.encode()),
            None => secret.annotations_mut().remove(KEY_AT),
        };
        let content = content(&secret, uid);
        secret.annotations_mut().insert(CONTENT.to_owned(), content);
        Ok(secret)
    }

    fn blank(&self, delivery: &Delivery<'_>) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(delivery.plan.name.clone()),
                namespace: Some(self.0.namespace().to_owned()),
                owner_references: Some(vec![delivery.owner.clone()]),
                ..ObjectMeta::default()
            },
            ..Secret::default()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the Secret is where keys go")]
    fn render(
        &self,
        delivery: &Delivery<'_>,
        key: &SecretString,
    ) -> Result<(BTreeMap<String, ByteString>, Option<Imprint>), Undelivered> {
        let expires_at = delivery.expires_at.map(|at| at.to_string()).unwrap_or_default();
        let variables = Variables {
            key: key.expose_secret(),
            base_url: delivery.base_url,
            key_id: &delivery.id.0,
            name: &delivery.owner.name,
            namespace: self.0.namespace(),
            serial: delivery.serial.0,
            expires_at: &expires_at,
            models: delivery.models,
        };
        let filled = delivery.plan.render(&variables).map_err(Undelivered::Template)?;
        let which = KeyInSecret { serial: delivery.serial, id: Some(delivery.id.clone()) };
        let imprint = Imprint::new(&filled, key.expose_secret(), which, &delivery.owner.uid);
        let entries = filled.into_iter().map(|(entry, text)| (entry, ByteString(text.into_bytes())));
        Ok((entries.collect(), imprint))
    }
}

/// The entries of the previous key: those that the Secret contains under its serial, or has kept already.
fn previous(secret: &Secret, delivery: &Delivery<'_>) -> Option<(Serial, BTreeMap<String, ByteString>)> {
    let wanted = delivery.previous?;
    let Target::Ours(held) = target(secret, &delivery.owner.uid, None) else {
        return None;
    };
    let kept = |(entry, _): &(&String, &ByteString)| entry.starts_with(PREVIOUS_ENTRY);
    let data = secret.data.as_ref()?;
    if held.serial == Some(wanted) && wanted != delivery.serial {
        // An edited Secret is no faithful copy of what readers of the previous key know, so its entries are not kept.
        let entries = data.iter().filter(|it| held.intact && !kept(it));
        let renamed = entries.map(|(entry, bytes)| (format!("{PREVIOUS_ENTRY}{entry}"), bytes.clone()));
        return Some((wanted, renamed.collect()))
            .filter(|(_, entries): &(_, BTreeMap<_, _>)| !entries.is_empty());
    }
    let entries = data.iter().filter(kept).map(|(entry, bytes)| (entry.clone(), bytes.clone()));
    Some((held.previous?, entries.collect()))
}

/// Sets our labels and annotations and the template's, and removes those of an earlier template; those of other
/// controllers stay.
fn decorate(secret: &mut Secret, delivery: &Delivery<'_>) {
    let plan = delivery.plan;
    let previous: Vec<String> = secret
        .annotations()
        .get(DECORATIONS)
        .map(|list| list.split(',').map(str::to_owned).collect())
        .unwrap_or_default();
    for name in previous {
        match name.split_once(':') {
            Some(("label", name)) => drop(secret.labels_mut().remove(name)),
            Some((_, name)) => drop(secret.annotations_mut().remove(name)),
            None => {}
        }
    }
    let labels = plan.labels.keys().map(|name| format!("label:{name}"));
    let names: Vec<_> =
        labels.chain(plan.annotations.keys().map(|name| format!("annotation:{name}"))).collect();
    secret.labels_mut().extend(plan.labels.clone());
    secret.labels_mut().insert(MANAGED_BY_LABEL.to_owned(), MANAGER.to_owned());
    let annotations = secret.annotations_mut();
    annotations.extend(plan.annotations.clone());
    annotations.insert(SERIAL.to_owned(), delivery.serial.to_string());
    annotations.insert(FENCE.to_owned(), delivery.fence.to_string());
    annotations.insert(KEY_ID.to_owned(), delivery.id.0.clone());
    annotations.insert(TEMPLATE.to_owned(), delivery.rendering.all.clone());
    annotations.insert(RENDERED.to_owned(), delivery.rendering.used.clone());
    match delivery.expires_at {
        Some(at) => annotations.insert(EXPIRES_AT.to_owned(), at.to_string()),
        None => annotations.remove(EXPIRES_AT),
    };
    if names.is_empty() {
        annotations.remove(DECORATIONS)
    } else {
        annotations.insert(DECORATIONS.to_owned(), names.join(","))
    };
}
