//! `keysmith explain`: what each vendor can do, from the same table that refuses what it cannot.

use crate::api::gateway_api_key::KeyType;
use crate::gateway::DRIVERS;
use crate::plan::capability::{Capabilities, Minting, Recovery, Support};
use std::fmt::Write;

/// As JSON: `{"drivers": [{"name": …}]}`.
pub fn json(vendor: Option<&str>) -> Result<String, String> {
    let drivers = select(vendor)?;
    let document = serde_json::json!({ "drivers": drivers });
    serde_json::to_string_pretty(&document).map_err(|error| error.to_string())
}

/// As a table.
pub fn text(vendor: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    for driver in select(vendor)? {
        // Writing to a String does not fail.
        let _ = table(&mut text, driver);
    }
    Ok(text)
}

fn select(vendor: Option<&str>) -> Result<Vec<&'static Capabilities>, String> {
    let drivers: Vec<_> =
        DRIVERS.iter().copied().filter(|it| vendor.is_none_or(|vendor| it.name == vendor)).collect();
    if drivers.is_empty() {
        let known: Vec<_> = DRIVERS.iter().map(|it| it.name).collect();
        return Err(format!(
            "unknown vendor {:?}; there are: {}",
            vendor.unwrap_or_default(),
            known.join(", ")
        ));
    }
    Ok(drivers)
}

fn table(text: &mut String, driver: &Capabilities) -> std::fmt::Result {
    writeln!(text, "{} ({})", driver.name, driver.title)?;
    for (what, value) in facts(driver) {
        writeln!(text, "  {what:<17} {value}")?;
    }
    writeln!(text, "\n  {:<18} {:<22} NOTE", "GatewayApiKey.spec", "A CHANGE")?;
    for field in driver.fields {
        let support = match field.support {
            Support::InPlace => "reaches the key",
            Support::AtCreation => "needs a new key",
            Support::Operator => "is Keysmith's own",
            Support::Unsupported => "is refused",
        };
        writeln!(text, "  {:<18} {:<22} {}", field.field, support, field.note)?;
    }
    writeln!(text)
}

fn facts(driver: &Capabilities) -> Vec<(&'static str, String)> {
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let another = "means a new key: the vendor shows a key once; the old one works for the overlap";
    let (lost, unheard) = match driver.recovery {
        Recovery::Reveal => (
            "is restored with the same key, which the vendor shows again",
            "the key is found by its mark, and shown again",
        ),
        Recovery::Rotate => (another, "the key is found by its mark, and given another secret"),
        Recovery::Once => (another, "the key is found by its mark and deleted, and another one is made"),
    };
    let minting = match driver.console_tokens {
        Minting::Console => "by a person, in the vendor's console",
        Minting::Issuer => "by Keysmith (spec.mint), with a ConsoleToken of the vendor's issuer tier",
        Minting::Peer => "by Keysmith (spec.mint), with any other ConsoleToken",
    };
    let balance = if driver.usage.balance { "; the account's balance too" } else { "" };
    vec![
        ("management API", driver.endpoint.to_owned()),
        (
            "gateway",
            format!(
                "{}, OpenAI's language at {}{}",
                driver.gateway_url, driver.gateway_url, driver.openai_path
            ),
        ),
        ("types of keys", list(driver.types.iter().filter(|it| **it != KeyType::Management))),
        ("presets", list(driver.presets)),
        ("budgets", budgets(driver)),
        ("a lost Secret", lost.to_owned()),
        ("a lost answer", unheard.to_owned()),
        ("switching off", yes(driver.disable)),
        ("last use told", yes(driver.last_used)),
        ("orphans", if driver.created_at { "revoked" } else { "reported, and left to people" }.to_owned()),
        (
            "spending",
            driver.usage.spending.map_or_else(|| "not told".to_owned(), |how| format!("{how}{balance}")),
        ),
        ("console tokens", format!("made {minting}")),
        ("ProviderKeys", yes(driver.provider_keys)),
        ("ProjectSettings", yes(driver.project_settings)),
    ]
}

fn budgets(driver: &Capabilities) -> String {
    if driver.budget.periods.is_empty() {
        return "none by API; see budget below".to_owned();
    }
    let whole = if driver.budget.whole { "whole " } else { "" };
    let (currency, periods) = (driver.budget.currency, list(driver.budget.periods));
    format!("{whole}{currency}, period {periods}, from midnight {}", driver.budget.zone)
}

fn list<'a, T: std::fmt::Debug + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    items.into_iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GatewayApiKey;
    use kube::CustomResourceExt;

    #[test]
    fn every_driver_says_what_becomes_of_every_field_of_the_spec() {
        let crd = serde_json::to_value(GatewayApiKey::crd()).unwrap();
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let fields = crd.pointer(path).unwrap().as_object().unwrap();
        for driver in DRIVERS {
            for field in fields.keys() {
                assert!(driver.field(field).is_some(), "{} says nothing of {field}", driver.name);
            }
            for it in driver.fields {
                assert!(
                    fields.contains_key(it.field),
                    "{} speaks of {}, which is no field",
                    driver.name,
                    it.field
                );
            }
        }
    }

    #[test]
    fn programs_get_every_driver_with_every_field() {
        let spec = serde_json::to_value(GatewayApiKey::crd()).unwrap();
        let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let mut expected: Vec<_> = spec.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect();
        expected.sort();
        let document: serde_json::Value = serde_json::from_str(&json(None).unwrap()).unwrap();
        assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["drivers"]);
        let drivers = document["drivers"].as_array().unwrap();
        let names: Vec<_> = drivers.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["edgee", "edenai-v2", "edenai-v3", "cortecs"]);
        for driver in drivers {
            let rows = driver["fields"].as_array().unwrap();
            let mut fields: Vec<_> = rows.iter().map(|it| it["field"].as_str().unwrap().to_owned()).collect();
            fields.sort();
            assert_eq!(fields, expected, "{}", driver["name"]);
            for row in rows {
                let support = row["support"].as_str().unwrap();
                assert!(["InPlace", "AtCreation", "Operator", "Unsupported"].contains(&support), "{row}");
                assert!(row["note"].is_string(), "{row}");
            }
        }
    }

    #[test]
    fn people_are_told_something_of_every_field() {
        for driver in DRIVERS {
            let text = text(Some(driver.name)).unwrap();
            for field in driver.fields {
                assert!(!field.note.is_empty(), "{} has no note on {}", driver.name, field.field);
                let cell = format!("  {:<18} ", field.field);
                let line = text.lines().find(|line| line.starts_with(&cell));
                assert!(line.is_some_and(|line| line.ends_with(field.note)), "{}: {line:?}", field.field);
            }
        }
    }

    #[test]
    fn an_unknown_vendor_is_told_the_known_ones() {
        assert!(text(Some("acme")).unwrap_err().contains("edgee"));
    }
}
