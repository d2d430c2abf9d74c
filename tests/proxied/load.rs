//! Calls with the key in the Secret during rotations and kills of the operator.

use super::gate::Gate;
use super::replica::Replica;
use super::stage::{SEED, Stage};
use super::story::NAME;
use super::traffic::Traffic;
use super::wires::{Act, Point, Side};
use crate::support::random::Rng;
use crate::support::report::{self, thorough};
use serde_json::json;
use std::time::Duration;

/// Longer than the wait for a create call that was claimed and never sent.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rotates many times, kills the operator in many of them, and counts refused calls.
pub async fn rotations() {
    let mut stage = Stage::set().await;
    let operator = stage.operator();
    let rotations = if thorough() { 100 } else { 5 };
    let rng = Rng::from_environment(|| SEED);
    let seed = rng.to_string();
    let mut run = Run { stage: &mut stage, operator: Some(operator), rng, kills: 0 };
    let outcome = run.play(rotations).await;
    let kills = run.kills;
    let (traffic, mut violations) = match outcome {
        Ok(traffic) => (Some(traffic), Vec::new()),
        Err(error) => (None, vec![format!("under load, {seed}: {error}")]),
    };
    let (sent, refused) = traffic.map_or((0, Vec::new()), |it| (it.sent(), it.refused()));
    println!("{rotations} rotations, {kills} kills, {sent} calls, {} refused", refused.len());
    report::add(&[("faults", kills), ("rotations", rotations), ("calls", sent), ("refused", refused.len())]);
    violations.extend(refused);
    report::conclude(&violations);
}

struct Run<'a> {
    stage: &'a mut Stage,
    operator: Option<Replica>,
    rng: Rng,
    kills: usize,
}

impl Run<'_> {
    async fn play(&mut self, rotations: usize) -> Result<Traffic, String> {
        let fields = json!({
            "rotation": {"trigger": "0", "overlap": "5s", "brownOut": "1s"},
            "secret": {"preset": "OpenAI", "template": {"data": {"key": "{{ key }}"}}},
        });
        self.stage.create_key(NAME, fields).await;
        self.stage.until(PATIENCE, async || self.stage.one_key(NAME).await).await?;
        let traffic = Traffic::start(&self.stage.secrets(), NAME);
        for number in 1..=rotations {
            let trigger = number.to_string();
            self.rotate(&trigger).await?;
            self.stage.until(PATIENCE, async || handled(self.stage, &trigger).await).await?;
            tokio::time::sleep(Duration::from_millis(300 + self.rng.below(500))).await;
        }
        self.stage.until(PATIENCE, async || self.stage.one_key(NAME).await).await?;
        self.stage.check_protocol()?;
        traffic.stop().await;
        if traffic.sent() < 20 * rotations {
            return Err(format!("only {} calls", traffic.sent()));
        }
        Ok(traffic)
    }

    async fn rotate(&mut self, trigger: &str) -> Result<(), String> {
        let kill = self.kill();
        let gate = Gate::default();
        if let Kill::At(side, shape, nth) = kill {
            let act = if self.rng.coin() { Act::HoldRequest } else { Act::HoldAnswer };
            // If the create call were held before it is forwarded, its outcome would be unknown for more than a minute.
            let act = if side == Side::Vendor { Act::HoldAnswer } else { act };
            let point = Point { side, shape: shape.to_owned(), nth };
            self.stage.wires.at(&point, act(gate.clone()));
        }
        self.stage.edit_key(NAME, json!({"spec": {"rotation": {"trigger": trigger}}})).await;
        match kill {
            Kill::None => return Ok(()),
            Kill::At(..) => gate.reached().await?,
            Kill::After(time) => tokio::time::sleep(time).await,
        }
        self.kills += 1;
        let successor = self.stage.operator();
        if let Some(operator) = self.operator.replace(successor) {
            operator.kill();
        }
        gate.lose();
        Ok(())
    }

    /// Most kills are aimed at a request. The others are random. The fewer of the random ones hit the moment between a
    /// claim and its create call, after which the operator waits, the more the run shows.
    fn kill(&mut self) -> Kill {
        match self.rng.below(if thorough() { 10 } else { 4 }) {
            0 => Kill::At(Side::Vendor, "POST api_keys", 1),
            1 => Kill::At(Side::Kubernetes, "PUT secrets", 2),
            2 => Kill::At(Side::Kubernetes, "PATCH gatewayapikeys/status", 1),
            4 => Kill::After(Duration::from_millis(self.rng.below(1500))),
            _ => Kill::None,
        }
    }
}

/// The moment of a rotation at which the operator is killed.
#[derive(Clone, Copy)]
enum Kill {
    None,
    At(Side, &'static str, usize),
    After(Duration),
}

async fn handled(stage: &Stage, trigger: &str) -> Result<(), String> {
    let object = stage.api("GatewayApiKey").get(NAME).await.map_err(|error| error.to_string())?;
    let status = &object.data["status"];
    let done = status["lastHandledTrigger"] == trigger;
    done.then_some(()).ok_or_else(|| format!("trigger {trigger} is not handled: {status}"))
}
