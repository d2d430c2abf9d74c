//! The faults of one request and of the operator that sent it.

use super::gate::Gate;
use super::replica::Replica;
use super::stage::Stage;
use super::story::Story;
use super::wires::{Act, Point, Side};
use std::time::Duration;

/// How long the successor of a paused operator gets to finish the story before the paused one is resumed.
const HEAD_START: Duration = Duration::from_secs(6);
/// Longer than any wait for a create call with an unknown outcome.
const LONG_HEAD_START: Duration = Duration::from_secs(85);
/// The delay of a request whose sender is dead.
const LATE: Duration = Duration::from_secs(2);
/// A successor that has something to write does so within this time.
const NEXT_WRITE: Duration = Duration::from_secs(8);

/// The fence: an existing Secret is written before its key is replaced, and then again with the new key.
const FENCE: &str = "PUT secrets";

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Killed before it sent the request.
    KillBefore,
    /// Killed before it read the answer.
    KillAfter,
    /// Killed with the request on its way; it arrives when a successor is at work.
    KillWhileSending,
    /// Killed before it sent the request; its successor is killed before its first request.
    KillTwiceBefore,
    /// Killed before it read the answer; its successor is killed before the answer to its first request.
    KillTwiceAfter,
    /// Paused before the answer, and resumed when a successor has finished or worked for long.
    PauseAfter,
    /// Like `PauseAfter`, with the request under way until then.
    PauseWhileSending,
    /// The request is lost.
    LoseRequest,
    /// The answer is lost.
    LoseAnswer,
    /// The answer breaks off.
    Truncate,
    /// The request arrives twice.
    Replay,
    /// The request arrives late.
    Delay,
    /// 409 without effect.
    Conflict,
    /// 429 without effect.
    Throttled,
    /// 503 without effect.
    Unavailable,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 15] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::KillWhileSending,
        Self::KillTwiceBefore,
        Self::KillTwiceAfter,
        Self::PauseAfter,
        Self::PauseWhileSending,
        Self::LoseRequest,
        Self::LoseAnswer,
        Self::Truncate,
        Self::Replay,
        Self::Delay,
        Self::Conflict,
        Self::Throttled,
        Self::Unavailable,
    ];

    /// Whether a short run has this fault at this point: kills and lost answers, the others at the most dangerous
    /// points.
    pub fn is_brief(self, story: Story, point: &Point) -> bool {
        match self {
            Self::KillAfter => true,
            Self::KillBefore | Self::LoseAnswer => {
                !matches!(story, Story::Rotate | Story::Leak) || point.side == Side::Vendor
            }
            Self::PauseAfter | Self::Replay => story.mints() && point.shape == "POST api_keys",
            Self::PauseWhileSending | Self::KillWhileSending => {
                story.mints() && point.shape == "POST secrets"
            }
            _ => false,
        }
    }

    /// Whether the fault is possible at this point. A vendor that answers 409 refuses the call, and is asked again an
    /// hour later.
    pub fn fits(self, point: &Point) -> bool {
        self != Self::Conflict || point.side == Side::Kubernetes
    }

    /// Whether a serial may be left claimed without a key at the vendor. That is certain only after more than a minute.
    pub fn leaves_doubt(self, story: Story, point: &Point) -> bool {
        let unsent =
            [Self::KillBefore, Self::LoseRequest, Self::Unavailable, Self::PauseWhileSending].contains(&self);
        let applied = [Self::KillAfter, Self::LoseAnswer, Self::Truncate, Self::PauseAfter].contains(&self);
        match (point.side, point.shape.as_str(), point.nth) {
            _ if !story.mints() => false,
            // The successor may be about to create another key.
            _ if self.is_pair() => true,
            (Side::Vendor, "POST api_keys", _) => unsent,
            // The request under way may arrive before the successor has listed.
            (Side::Kubernetes, "PATCH gatewayapikeys", _) => {
                applied || [Self::KillWhileSending, Self::PauseWhileSending].contains(&self)
            }
            // The fence: the serial is claimed, and the create call is not sent.
            (Side::Kubernetes, FENCE, 1) => ![Self::Replay, Self::Delay].contains(&self),
            _ => false,
        }
    }

    /// Whether it consists of two faults in a row.
    pub fn is_pair(self) -> bool {
        matches!(self, Self::KillTwiceBefore | Self::KillTwiceAfter)
    }

    /// Applies the fault to the story that begins now. Returns the operator that works on afterwards.
    pub async fn happen(self, play: &mut Play<'_>, operator: Replica) -> Result<Vec<Replica>, String> {
        let gate = Gate::default();
        let act = self.act(&gate);
        play.stage.wires.at(&play.point, act);
        play.story.begin(play.stage).await;
        match self {
            Self::KillBefore | Self::KillAfter => {
                gate.reached().await?;
                operator.kill();
                gate.lose();
                Ok(vec![play.stage.operator()])
            }
            Self::KillTwiceBefore | Self::KillTwiceAfter => {
                gate.reached().await?;
                operator.kill();
                let again = Gate::default();
                play.stage.wires.at_next_write(self.act(&again));
                gate.lose();
                let successor = play.stage.operator();
                // The successor may have nothing left to write.
                let reached = tokio::time::timeout(NEXT_WRITE, again.reached()).await;
                play.stage.wires.clear();
                if reached.is_err() {
                    return Ok(vec![successor]);
                }
                successor.kill();
                again.lose();
                Ok(vec![play.stage.operator()])
            }
            Self::KillWhileSending => {
                gate.reached().await?;
                operator.kill();
                let successor = play.stage.operator();
                tokio::time::sleep(LATE).await;
                gate.open();
                Ok(vec![successor])
            }
            Self::PauseAfter | Self::PauseWhileSending => {
                gate.reached().await?;
                operator.pause();
                let successor = play.stage.operator();
                let head_start =
                    if self.leaves_doubt(play.story, &play.point) { LONG_HEAD_START } else { HEAD_START };
                // The successor may have to wait for the request of the paused operator.
                let _ = play.stage.until(head_start, async || play.story.ended(play.stage).await).await;
                gate.open();
                operator.wake();
                Ok(vec![operator, successor])
            }
            _ => Ok(vec![operator]),
        }
    }

    fn act(self, gate: &Gate) -> Act {
        match self {
            Self::KillBefore | Self::KillTwiceBefore | Self::KillWhileSending | Self::PauseWhileSending => {
                Act::HoldRequest(gate.clone())
            }
            Self::KillAfter | Self::KillTwiceAfter | Self::PauseAfter => Act::HoldAnswer(gate.clone()),
            Self::LoseRequest => Act::LoseRequest,
            Self::LoseAnswer => Act::LoseAnswer,
            Self::Truncate => Act::Truncate(7),
            Self::Replay => Act::Replay,
            Self::Delay => Act::Delay(Duration::from_secs(3)),
            Self::Conflict => Act::Refuse(409),
            Self::Throttled => Act::Refuse(429),
            Self::Unavailable => Act::Refuse(503),
        }
    }
}

/// A story with a fault at a point.
pub struct Play<'a> {
    /// The stage.
    pub stage: &'a mut Stage,
    /// The story.
    pub story: Story,
    /// The request that the fault hits.
    pub point: Point,
}
