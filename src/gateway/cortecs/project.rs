//! Settings of a Cortecs project (contract §3.3, C4 and C5). The configuration is written as a whole. It is therefore
//! read first, and everything in it that is not ours is sent back unchanged: a missing field might be wiped.

use super::Cortecs;
use crate::api::project_settings::{Preference, ProjectValues};
use crate::gateway::http::{Answer, Call, Wire, hidden_is_none};
use crate::gateway::{Project, Projects, Whole, lenient, refusal};
use crate::plan::fault::{Fault, FaultKind};
use async_trait::async_trait;
use http::Method;
use serde_json::{Map, Value, json};

const CONFIGURATION: [&str; 3] = ["v1", "manage", "project-configs"];
const INFERENCE: &str = "inference_config";

/// The vendor's names of configuration fields. Fields that are not in this list are the vendor's own and only sent
/// back.
const FIELDS: &[refusal::Field] = &[
    ("allow_overwrite", Some("spec.settings.allowOverwrite")),
    ("allowed_providers", Some("spec.settings.allowedProviders")),
    ("blacklisted_models", Some("spec.settings.blacklistedModels")),
    ("eu_native", Some("spec.settings.euNative")),
    ("include_metadata", Some("spec.settings.includeMetadata")),
    ("preference", Some("spec.settings.preference")),
    (INFERENCE, Some("spec.settings")),
    ("_id", None),
    ("project_id", None),
    ("active", None),
    ("schema_version", None),
    ("created_at", None),
    ("updated_at", None),
];

fn flag(value: Option<&Value>) -> Option<bool> {
    value.and_then(Value::as_bool)
}

fn list(value: Option<&Value>) -> Option<Vec<String>> {
    let texts = value?.as_array()?.iter();
    Some(texts.filter_map(|it| it.as_str().map(str::to_owned)).collect())
}

const fn word(preference: Preference) -> &'static str {
    match preference {
        Preference::Speed => "speed",
        Preference::Cost => "cost",
        Preference::Balanced => "balanced",
    }
}

fn preference(value: Option<&Value>) -> Option<Preference> {
    let text = value?.as_str()?.trim();
    [Preference::Speed, Preference::Cost, Preference::Balanced]
        .into_iter()
        .find(|it| word(*it).eq_ignore_ascii_case(text))
}

fn shown(whole: &Map<String, Value>) -> ProjectValues {
    let inference = whole.get(INFERENCE).and_then(Value::as_object);
    let of = |name: &str| inference.and_then(|it| it.get(name));
    ProjectValues {
        allow_overwrite: flag(whole.get("allow_overwrite")),
        allowed_providers: list(of("allowed_providers")),
        blacklisted_models: list(of("blacklisted_models")),
        eu_native: flag(of("eu_native")),
        include_metadata: flag(of("include_metadata")),
        preference: preference(of("preference")),
    }
}

/// The configuration with the wanted settings in place of the current ones. `None`: it has no place for them, and the
/// effect of settings that are not sent is not documented.
fn merged(mut whole: Map<String, Value>, wanted: &ProjectValues) -> Option<Map<String, Value>> {
    let inference = whole.get_mut(INFERENCE)?.as_object_mut()?;
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            inference.insert(name.to_owned(), value);
        }
    };
    put("allowed_providers", wanted.allowed_providers.as_ref().map(|it| json!(it)));
    put("blacklisted_models", wanted.blacklisted_models.as_ref().map(|it| json!(it)));
    put("eu_native", wanted.eu_native.map(Value::from));
    put("include_metadata", wanted.include_metadata.map(Value::from));
    put("preference", wanted.preference.map(|it| json!(word(it))));
    if let Some(allow) = wanted.allow_overwrite {
        whole.insert("allow_overwrite".to_owned(), Value::from(allow));
    }
    Some(whole)
}

/// The configuration, without what must not be shown. An empty response is no configuration.
fn readable(answer: &Answer) -> Result<Map<String, Value>, Fault> {
    let none = || Fault::without_effect(FaultKind::NoSettings);
    if answer.bytes().trim_ascii().is_empty() {
        return Err(none());
    }
    match answer.read()? {
        Value::Null => Err(none()),
        Value::Array(list) if list.is_empty() => Err(none()),
        Value::Object(fields) if fields.is_empty() => Err(none()),
        Value::Object(fields) => Ok(fields),
        _ => Err(Fault::without_effect(FaultKind::Malformed("the configuration is no object"))),
    }
}

/// The configuration has a path of its own, so a 404 means that the project has none.
fn unconfigured(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::NotFound => Fault { kind: FaultKind::NoSettings, ..fault },
        _ => fault,
    }
}

/// The id of the project. `None`: the vendor does not return it.
pub(super) async fn id(wire: &Wire) -> Result<Option<String>, Fault> {
    let answer = hidden_is_none(wire.send(Call::new(Method::GET, &CONFIGURATION)).await)?;
    let whole: Option<Value> = answer.map(|it| it.read()).transpose()?;
    Ok(whole.as_ref().and_then(|it| it.get("project_id")).and_then(lenient::account))
}

#[async_trait]
impl Projects for Cortecs {
    async fn read(&self) -> Result<Project, Fault> {
        let answer = self.wire.send(Call::new(Method::GET, &CONFIGURATION)).await.map_err(unconfigured)?;
        let readable = readable(&answer)?;
        let malformed = || Fault::without_effect(FaultKind::Malformed("the configuration names no project"));
        let id = readable.get("project_id").and_then(lenient::account).ok_or_else(malformed)?;
        Ok(Project { id, shown: shown(&readable), whole: Whole(answer.whole()?) })
    }

    async fn write(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault> {
        let unsafe_to_write = Fault::without_effect(FaultKind::Malformed(
            "it does not show inference_config, which a change might wipe; change the settings in the vendor's console",
        ));
        let body = merged(project.whole.0, wanted).ok_or(unsafe_to_write)?;
        let call = Call {
            body: Some(Value::Object(body)),
            fields: FIELDS,
            ..Call::new(Method::PUT, &CONFIGURATION)
        };
        self.wire.send(call).await.map_err(unconfigured)?.updated().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_goes_back_as_it_came() {
        let Value::Object(whole) = json!({
            "_id": "c", "project_id": "p", "active": true, "schema_version": "v9", "allow_overwrite": true,
            "created_at": "2025-09-25T08:29:50.735Z", "updated_at": "2025-09-25T08:29:50.735Z",
            "inference_config": {"preference": "speed", "eu_native": false, "brand_new": {"a": [1]}},
        }) else {
            panic!()
        };
        let wanted = ProjectValues {
            preference: Some(Preference::Cost),
            allow_overwrite: Some(false),
            ..ProjectValues::default()
        };
        let mut expected = whole.clone();
        expected["allow_overwrite"] = json!(false);
        expected["inference_config"]["preference"] = json!("cost");
        assert_eq!(merged(whole.clone(), &wanted), Some(expected.clone()));
        assert_eq!(shown(&expected).preference, Some(Preference::Cost));
        let mut blind = whole;
        blind.remove(INFERENCE);
        assert_eq!(merged(blind, &wanted), None);
    }
}
