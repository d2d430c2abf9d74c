//! Refuses an invalid Secret by its field, before a key is created for it.

use super::{LARGEST, LONGEST_ENTRY, PREVIOUS_ENTRY, SecretPlan, environment, path};
use crate::api::{GROUP, MANAGED_BY_LABEL};
use crate::plan::names;
use crate::plan::spec_error::SpecError;
use std::collections::BTreeMap;

const VARIABLES: [&str; 8] =
    ["key", "baseUrl", "keyId", "name", "namespace", "serial", "expiresAt", "models"];
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
        self.data.iter().try_for_each(|(entry, template)| check_entry(entry, template))
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
    pub(super) fn check_size(&self, (entry, size, count): (&str, usize, usize)) -> Result<(), SpecError> {
        // The entries of the previous key are kept beside the new ones for a while, under longer names.
        let kept = if self.keep_previous { size + count * PREVIOUS_ENTRY.len() } else { 0 };
        if size + kept <= LARGEST {
            return Ok(());
        }
        let twice = if self.keep_previous { ", with keepPrevious twice over" } else { "" };
        let message = format!("the Secret would be larger than Kubernetes admits (1 MiB{twice})");
        Err(SpecError::invalid(path(entry), message))
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

fn check_entry(entry: &str, template: &str) -> Result<(), SpecError> {
    names::entry(entry).map_err(|said| SpecError::invalid(path(entry), said))?;
    let environment = environment();
    let parsed = environment.template_from_str(template).map_err(|error| {
        let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
        SpecError::invalid(path(entry), format!("the template does not parse{line}: {}", error.kind()))
    })?;
    let mut named: Vec<_> = parsed.undeclared_variables(false).into_iter().collect();
    named.sort();
    let functions = ["range", "dict", "namespace", "lipsum", "debug"];
    let unknown = |name: &&String| !VARIABLES.contains(&name.as_str()) && !functions.contains(&name.as_str());
    match named.iter().find(unknown) {
        None => Ok(()),
        Some(name) => {
            let message = format!("unknown variable {name}; there are {}", VARIABLES.join(", "));
            Err(SpecError::invalid(path(entry), message))
        }
    }
}
