//! The vendor of a story, whichever it is: its keys, the operator's calls to it, and its faults.

use super::invariants::{AtRest, Key, Resource, Snapshot};
use super::world::{ORG, World};
use keysmith::emulator::edgee::{Edgee, KeyRecord};
use keysmith::emulator::{Effect, Rule, Seen, VendorHandle};
use kube::ResourceExt;
use kube::api::ListParams;

impl World {
    /// The console of the story's vendor.
    pub fn vendor(&self) -> VendorHandle {
        self.emulator.vendor(self.vendor_id)
    }

    /// The handle on Edgee, for stories about its own features.
    pub fn edgee(&self) -> Edgee {
        self.emulator.edgee()
    }

    /// The keys at the vendor.
    pub fn keys(&self) -> Vec<Seen> {
        self.vendor().keys()
    }

    /// The one key at the vendor.
    pub fn only_key(&self) -> Seen {
        let mut keys = self.keys();
        assert_eq!(keys.len(), 1, "keys at the vendor: {keys:?}");
        keys.remove(0)
    }

    /// The one key at Edgee, with the fields that no other vendor has.
    pub fn only_edgee_key(&self) -> KeyRecord {
        let mut keys = self.edgee().keys(ORG);
        assert_eq!(keys.len(), 1, "keys at Edgee: {keys:?}");
        keys.remove(0)
    }

    /// The id of the one key at the vendor; `None` if there are none or several.
    pub fn only_key_id(&self) -> Option<String> {
        match self.keys().as_slice() {
            [key] => Some(key.id.clone()),
            _ => None,
        }
    }

    /// Whether the vendor's gateway accepts that key now.
    pub fn accepts(&self, secret: &str) -> bool {
        self.vendor().accepts(secret)
    }

    /// The keys at the vendor, in the form of the invariants.
    pub fn live_keys(&self) -> Vec<Key> {
        let handle = self.vendor();
        let key =
            |it: Seen| Key { works: handle.accepts(&it.secret), id: it.id, name: it.name, secret: it.secret };
        handle.keys().into_iter().map(key).collect()
    }

    /// Checks those invariants for that entry of a Secret and for all keys. Returns the key in the entry.
    pub async fn serves(&self, secret: &str, entry: &str, invariants: &[AtRest]) -> Result<Seen, String> {
        let held = self.entry(secret, entry).await;
        let resource = Resource { name: secret.to_owned(), held, ..Resource::default() };
        let keys = self.live_keys();
        let id = resource.held_key(&keys)?.id.clone();
        Snapshot { resources: vec![resource], keys, left: Vec::new() }.check(invariants)?;
        self.keys().into_iter().find(|key| key.id == id).ok_or_else(|| format!("{id} is gone"))
    }

    /// Waits until the Secret holds a key that the gateway accepts, and there is no other key. Returns its id.
    pub async fn served(&self, secret: &str, entry: &str) -> String {
        self.eventually(&format!("Secret {secret} holds the one key, and it works"), async || {
            Ok(self.serves(secret, entry, AtRest::ONE_KEY_SERVED).await?.id)
        })
        .await
    }

    /// Waits until the world is at rest: these resources, each with one key, which is in its Secret, and no other key
    /// or resource.
    pub async fn at_rest(&self, names: &[String]) {
        self.eventually("every invariant of a world at rest holds", async || {
            self.snapshot(names).await.check(AtRest::ALL)
        })
        .await;
    }

    async fn snapshot(&self, names: &[String]) -> Snapshot {
        let mut snapshot = Snapshot { keys: self.live_keys(), ..Snapshot::default() };
        for object in self.api("GatewayApiKey").list(&ListParams::default()).await.unwrap() {
            let (name, status) = (object.name_any(), &object.data["status"]);
            if !names.contains(&name) {
                snapshot.left.push(name);
                continue;
            }
            let mut conditions = status["conditions"].as_array().into_iter().flatten();
            snapshot.resources.push(Resource {
                ready: conditions.any(|it| it["type"] == "Ready" && it["status"] == "True"),
                current: status["observedGeneration"].as_i64() == object.metadata.generation,
                id: status["id"].as_str().map(str::to_owned),
                previous: status["previous"].as_array().map_or(0, Vec::len),
                held: self.entry(&name, "key").await,
                status: status.to_string(),
                name,
            });
        }
        let gone = |name: &&String| snapshot.resources.iter().all(|it| it.name != **name);
        let gone: Vec<_> = names.iter().filter(gone).cloned().collect();
        snapshot.resources.extend(gone.into_iter().map(|name| Resource { name, ..Resource::default() }));
        snapshot
    }

    /// Calls of the operator that changed the vendor's state: method, and the path from the collection on.
    pub fn vendor_writes(&self) -> Vec<String> {
        let calls = self.emulator.calls();
        let writes = calls.iter().filter(|call| call.method != "GET");
        writes
            .map(|call| {
                let path = call.path.replace(&format!("/edgee/v1/organizations/{ORG}"), "");
                let from = path.find(self.vendor_id.collection()).unwrap_or_default();
                format!("{} {}", call.method, &path[from..])
            })
            .collect()
    }

    /// The entry of a create call among them.
    pub fn creation(&self) -> String {
        let (method, path) = self.vendor_id.call("POST");
        format!("{method} {path}")
    }

    /// The number of create calls that were sent.
    pub fn creations(&self) -> usize {
        self.vendor_writes().iter().filter(|it| **it == self.creation()).count()
    }

    /// The number of calls of that method whose path contains the collection's.
    pub fn calls(&self, method: &'static str) -> usize {
        let (method, path) = self.vendor_id.call(method);
        self.emulator.count(method, path)
    }

    /// The calls so far, without those that a driver makes as a part of a listing.
    pub fn asked(&self) -> Vec<keysmith::emulator::Call> {
        let calls = self.emulator.calls().into_iter();
        calls.filter(|it| !self.vendor_id.asks_beside(&it.path)).collect()
    }

    /// Makes every later call of that method to the collection and its entries fail.
    pub fn fail(&self, method: &'static str, effect: Effect) {
        let (method, path) = self.vendor_id.call(method);
        self.emulator.faults().add(Rule::always(method, path, effect));
    }

    /// Makes the next such call fail.
    pub fn fail_once(&self, method: &'static str, effect: Effect) {
        let (method, path) = self.vendor_id.call(method);
        self.emulator.faults().add(Rule::once(method, path, effect));
    }
}
