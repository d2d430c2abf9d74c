//! What users write: the custom resources, the annotations, and the names Keysmith leaves in a cluster.
//!
//! Data only. Nothing here decides, waits or talks to anything.

pub mod cluster_console_token;
pub mod condition;
pub mod console_token;
pub mod event;
pub mod former;
pub mod gateway_api_key;
pub mod kind;
pub mod project_settings;
pub mod provider_key;
pub mod rotation;
pub mod shared;
pub mod text;
pub mod verdict;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, Resource};

pub use cluster_console_token::{ClusterConsoleToken, ClusterConsoleTokenSpec};
pub use condition::Reason;
pub use console_token::{ConsoleToken, ConsoleTokenSpec, ConsoleTokenStatus};
pub use event::EventReason;
pub use gateway_api_key::{GatewayApiKey, GatewayApiKeySpec, GatewayApiKeyStatus};
pub use project_settings::{ProjectSettings, ProjectSettingsSpec, ProjectSettingsStatus};
pub use provider_key::{ProviderKey, ProviderKeySpec, ProviderKeyStatus};
pub use verdict::{LastPass, Verdict};

/// API group of every kind.
pub const GROUP: &str = "keysmith.dev";
/// API version of every kind.
pub const VERSION: &str = "v1alpha1";
/// Field manager of every write, and the value of the managed-by label.
pub const MANAGER: &str = "keysmith";
/// Keeps a resource until what it stands for at the vendor is gone. An operator with a class has one of its own, which begins
/// like this.
pub const FINALIZER: &str = "keysmith.dev/cleanup";
/// On a Secret with a console token: keeps it until nothing needs the token any more to clean up.
pub const TOKEN_IN_USE: &str = "keysmith.dev/token-in-use";
/// On every Secret that Keysmith writes.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The claim that precedes every irreversible vendor call: a JSON object with serial, time, purpose, and what a later pass must know of the call.
pub const CLAIM: &str = "keysmith.dev/claim";
/// On a Secret: the serial of the key it holds.
pub const SERIAL: &str = "keysmith.dev/serial";
/// On a Secret: writers with a lower serial are refused.
pub const FENCE: &str = "keysmith.dev/fence";
/// On a Secret: the vendor's id of the key it holds.
pub const KEY_ID: &str = "keysmith.dev/key-id";
/// On a Secret: when the key it holds expires, RFC 3339; absent when it never does.
pub const EXPIRES_AT: &str = "keysmith.dev/expires-at";
/// On a Secret: SHA-256 of everything Keysmith put in, so that an edit by hand is noticed.
pub const CONTENT: &str = "keysmith.dev/content";
/// On a Secret: hash of the template and of every input it could have, as version 0.1 wrote it. Kept so that a rollback
/// to that version finds its own Secrets.
pub const TEMPLATE: &str = "keysmith.dev/template";
/// On a Secret: hash of the template it was rendered with and of those inputs that the template uses.
pub const RENDERED: &str = "keysmith.dev/rendered-from";
/// On a Secret: where the bytes of the key stand, with a salted hash of them, so that everything else can be written
/// around the key.
pub const KEY_AT: &str = "keysmith.dev/key-at";
/// On a Secret: the labels and annotations that come from the template, so that they can be taken away again.
pub const DECORATIONS: &str = "keysmith.dev/decorations";
/// On any resource: a new value makes Keysmith look at the vendor now. The handled value is echoed in status.
pub const RECONCILE_REQUESTED: &str = "keysmith.dev/reconcile-requested-at";
/// On a GatewayApiKey: a new value replaces the key once. The handled value is echoed in status.
pub const ROTATE_REQUESTED: &str = "keysmith.dev/rotate-requested-at";
/// On a GatewayApiKey: a new value says that the served key leaked: a new one now, the old one dead at once. The
/// handled value is echoed in status.
pub const LEAKED: &str = "keysmith.dev/leaked";
/// On a resource that is being deleted: lets it go although what it stands for at the vendor could not be removed.
/// What stays behind is recorded.
pub const FORCE_ORPHAN: &str = "keysmith.dev/force-orphan";
/// On a ConsoleToken or a ClusterConsoleToken: the account that it leads to now, as its status names it, where that is another one than before or has
/// lost its keys, and that is meant. The handled value is echoed in status.
pub const ACCEPT_ACCOUNT: &str = "keysmith.dev/accept-account";
/// On a Secret: the serial of the old key that its `previous_` entries hold.
pub const PREVIOUS: &str = "keysmith.dev/previous-serial";

/// Every custom resource definition, as it is written to `crds/`.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = Vec::new();
    kind::for_each_kind!(K => crds.push(tidy(with_status_default(K::crd()))));
    crds
}

/// The resources of all kinds, as the API server lists them. Said without the definitions, whose schemas take long.
pub fn plurals() -> Vec<String> {
    let mut plurals = Vec::new();
    kind::for_each_kind!(K => plurals.push(K::plural(&()).into_owned()));
    plurals
}

fn tidy(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        schema.into_iter().for_each(tidy_schema);
    }
    crd
}

/// Lets the API server drop `null`, which is what it does with fields that are not nullable: "not set" is then said in
/// one way only, and CEL's `has` means what it says. Descriptions lose the line ends of the source, which `kubectl explain`
/// would keep in the middle of a sentence.
fn tidy_schema(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.description = schema.description.as_deref().map(unfolded);
    schema.properties.iter_mut().flat_map(|it| it.values_mut()).for_each(tidy_schema);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy_schema(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(more)) = &mut schema.additional_properties {
        tidy_schema(more);
    }
}

/// Each paragraph in one line; lists keep theirs.
fn unfolded(text: &str) -> String {
    let paragraph = |text: &str| {
        let lines = text.lines().map(str::trim_end);
        lines.fold(String::new(), |mut whole, line| {
            if !whole.is_empty() {
                whole.push(if line.trim_start().starts_with("- ") { '\n' } else { ' ' });
            }
            whole + line
        })
    };
    text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// Gives `status` the default `{observedGeneration: -1}`: tools that follow kstatus see "in progress" from
/// the first moment of a resource, at the price of no write at all. (Flux does the same.)
fn with_status_default(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let status: Option<&mut JSONSchemaProps> = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
            .and_then(|root| root.properties.as_mut())
            .and_then(|properties| properties.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
        }
    }
    crd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_sentences_and_not_lines_of_source() {
        assert_eq!(
            unfolded("One\nsentence.\n\nA list:\n- one\n- two"),
            "One sentence.\n\nA list:\n- one\n- two"
        );
    }

    #[test]
    fn plurals_match_the_definitions() {
        let long: Vec<_> = crds().into_iter().map(|crd| crd.spec.names.plural).collect();
        assert_eq!(plurals(), long);
    }
}
