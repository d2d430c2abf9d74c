//! Settings of a whole project: drift from the desired ones, and what to do about it.

use super::same;
use super::spec_error::SpecError;
use crate::api::ProjectSettings;
use crate::api::project_settings::ProjectValues;
use crate::api::rotation::ManagementPolicy;

/// Refuses settings without any value, because they would have no effect. With `Observe` they are allowed.
pub fn check(wanted: &ProjectValues, policy: Option<ManagementPolicy>) -> Result<(), SpecError> {
    if *wanted != ProjectValues::default() || policy == Some(ManagementPolicy::Observe) {
        return Ok(());
    }
    let message =
        "nothing is set, so nothing happens; name at least one setting, such as euNative, or delete this";
    Err(SpecError::invalid("spec.settings", message))
}

/// The desired settings that the vendor shows differently, as paths in the resource.
pub fn differing(wanted: &ProjectValues, shown: &ProjectValues) -> Vec<&'static str> {
    fn differs<T: PartialEq>(wanted: Option<&T>, shown: Option<&T>) -> bool {
        wanted.is_some() && wanted != shown
    }
    let lists = |of: fn(&ProjectValues) -> &Option<Vec<String>>| match (of(wanted), of(shown)) {
        (Some(wanted), Some(shown)) => !same::set(wanted, shown),
        (wanted, _) => wanted.is_some(),
    };
    let table = [
        ("allowOverwrite", differs(wanted.allow_overwrite.as_ref(), shown.allow_overwrite.as_ref())),
        ("allowedProviders", lists(|it| &it.allowed_providers)),
        ("blacklistedModels", lists(|it| &it.blacklisted_models)),
        ("euNative", differs(wanted.eu_native.as_ref(), shown.eu_native.as_ref())),
        ("includeMetadata", differs(wanted.include_metadata.as_ref(), shown.include_metadata.as_ref())),
        ("preference", differs(wanted.preference.as_ref(), shown.preference.as_ref())),
    ];
    table.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// `spec.settings.euNative, spec.settings.preference`, for messages.
pub fn paths(fields: &[&str]) -> String {
    fields.iter().map(|field| format!("spec.settings.{field}")).collect::<Vec<_>>().join(", ")
}

/// The next action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing to do.
    Rest,
    /// Settings differ and are only reported.
    Show(Vec<&'static str>),
    /// Settings differ and are changed.
    Change(Vec<&'static str>),
    /// The settings were changed in this pass, but the vendor does not show the change.
    NotApplied(Vec<&'static str>),
}

/// The next action for the settings that the vendor shows. `changed`: they were changed in this pass.
pub fn next(resource: &ProjectSettings, shown: &ProjectValues, changed: bool) -> Next {
    let fields = differing(&resource.spec.settings, shown);
    let observed = resource.spec.management_policy == Some(ManagementPolicy::Observe);
    match (fields.is_empty(), observed, changed) {
        (true, ..) => Next::Rest,
        (false, true, _) => Next::Show(fields),
        (false, false, true) => Next::NotApplied(fields),
        (false, false, false) => Next::Change(fields),
    }
}

/// Whether `one` takes precedence over `other` for the same project: the older resource does.
pub fn precedes(one: &ProjectSettings, other: &ProjectSettings) -> bool {
    let key = |it: &ProjectSettings| {
        let meta = &it.metadata;
        (meta.creation_timestamp.as_ref().map(|it| it.0), meta.namespace.clone(), meta.name.clone())
    };
    key(one) < key(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::project_settings::Preference;

    #[test]
    fn settings_that_set_nothing_are_for_looking_only() {
        let none = ProjectValues::default();
        assert_eq!(check(&none, None).unwrap_err().field, "spec.settings");
        assert!(check(&none, Some(ManagementPolicy::Manage)).is_err());
        assert_eq!(check(&none, Some(ManagementPolicy::Observe)), Ok(()));
        assert_eq!(check(&ProjectValues { eu_native: Some(true), ..none }, None), Ok(()));
    }

    #[test]
    fn only_what_is_wanted_and_different_counts() {
        let shown = ProjectValues {
            allow_overwrite: Some(true),
            allowed_providers: Some(vec!["Scaleway".into(), "mistral ".into(), "mistral".into()]),
            eu_native: Some(false),
            ..ProjectValues::default()
        };
        let wanted = ProjectValues {
            allowed_providers: Some(vec!["mistral".into(), "scaleway".into()]),
            eu_native: Some(true),
            preference: Some(Preference::Cost),
            ..ProjectValues::default()
        };
        assert_eq!(differing(&wanted, &shown), ["euNative", "preference"]);
        assert_eq!(differing(&ProjectValues::default(), &shown), [""; 0]);
        let another =
            ProjectValues { allowed_providers: Some(vec!["mistral".into(), "ovh".into()]), ..wanted };
        assert_eq!(differing(&another, &shown), ["allowedProviders", "euNative", "preference"]);
        let emptied = ProjectValues { allowed_providers: Some(vec![]), ..ProjectValues::default() };
        assert_eq!(differing(&emptied, &shown), ["allowedProviders"]);
        assert_eq!(paths(&["euNative"]), "spec.settings.euNative");
    }
}
