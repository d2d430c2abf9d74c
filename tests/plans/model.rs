//! The ports of the engine, implemented with the model's world, so that the histories run `protocol` itself.
//!
//! Every effect is preceded by `turn`, at which the schedule chooses the next operator, so a future that is dropped was
//! dropped between two effects.

use super::class::Class;
use super::cluster::{NAME, NAMESPACE, Object, Stored, UID, cluster, secret_of};
use super::fate::turn;
use super::provider_model::token;
use super::vendor::Request;
use super::world::{Kube, Memory, Shared, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use keysmith::api::console_token::{AccountCandidate, ConsoleTokenAccount, Vendor};
use keysmith::api::project_settings::ProjectValues;
use keysmith::api::rotation::KeyCount;
use keysmith::api::{ConsoleToken, ConsoleTokenStatus, GatewayApiKey, GatewayApiKeyStatus};
use keysmith::cluster::ledger;
use keysmith::cluster::workloads::{Outcome, Restart, Target};
use keysmith::gateway::account::Listing;
use keysmith::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use keysmith::plan::capability::Capabilities;
use keysmith::plan::claim::Claim;
use keysmith::plan::drift::Field;
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::plan::identity::{AnyToken, TokenRef};
use keysmith::plan::ledger::{Book, Entry, Place};
use keysmith::plan::listing::{KeyId, Listed};
use keysmith::plan::models::Catalog;
use keysmith::plan::naming::{ClusterId, Identity, Mark};
use keysmith::plan::provider_key::ProviderKeyListing;
use keysmith::plan::report::Notice;
use keysmith::plan::report::conditions::Looked;
use keysmith::plan::usage::Spent;
use keysmith::protocol::Error;
use keysmith::protocol::doubt::DoubtPorts;
use keysmith::protocol::key::issue::{Issue, Issued};
use keysmith::protocol::key::ports::KeyPorts;
use keysmith::protocol::memory::Remembered;
use keysmith::protocol::ports::TokenState;
use keysmith::protocol::ports::{Measure, ObjectPort, Ports, SecretPort, VendorPort, Write};
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const TOKEN_UID: &str = "uid-of-the-token";

/// The ports of one operator of the model.
#[derive(Clone)]
pub struct Model {
    pub world: Shared,
    pub me: usize,
    pub cluster: Rc<ClusterId>,
    /// Whether a sweep uses these ports, and not a pass over the key.
    pub sweeps: bool,
    /// The account that calls reach.
    pub reached: Reached,
}

/// The account that a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// That of the keys.
    Own,
    /// Another one, in which there is none of our keys.
    Other,
}

impl Model {
    pub fn new(world: &Shared, me: usize) -> Self {
        Self {
            world: Rc::clone(world),
            me,
            cluster: Rc::new(cluster()),
            sweeps: false,
            reached: Reached::Own,
        }
    }

    /// With the connection that the token has now.
    pub fn connected(&self) -> Self {
        Self { reached: self.world.borrow().reached(), ..self.clone() }
    }

    /// A call that no key of ours answers, because it reaches another account.
    async fn astray<T: Debug>(&self, answer: T) -> Result<T, Fault> {
        turn().await;
        self.world.borrow_mut().ask(|_| answer)
    }

    fn class(&self) -> Class {
        self.world.borrow().vendor.class
    }

    pub fn memory<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.world.borrow_mut().operators[self.me])
    }

    /// A create call, from the moment at which it can no longer be withheld.
    async fn send_once(&self, request: &Request) -> Result<Option<Listed>, Fault> {
        if self.reached == Reached::Other {
            self.world.borrow_mut().break_rule(|| "a key is made in another account".into());
        }
        let now = self.now();
        self.memory(|memory| memory.unsent = Some(now));
        turn().await;
        self.memory(|memory| memory.unsent = None);
        self.world.borrow_mut().send(request)
    }

    pub async fn send(&self, request: &Request) -> Result<Option<Listed>, Fault> {
        if self.reached == Reached::Other {
            self.astray(()).await?;
            return Err(Fault::without_effect(FaultKind::NotFound));
        }
        turn().await;
        self.world.borrow_mut().send(request)
    }

    async fn change(
        &self,
        read: &GatewayApiKey,
        change: impl FnOnce(&mut Object),
    ) -> kube::Result<GatewayApiKey> {
        turn().await;
        let version = version(read.metadata.resource_version.as_deref());
        let written = self.world.borrow_mut().patch(version, change);
        written.map(|object| object.resource()).map_err(Kube::into)
    }
}

pub fn version(text: Option<&str>) -> Option<u64> {
    text.and_then(|it| it.parse().ok())
}

fn minted(key: Listed) -> Minted {
    Minted { secret: SecretString::from(secret_of(&key.id)), key }
}

const NOT_ASKED: &str = "the model's keys have no provider keys";

impl VendorPort for Model {
    type Permit = ();

    fn gateway_url(&self) -> &str {
        self.class().capabilities().gateway_url.own().unwrap_or_default()
    }

    fn capabilities(&self) -> &'static Capabilities {
        self.class().capabilities()
    }

    fn usable(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn latest(&self) -> Option<Arc<Listing>> {
        match self.reached {
            Reached::Own => self.memory(|memory| memory.latest.clone()),
            Reached::Other => {
                self.world.borrow().elsewhere.map(|since| Arc::new(Listing::new(since, Vec::new())))
            }
        }
    }

    fn latest_models(&self) -> Option<Arc<Catalog>> {
        None
    }

    fn models_asked(&self) -> bool {
        false
    }

    fn latest_spent(&self) -> Option<Arc<Spent>> {
        None
    }

    async fn permit(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault> {
        if let Some(listing) = VendorPort::latest(self).filter(|it| it.as_of > since) {
            return Ok(listing);
        }
        // The listing shows the effects before it, so it begins after them.
        self.world.borrow_mut().advance(SignedDuration::from_millis(1));
        let as_of = self.now();
        if self.reached == Reached::Other {
            return self.astray(Vec::new()).await.map(|none| Arc::new(Listing::new(as_of, none)));
        }
        turn().await;
        let mut world = self.world.borrow_mut();
        let roll = world.roll;
        let keys = world.ask(|world| world.vendor.list(world.now, roll))?;
        let listing = Arc::new(Listing::new(as_of, keys));
        world.operators[self.me].latest = Some(Arc::clone(&listing));
        Ok(listing)
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        if self.reached == Reached::Other {
            return self.astray(None).await;
        }
        turn().await;
        self.world.borrow_mut().ask(|world| world.vendor.shown(id, (world.now, world.roll)))
    }

    async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        VendorPort::get(self, id).await
    }

    async fn mint(&self, order: &Order, (): &()) -> Result<Minted, Fault> {
        let request = Request::Mint { name: order.name.clone(), models: order.models.clone(), ours: true };
        self.send_once(&request).await.map(|key| minted(key.unwrap()))
    }

    async fn reissue(&self, id: &KeyId, order: &Order, (): &()) -> Result<Option<Minted>, Fault> {
        if self.class() != Class::Rotate {
            return Ok(None);
        }
        let to = keysmith::plan::settings::Settings { models: order.models.clone(), ..Default::default() };
        let (fields, name) = (vec![Field::DisplayName, Field::Models], order.name.clone());
        match self.send_once(&Request::Amend { id: id.clone(), fields, name, to }).await {
            Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
            Ok(_) => self.send_once(&Request::Rotate(id.clone())).await.map(|key| key.map(minted)),
        }
    }

    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.world.borrow_mut().check_reveal(id);
        let key = VendorPort::get(self, id).await?;
        Ok(key.map(|key| SecretString::from(secret_of(&key.id))))
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        let Amendment { fields, to, name, .. } = amendment.clone();
        self.send(&Request::Amend { id: id.clone(), fields, name, to }).await.map(drop)
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        if self.sweeps {
            self.world.borrow_mut().check_swept(self.me, id);
        }
        self.send(&Request::Revoke(id.clone())).await.map(drop)
    }

    fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>> {
        None
    }

    async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn create_provider_key(&self, _: &ProviderKeyOrder, (): &()) -> Result<CreatedProviderKey, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn assign_provider_key(&self, _: &KeyId, _: &[KeyId]) -> Result<(), Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn delete_provider_key(&self, _: &KeyId) -> Result<(), Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn project(&self) -> Result<Project, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn change_project(&self, _: Project, _: &ProjectValues) -> Result<(), Fault> {
        unreachable!("{NOT_ASKED}")
    }
}

impl SecretPort for Model {
    fn namespace(&self) -> &str {
        NAMESPACE
    }

    fn version(&self, _: &str) -> Option<u64> {
        self.memory(|memory| memory.secret_shown)
    }

    async fn get(&self, _: &str) -> kube::Result<Option<Secret>> {
        turn().await;
        let read = self.world.borrow_mut().read(|world| world.secret.clone());
        Ok(read?.map(|stored| stored.secret))
    }

    async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret> {
        self.write(None, secret, write).await
    }

    async fn replace(&self, _: &str, secret: &Secret, write: Write) -> kube::Result<Secret> {
        let read = version(secret.metadata.resource_version.as_deref());
        self.write(Some(read.unwrap_or_default()), secret, write).await
    }
}

impl Model {
    async fn write(&self, read: Option<u64>, secret: &Secret, write: Write) -> kube::Result<Secret> {
        turn().await;
        let sent = Stored { version: 0, secret: secret.clone() };
        let mut world = self.world.borrow_mut();
        let stored = match write {
            Write::Stored => world.put(read, &sent).inspect(|stored| {
                let shown = &mut world.operators[self.me].secret_shown;
                *shown = (*shown).max(Some(stored.version));
            }),
            Write::DryRun => world.read(|world| world.admit(read, sent)).and_then(|it| it),
        };
        Ok(stored.map_err(kube::Error::from)?.secret)
    }
}

impl ObjectPort<GatewayApiKey> for Model {
    async fn read(&self, _: &GatewayApiKey) -> kube::Result<Option<GatewayApiKey>> {
        turn().await;
        let live = self.world.borrow_mut().read(World::live)?;
        Ok(live.map(|object| object.resource()))
    }

    async fn claim(
        &self,
        object: &GatewayApiKey,
        claim: &Claim,
        identity: &Identity,
    ) -> kube::Result<GatewayApiKey> {
        self.change(object, |object| {
            object.claim = Some(claim.encode(identity));
            // A finalizer cannot be added to an object that is being deleted.
            object.finalizer |= !object.deleting;
        })
        .await
    }

    async fn publish(
        &self,
        object: &GatewayApiKey,
        status: &GatewayApiKeyStatus,
    ) -> kube::Result<GatewayApiKey> {
        self.change(object, |object| object.status = status.clone()).await
    }

    async fn hold(&self, _: &GatewayApiKey) -> kube::Result<GatewayApiKey> {
        unreachable!("only console tokens are held without a claim")
    }

    async fn release(&self, object: &GatewayApiKey) -> kube::Result<GatewayApiKey> {
        self.change(object, |object| object.finalizer = false).await
    }

    fn wrote(&self, object: &Arc<GatewayApiKey>) {
        let version = version(object.metadata.resource_version.as_deref());
        let mut world = self.world.borrow_mut();
        let written = world.versions.iter().rev().flatten().find(|it| Some(it.version) == version).cloned();
        world.operators[self.me].written = written;
    }

    fn notify(&self, _: &GatewayApiKey, _: Notice) {}

    fn decided(&self, _: &GatewayApiKey, decision: &dyn Debug) {
        let mut world = self.world.borrow_mut();
        world.note(|| format!("operator {}: {decision:?}", self.me));
    }
}

impl Ports for Model {
    type Vendor = Self;
    type Secrets = Self;

    fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    /// A sleeping operator has no effect; `history` advances the time to the end of its sleep.
    async fn sleep(&self, time: Duration) {
        let until = self.now() + SignedDuration::try_from(time).unwrap();
        self.memory(|memory| memory.asleep = Some(until));
        while self.now() < until {
            turn().await;
        }
        self.memory(|memory| memory.asleep = None);
    }

    /// Every call of the model ends within its deadline.
    async fn slow_call(&self, _: Duration) {
        std::future::pending::<()>().await;
    }

    fn home(&self) -> &str {
        NAMESPACE
    }

    fn shares_tokens(&self) -> bool {
        false
    }

    fn namespace_labels(&self, _: &str) -> Option<BTreeMap<String, String>> {
        None
    }

    fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    fn poll(&self) -> SignedDuration {
        super::cluster::POLL
    }

    fn capabilities(&self, _: &Vendor) -> Option<&'static Capabilities> {
        Some(self.class().capabilities())
    }

    fn caches_filled(&self) -> bool {
        true
    }

    fn secrets(&self, _: &str) -> Self {
        self.clone()
    }

    fn token(&self, _: &TokenRef) -> Option<AnyToken> {
        Some(self.world.borrow().token().into())
    }

    #[expect(clippy::arc_with_non_send_sync, reason = "the engine holds an Arc; a model runs on one thread")]
    fn token_state(&self, _: &TokenRef) -> Option<TokenState<Self>> {
        let account = self.connected();
        Some(TokenState {
            doubt: (account.reached == Reached::Other).then(|| "it leads to another account".to_owned()),
            account: Some(Arc::new(account)),
            ready: Ok(()),
            stalled: false,
            lost: false,
            uid: TOKEN_UID.into(),
            generation: None,
            serial: None,
            fingerprint: String::new(),
        })
    }

    fn enqueue_token(&self, _: &TokenRef) {}

    fn place(&self, token: &AnyToken) -> Place {
        Place::unknown(&token.reference())
    }

    fn remember<T>(&self, _: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        self.memory(|memory| change(&mut memory.remembered))
    }

    fn forget(&self, _: &str) {
        self.memory(|memory| {
            memory.written = None;
            memory.remembered = Remembered::default();
        });
    }

    fn measure(&self, _: Measure<'_>) {}

    async fn ledger(&self) -> Result<Book, ledger::Error> {
        turn().await;
        self.world.borrow_mut().read(World::book).map_err(refused)
    }

    async fn enter(&self, entries: &[Entry]) -> Result<(), ledger::Error> {
        turn().await;
        if self.world.borrow().ledger_full {
            return Err(ledger::Error::Full("the ledger".into()));
        }
        let entered = self.world.borrow_mut().write(|world| {
            world.ledger.extend(entries.iter().cloned());
            world.entered.extend(entries.iter().cloned());
            Ok(())
        });
        entered.map_err(refused)
    }

    async fn note_missing(&self, entries: &[Entry]) -> Result<(), ledger::Error> {
        turn().await;
        let noted = self.world.borrow_mut().write(|world| {
            world.ledger_lacks = true;
            world.entered.extend(entries.iter().cloned());
            Ok(())
        });
        noted.map_err(refused)
    }

    fn stop_sweeps(&self) {
        let now = self.now();
        self.memory(|memory| memory.stopped = Some(now));
    }

    async fn strike(&self, entry: &Entry) -> Result<(), ledger::Error> {
        turn().await;
        let struck = self.world.borrow_mut().write(|world| {
            world.ledger.retain(|it| it.name() != entry.name());
            if self.sweeps {
                world.check_struck(entry);
            } else {
                world.entered.retain(|it| it.name() != entry.name());
            }
            Ok(())
        });
        struck.map_err(refused)
    }
}

fn refused(error: Kube) -> ledger::Error {
    ledger::Error::Kubernetes { place: "the ledger".into(), source: Box::new(error.into()) }
}

impl DoubtPorts for Model {
    fn newest_token(&self, token: &AnyToken) -> AnyToken {
        token.clone()
    }

    fn tokens_anywhere(&self, _: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken> {
        Vec::new()
    }

    fn each_key_anywhere(&self, _: &TokenRef, mut visit: impl FnMut(&GatewayApiKey)) {
        let live = self.world.borrow().live();
        if let Some(live) = live {
            visit(&live.resource());
        }
    }
}

impl World {
    /// The account that the token leads to.
    pub fn reached(&self) -> Reached {
        if self.elsewhere.is_some() { Reached::Other } else { Reached::Own }
    }

    /// The token, as the pass over it leaves its status.
    fn token(&self) -> ConsoleToken {
        let candidate = |id: &str, credential: &str| AccountCandidate {
            id: id.into(),
            credential: credential.into(),
            told: false,
        };
        let account = ConsoleTokenAccount {
            id: "account-of-the-keys".into(),
            credential: "first".into(),
            doubted_since: self.elsewhere,
            candidate: self.elsewhere.map(|_| candidate("another-account", "second")),
            ..ConsoleTokenAccount::default()
        };
        let mut token = token(TOKEN_UID);
        token.status = Some(ConsoleTokenStatus { account: Some(account), ..ConsoleTokenStatus::default() });
        token
    }
}

impl KeyPorts for Model {
    fn keys_per_day(&self) -> u64 {
        self.world.borrow().keys_per_day
    }

    fn made_today(&self, key: &GatewayApiKey) -> Option<KeyCount> {
        let now = self.now();
        self.memory(|memory| memory.made.of(&key.name_any(), now))
    }

    fn count_made(&self, key: &GatewayApiKey) {
        let now = self.now();
        self.memory(|memory| memory.made.count(&key.name_any(), now));
    }

    fn made_in_namespace(&self, _: &GatewayApiKey) -> Option<KeyCount> {
        None
    }

    fn each_key_beside(&self, _: &GatewayApiKey, _: impl FnMut(&GatewayApiKey)) {}

    fn may_exist(&self, _: &Mark) -> bool {
        false
    }

    fn enqueue_provider_keys(&self, _: &GatewayApiKey) {}

    async fn find_workloads(&self, _: &str, _: &[Target]) -> Looked {
        Looked::default()
    }

    async fn restart(&self, _: &Restart<'_>) -> Outcome {
        turn().await;
        let failed = self.world.borrow_mut().write(|_| Ok(())).err();
        Outcome { failed: failed.map(Kube::into), ..Outcome::default() }
    }

    fn is_released(&self, uid: &str) -> bool {
        assert_eq!(uid, UID, "there is one resource, {NAME}");
        self.memory(|memory| memory.released)
    }

    fn released(&self, uid: &str) {
        self.forget(uid);
        self.memory(|memory| memory.released = true);
    }

    async fn issue(&self, section: Issue<Self>) -> Option<Result<Issued, Error>> {
        Some(section.run().await)
    }
}
