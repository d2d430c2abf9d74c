//! Every key of an account is to be replaced at once, under a limit of calls per second: how much of the limit is used, in
//! which order the keys come, and how long a new key takes meanwhile.

use super::figures::median_and_worst;
use super::is_ready;
use super::stage::Stage;
use futures::{StreamExt, stream};
use keysmith::api::{ConsoleToken, GatewayApiKey, ROTATE_REQUESTED};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::time::{Duration, Instant};

/// The limit, in calls per second.
const RATE: u32 = 50;
/// Calls per second while the keys are made.
const UNLIMITED: u32 = 1000;
/// New keys that are made during the storm.
const NEW: usize = 20;
/// Requests in flight of what asks for the rotations.
const CONCURRENCY: usize = 16;
/// Lifetimes in days: keys that expire sooner are to come first.
const LIFETIMES: std::ops::Range<u32> = 30..90;
/// No storm takes longer.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What a storm was like.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storm {
    pub keys: usize,
    /// Seconds from the first request for a rotation to the last new key.
    pub seconds: f64,
    /// Calls that were made, as a share of what the limit permits in that time.
    pub used: f64,
    /// Calls in the busiest second, as a multiple of the limit.
    pub busiest: f64,
    /// Pairs of keys that came in the order of their expiry, as a share; a half would be chance.
    pub in_order: f64,
    /// Milliseconds until a new key was Ready during the storm.
    pub new_keys: Vec<f64>,
    /// Keys that were made beyond one for each rotation and each new resource.
    pub surplus: f64,
}

impl Storm {
    /// Whether the hard targets hold.
    pub fn holds(&self) -> bool {
        self.used >= 0.95
            && self.busiest <= 1.2
            && self.in_order >= 0.95
            && median_and_worst(&self.new_keys).1 <= 2000.0
            && self.surplus == 0.0
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, worst) = median_and_worst(&self.new_keys);
        writeln!(f, "\nstorm: {} keys of one account replaced at {RATE} calls per second", self.keys)?;
        writeln!(f, "{:<52} {:>9} {:>9}", "", "measured", "target")?;
        for (name, value, target) in [
            ("seconds", self.seconds, String::new()),
            ("share of the limit that is used", self.used, ">= 0.95".to_owned()),
            ("busiest second, to the limit", self.busiest, "<= 1.20".to_owned()),
            ("pairs in the order of expiry", self.in_order, ">= 0.95".to_owned()),
            ("a new key meanwhile, median ms", median, String::new()),
            ("a new key meanwhile, slowest of 20 ms", worst, "<= 2000".to_owned()),
            ("keys beyond one each", self.surplus, "0".to_owned()),
        ] {
            writeln!(f, "{name:<52} {value:>9.2} {target:>9}")?;
        }
        write!(
            f,
            "{}",
            if self.holds() { "every target of the storm holds" } else { "a target of the storm is missed" }
        )
    }
}

/// Makes so many keys of one account, has all of them replaced, and measures it.
pub async fn measure(size: usize) -> Storm {
    let stage = Stage::set(Duration::ZERO).await;
    stage.add_tokens(1).await;
    let limit = async |rate: u32| {
        let tokens: Api<ConsoleToken> = Api::namespaced(stage.client.clone(), "bench-0");
        let spec = Patch::Merge(json!({"spec": {"callsPerSecond": rate}}));
        tokens.patch("account-0", &PatchParams::default(), &spec).await.expect("the limit is set");
    };
    limit(UNLIMITED).await;
    let operator = stage.operator(&[]);
    let create = async |name: String, days: u32| {
        let metadata = json!({"name": name, "namespace": "bench-0"});
        let spec = json!({"consoleTokenRef": {"name": "account-0"}, "expiresInDays": days});
        let key = json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": metadata, "spec": spec});
        let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), "bench-0");
        let key = serde_json::from_value(key).expect("a key");
        keys.create(&PostParams::default(), &key).await.expect("a key is created");
    };
    let lifetimes = LIFETIMES.cycle().take(size).enumerate();
    stream::iter(lifetimes)
        .for_each_concurrent(CONCURRENCY, |(number, days)| create(format!("key-{number}"), days))
        .await;
    let all = until(&stage, |keys| keys.iter().all(is_ready)).await;
    limit(RATE).await;
    // What was saved up before the limit is spent.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let minted = stage.calls("POST", "/api_keys").await;
    let began = Instant::now();
    let mut samples = Vec::new();
    let storm = async {
        stream::iter(&all).for_each_concurrent(CONCURRENCY, |key| ask(&stage, key)).await;
        let new_keys = new_keys(&stage, &create).await;
        // A list of all keys takes the API server a while: it is not asked before the vendor has made all of them.
        while stage.calls("POST", "/api_keys").await < minted + (size + NEW) as u64 {
            assert!(began.elapsed() < PATIENCE, "not every key is replaced");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let is_done = |keys: &[GatewayApiKey]| keys.iter().filter(|it| serial(it) == Some(2)).count() >= size;
        (new_keys, until(&stage, is_done).await)
    };
    let sampling = async {
        loop {
            samples.push((began.elapsed().as_secs_f64(), stage.calls("", "").await));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (new_keys, replaced) = tokio::select! {
        done = storm => done,
        () = sampling => unreachable!("it samples for ever"),
    };
    let seconds = began.elapsed().as_secs_f64();
    let made = stage.calls("POST", "/api_keys").await - minted;
    let calls = samples.last().map_or(0, |it| it.1) - samples.first().map_or(0, |it| it.1);
    operator.stop();
    Storm {
        keys: size,
        seconds,
        used: calls as f64 / (seconds * f64::from(RATE)),
        busiest: busiest(&samples) / f64::from(RATE),
        in_order: in_order(&replaced),
        new_keys,
        surplus: made as f64 - (size + NEW) as f64,
    }
}

/// Asks for a rotation, as `keysmith rotate` does.
async fn ask(stage: &Stage, key: &GatewayApiKey) {
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), "bench-0");
    let wish = Patch::Merge(json!({"metadata": {"annotations": {ROTATE_REQUESTED: "storm"}}}));
    keys.patch_metadata(&key.name_any(), &PatchParams::default(), &wish)
        .await
        .expect("the request is written");
}

/// Makes new keys one after the other. Returns for each the milliseconds until it was Ready.
async fn new_keys(stage: &Stage, create: &impl AsyncFn(String, u32)) -> Vec<f64> {
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), "bench-0");
    let mut times = Vec::new();
    for number in 0..NEW {
        let (name, began) = (format!("new-{number}"), Instant::now());
        create(name.clone(), LIFETIMES.end).await;
        while !is_ready(&keys.get(&name).await.expect("a key")) {
            assert!(began.elapsed() < PATIENCE, "a new key is never Ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times
}

/// Waits until the keys are as wanted.
async fn until(stage: &Stage, wanted: impl Fn(&[GatewayApiKey]) -> bool) -> Vec<GatewayApiKey> {
    let began = Instant::now();
    loop {
        let keys = stage.keys().await;
        if wanted(&keys) {
            return keys;
        }
        assert!(began.elapsed() < PATIENCE, "the keys never are as wanted");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn serial(key: &GatewayApiKey) -> Option<u64> {
    key.status.as_ref()?.serial
}

/// The most calls within a second, by the samples.
fn busiest(samples: &[(f64, u64)]) -> f64 {
    let within = |(at, calls): &(f64, u64)| {
        let later = samples.iter().take_while(|(other, _)| *other <= at + 1.0).last();
        later.map_or(0, |it| it.1) - calls
    };
    samples.iter().map(within).max().unwrap_or_default() as f64
}

/// The share of pairs of keys with different lifetimes that were replaced in the order of their expiry. Keys that were
/// replaced within the same second are in order.
fn in_order(keys: &[GatewayApiKey]) -> f64 {
    let facts = |key: &GatewayApiKey| {
        let at = key.status.as_ref()?.last_rotation.as_ref()?.time;
        Some((key.spec.expires_in_days?, at.as_second()))
    };
    let facts: Vec<_> = keys.iter().filter_map(facts).collect();
    let (mut pairs, mut ordered) = (0_u64, 0_u64);
    for (place, one) in facts.iter().enumerate() {
        for other in &facts[place + 1..] {
            if one.0 != other.0 {
                pairs += 1;
                ordered += u64::from(one.1 == other.1 || (one.0 < other.0) == (one.1 < other.1));
            }
        }
    }
    if pairs == 0 { 1.0 } else { ordered as f64 / pairs as f64 }
}
