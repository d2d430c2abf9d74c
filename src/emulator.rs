//! The vendors, emulated: one local server that answers as their documentation says, with faults on request.
//!
//! It is not a mock: answers are not scripted per test. A call changes the emulator's state, and tests read the state. The
//! emulator never reads a clock (time is given at construction), never draws a random number, and every secret it returns
//! is visibly fake. A statement about a vendor cites its section of the vendor contract (ARCHITECTURE.md, "Sources"); a
//! question that the contract leaves open is a switch.
//!
//! | path | what |
//! |---|---|
//! | `/edgee/...` | the Edgee Console API (§1) |
//! | `/edenai/v2/...` | the custom tokens of Eden AI (§2.1 to §2.5) |
//! | `/edenai/v3/...` | the management API of Eden AI (§2.6 to §2.10), a world apart from v2 |
//! | `/cortecs/...` | the Cortecs management API (§3) |
//! | `/litellm/...` | the key management API of LiteLLM, a proxy that people run themselves |
//! | `/openrouter/...` | the management API of OpenRouter |
//! | `/<vendor>-gateway/...` | the data plane, as far as the state of a key decides it (§1.14, §4.8) |
//! | `/_emulator/...` | control: state, call log, faults, clock, and the human in the vendor's console |
//! | `/` | a help page |

mod calendar;
mod completion;
mod control;
mod distorted;
mod exchange;
mod faults;
mod fields;
mod forward;
mod handle;
mod log;
mod route;
mod secret;
mod seed;
mod serve;
mod table;
mod wire;

pub mod cortecs;
pub mod edenai;
pub mod edgee;
pub mod litellm;
pub mod openrouter;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};

use exchange::Exchange;
use route::Route;
use wire::Inbound;

pub use cortecs::Cortecs;
pub use edenai::{EdenAi, EdenAiV2, EdenAiV3};
pub use edgee::Edgee;
pub use faults::{Effect, Faults, Rule};
pub use forward::Upstream;
pub use handle::{Console, Seen, VendorHandle, VendorId};
pub use litellm::LiteLlm;
pub use log::Call;
pub use openrouter::OpenRouter;
pub use seed::Seed;
pub use serve::serve;

/// The emulated vendors. Clones share one state.
#[derive(Clone)]
pub struct Emulator {
    shared: Arc<Shared>,
}

/// The connection was closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was closed without an answer")
    }
}

impl std::error::Error for Dropped {}

impl Emulator {
    /// An emulator without data. Its time is what `now` says, plus what [`Emulator::advance`] added.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let shared = Shared { now: Box::new(now), state: Mutex::default(), forwards: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// A handle on the Edgee state: what a human sees and does in the vendor's console, and more.
    #[must_use]
    pub fn edgee(&self) -> Edgee {
        Edgee::new(Arc::clone(&self.shared))
    }

    /// Handles on the two states of Eden AI.
    #[must_use]
    pub fn edenai(&self) -> EdenAi {
        EdenAi::new(Arc::clone(&self.shared))
    }

    /// A handle on the Cortecs state.
    #[must_use]
    pub fn cortecs(&self) -> Cortecs {
        Cortecs::new(Arc::clone(&self.shared))
    }

    /// A handle on the LiteLLM state.
    #[must_use]
    pub fn litellm(&self) -> LiteLlm {
        LiteLlm::new(Arc::clone(&self.shared))
    }

    /// A handle on the OpenRouter state.
    #[must_use]
    pub fn openrouter(&self) -> OpenRouter {
        OpenRouter::new(Arc::clone(&self.shared))
    }

    /// The console of one vendor, for tests that run at each vendor.
    #[must_use]
    pub fn vendor(&self, vendor_id: VendorId) -> VendorHandle {
        VendorHandle::new(self.clone(), vendor_id)
    }

    /// Puts a real server in the place of an emulated vendor: log and faults are the emulator's, and
    /// every call that is carried out is carried out there.
    pub fn forward(&self, vendor_id: VendorId, upstream: Arc<dyn Upstream>, console: Arc<dyn Console>) {
        let mut forwards = self.shared.forwards.lock().unwrap_or_else(PoisonError::into_inner);
        forwards.insert(vendor_id, forward::Forward { upstream, console });
    }

    /// A handle to add and clear fault rules.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(Arc::clone(&self.shared))
    }

    /// Every vendor call so far, oldest first. An entry exists from the arrival of its request.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.with(|state, _| state.log.calls().to_vec())
    }

    /// How many vendor calls had this method and this text in their path or query.
    #[must_use]
    pub fn count(&self, method: &str, path_contains: &str) -> usize {
        self.shared.with(|state, _| state.log.count(method, path_contains))
    }

    /// Forgets the call log. Sequence numbers go on.
    pub fn clear_calls(&self) {
        self.shared.with(|state, _| state.log.clear());
    }

    /// Moves the emulated clock ahead of `now`, by so much more than it already is.
    pub fn advance(&self, by: SignedDuration) {
        self.shared.with(|state, _| state.ahead = state.ahead.saturating_add(by));
    }

    /// The emulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.with(|_, now| now)
    }

    /// Adds what `seed` names: an organization, and a management token per vendor.
    pub fn seed(&self, seed: &Seed) {
        self.edgee().add_token(&seed.token, &[&seed.organization]);
        self.vendor(VendorId::EdenAiV2).add_token(&seed.edenai_v2);
        self.vendor(VendorId::EdenAiV3).add_token(&seed.edenai_v3);
        self.vendor(VendorId::EdenAiV3).add_issuer(&seed.edenai_issuer);
        self.vendor(VendorId::Cortecs).add_token(&seed.cortecs);
        self.vendor(VendorId::LiteLlm).add_token(&seed.litellm);
        self.vendor(VendorId::OpenRouter).add_token(&seed.openrouter);
    }

    /// Adds the organization and the tokens that the documentation uses, and returns them.
    #[must_use = "the seed says which organization and tokens to use"]
    pub fn seed_demo(&self) -> Seed {
        let seed = Seed::default();
        self.seed(&seed);
        seed
    }

    /// Answers one request, in process. Calls to a vendor are logged and subject to faults; control calls are
    /// neither.
    ///
    /// # Errors
    ///
    /// [`Dropped`] where a fault closes the connection without an answer.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Dropped> {
        let inbound = Inbound::new(request);
        match Route::of(&inbound) {
            Some(route) => Exchange::arrive(self, route, inbound).run().await,
            None => Ok(control::answer(self, &inbound)),
        }
    }
}

/// The state that all handles share: the source of time, and the one lock around everything that changes.
struct Shared {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    state: Mutex<State>,
    forwards: Mutex<forward::Forwards>,
}

#[derive(Default)]
struct State {
    ahead: SignedDuration,
    log: log::CallLog,
    faults: Vec<faults::ActiveRule>,
    edgee: edgee::World,
    edenai: edenai::World,
    cortecs: cortecs::World,
    litellm: litellm::World,
    openrouter: openrouter::World,
}

impl Shared {
    /// Looks at or changes the state at one instant. The closure is synchronous, so the lock never spans an
    /// await; it must not use a handle of the same emulator, which would lock twice.
    fn with<R>(&self, act: impl FnOnce(&mut State, Timestamp) -> R) -> R {
        let base = (self.now)();
        // A panic in a test's closure must not turn every later access to the state into a second panic.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = base.checked_add(state.ahead).unwrap_or(Timestamp::MAX);
        act(&mut state, now)
    }
}
