//! Any specification that the schema admits ends in Ready or in a reason, and editing back recovers. The transitions are
//! generated from the definitions: every field gets valid, boundary and invalid values and is taken out, one at a time,
//! and is then put back.

use crate::support::drivers::Driver;
use crate::support::report;
use crate::support::world::{World, key_spec, merged};
use futures::future::join_all;
use keysmith::emulator::VendorId;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The schema of `spec` of a kind.
fn schema(kind: &str) -> Value {
    let crds = keysmith::api::crds();
    let crd = crds.iter().find(|it| it.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap().clone()
}

/// Texts that some field takes, and some that none does.
const TEXTS: [&str; 21] = [
    "",
    " ",
    "a",
    "A b",
    "a/b",
    "0s",
    "1h",
    "90m",
    "8760h",
    "nonsense",
    "1",
    "0",
    "2.50",
    "-1",
    "1e9",
    "2027-01-01T00:00:00Z",
    "team@example.com",
    "Europe/Berlin",
    "09:00",
    "\u{202e}txt",
    "{{ key }}",
];

/// Values for a schema: valid, at its bounds, and beyond them or of another type.
fn values(schema: &Value) -> Vec<Value> {
    let number = |name: &str| schema[name].as_i64();
    let mut values = match schema["type"].as_str() {
        Some("string") => {
            let named = schema["enum"].as_array().cloned().unwrap_or_default();
            let long = number("maxLength").unwrap_or(300);
            let long = [long, long + 1].map(|it| json!("a".repeat(usize::try_from(it).unwrap().min(40_000))));
            let texts = if named.is_empty() { TEXTS.map(Value::from).to_vec() } else { Vec::new() };
            named
                .into_iter()
                .chain(texts)
                .chain(long)
                .chain([json!("Elsewhere"), json!(7), json!({"a": 1})])
                .collect()
        }
        Some("integer") => {
            let bounds = [number("minimum").unwrap_or(0), number("maximum").unwrap_or(i64::from(i32::MAX))];
            let around = bounds.into_iter().flat_map(|it| [it - 1, it, it + 1]).map(Value::from);
            around.chain([json!(1), json!("1"), json!(1.5)]).collect()
        }
        Some("boolean") => vec![json!(true), json!(false), json!("true")],
        Some("array") => {
            let items = values(&schema["items"]);
            let first = items.iter().find(|it| it.as_str() != Some("")).cloned().unwrap_or_else(|| json!({}));
            let most = usize::try_from(number("maxItems").unwrap_or(8)).unwrap().min(300);
            let one = items.into_iter().take(8).map(|it| json!([it]));
            one.chain([json!([]), json!(vec![first.clone(); most]), json!(vec![first; most + 1]), json!("x")])
                .collect()
        }
        _ if schema["additionalProperties"].is_object() => {
            let one = values(&schema["additionalProperties"]).into_iter().take(12);
            let keys = ["a", "b.c/d", "A B", "keysmith.dev/claim"].map(|key| json!({key: "x"}));
            one.map(|it| json!({"a": it})).chain(keys).chain([json!({}), json!([])]).collect()
        }
        _ => vec![json!({}), json!("x")],
    };
    // Taken out.
    values.push(Value::Null);
    values
}

/// Merge patches of `spec`: every field at every depth.
fn patches(schema: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let mut inner = if field["properties"].is_object() { patches(field) } else { Vec::new() };
        inner.extend(values(field));
        found.extend(inner.into_iter().map(|value| Value::Object(Map::from_iter([(name.clone(), value)]))));
    }
    found
}

/// A resource that goes through transitions.
struct Subject<'a> {
    world: &'a World,
    kind: &'static str,
    name: String,
    base: Value,
}

#[derive(Default)]
struct Count {
    refused: usize,
    ready: usize,
    reasons: BTreeMap<String, usize>,
}

impl Subject<'_> {
    async fn get(&self) -> DynamicObject {
        self.world.api(self.kind).get(&self.name).await.unwrap()
    }

    /// Waits until status is about the present generation. Returns status and reason of `Ready`.
    async fn settled(&self, what: &str, check: impl Fn(&str) -> bool) -> (String, String) {
        self.world
            .eventually(what, async || {
                let object = self.get().await;
                let status = &object.data["status"];
                let ready =
                    status["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == "Ready");
                let text =
                    |field: &str| ready.and_then(|it| it[field].as_str()).unwrap_or_default().to_owned();
                let current = ready.is_some_and(|it| {
                    it["observedGeneration"].as_i64() == object.metadata.generation && it["message"] != ""
                });
                if current && check(&text("status")) {
                    Ok((text("status"), text("reason")))
                } else {
                    Err(format!("{:?} {status}", object.metadata.generation))
                }
            })
            .await
    }

    /// One transition and back.
    async fn take(&self, patch: &Value, count: &mut Count) {
        let edit = Patch::Merge(json!({"spec": patch}));
        let what = format!("{} with {patch}", self.kind);
        let what = what.chars().take(300).collect::<String>();
        match self.world.api(self.kind).patch(&self.name, &PatchParams::default(), &edit).await {
            // The API server says what is wrong, and nothing has changed.
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 409 => {
                assert!(!status.message.is_empty(), "{what}");
                count.refused += 1;
                return;
            }
            outcome => drop(outcome.unwrap()),
        }
        let (ready, reason) = self.settled(&format!("{what} ends in Ready or a reason"), |_| true).await;
        count.ready += usize::from(ready == "True");
        *count.reasons.entry(reason).or_default() += 1;
        let back: json_patch::Back = json_patch::back(&self.base);
        self.world.api(self.kind).patch(&self.name, &PatchParams::default(), &back).await.unwrap();
        self.settled(&format!("{what} and back is Ready"), |ready| ready == "True").await;
    }
}

mod json_patch {
    use kube::api::Patch;
    use serde_json::{Value, json};

    pub type Back = Patch<()>;

    /// Replaces the whole specification.
    pub fn back(spec: &Value) -> Back {
        let patch = json!([{"op": "replace", "path": "/spec", "value": spec}]);
        Patch::Json(serde_json::from_value(patch).unwrap())
    }
}

/// Number of resources that go through the transitions of a kind at the same time.
const AT_ONCE: usize = 8;

async fn all(world: &World, kind: &'static str, base: &Value, total: &mut Count) {
    all_of(world, kind, base, AT_ONCE, total).await;
}

/// The same with so many resources at a time: two ProjectSettings of one project would be in each other's way.
async fn all_of(world: &World, kind: &'static str, base: &Value, lanes: usize, total: &mut Count) {
    // KEYSMITH_TRANSITION chooses those with a text, such as one that failed.
    let chosen = std::env::var("KEYSMITH_TRANSITION").unwrap_or_default();
    let mut patches = patches(&schema(kind));
    patches.retain(|it| it.to_string().contains(&chosen));
    // The API server refuses the change; the simulated one has no rules, and no operator of the other class is there.
    patches.retain(|it| !world.is_simulated() || !it.to_string().contains("controllerClass"));
    let running = (0..lanes).map(|lane| {
        let mine: Vec<_> = patches.iter().skip(lane).step_by(lanes).cloned().collect();
        let subject =
            Subject { world, kind, name: format!("{}-{lane}", kind.to_lowercase()), base: base.clone() };
        async move {
            world.create(kind, &subject.name, base.clone()).await;
            subject.settled(&format!("{kind} is Ready"), |ready| ready == "True").await;
            let mut count = Count::default();
            for patch in &mine {
                subject.take(patch, &mut count).await;
            }
            world.delete(kind, &subject.name).await;
            world.gone(kind, &subject.name).await;
            count
        }
    });
    for count in join_all(running).await {
        total.refused += count.refused;
        total.ready += count.ready;
        for (reason, number) in count.reasons {
            *total.reasons.entry(reason).or_default() += number;
        }
    }
}

/// Through every transition of every kind; then the operator still works.
pub async fn every_specification_ends_in_ready_or_a_reason_and_editing_back_recovers(world: &mut World) {
    world.stop().await;
    world.keys_per_day = 1_000_000;
    world.start().await;
    world.token().await;
    let mut total = Count::default();
    let capabilities = world.vendor_id.capabilities();
    let rotation = json!({"rotation": {"overlap": "0s", "brownOut": "0s"}});
    all(world, "GatewayApiKey", &key_spec(rotation), &mut total).await;
    all(world, "ConsoleToken", &world.token_spec(), &mut total).await;
    if capabilities.provider_keys {
        world.write_secret("openai", &[("api_key", "canary-credential")]).await;
        let spec = json!({
            "consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "openai"},
            "scope": "Organization",
        });
        all(world, "ProviderKey", &spec, &mut total).await;
    }
    if capabilities.project_settings {
        let spec = json!({"consoleTokenRef": {"name": "edgee"}, "settings": {"euNative": true}});
        all_of(world, "ProjectSettings", &spec, 1, &mut total).await;
    }
    let made: usize = total.reasons.values().sum();
    report::add(&[
        ("transitions", made + total.refused),
        ("transitions refused by a rule", total.refused),
        ("transitions to Ready", total.ready),
    ]);
    let least = if world.vendor_id == VendorId::Edgee { 1_000 } else { 600 };
    assert!(made + total.refused >= least && made >= least / 4, "{made} {}", total.refused);
    world.create("GatewayApiKey", "after", merged(key_spec(json!({})), json!({}))).await;
    world.ready("GatewayApiKey", "after").await;
}
