//! The fields of a GatewayApiKey's specification as a closed list, used by the vendors' tables, by refusals and by
//! drift.

use crate::api::GatewayApiKeySpec;

/// A field of a GatewayApiKey's `spec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecField {
    /// `consoleTokenRef`
    ConsoleTokenRef,
    /// `displayName`
    DisplayName,
    /// `type`
    Type,
    /// `codingAssistant`
    CodingAssistant,
    /// `models`
    Models,
    /// `budget`
    Budget,
    /// `rateLimit`
    RateLimit,
    /// `expiresInDays`
    ExpiresInDays,
    /// `email`
    Email,
    /// `active`
    Active,
    /// `debugMode`
    DebugMode,
    /// `rotation`
    Rotation,
    /// `secret`
    Secret,
    /// `deletionPolicy`
    DeletionPolicy,
    /// `externalId`
    ExternalId,
    /// `managementPolicy`
    ManagementPolicy,
    /// `suspend`
    Suspend,
}

impl SpecField {
    /// Every field, in the order of tables. The hash of the fields that are fixed when a key is made (`immutable_hash`, in status)
    /// follows this order: another one would replace every key.
    pub const ALL: [Self; 17] = [
        Self::ConsoleTokenRef,
        Self::DisplayName,
        Self::Type,
        Self::CodingAssistant,
        Self::Models,
        Self::Budget,
        Self::RateLimit,
        Self::ExpiresInDays,
        Self::Email,
        Self::Active,
        Self::DebugMode,
        Self::Rotation,
        Self::Secret,
        Self::DeletionPolicy,
        Self::ExternalId,
        Self::ManagementPolicy,
        Self::Suspend,
    ];

    /// Its name below `spec`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsoleTokenRef => "consoleTokenRef",
            Self::DisplayName => "displayName",
            Self::Type => "type",
            Self::CodingAssistant => "codingAssistant",
            Self::Models => "models",
            Self::Budget => "budget",
            Self::RateLimit => "rateLimit",
            Self::ExpiresInDays => "expiresInDays",
            Self::Email => "email",
            Self::Active => "active",
            Self::DebugMode => "debugMode",
            Self::Rotation => "rotation",
            Self::Secret => "secret",
            Self::DeletionPolicy => "deletionPolicy",
            Self::ExternalId => "externalId",
            Self::ManagementPolicy => "managementPolicy",
            Self::Suspend => "suspend",
        }
    }

    /// The field with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// The fields that a specification sets, in the order of their names. A value that equals the default counts as
    /// not set, because it cannot be an ignored wish.
    pub fn set_in(spec: &GatewayApiKeySpec) -> Vec<Self> {
        // Without `..`, so that a new field of the specification does not compile until it is handled here.
        let GatewayApiKeySpec {
            console_token_ref: _,
            display_name,
            kind,
            coding_assistant,
            models,
            budget,
            rate_limit,
            expires_in_days,
            email,
            active,
            debug_mode,
            rotation,
            secret,
            deletion_policy,
            external_id,
            management_policy,
            suspend,
        } = spec;
        let table: [(Self, bool); Self::ALL.len()] = [
            (Self::ConsoleTokenRef, true),
            (Self::DisplayName, display_name.is_some()),
            (Self::Type, kind.is_some()),
            (Self::CodingAssistant, coding_assistant.is_some()),
            (Self::Models, !models.is_empty()),
            (Self::Budget, budget.is_some()),
            (Self::RateLimit, rate_limit.is_some()),
            (Self::ExpiresInDays, expires_in_days.is_some()),
            (Self::Email, email.is_some()),
            (Self::Active, *active == Some(false)),
            (Self::DebugMode, *debug_mode == Some(true)),
            (Self::Rotation, rotation.is_some()),
            (Self::Secret, secret.is_some()),
            (Self::DeletionPolicy, deletion_policy.is_some()),
            (Self::ExternalId, external_id.is_some()),
            (Self::ManagementPolicy, management_policy.is_some()),
            (Self::Suspend, *suspend == Some(true)),
        ];
        let mut fields: Vec<_> = table.into_iter().filter(|(_, set)| *set).map(|(field, _)| field).collect();
        fields.sort_by_key(|field| field.name());
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GatewayApiKey;
    use kube::CustomResourceExt;
    use serde_json::json;

    #[test]
    fn the_list_of_fields_is_the_schema_of_the_spec() {
        let crd = serde_json::to_value(GatewayApiKey::crd()).unwrap();
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let mut schema: Vec<_> = crd.pointer(path).unwrap().as_object().unwrap().keys().collect();
        let mut names: Vec<_> = SpecField::ALL.iter().map(|field| field.name()).collect();
        schema.sort();
        names.sort_unstable();
        assert_eq!(names, schema);
        assert!(SpecField::ALL.iter().all(|field| SpecField::named(field.name()) == Some(*field)));
        assert_eq!(SpecField::named("expiresInDay"), None);
    }

    #[test]
    fn what_says_the_same_as_leaving_a_field_out_is_not_set() {
        let set = |spec: serde_json::Value| {
            let mut whole = json!({"consoleTokenRef": {"name": "a"}});
            whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let spec = serde_json::from_value(whole).unwrap();
            SpecField::set_in(&spec).iter().map(|field| field.name()).collect::<Vec<_>>()
        };
        let nothing =
            json!({"active": true, "debugMode": false, "suspend": false, "models": [], "email": null});
        assert_eq!(set(nothing), ["consoleTokenRef"]);
        let everything = json!({
            "displayName": "a", "type": "Api", "codingAssistant": "a", "models": ["m"], "expiresInDays": 1, "email": "a@b.c",
            "budget": {"amount": "1", "period": "Once"}, "rateLimit": {"parallel": 1}, "active": false, "debugMode": true, "rotation": {}, "secret": {},
            "deletionPolicy": "Delete", "externalId": "a", "managementPolicy": "Manage", "suspend": true,
        });
        let mut all = SpecField::ALL.map(SpecField::name);
        all.sort_unstable();
        assert_eq!(set(everything), all);
    }
}
