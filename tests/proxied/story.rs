//! Acts of users, and the end state of each.

use super::stage::Stage;
use serde_json::{Value, json};
use std::time::Duration;

/// The name of the resource.
pub const NAME: &str = "checkout";
/// More than two polls of the operator.
const STAYS: Duration = Duration::from_millis(2300);

/// An act of users on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Story {
    /// A new resource is created.
    Create,
    /// The budget is changed.
    Edit,
    /// A rotation: the old key works on during the overlap.
    Rotate,
    /// The key is declared leaked and replaced at once.
    Leak,
    /// The resource is deleted.
    Delete,
}

impl Story {
    /// Every story.
    pub const ALL: [Self; 5] = [Self::Create, Self::Edit, Self::Rotate, Self::Leak, Self::Delete];

    /// Whether the story creates a key.
    pub fn mints(self) -> bool {
        matches!(self, Self::Create | Self::Rotate | Self::Leak)
    }

    /// Prepares the state before the story, with a running operator.
    pub async fn prepare(self, stage: &Stage) -> Result<(), String> {
        stage
            .until(Duration::from_secs(60), async || {
                let token =
                    stage.api("ConsoleToken").get("edgee").await.map_err(|error| error.to_string())?;
                let mut conditions = token.data["status"]["conditions"].as_array().into_iter().flatten();
                let ready = conditions.any(|it| it["type"] == "Ready" && it["status"] == "True");
                ready.then_some(()).ok_or_else(|| format!("the token is not Ready: {}", token.data["status"]))
            })
            .await?;
        if self != Self::Create {
            stage.create_key(NAME, self.before()).await;
            stage.until(Duration::from_secs(60), async || stage.one_key(NAME).await).await?;
        }
        Ok(())
    }

    fn before(self) -> Value {
        let rotation = match self {
            Self::Rotate => json!({"trigger": "former", "overlap": "2s", "brownOut": "1s"}),
            _ => json!({"overlap": "1h"}),
        };
        json!({"budget": {"amount": "5", "period": "Monthly"}, "rotation": rotation})
    }

    /// The act of the user.
    pub async fn begin(self, stage: &Stage) {
        match self {
            Self::Create => stage.create_key(NAME, json!({})).await,
            Self::Edit => stage.edit_key(NAME, json!({"spec": {"budget": {"amount": "7"}}})).await,
            Self::Rotate => stage.edit_key(NAME, json!({"spec": {"rotation": {"trigger": "new"}}})).await,
            Self::Leak => {
                let leaked = json!({"metadata": {"annotations": {"keysmith.dev/leaked": "incident"}}});
                stage.edit_key(NAME, leaked).await;
            }
            Self::Delete => stage.delete_key(NAME).await,
        }
    }

    /// Verifies the end state.
    pub async fn ended(self, stage: &Stage) -> Result<(), String> {
        match self {
            Self::Create => stage.one_key(NAME).await.map(drop),
            Self::Edit => {
                stage.one_key(NAME).await?;
                let budget = stage.keys_of(NAME)[0].max_usage;
                (budget == Some(7)).then_some(()).ok_or_else(|| format!("the budget is {budget:?}"))
            }
            Self::Rotate => replaced(stage, ("lastHandledTrigger", "new")).await,
            Self::Leak => replaced(stage, ("lastHandledLeaked", "incident")).await,
            Self::Delete => stage.nothing(NAME).await,
        }
    }

    /// Waits for the end state, and verifies that it lasts.
    pub async fn settles(self, stage: &Stage, patience: Duration) -> Result<(), String> {
        stage.until(patience, async || self.ended(stage).await).await?;
        tokio::time::sleep(STAYS).await;
        self.ended(stage).await.map_err(|error| format!("it did not stay: {error}"))?;
        stage.check_protocol()
    }
}

/// Verifies that another key than the first is served, and that no work is left.
async fn replaced(stage: &Stage, (field, value): (&str, &str)) -> Result<(), String> {
    let status = stage.one_key(NAME).await?.data["status"].clone();
    if status[field] != value {
        return Err(format!("{field} is {}", status[field]));
    }
    let another = status["serial"].as_u64() >= Some(2);
    another.then_some(()).ok_or_else(|| format!("serial {}", status["serial"]))
}
