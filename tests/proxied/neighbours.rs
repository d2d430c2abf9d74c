//! Nobody waits for a stranger: how long a namespace waits for a key while its neighbour does its worst, as a ratio to
//! what it waits for without, and the memory of the operator through all of it.

use super::stage::{Neighbour, Stage};
use crate::support::report;
use keysmith::emulator::{Effect, Rule};
use kube::api::ListParams;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Limit of the operator's memory, in MiB.
const MEMORY: usize = 64;

/// Whether the whole of it runs, with ratios. Otherwise a few of everything, without a look at the time.
fn whole() -> bool {
    std::env::var("KEYSMITH_ATTACK").is_ok_and(|it| it == "1")
}

/// Namespaces whose keys are measured in turn: the rate limit of one organization is not what is measured, and the 99th
/// percentile of few samples is chance.
const MODEST: usize = 3;

struct Measured {
    modest: Vec<Neighbour>,
    made: usize,
}

impl Measured {
    /// The time from the creation of a key until it is Ready: the 99th percentile of that many keys.
    async fn p99(&mut self, samples: usize) -> Duration {
        let mut times = Vec::new();
        for _ in 0..samples {
            self.made += 1;
            let modest = &self.modest[self.made % MODEST];
            let name = format!("sample-{}", self.made);
            let began = Instant::now();
            modest.create_key(&name, json!({})).await;
            while !is_ready(&modest.api("GatewayApiKey").get(&name).await.unwrap().data) {
                sleep(Duration::from_millis(2)).await;
                assert!(began.elapsed() < Duration::from_secs(120), "{name} is not Ready");
            }
            times.push(began.elapsed());
            sleep(Duration::from_millis(150)).await;
        }
        let of_first = |share: usize| times[..times.len().div_ceil(share)].iter().max().copied();
        let (first, all) = (of_first(10), of_first(1));
        times.sort_unstable();
        println!(
            "median {:?}, 90th percentile {:?}, most {all:?}, most of the first tenth {first:?}",
            times[times.len() / 2],
            times[times.len() * 9 / 10],
        );
        times[(times.len() * 99).div_ceil(100) - 1]
    }
}

impl Neighbour {
    /// Waits until that many of its keys are Ready.
    async fn settled(&self, many: usize) {
        let began = Instant::now();
        loop {
            let keys = self.api("GatewayApiKey").list(&ListParams::default()).await.unwrap();
            let ready = keys.iter().filter(|it| is_ready(&it.data)).count();
            if ready >= many {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(300), "{ready} of {many} keys are Ready");
            sleep(Duration::from_secs(1)).await;
        }
    }
}

fn is_ready(data: &Value) -> bool {
    let mut conditions = data["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
}

/// A hanging vendor, a thousand broken objects and six hundred good ones of a neighbour.
pub async fn nobody_waits_for_a_stranger() {
    let mut stage = Stage::set().await;
    let mut modest = Vec::new();
    for number in 0..MODEST {
        modest.push(stage.neighbour(&format!("org_modest_{number}")).await);
    }
    let greedy = stage.neighbour("org_greedy").await;
    let namespaces: Vec<_> = modest.iter().chain([&greedy]).map(|it| it.namespace.as_str()).collect();
    let namespaces = format!("{},{}", stage.namespace, namespaces.join(","));
    let mut operator = stage.operator_of(&namespaces);
    let (few, many, samples) = if whole() { (100, 1, 400) } else { (5, 100, MODEST) };
    let mut measured = Measured { modest, made: 0 };
    // The first keys wait for connections and caches, which is nobody's fault.
    measured.p99(MODEST * 2).await;
    let alone = measured.p99(samples).await;
    let mut ratios = Vec::new();
    // Every create call of the neighbour's organization hangs.
    stage.emulator.faults().add(Rule::always("POST", "org_greedy", Effect::Hang));
    for number in 0..few {
        greedy.create_key(&format!("hangs-{number}"), json!({})).await;
    }
    ratios.push(("hanging", measured.p99(samples).await, 1.2));
    stage.emulator.faults().clear();
    // Each of the three is measured by itself.
    greedy.settled(few).await;
    // What the vendor cannot do is refused by the operator, each time it looks.
    for number in 0..1000 / many {
        greedy
            .create_key(&format!("broken-{number}"), json!({"budget": {"amount": "1", "period": "Weekly"}}))
            .await;
    }
    ratios.push(("broken", measured.p99(samples).await, 2.0));
    for number in 0..600 / many {
        greedy.create_key(&format!("good-{number}"), json!({})).await;
    }
    ratios.push(("good", measured.p99(samples).await, 2.0));
    let memory = operator.peak_memory();
    assert!(operator.runs(), "the operator runs on");
    let mut violations = Vec::new();
    for (what, time, most) in ratios {
        let ratio = time.as_secs_f64() / alone.as_secs_f64();
        println!(
            "another tenant waits {ratio:.2} times as long with {what} objects of a neighbour ({time:?}, {alone:?} alone)"
        );
        if whole() && ratio > most {
            violations.push(format!("{what}: {ratio:.2} instead of at most {most}"));
        }
    }
    println!("the operator had at most {memory} MiB");
    if whole() && memory >= MEMORY {
        violations.push(format!("{memory} MiB of memory"));
    }
    report::add(&[("memory", memory)]);
    report::conclude(&violations);
}
