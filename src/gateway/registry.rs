//! The registry of vendors: one row per driver. Everything that depends on the vendor of a ConsoleToken is looked up
//! here; no file outside a vendor's own folder names a vendor.

use super::access::Access;
use super::http::Wire;
use super::{Gateway, cortecs, edenai, edgee, litellm, openrouter};
use crate::api::console_token::Vendor;
use crate::plan::capability::Capabilities;
use crate::plan::identity::AnyToken;
use crate::plan::ledger::{Place, TokenPlace};

/// Every driver, in the order of `keysmith explain`.
pub const DRIVERS: &[Driver] = &[
    edgee::DRIVER,
    edenai::v2::DRIVER,
    edenai::v3::DRIVER,
    edenai::v3::ISSUER_DRIVER,
    cortecs::DRIVER,
    litellm::DRIVER,
    openrouter::DRIVER,
];

/// A driver: one row of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// Its name, as in `keysmith explain <name>`.
    pub name: &'static str,
    /// An example of `spec.vendor` for it.
    pub example: &'static str,
    /// Its capabilities.
    pub capabilities: &'static Capabilities,
    /// How its API is accessed.
    pub access: Access,
    /// `None`: `spec.vendor` selects another driver. Otherwise the organization or account that it names, or an empty text where
    /// the token decides.
    pub account: fn(&Vendor) -> Option<&str>,
    /// Whether what `account` says is an account of its own, with limits of its own, so that shards may divide by it. Where the
    /// token decides, or several names are parts of one account, all tokens of an API are in one shard.
    pub divides: bool,
    /// Opens the driver over the HTTP client of one token.
    pub open: fn(&Vendor, Wire) -> Box<dyn Gateway>,
}

impl Driver {
    /// Its field in `spec.vendor`, as the example says it.
    pub fn field(&self) -> &'static str {
        self.example.split(':').next().unwrap_or_default()
    }

    /// Opens the driver over the HTTP client of one token.
    pub fn connect(&self, vendor: &Vendor, wire: Wire) -> Box<dyn Gateway> {
        (self.open)(vendor, wire.accessed(self.access))
    }
}

/// The vendors that an operator supports. Tests use others, with abilities that no real vendor has yet.
#[derive(Clone, Copy, Debug)]
pub struct Vendors(&'static [Driver]);

impl Default for Vendors {
    fn default() -> Self {
        Self(DRIVERS)
    }
}

impl Vendors {
    /// Exactly these drivers.
    pub const fn of(drivers: &'static [Driver]) -> Self {
        Self(drivers)
    }

    /// All drivers.
    pub fn drivers(&self) -> impl Iterator<Item = &'static Driver> + use<> {
        self.0.iter()
    }

    /// The fields of `spec.vendor`, each once.
    pub fn fields(&self) -> Vec<&'static str> {
        let mut fields: Vec<_> = self.drivers().map(Driver::field).collect();
        fields.dedup();
        fields
    }

    /// The driver of a vendor.
    pub fn driver(&self, vendor: &Vendor) -> Option<&'static Driver> {
        self.0.iter().find(|driver| (driver.account)(vendor).is_some())
    }

    /// Capabilities of a vendor.
    pub fn capabilities(&self, vendor: &Vendor) -> Option<&'static Capabilities> {
        self.driver(vendor).map(|driver| driver.capabilities)
    }

    /// The titles of the vendors with that capability, each once.
    pub fn able(&self, can: fn(&Capabilities) -> bool) -> impl Iterator<Item = &'static str> + use<> {
        let mut titles: Vec<_> =
            self.drivers().map(|it| it.capabilities).filter(|it| can(it)).map(|it| it.title).collect();
        titles.dedup();
        titles.into_iter()
    }

    /// The location by which shards divide: that of the account, or of the whole API.
    pub fn division(&self, token: &AnyToken) -> Place {
        let place = self.place(token).place;
        let divides = self.driver(&token.spec().vendor).is_some_and(|it| it.divides);
        if divides { place } else { Place { account: String::new(), ..place } }
    }

    /// The account coordinates of a ConsoleToken.
    pub fn place(&self, token: &AnyToken) -> TokenPlace {
        let spec = token.spec();
        let driver = self.driver(&spec.vendor);
        let named = |driver: &Driver| (driver.account)(&spec.vendor).unwrap_or_default().to_owned();
        let endpoint = driver.map(|it| it.capabilities.endpoint_of(spec));
        let endpoint = endpoint.unwrap_or(spec.endpoint.as_deref()).unwrap_or_default();
        let reference = token.reference();
        let vendor = driver.map_or("", |it| it.capabilities.name);
        let place = Place::of(&reference, vendor, endpoint, &driver.map_or_else(String::new, named));
        let account = token.status().and_then(|it| it.account.as_ref());
        TokenPlace {
            token: reference,
            place,
            pinned: account.map_or_else(String::new, |it| it.id.clone()),
            doubted: account.is_some_and(|it| it.doubted_since.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::gateway_api_key::KeyType;
    use crate::gateway::transport::Transport;
    use crate::plan::capability::{Endpoint, GatewayUrl, ModelNames, Recovery, Support};
    use crate::plan::drift::Field;
    use crate::plan::fault::{Fault, FaultKind};
    use crate::plan::spec_field::SpecField;
    use crate::runtime::clock::Clock;
    use async_trait::async_trait;
    use bytes::Bytes;
    use http::{Request, Response};
    use secrecy::SecretString;
    use serde_json::json;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    struct Nowhere;

    #[async_trait]
    impl Transport for Nowhere {
        async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
            Err(Fault::without_effect(FaultKind::Disconnected))
        }
    }

    fn wire() -> Wire {
        let (base, token) = ("https://vendor.test".parse().unwrap(), SecretString::from("t"));
        Wire::new(base, token, Arc::new(Nowhere), Clock::system())
    }

    fn vendor(driver: &Driver) -> Vendor {
        serde_yaml::from_str(&format!("{{{}}}", driver.example)).unwrap()
    }

    #[test]
    fn each_driver_is_for_its_own_example_and_for_no_other() {
        for driver in DRIVERS {
            let vendor = vendor(driver);
            let of: Vec<_> = DRIVERS.iter().filter(|it| (it.account)(&vendor).is_some()).collect();
            assert_eq!(of.len(), 1, "{}", driver.name);
            assert_eq!(Vendors::default().driver(&vendor).map(|it| it.name), Some(driver.name));
            assert_eq!(serde_json::to_value(&vendor).unwrap().as_object().unwrap().len(), 1);
            assert!(serde_json::to_value(&vendor).unwrap().get(driver.field()).is_some(), "{}", driver.name);
        }
        let names: BTreeSet<_> = DRIVERS.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), DRIVERS.len());
        assert!(Vendors::default().driver(&Vendor::default()).is_none());
        // The name, which status, metrics and the ledger use, and the title, which messages use, both identify the
        // API.
        for (one, other) in DRIVERS.iter().flat_map(|one| DRIVERS.iter().map(move |other| (one, other))) {
            let (one, other) = (one.capabilities, other.capabilities);
            assert_eq!(one.name == other.name, one.title == other.title);
        }
    }

    #[test]
    fn a_driver_has_exactly_the_abilities_that_its_table_says() {
        for driver in DRIVERS {
            let (gateway, table) = (driver.connect(&vendor(driver), wire()), driver.capabilities);
            let printed = |table| serde_json::to_value::<&Capabilities>(table).unwrap();
            assert_eq!(printed(gateway.capabilities()), printed(table), "{}", driver.name);
            let abilities = [
                ("reveal", gateway.reveal().is_some(), table.recovery == Recovery::Reveal),
                ("another_secret", gateway.another_secret().is_some(), table.recovery == Recovery::Rotate),
                ("usage", gateway.usage().is_some(), table.usage.spending.is_some()),
                ("models", gateway.models().is_some(), table.models.listed),
                ("credit", gateway.credit().is_some(), table.usage.balance),
                ("projects", gateway.projects().is_some(), table.project_settings),
                ("provider_keys", gateway.provider_keys().is_some(), table.provider_keys),
            ];
            for (ability, has, said) in abilities {
                assert_eq!(has, said, "{} {ability}", driver.name);
            }
            assert!(table.usage.spending.is_some() || !table.usage.path, "{}", driver.name);
        }
    }

    #[test]
    fn a_table_promises_nothing_that_the_code_cannot_do() {
        for driver in DRIVERS {
            let table = driver.capabilities;
            let said = |field| table.support(field);
            for field in SpecField::ALL {
                let sent_again = Field::of(field).is_some();
                assert!(said(field) != Support::InPlace || sent_again, "{} {field:?}", driver.name);
            }
            let budgets = said(SpecField::Budget) != Support::Unsupported;
            assert_eq!(budgets, !table.budget.periods.is_empty(), "{}", driver.name);
            let models = said(SpecField::Models) != Support::Unsupported;
            assert!(models || table.models == ModelNames::UNLISTED, "{}", driver.name);
            let agents = said(SpecField::CodingAssistant) != Support::Unsupported;
            assert_eq!(agents, table.types.contains(&KeyType::CodingAgent), "{}", driver.name);
            assert_eq!(said(SpecField::Active) != Support::Unsupported, table.disable, "{}", driver.name);
        }
    }

    #[test]
    fn whoever_lacks_an_ability_is_told_who_has_it() {
        let able = |can: fn(&Capabilities) -> bool| Vendors::default().able(can).collect::<Vec<_>>();
        for can in [(|it| it.provider_keys) as fn(&Capabilities) -> bool, |it| it.project_settings] {
            assert!(!able(can).is_empty());
        }
        assert_eq!(able(|_| true).len(), DRIVERS.len() - 1, "an issuer is no vendor of its own");
    }

    #[test]
    fn a_vendor_that_people_run_themselves_is_where_its_token_says() {
        static TABLE: Capabilities = Capabilities {
            name: "own",
            endpoint: Endpoint::Required,
            gateway_url: GatewayUrl::Endpoint,
            ..edgee::CAPABILITIES
        };
        static OWN: [Driver; 1] = [Driver { name: "own", capabilities: &TABLE, ..edgee::DRIVER }];
        let vendors = Vendors::of(&OWN);
        let token = |spec: serde_json::Value| -> AnyToken {
            let mut whole = json!({"vendor": {"edgee": {"organizationId": "o"}}});
            whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            let token: crate::api::ConsoleToken = serde_json::from_value(json!({
                "apiVersion": "keysmith.dev/v1alpha1", "kind": "ConsoleToken", "metadata": {"name": "a"}, "spec": whole,
            }))
            .unwrap();
            token.into()
        };
        let (endpoint, elsewhere) = ("https://llm.example.com/sub/", "https://gateway.example.com/");
        for (spec, place, base) in [
            (json!({"endpoint": endpoint}), endpoint, "https://llm.example.com/sub"),
            (json!({"endpoint": endpoint, "gatewayUrl": elsewhere}), endpoint, "https://gateway.example.com"),
            (json!({}), "", ""),
        ] {
            let token = token(spec);
            assert_eq!(vendors.place(&token).place.endpoint, place);
            assert_eq!(TABLE.base_url(token.spec()), base);
        }
        let own = token(json!({}));
        assert_eq!(edgee::CAPABILITIES.base_url(own.spec()), "https://api.edgee.ai");
        assert_eq!(Vendors::default().place(&own).place.endpoint, "https://api.edgee.app");
        let printed = serde_json::to_value(&TABLE).unwrap();
        assert_eq!((&printed["endpoint"], &printed["gatewayUrl"]), (&json!(null), &json!(null)));
    }
}
