//! The table of drivers: what a resource for each of them looks like, so that one story is told for all.

use keysmith::emulator::Surface;
use keysmith::gateway::DRIVERS;
use keysmith::plan::capability::{Capabilities, Recovery, Support};
use keysmith::plan::naming::{Mark, Serial};
use keysmith::plan::spec_field::SpecField;
use serde_json::{Map, Value, json};

/// A driver and the emulated vendor it speaks to.
pub trait Driver: Copy {
    /// What the vendor can do.
    fn capabilities(self) -> &'static Capabilities;

    /// A ConsoleToken's spec, without the token.
    fn token_spec(self) -> Value;

    /// What becomes of the field of that name.
    fn support(self, field: &str) -> Support {
        let field =
            SpecField::named(field).unwrap_or_else(|| panic!("{field} is no field of a GatewayApiKey"));
        self.capabilities().support(field)
    }

    /// Those fields of a GatewayApiKey's spec that the vendor has in any way.
    fn full(self, fields: Value) -> Value;

    /// Those that it changes in place.
    fn changeable(self, fields: Value) -> Value;

    /// A field of a GatewayApiKey's spec with a value that the vendor cannot honour.
    fn refused(self) -> (&'static str, Value);

    /// How a rotation goes, without what the vendor cannot do.
    fn rotation(self, rotation: Value) -> Value;

    /// What the ledger calls the account; empty where the token alone decides whose it is.
    fn account(self) -> String;

    /// What a key with that mark is called there.
    fn name_of(self, mark: &Mark, display: &str) -> String;

    /// Whether a key outlives the loss of its secret.
    fn reveals(self) -> bool {
        self.capabilities().recovery == Recovery::Reveal
    }
}

impl Driver for Surface {
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

fn row(surface: Surface) -> &'static keysmith::gateway::Driver {
    DRIVERS.iter().find(|it| it.name == surface.name()).expect("every surface has a driver")
}

/// The example of the registry, with the organization in which the emulator's console works.
fn vendor(surface: Surface) -> Value {
    let mut vendor: Value = serde_yaml::from_str(&format!("{{{}}}", row(surface).example)).unwrap();
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
