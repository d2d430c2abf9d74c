//! `keysmith explain`: what each vendor can do, from the same table that refuses what it cannot.

use crate::gateway::DRIVERS;
use crate::plan::capability::{Capabilities, Support};
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
            "unknown vendor {}; there are: {}",
            vendor.unwrap_or_default(),
            known.join(", ")
        ));
    }
    Ok(drivers)
}

fn table(text: &mut String, driver: &Capabilities) -> std::fmt::Result {
    writeln!(text, "{} ({})", driver.name, driver.title)?;
    writeln!(text, "  management API   {}", driver.endpoint)?;
    writeln!(text, "  gateway          {}", driver.gateway_url)?;
    let periods: Vec<_> = driver.budget.periods.iter().map(|it| format!("{it:?}")).collect();
    let whole = if driver.budget.whole { "whole " } else { "" };
    writeln!(
        text,
        "  budgets          {}{}, period {}",
        whole,
        driver.budget.currency,
        periods.join(" or ")
    )?;
    writeln!(text, "  a lost Secret    is restored by {:?}", driver.recovery)?;
    writeln!(text, "  provider keys    {}", if driver.provider_keys { "yes" } else { "no" })?;
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
    fn an_unknown_vendor_is_told_the_known_ones() {
        assert!(text(Some("acme")).unwrap_err().contains("edgee"));
    }
}
