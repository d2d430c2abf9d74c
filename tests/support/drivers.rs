//! The table of drivers: the manifests for each of them, so that one story runs at all.

use keysmith::emulator::VendorId;
use keysmith::gateway::DRIVERS;
use keysmith::plan::capability::{Capabilities, Recovery, Support};
use keysmith::plan::naming::{Mark, Serial};
use keysmith::plan::spec_field::SpecField;
use serde_json::{Map, Value, json};

/// A driver and its emulated vendor.
pub trait Driver: Copy {
    /// The vendor's capabilities.
    fn capabilities(self) -> &'static Capabilities;

    /// A ConsoleToken's spec, without the token.
    fn token_spec(self) -> Value;

    /// The support of the field of that name.
    fn support(self, field: &str) -> Support {
        let field =
            SpecField::named(field).unwrap_or_else(|| panic!("{field} is no field of a GatewayApiKey"));
        self.capabilities().support(field)
    }

    /// The fields of a GatewayApiKey's spec that the vendor supports in any way.
    fn full(self, fields: Value) -> Value;

    /// The fields that the vendor changes in place.
    fn changeable(self, fields: Value) -> Value;

    /// A field of a GatewayApiKey's spec with a value that the vendor cannot honour.
    fn refused(self) -> (&'static str, Value);

    /// The rotation settings without those that the vendor does not support.
    fn rotation(self, rotation: Value) -> Value;

    /// The account in the ledger; empty if only the token identifies the account.
    fn account(self) -> String;

    /// The name of a key with that mark at the vendor.
    fn name_of(self, mark: &Mark, display: &str) -> String;

    /// Whether the vendor reveals a secret again.
    fn reveals(self) -> bool {
        self.capabilities().recovery == Recovery::Reveal
    }
}

impl Driver for VendorId {
    fn capabilities(self) -> &'static Capabilities {
        row(self).capabilities
    }

    fn token_spec(self) -> Value {
        json!({
            "vendor": vendor(self),
            "endpoint": format!("http://emulator.test/{}", self.path()),
            "gatewayUrl": format!("http://emulator.test/{}", self.gateway_path()),
        })
    }

    fn full(self, fields: Value) -> Value {
        only(fields, |field| self.support(field) != Support::Unsupported)
    }

    fn changeable(self, fields: Value) -> Value {
        only(fields, |field| self.support(field) == Support::InPlace)
    }

    fn refused(self) -> (&'static str, Value) {
        match self.capabilities().support(SpecField::DebugMode) {
            Support::Unsupported => ("debugMode", json!(true)),
            _ => ("type", json!("Sandbox")),
        }
    }

    fn rotation(self, rotation: Value) -> Value {
        let table = self.capabilities();
        let rotation = only(rotation, |field| match field {
            "brownOut" => table.disable,
            "maxOverlap" => table.last_used,
            _ => true,
        });
        json!({"rotation": rotation})
    }

    fn account(self) -> String {
        let vendor = serde_json::from_value(vendor(self)).unwrap();
        (row(self).account)(&vendor).unwrap().to_owned()
    }

    fn name_of(self, mark: &Mark, display: &str) -> String {
        mark.styled(self.capabilities().names, display, Serial(1))
    }
}

fn row(vendor_id: VendorId) -> &'static keysmith::gateway::Driver {
    DRIVERS.iter().find(|it| it.name == vendor_id.name()).expect("every vendor_id has a driver")
}

/// The example of the registry, with the organization in which the emulator's console works.
fn vendor(vendor_id: VendorId) -> Value {
    let mut vendor: Value = serde_yaml::from_str(&format!("{{{}}}", row(vendor_id).example)).unwrap();
    for place in vendor.as_object_mut().unwrap().values_mut() {
        if let Some(organization) = place.get_mut("organizationId") {
            *organization = json!("org_test");
        }
    }
    vendor
}

fn only(fields: Value, keep: impl Fn(&str) -> bool) -> Value {
    let Value::Object(fields) = fields else { return fields };
    fields.into_iter().filter(|(field, _)| keep(field)).collect::<Map<_, _>>().into()
}
