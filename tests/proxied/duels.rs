//! Two operators at once that do not know of each other.

use super::replica::Replica;
use super::stage::{SEED, Stage};
use crate::support::random::Rng;
use crate::support::report::{self, thorough};
use serde_json::{Value, json};
use std::time::Duration;

const KEYS: usize = 10;
/// Long enough for a claim without a call at the last kill, once for the key itself and once for its replacement.
const PATIENCE: Duration = Duration::from_secs(240);
/// More than two polls of an operator.
const STAYS: Duration = Duration::from_millis(2500);

/// The number of kills, and the longest time between two of them.
fn kills() -> (usize, u64) {
    if thorough() { (40, 1200) } else { (4, 400) }
}

/// Ten keys, two operators without an election between them, edits, replacements, and kills of either.
pub async fn two_at_once() {
    let mut stage = Stage::set().await;
    let pair = [stage.operator(), stage.operator()];
    let rng = Rng::from_environment(|| SEED);
    let seed = rng.to_string();
    let mut duel = Duel { stage, pair, rng, wanted: [Wanted { budget: 5, trigger: 0 }; KEYS] };
    let result = duel.fight().await;
    let violations: Vec<_> =
        result.err().map(|error| format!("two at once, {seed}: {error}")).into_iter().collect();
    println!("{KEYS} keys, two operators, {} kills", kills().0);
    report::add(&[("faults", kills().0)]);
    report::conclude(&violations);
}

/// The last request of the users.
#[derive(Clone, Copy)]
struct Wanted {
    budget: u64,
    trigger: usize,
}

struct Duel {
    stage: Stage,
    pair: [Replica; 2],
    rng: Rng,
    wanted: [Wanted; KEYS],
}

impl Duel {
    async fn fight(&mut self) -> Result<(), String> {
        for number in 0..KEYS {
            self.stage.create_key(&name(number), fields(self.wanted[number])).await;
        }
        // A kill between claim and create call costs more than a minute, so a short run has none during the creation of
        // keys.
        if !thorough() {
            self.settled().await?;
            self.edit_all(1).await;
            self.settled().await?;
        }
        let (kills, pause) = kills();
        for round in 0..kills {
            self.edit_all(if thorough() { round } else { 1 }).await;
            tokio::time::sleep(Duration::from_millis(self.rng.below(pause))).await;
            self.replace_one();
        }
        self.settled().await?;
        tokio::time::sleep(STAYS).await;
        self.settled().await?;
        self.stage.check_protocol()
    }

    /// Changes the budget of every key, and requests a rotation of every third one.
    async fn edit_all(&mut self, trigger: usize) {
        for number in 0..KEYS {
            self.wanted[number].budget += 1;
            if (number + trigger).is_multiple_of(3) {
                self.wanted[number].trigger = trigger;
            }
            self.stage.edit_key(&name(number), json!({"spec": fields(self.wanted[number])})).await;
        }
    }

    fn replace_one(&mut self) {
        let successor = self.stage.operator();
        std::mem::replace(&mut self.pair[usize::from(self.rng.coin())], successor).kill();
    }

    async fn settled(&self) -> Result<(), String> {
        for (number, wanted) in self.wanted.iter().enumerate() {
            self.stage.until(PATIENCE, async || self.is_settled(&name(number), wanted).await).await?;
        }
        match self.stage.keys().len() {
            KEYS => Ok(()),
            other => Err(format!("{other} keys at the vendor")),
        }
    }

    async fn is_settled(&self, name: &str, wanted: &Wanted) -> Result<(), String> {
        let status = &self.stage.one_key(name).await?.data["status"];
        let has = self.stage.keys_of(name)[0].max_usage;
        if has != Some(wanted.budget) {
            return Err(format!("the budget of {name} is {has:?}, not {}", wanted.budget));
        }
        let handled = status["lastHandledTrigger"].as_str() == Some(&wanted.trigger.to_string());
        handled.then_some(()).ok_or_else(|| format!("trigger {} of {name} is not handled", wanted.trigger))
    }
}

fn name(number: usize) -> String {
    format!("key-{number}")
}

fn fields(wanted: Wanted) -> Value {
    json!({
        "budget": {"amount": wanted.budget.to_string(), "period": "Monthly"},
        "rotation": {"trigger": wanted.trigger.to_string(), "overlap": "2s", "brownOut": "1s"},
    })
}
