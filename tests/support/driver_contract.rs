//! The driver contract, as far as it is about what vendors say: no secret and no word of a vendor leaves by a driver
//! (`secrecy`), and no answer makes it panic, or believe what was not said (`garbage`). Every driver passes all of it; a row
//! of facts for each stands with its vendor, in `tests/*/contract.rs`. The classes of faults are in `faults`.

pub mod faults;
pub mod garbage;
pub mod secrecy;
pub mod stage;

use super::garbage::month;
use super::orders::{budgeted, id, order, renamed};
use super::stub::Stub;
use ::secrecy::SecretString;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::Surface;
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

/// The credential of a provider that the contract deposits.
const CREDENTIAL: &str = "sk-ant-emulated-credential";

/// One driver, and what a sound vendor would say to it.
pub struct Contract {
    /// The emulated vendor.
    pub surface: Surface,
    /// A console token that works there.
    pub token: &'static str,
    /// The driver over that wire.
    pub connect: fn(Wire) -> Box<dyn Gateway>,
    /// How a driver over that wire shows itself, by `Probe`.
    pub debug: fn(Wire) -> String,
    /// What keys are for.
    pub kind: KeyType,
    /// The field that identifies a key.
    pub id: &'static str,
    /// The fields of a new key that its secret may be in.
    pub secret: &'static [&'static str],
    /// Whether keys can be changed.
    pub amends: bool,
    /// Whether a key is looked at by a listing only.
    pub looks_by_listing: bool,
    /// The field of a listing that has its rows, and whether a bare list is a listing too.
    pub listing: (&'static str, bool),
    /// Whether an answer says that it is the whole listing.
    pub whole: fn(&Value) -> bool,
    /// Whether rows without an id are no oddity, so that nothing counts them.
    pub idless_rows: bool,
    /// What a sound vendor says.
    pub sound: fn() -> Sound,
}

/// What a sound vendor says, whatever it is asked.
pub struct Sound {
    /// A key, with its secret.
    pub key: Value,
    /// A listing of one.
    pub listing: Value,
    /// What keys spent, where JSON tells it, and how much that is in millionths.
    pub spending: Option<(Value, u64)>,
    /// What the account has left, in millionths.
    pub balance: Option<(Value, i64)>,
    /// What else it may say.
    pub others: Vec<Value>,
}

impl Sound {
    /// Every answer.
    pub fn all(self) -> Vec<Value> {
        let told = self.spending.map(|it| it.0).into_iter().chain(self.balance.map(|it| it.0));
        [self.key, self.listing].into_iter().chain(told).chain(self.others).collect()
    }
}

/// What a driver is asked to do.
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
    ReadProject,
    ListProviderKeys,
    CreateProviderKey,
    Reassign,
    RemoveProviderKey,
}

impl Contract {
    /// The driver over a wire to a vendor that answers by hand.
    pub fn stubbed(&self, stub: &Arc<Stub>) -> Box<dyn Gateway> {
        (self.connect)(stub.wire(self.token))
    }

    /// The driver over a wire to the emulated vendor.
    pub fn emulated(&self, stage: &Stage) -> Box<dyn Gateway> {
        (self.connect)(stage.wire(self.surface, self.token))
    }

    /// An order with everything that the driver takes.
    pub fn full_order(&self, gateway: &dyn Gateway) -> Order {
        let table = gateway.capabilities();
        let takes =
            |field: SpecField| table.support(field) != Support::Unsupported && self.kind == KeyType::Api;
        let budget = takes(SpecField::Budget).then(|| super::orders::monthly(5));
        let email = takes(SpecField::Email).then(|| "dev@example.com".to_owned());
        let models = if takes(SpecField::Models) { vec!["openai/gpt-5.2".to_owned()] } else { Vec::new() };
        Order { budget, email, models, ..self.order("n") }
    }

    /// An order with nothing but a name.
    pub fn order(&self, name: &str) -> Order {
        Order { kind: self.kind, ..order(name) }
    }

    /// A change that the driver takes.
    pub fn amendment(&self) -> Amendment {
        if self.surface == Surface::Edgee { renamed("x") } else { budgeted(None) }
    }

    /// The id of the key in the sound answers.
    pub fn key_id(&self) -> String {
        (self.sound)().key[self.id].as_str().expect("a sound key has an id").to_owned()
    }

    /// Whether the secret of a key is shown again.
    pub fn reveals(gateway: &dyn Gateway) -> bool {
        gateway.capabilities().recovery == Recovery::Reveal
    }

    /// Everything that the driver can be asked, and the faults that came of it.
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
        if let Some(keys) = gateway.provider_keys() {
            outcomes.extend([
                (Call::ListProviderKeys, keys.list().await.err()),
                (Call::CreateProviderKey, keys.deposit(&provider_key_order()).await.err()),
                (Call::Reassign, keys.reassign(&key, &[]).await.err()),
                (Call::RemoveProviderKey, keys.remove(&key).await.err()),
            ]);
        }
        outcomes.into_iter().filter_map(|(call, fault)| Some((call, fault?))).collect()
    }
}

/// A month, where a vendor has to be told a path for it as well.
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

/// The tests of a driver, for the module of its contract.
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
