//! Two operators at once, neither of which knows of the other.

use super::chance::Chance;
use super::replica::Replica;
use super::stage::Stage;
use crate::support::report::{self, thorough};
use serde_json::json;
use std::time::Duration;

const KEYS: usize = 10;
/// For what was claimed and not sent when the last kill came.
const PATIENCE: Duration = Duration::from_secs(180);
/// More than two looks of an operator at the vendor.
const STAYS: Duration = Duration::from_millis(2500);

/// Kills to play, and whether they may meet a create call, which costs more than a minute.
fn kills() -> (usize, bool) {
    if thorough() { (40, true) } else { (4, false) }
}

/// Ten keys, two operators without an election between them, edits, and kills of either.
pub async fn two_at_once() {
    let mut stage = Stage::set().await;
    let mut chance = Chance::from_environment();
    let mut pair = [stage.operator(), stage.operator()];
    let (kills, early) = kills();
    let result = async {
        for number in 0..KEYS {
            stage.create_key(&name(number), json!({"budget": {"amount": "5", "period": "Monthly"}})).await;
        }
        if !early {
            settled(&stage, None).await?;
        }
        let mut budget = 5;
        for _ in 0..kills {
            budget += 1;
            edit_all(&stage, budget).await;
            tokio::time::sleep(Duration::from_millis(chance.below(400))).await;
            replace(&mut stage, &mut pair[usize::from(chance.coin())]);
        }
        settled(&stage, Some(budget)).await?;
        tokio::time::sleep(STAYS).await;
        settled(&stage, Some(budget)).await?;
        stage.check_protocol()
    };
    let violations: Vec<_> =
        result.await.err().map(|error| format!("two at once, {chance}: {error}")).into_iter().collect();
    println!("{KEYS} keys, two operators, {kills} kills");
    report::add(&[("faults", kills)]);
    report::conclude(&violations);
}

fn name(number: usize) -> String {
    format!("key-{number}")
}

fn replace(stage: &mut Stage, replica: &mut Replica) {
    let successor = stage.operator();
    std::mem::replace(replica, successor).kill();
}

async fn edit_all(stage: &Stage, budget: u64) {
    for number in 0..KEYS {
        let spec = json!({"spec": {"budget": {"amount": budget.to_string()}}});
        stage.edit_key(&name(number), spec).await;
    }
}

async fn settled(stage: &Stage, budget: Option<u64>) -> Result<(), String> {
    for number in 0..KEYS {
        let name = name(number);
        stage.until(PATIENCE, async || stage.one_key(&name).await).await?;
        let has = stage.keys_of(&name)[0].max_usage;
        if budget.is_some() && has != budget {
            return Err(format!("the budget of {name} is {has:?}, not {budget:?}"));
        }
    }
    match stage.keys().len() {
        KEYS => Ok(()),
        other => Err(format!("{other} keys at the vendor")),
    }
}
