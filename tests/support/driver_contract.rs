//! The driver contract, as far as it is about answers of vendors: no secret and no text of a vendor leaves a driver
//! (`secrecy`), and no malformed answer makes it panic or return data that the answer does not have (`garbage`). Every
//! driver passes all of it; each vendor has its row of facts in `tests/*/contract.rs`. The classes of faults are in
//! `faults`.

pub mod faults;
pub mod garbage;
pub mod secrecy;
pub mod stage;

use super::garbage::month;
use super::orders::{budgeted, id, order, renamed};
use super::stub::{Aside, Stub};
use ::secrecy::SecretString;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::VendorId;
use keysmith::gateway::http::Wire;
use keysmith::gateway::{Amendment, Gateway, Order, ProviderKeyOrder};
use keysmith::plan::capability::{Recovery, Support};
use keysmith::plan::fault::Fault;
use keysmith::plan::spec_field::SpecField;
use keysmith::plan::usage::Span;
use serde_json::Value;
use stage::OptionalCalls;
use stage::Stage;
use std::sync::Arc;

/// The provider credential that the contract sends.
const CREDENTIAL: &str = "sk-ant-emulated-credential";

/// One driver, and the answers of a correct vendor.
pub struct Contract {
    /// The emulated vendor.
    pub vendor_id: VendorId,
    /// A console token that works there.
    pub token: &'static str,
    /// Connects the driver with that wire.
    pub connect: fn(Wire) -> Box<dyn Gateway>,
    /// The `Debug` text of a driver with that wire, by `Probe`.
    pub debug: fn(Wire) -> String,
    /// The key type.
    pub kind: KeyType,
    /// The field that identifies a key.
    pub id: &'static str,
    /// The field with the name of a key.
    pub name: &'static str,
    /// The field of an answer about one key that holds the key, if it is not the answer itself.
    pub inside: Option<&'static str>,
    /// The answers to calls that the driver makes beside the one in question.
    pub aside: Aside,
    /// The fields of a new key that may hold its secret.
    pub secret: &'static [&'static str],
    /// Whether keys can be changed.
    pub amends: bool,
    /// Whether a listing is the only way to read a key.
    pub looks_by_listing: bool,
    /// The field of a listing that holds its rows, and whether a bare array is a listing too.
    pub listing: (&'static str, bool),
    /// Whether an answer says that the listing is complete.
    pub whole: fn(&Value) -> bool,
    /// Whether rows without an id are legitimate, so that they do not count as skipped.
    pub idless_rows: bool,
    /// The answers of a correct vendor.
    pub sound: fn() -> Sound,
}

/// The answers of a correct vendor to any call.
pub struct Sound {
    /// A key, with its secret.
    pub key: Value,
    /// A listing of one key.
    pub listing: Value,
    /// The spending of keys, if it is JSON, and its sum in millionths.
    pub spending: Option<(Value, u64)>,
    /// The balance of the account, in millionths.
    pub balance: Option<(Value, i64)>,
    /// Other answers.
    pub others: Vec<Value>,
}

impl Sound {
    /// Every answer.
    pub fn all(self) -> Vec<Value> {
        let amounts = self.spending.map(|it| it.0).into_iter().chain(self.balance.map(|it| it.0));
        [self.key, self.listing].into_iter().chain(amounts).chain(self.others).collect()
    }
}

/// The calls of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Whose,
    List,
    Get,
    Mint,
    Reissue,
    Recover,
    Amend,
    Revoke,
    Spending,
    Balance,
    Models,
    ReadProject,
    ListProviderKeys,
    CreateProviderKey,
    Reassign,
    RemoveProviderKey,
}

impl Contract {
    /// The driver with a wire to a stub.
    pub fn stubbed(&self, stub: &Arc<Stub>) -> Box<dyn Gateway> {
        (self.connect)(stub.wire_beside(self.token, self.aside))
    }

    /// The driver with a wire to the emulated vendor.
    pub fn emulated(&self, stage: &Stage) -> Box<dyn Gateway> {
        (self.connect)(stage.wire(self.vendor_id, self.token))
    }

    /// An order with every field that the driver supports.
    pub fn full_order(&self, gateway: &dyn Gateway) -> Order {
        let table = gateway.capabilities();
        let takes =
            |field: SpecField| table.support(field) != Support::Unsupported && self.kind == KeyType::Api;
        let budget = takes(SpecField::Budget).then(|| super::orders::monthly(5));
        let email = takes(SpecField::Email).then(|| "dev@example.com".to_owned());
        let models = if takes(SpecField::Models) { vec!["openai/gpt-5.2".to_owned()] } else { Vec::new() };
        Order { budget, email, models, ..self.order("n") }
    }

    /// An order with a name only.
    pub fn order(&self, name: &str) -> Order {
        Order { kind: self.kind, ..order(name) }
    }

    /// A change that the driver supports.
    pub fn amendment(&self) -> Amendment {
        if self.vendor_id == VendorId::Edgee { renamed("x") } else { budgeted(None) }
    }

    /// The id of the key in the sound answers.
    pub fn key_id(&self) -> String {
        let sound = (self.sound)().key;
        self.key_in(&sound)[self.id].as_str().expect("a sound key has an id").to_owned()
    }

    /// The key within an answer about one key.
    pub fn key_in<'a>(&self, answer: &'a Value) -> &'a Value {
        self.inside.map(|inside| &answer[inside]).filter(|it| it.is_object()).unwrap_or(answer)
    }

    /// Whether the secret of a key can be revealed again.
    pub fn reveals(gateway: &dyn Gateway) -> bool {
        gateway.capabilities().recovery == Recovery::Reveal
    }

    /// Makes every call of the driver, and returns the faults.
    pub async fn every_fault(&self, gateway: &dyn Gateway) -> Vec<(Call, Fault)> {
        let (key, order) = (id(&self.key_id()), self.full_order(gateway));
        let mut outcomes = vec![
            (Call::Whose, gateway.whose().await.err()),
            (Call::List, gateway.list().await.err()),
            (Call::Get, gateway.get(&key).await.err()),
            (Call::Mint, gateway.mint(&order).await.err()),
            (Call::Reissue, gateway.reissue(&key, &order).await.err()),
            (Call::Recover, gateway.recover(&key).await.err()),
            (Call::Amend, gateway.amend(&key, &self.amendment()).await.err()),
            (Call::Revoke, gateway.revoke(&key).await.err()),
            (Call::Spending, gateway.spending(&span(), std::slice::from_ref(&key)).await.err()),
            (Call::Balance, gateway.balance().await.err()),
        ];
        if let Some(projects) = gateway.projects() {
            outcomes.push((Call::ReadProject, projects.read().await.err()));
        }
        if let Some(models) = gateway.models() {
            outcomes.push((Call::Models, models.catalog().await.err()));
        }
        if let Some(keys) = gateway.provider_keys() {
            outcomes.extend([
                (Call::ListProviderKeys, keys.list().await.err()),
                (Call::CreateProviderKey, keys.create(&provider_key_order()).await.err()),
                (Call::Reassign, keys.assign(&key, &[]).await.err()),
                (Call::RemoveProviderKey, keys.delete(&key).await.err()),
            ]);
        }
        outcomes.into_iter().filter_map(|(call, fault)| Some((call, fault?))).collect()
    }
}

/// A month, with the usage path that some vendors need.
pub fn span() -> Span {
    Span { path: Some("manage/usage".to_owned()), ..month() }
}

fn provider_key_order() -> ProviderKeyOrder {
    ProviderKeyOrder {
        name: "n".to_owned(),
        provider: "anthropic".to_owned(),
        credential: SecretString::from(CREDENTIAL),
        keys: Vec::new(),
    }
}

/// Defines the tests of a driver, for the module of its contract.
macro_rules! driver_contract {
    ($contract:expr) => {
        $crate::support::driver_contract::driver_contract! { $contract;
            secrecy: no_fault_repeats_a_byte_of_what_the_vendor_said;
            secrecy: no_fault_of_the_emulated_vendor_repeats_it_either;
            secrecy: no_value_that_holds_a_secret_shows_it_by_debug;
            secrecy: no_secret_is_put_into_a_url;
            garbage: a_sound_answer_is_read_by_every_decoder;
            garbage: no_answer_makes_a_decoder_panic_or_believe;
            garbage: no_body_changes_what_a_status_means;
            garbage: ten_megabytes_of_anything_are_too_large_for_every_decoder;
        }
        #[tokio::test]
        async fn no_log_line_of_the_loudest_level_holds_a_secret() {
            $crate::support::driver_contract::secrecy::no_log_line_holds_a_secret(&$contract).await;
        }
    };
    ($contract:expr; $($part:ident: $name:ident;)*) => {
        $(
            #[test]
            fn $name() {
                $crate::support::driver_contract::$part::$name(&$contract);
            }
        )*
    };
}

pub(crate) use driver_contract;
