//! `keysmith explain`: the capabilities of each vendor, from the same table by which specifications are refused.

use crate::api::gateway_api_key::KeyType;
use crate::gateway::{DRIVERS, Driver};
use crate::plan::capability::{Capabilities, Minting, Recovery, Support};
use crate::plan::spec_field::SpecField;
use serde_json::{Value, json};
use std::fmt::Write;

/// As JSON: `{"drivers": [{"name": …}]}`.
pub fn json(vendor: Option<&str>) -> Result<String, String> {
    let drivers: Vec<_> = select(vendor)?.into_iter().map(document).collect();
    serde_json::to_string_pretty(&json!({ "drivers": drivers })).map_err(|error| error.to_string())
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

fn document(driver: &Driver) -> Value {
    let mut document = serde_json::to_value(driver.capabilities).unwrap_or_default();
    document["name"] = json!(driver.name);
    document
}

fn select(vendor: Option<&str>) -> Result<Vec<&'static Driver>, String> {
    let drivers: Vec<_> = DRIVERS.iter().filter(|it| vendor.is_none_or(|vendor| it.name == vendor)).collect();
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

fn table(text: &mut String, driver: &Driver) -> std::fmt::Result {
    writeln!(text, "{} ({})", driver.name, driver.capabilities.title)?;
    for (what, value) in facts(driver.capabilities) {
        writeln!(text, "  {what:<17} {value}")?;
    }
    writeln!(text, "\n  {:<18} {:<22} NOTE", "GatewayApiKey.spec", "A CHANGE")?;
    for field in SpecField::ALL {
        let said = driver.capabilities.field(field);
        let support = match said.support {
            Support::InPlace => "reaches the key",
            Support::AtCreation => "needs a new key",
            Support::Operator => "is Keysmith's own",
            Support::Unsupported => "is refused",
        };
        writeln!(text, "  {:<18} {:<22} {}", field.name(), support, said.note)?;
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
    let endpoint = driver.endpoint.own().unwrap_or("wherever you run it: set spec.endpoint");
    let gateway = driver.gateway_url.own().unwrap_or("the management API's URL");
    vec![
        ("management API", endpoint.to_owned()),
        ("gateway", format!("{gateway}, OpenAI's language at {gateway}{}", driver.openai_path)),
        ("types of keys", types(driver)),
        ("presets", list(driver.presets)),
        ("budgets", budgets(driver)),
        ("a lost Secret", lost.to_owned()),
        ("a lost answer", unheard.to_owned()),
        ("switching off", yes(driver.disable)),
        ("a revoked key", revoked(driver)),
        ("last use reported", yes(driver.last_used)),
        ("orphans", if driver.created_at { "revoked" } else { "reported, and left to people" }.to_owned()),
        (
            "spending",
            driver.usage.spending.map_or_else(|| "not reported".to_owned(), |how| format!("{how}{balance}")),
        ),
        ("calls", calls(driver)),
        ("console tokens", format!("made {minting}")),
        ("ProviderKeys", yes(driver.provider_keys)),
        ("ProjectSettings", yes(driver.project_settings)),
    ]
}

fn revoked(driver: &Capabilities) -> String {
    match driver.revocation_lag.as_secs() {
        0 => "is refused at once, as far as documented".to_owned(),
        lag => format!("may still work for {lag} s where several instances run"),
    }
}

fn calls(driver: &Capabilities) -> String {
    let (rate, burst) = (driver.calls_per_second, driver.burst);
    format!("at most {rate} per second, {burst} at once, unless a ConsoleToken says callsPerSecond")
}

fn types(driver: &Capabilities) -> String {
    let types: Vec<_> = driver.types.iter().filter(|it| **it != KeyType::Management).collect();
    if types.is_empty() { "console tokens only".to_owned() } else { list(types) }
}

fn budgets(driver: &Capabilities) -> String {
    if driver.budget.periods.is_empty() {
        return "none by API; see budget below".to_owned();
    }
    let whole = if driver.budget.whole { "whole " } else { "" };
    let (currency, periods) = (driver.budget.currency, list(driver.budget.periods));
    let spent = if driver.budget.keeps_spent { "; another amount leaves what was spent" } else { "" };
    format!("{whole}{currency}, period {periods}, from midnight {}{spent}", driver.budget.zone)
}

fn list<'a, T: std::fmt::Debug + 'a>(items: impl IntoIterator<Item = &'a T>) -> String {
    items.into_iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_every_driver_with_every_field() {
        let expected = SpecField::ALL.map(SpecField::name);
        let document: serde_json::Value = serde_json::from_str(&json(None).unwrap()).unwrap();
        assert_eq!(document.as_object().unwrap().keys().collect::<Vec<_>>(), ["drivers"]);
        let drivers = document["drivers"].as_array().unwrap();
        let names: Vec<_> = drivers.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, DRIVERS.iter().map(|it| it.name).collect::<Vec<_>>());
        for driver in drivers {
            let rows = driver["fields"].as_array().unwrap();
            let fields: Vec<_> = rows.iter().map(|it| it["field"].as_str().unwrap()).collect();
            assert_eq!(fields, expected, "{}", driver["name"]);
            for row in rows {
                let support = row["support"].as_str().unwrap();
                assert!(["InPlace", "AtCreation", "Operator", "Unsupported"].contains(&support), "{row}");
                assert!(row["note"].is_string(), "{row}");
            }
        }
    }

    #[test]
    fn explain_prints_every_field_for_people() {
        for driver in DRIVERS {
            let text = text(Some(driver.name)).unwrap();
            for field in SpecField::ALL {
                let note = driver.capabilities.field(field).note;
                assert!(!note.is_empty(), "{} has no note on {}", driver.name, field.name());
                let cell = format!("  {:<18} ", field.name());
                let line = text.lines().find(|line| line.starts_with(&cell));
                assert!(line.is_some_and(|line| line.ends_with(note)), "{field:?}: {line:?}");
            }
        }
    }

    #[test]
    fn an_unknown_vendor_is_refused_with_the_known_ones() {
        assert!(text(Some("acme")).unwrap_err().contains("edgee"));
    }
}
