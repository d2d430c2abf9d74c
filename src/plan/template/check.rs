//! Refuses an invalid Secret by its field, before a key is created for it.

use super::engine::{Error, Template};
use super::{LARGEST, LONGEST_ENTRY, PREVIOUS_ENTRY, SecretPlan, path};
use crate::api::text::{LONGEST_IN_ALL, LONGEST_TEMPLATE, MOST_ENTRIES};
use crate::api::{GROUP, MANAGED_BY_LABEL};
use crate::plan::names;
use crate::plan::spec_error::SpecError;
use std::collections::BTreeMap;

/// Types that have a special meaning in Kubernetes or other tools.
const RESERVED_TYPES: [&str; 3] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"];
/// Kubernetes' limit for all annotations of an object.
const LARGEST_ANNOTATIONS: usize = 256 * 1024;
/// Size of Keysmith's own annotations, apart from those that grow with the plan.
const OWN_ANNOTATIONS: usize = 4096;

impl SecretPlan {
    pub(super) fn check(&self) -> Result<(), SpecError> {
        names::object(&self.name)
            .map_err(|said| SpecError::invalid("spec.secret.name", format!("{:?} {said}", self.name)))?;
        self.check_type()?;
        self.check_decorations()?;
        if self.keep_previous {
            self.data.keys().try_for_each(|entry| check_room(entry))?;
        }
        self.check_template_size()?;
        self.data.iter().try_for_each(|(entry, template)| self.check_entry(entry, template))
    }

    fn check_template_size(&self) -> Result<(), SpecError> {
        const FIELD: &str = "spec.secret.template.data";
        if self.data.len() > MOST_ENTRIES as usize {
            return Err(SpecError::invalid(
                FIELD,
                format!("no more than {MOST_ENTRIES} entries, the preset's among them"),
            ));
        }
        if let Some((entry, _)) =
            self.data.iter().find(|(_, it)| it.chars().count() > LONGEST_TEMPLATE as usize)
        {
            let message =
                format!("no more than {LONGEST_TEMPLATE} characters; put large texts into a ConfigMap");
            return Err(SpecError::invalid(path(entry), message));
        }
        if self.data.values().map(|it| it.chars().count()).sum::<usize>() > LONGEST_IN_ALL as usize {
            let message =
                format!("no more than {LONGEST_IN_ALL} characters in all; put large texts into a ConfigMap");
            return Err(SpecError::invalid(FIELD, message));
        }
        Ok(())
    }

    fn check_entry(&self, entry: &str, template: &str) -> Result<(), SpecError> {
        names::entry(entry).map_err(|said| SpecError::invalid(path(entry), said))?;
        Template::parse(template).map(drop).map_err(|error| self.refused(entry, &error))
    }

    /// The refusal of an entry whose template cannot be rendered.
    pub(super) fn refused(&self, entry: &str, error: &Error) -> SpecError {
        match error {
            Error::Wrong { line, message } => {
                SpecError::invalid(path(entry), format!("line {line} of the template: {message}"))
            }
            Error::TooLarge => self.too_large(entry),
            Error::TooLong => SpecError::invalid(
                path(entry),
                "the template has too many steps; make it shorter, or its loop",
            ),
        }
    }

    fn check_type(&self) -> Result<(), SpecError> {
        const FIELD: &str = "spec.secret.template.type";
        names::secret_type(&self.kind)
            .map_err(|said| SpecError::invalid(FIELD, format!("{:?} is none: {said}", self.kind)))?;
        if RESERVED_TYPES.contains(&self.kind.as_str()) {
            let message = format!(
                "{} has a meaning of its own in Kubernetes; use Opaque or a type of yours",
                self.kind
            );
            return Err(SpecError::invalid(FIELD, message));
        }
        let required: &[&str] = match self.kind.as_str() {
            "kubernetes.io/tls" => &["tls.crt", "tls.key"],
            "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
            "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
            "kubernetes.io/dockercfg" => &[".dockercfg"],
            "kubernetes.io/basic-auth" if !self.data.contains_key("username") => &["password"],
            _ => &[],
        };
        match required.iter().find(|entry| !self.data.contains_key(**entry)) {
            None => Ok(()),
            Some(entry) => {
                let message = format!(
                    "Kubernetes takes a Secret of type {} only with the entry {entry}; add it to \
                     spec.secret.template.data, or use Opaque",
                    self.kind
                );
                Err(SpecError::invalid(FIELD, message))
            }
        }
    }

    fn check_decorations(&self) -> Result<(), SpecError> {
        let refuse = |map: &str, name: &str, said: &str| {
            Err(SpecError::invalid(format!("spec.secret.template.metadata.{map}[{name}]"), said))
        };
        let reserved = |name: &str| {
            name == MANAGED_BY_LABEL || name.split('/').next().is_some_and(|it| it.ends_with(GROUP))
        };
        let labels = self.labels.keys().map(|name| ("labels", name));
        for (map, name) in labels.chain(self.annotations.keys().map(|name| ("annotations", name))) {
            if reserved(name) {
                return refuse(map, name, "it is Keysmith's own; use another name");
            }
            if let Err(said) = names::key(name) {
                return refuse(map, name, said);
            }
        }
        for (name, value) in &self.labels {
            if let Err(said) = names::label_value(value) {
                return refuse("labels", name, said);
            }
        }
        // Keysmith's annotations list the labels and annotations of the template, and the entries that hold the
        // key.
        let names = self.labels.keys().chain(self.annotations.keys()).map(|name| name.len() + 16);
        let entries = self.data.keys().map(|name| name.len() + 16);
        let own = OWN_ANNOTATIONS + names.chain(entries).sum::<usize>();
        let all = own + self.annotations.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if all > LARGEST_ANNOTATIONS {
            let message = "the annotations, Keysmith's own among them, would be larger than Kubernetes admits (256 KiB); \
                           put the text into an entry";
            return Err(SpecError::invalid("spec.secret.template.metadata.annotations", message));
        }
        Ok(())
    }

    /// Checks that need the rendered templates, here filled with placeholders.
    pub(super) fn check_filled(&self, filled: &BTreeMap<String, String>) -> Result<(), SpecError> {
        let text = |entry: &str| filled.get(entry).map(String::as_str).unwrap_or_default();
        let json = match self.kind.as_str() {
            "kubernetes.io/dockerconfigjson" => ".dockerconfigjson",
            "kubernetes.io/dockercfg" => ".dockercfg",
            "kubernetes.io/ssh-auth" if text("ssh-privatekey").is_empty() => {
                let message =
                    "is empty, which Kubernetes does not take in a Secret of type kubernetes.io/ssh-auth";
                return Err(SpecError::invalid(path("ssh-privatekey"), message));
            }
            _ => return Ok(()),
        };
        let object = serde_json::from_str::<serde_json::Value>(text(json)).is_ok_and(|it| it.is_object());
        if object {
            return Ok(());
        }
        let message = format!(
            "must be a JSON object once it is filled in, or Kubernetes does not take a Secret of type {}",
            self.kind
        );
        Err(SpecError::invalid(path(json), message))
    }

    /// Checks that everything fits into a Secret, including the entries of the previous key.
    pub(super) fn check_size(&self, entry: &str, size: usize, count: usize) -> Result<(), SpecError> {
        // The entries of the previous key are kept beside the new ones for a while, under longer names.
        let kept = if self.keep_previous { size + count * PREVIOUS_ENTRY.len() } else { 0 };
        if size + kept <= LARGEST {
            return Ok(());
        }
        Err(self.too_large(entry))
    }

    fn too_large(&self, entry: &str) -> SpecError {
        let twice = if self.keep_previous { ", with keepPrevious twice over" } else { "" };
        let message = format!("the Secret would be larger than Kubernetes admits (1 MiB{twice})");
        SpecError::invalid(path(entry), message)
    }
}

/// The previous key's entry is named `previous_` plus this name, which must fit.
fn check_room(entry: &str) -> Result<(), SpecError> {
    if entry.starts_with(PREVIOUS_ENTRY) {
        let message =
            "with keepPrevious the names that begin with previous_ are the old key's; use another name";
        return Err(SpecError::invalid(path(entry), message));
    }
    if entry.len() + PREVIOUS_ENTRY.len() > LONGEST_ENTRY {
        let message = "the name is too long to be kept as previous_… with keepPrevious; use one of 244 characters at most";
        return Err(SpecError::invalid(path(entry), message));
    }
    Ok(())
}
