//! The vendor of a story, whichever it is: its keys, what the operator asked of it, and what goes wrong there.

use super::world::{ORG, World};
use keysmith::emulator::edgee::{Edgee, KeyRecord};
use keysmith::emulator::{Desk, Effect, Rule, Seen};

impl World {
    /// The story's vendor, whichever it is.
    pub fn desk(&self) -> Desk {
        self.emulator.surface(self.surface)
    }

    /// Edgee, in stories of what is its own.
    pub fn edgee(&self) -> Edgee {
        self.emulator.edgee()
    }

    /// The keys at the vendor.
    pub fn keys(&self) -> Vec<Seen> {
        self.desk().keys()
    }

    /// The one key at the vendor.
    pub fn only_key(&self) -> Seen {
        let mut keys = self.keys();
        assert_eq!(keys.len(), 1, "keys at the vendor: {keys:?}");
        keys.remove(0)
    }

    /// The one key at Edgee, with what no other vendor has.
    pub fn only_edgee_key(&self) -> KeyRecord {
        let mut keys = self.edgee().keys(ORG);
        assert_eq!(keys.len(), 1, "keys at Edgee: {keys:?}");
        keys.remove(0)
    }

    /// The id of the one key at the vendor; none while there are none or several.
    pub fn only_key_id(&self) -> Option<String> {
        match self.keys().as_slice() {
            [key] => Some(key.id.clone()),
            _ => None,
        }
    }

    /// Whether the vendor's gateway accepts that key now.
    pub fn accepts(&self, secret: &str) -> bool {
        self.desk().accepts(secret)
    }

    /// Waits until the Secret holds a key that the gateway accepts, and there is no other key. Returns its id.
    pub async fn served(&self, secret: &str, entry: &str) -> String {
        self.eventually(&format!("Secret {secret} holds the one key, and it works"), async || {
            let value = self.entry(secret, entry).await.ok_or("no Secret")?;
            let keys = self.keys();
            if keys.len() != 1 {
                return Err(format!("{} keys at the vendor", keys.len()));
            }
            if self.accepts(&value) { Ok(keys[0].id.clone()) } else { Err("it does not work".to_owned()) }
        })
        .await
    }

    /// Calls of the operator that changed something at the vendor: method, and the path from the collection on.
    pub fn vendor_writes(&self) -> Vec<String> {
        let calls = self.emulator.calls();
        let writes = calls.iter().filter(|call| call.method != "GET");
        writes
            .map(|call| {
                let path = call.path.replace(&format!("/edgee/v1/organizations/{ORG}"), "");
                let from = path.find(self.surface.collection()).unwrap_or_default();
                format!("{} {}", call.method, &path[from..])
            })
            .collect()
    }

    /// What a create call looks like among them.
    pub fn creation(&self) -> String {
        format!("POST {}", self.surface.collection())
    }

    /// How many create calls were sent.
    pub fn creations(&self) -> usize {
        self.vendor_writes().iter().filter(|it| **it == self.creation()).count()
    }

    /// Calls of that method whose path contains the collection's.
    pub fn calls(&self, method: &str) -> usize {
        self.emulator.count(method, self.surface.collection())
    }

    /// Calls of that method to the collection, and to what is in it, go wrong from now on.
    pub fn fail(&self, method: &str, effect: Effect) {
        self.emulator.faults().add(Rule::always(method, self.surface.collection(), effect));
    }

    /// The next of them goes wrong.
    pub fn fail_once(&self, method: &str, effect: Effect) {
        self.emulator.faults().add(Rule::once(method, self.surface.collection(), effect));
    }
}
