//! What people ask of the operator: a new key, the end of a leaked one, a pause. Each is one field or annotation of a
//! GatewayApiKey; the operator does the rest, and echoes in status what it has done.

use super::select::{Selection, named};
use crate::api::condition::{self, READY};
use crate::api::{GatewayApiKey, LEAKED, ROTATE_REQUESTED};
use crate::cli::flags;
use crate::cluster::sentence;
use crate::columns::printable;
use crate::output::{Failure, can_confirm, confirm, print, tell};
use crate::runtime::clock::Clock;
use crate::session::Kubernetes;
use clap::Args;
use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::process::ExitCode;
use tokio::time::{Instant, timeout_at};

/// Exit code: what was asked for is not done in time.
const NOT_DONE: u8 = 3;
/// The field manager of what these commands write.
const WRITER: &str = "kubectl-keysmith";

/// Which keys, and whether to wait.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, 3 not done in time, 2 a flag or its value is wrong, 1 a key does not exist or something \
    else went wrong."
)]
pub struct Rotate {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    wait: Wait,
}

/// Which key leaked.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, 3 not done in time, 2 a flag or its value is wrong, 1 a key does not exist, the answer was \
    not yes, or something else went wrong."
)]
pub struct Leaked {
    #[command(flatten)]
    selection: Selection,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

/// Which keys.
#[derive(Debug, Args)]
#[command(
    after_help = "A tool that applies the resource from git writes spec.suspend back: change it there, too. Exit codes: 0 done, \
    2 a flag or its value is wrong, 1 a key does not exist or something else went wrong."
)]
pub struct Suspend {
    #[command(flatten)]
    selection: Selection,
}

#[derive(Debug, Args)]
struct Wait {
    /// Wait until it is done.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = flags::interval)]
    timeout: SignedDuration,
}

/// A request that the operator answers in status.
#[derive(Clone, Copy)]
enum Request {
    Rotate,
    Leaked,
}

impl Request {
    const fn annotation(self) -> &'static str {
        match self {
            Self::Rotate => ROTATE_REQUESTED,
            Self::Leaked => LEAKED,
        }
    }

    /// Whether the request in the annotation is done. It may be a later one than that of this command.
    fn is_done(self, key: &GatewayApiKey) -> bool {
        let Some(status) = &key.status else { return false };
        let handled = match self {
            Self::Rotate => &status.last_handled_rotate_at,
            Self::Leaked => &status.last_handled_leaked,
        };
        let revoked = match self {
            Self::Rotate => true,
            Self::Leaked => !status.previous.iter().any(|it| it.leaked),
        };
        handled.is_some() && handled.as_ref() == key.annotations().get(self.annotation()) && revoked
    }
}

/// `keysmith rotate`.
pub async fn rotate(arguments: Rotate) -> Result<ExitCode, Failure> {
    arguments.selection.must_choose()?;
    let kubernetes = arguments.selection.connect().await?;
    let keys = arguments.selection.keys(&kubernetes).await?;
    ask(&kubernetes, &keys, Request::Rotate).await?;
    arguments.wait.until(&kubernetes, &keys, Request::Rotate).await
}

/// `keysmith leaked`.
pub async fn leaked(arguments: Leaked) -> Result<ExitCode, Failure> {
    arguments.selection.must_choose()?;
    if !arguments.yes {
        can_confirm("leaked")?;
    }
    let kubernetes = arguments.selection.connect().await?;
    let keys = arguments.selection.keys(&kubernetes).await?;
    if !arguments.yes && !confirm(&consequence(&keys)).await? {
        tell("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    ask(&kubernetes, &keys, Request::Leaked).await?;
    arguments.wait.until(&kubernetes, &keys, Request::Leaked).await
}

/// `keysmith suspend` and `keysmith resume`.
pub async fn suspend(arguments: Suspend, suspended: bool) -> Result<ExitCode, Failure> {
    arguments.selection.must_choose()?;
    let kubernetes = arguments.selection.connect().await?;
    for key in arguments.selection.keys(&kubernetes).await? {
        let spec = json!({"spec": {"suspend": suspended.then_some(true)}});
        patch(&kubernetes, &key, &spec).await?;
        let now = if suspended {
            "suspended: key, settings and Secret stay as they are until keysmith resume; an expiry is not prevented"
        } else {
            "resumed"
        };
        print(&format!("GatewayApiKey {}: {now}\n", named(&key)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn consequence(keys: &[GatewayApiKey]) -> String {
    let one = |key: &GatewayApiKey| {
        let previous = key.status.as_ref().map_or(0, |it| it.previous.len());
        let also = match previous {
            0 => String::new(),
            1 => " and its previous key".to_owned(),
            more => format!(" and its {more} previous keys"),
        };
        format!(
            "GatewayApiKey {}: the key in Secret {}{also} will be revoked at the vendor as soon as a new key is in the \
             Secret, or at once if none can be made",
            named(key),
            printable(key.secret_name())
        )
    };
    let lines: Vec<_> = keys.iter().map(one).collect();
    format!("{}\nApplications are refused from then on until they read the Secret again", lines.join("\n"))
}

async fn ask(kubernetes: &Kubernetes, keys: &[GatewayApiKey], request: Request) -> Result<(), Failure> {
    // The time with its fraction: two requests within one second are two.
    let value = Clock::system().now().to_string();
    for key in keys {
        patch(kubernetes, key, &json!({"metadata": {"annotations": {request.annotation(): value}}})).await?;
        let asked = match request {
            Request::Rotate => "a new key is requested",
            Request::Leaked => "declared leaked",
        };
        let but = match request {
            Request::Rotate if key.spec.suspend == Some(true) => {
                "; it is suspended, so nothing happens before keysmith resume"
            }
            _ => "",
        };
        print(&format!("GatewayApiKey {}: {asked}{but}\n", named(key)))?;
    }
    Ok(())
}

async fn patch(kubernetes: &Kubernetes, key: &GatewayApiKey, change: &Value) -> Result<(), Failure> {
    let params = PatchParams { field_manager: Some(WRITER.to_owned()), ..PatchParams::default() };
    let written = api(kubernetes, key).patch_metadata(&key.name_any(), &params, &Patch::Merge(change)).await;
    written.map(drop).map_err(|error| {
        let why = match &error {
            kube::Error::Api(status) if status.code == 403 => {
                "forbidden (403); it takes the right to patch gatewayapikeys of keysmith.dev".to_owned()
            }
            other => sentence(other),
        };
        format!("GatewayApiKey {} cannot be changed: {why}", named(key)).into()
    })
}

fn api(kubernetes: &Kubernetes, key: &GatewayApiKey) -> Api<GatewayApiKey> {
    crate::cluster::object::api(&kubernetes.client, key)
}

impl Wait {
    async fn until(
        &self,
        kubernetes: &Kubernetes,
        keys: &[GatewayApiKey],
        request: Request,
    ) -> Result<ExitCode, Failure> {
        if !self.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let deadline = Instant::now() + self.timeout.unsigned_abs();
        let mut all = true;
        for key in keys {
            let condition = |it: Option<&GatewayApiKey>| it.is_none_or(|it| request.is_done(it));
            let name = key.name_any();
            match timeout_at(deadline, await_condition(api(kubernetes, key), &name, condition)).await {
                Ok(Ok(Some(key))) => print(&format!("GatewayApiKey {}: {}\n", named(&key), done(&key)))?,
                Ok(Ok(None)) => {
                    all = false;
                    tell(&format!("GatewayApiKey {}: was deleted meanwhile", named(key)));
                }
                Ok(Err(_)) | Err(_) => {
                    all = false;
                    let now = api(kubernetes, key).get_opt(&name).await.ok().flatten();
                    tell(&format!("GatewayApiKey {}: not done; {}", named(key), waiting(now.as_ref())));
                }
            }
        }
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_DONE) })
    }
}

/// What a key serves once a request is done.
fn done(key: &GatewayApiKey) -> String {
    let status = key.status.clone().unwrap_or_default();
    let served = status.serial.map_or_else(String::new, |it| format!("serial {it} is in "));
    let next = status
        .previous
        .iter()
        .map(|it| format!("; serial {} works until {} at least", it.serial, it.retire_after));
    format!("{served}Secret {}{}", printable(key.secret_name()), next.collect::<String>())
}

/// What prevents a request from being done.
fn waiting(key: Option<&GatewayApiKey>) -> String {
    let conditions =
        key.and_then(|it| it.status.as_ref()).map(|it| it.conditions.as_slice()).unwrap_or_default();
    match condition::find(conditions, READY) {
        Some(ready) => format!("Ready is {}, {}: {}", ready.status, ready.reason, printable(&ready.message)),
        None => "the operator has not looked at it; check that it runs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(annotation: (&str, &str), status: &Value) -> GatewayApiKey {
        let key = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
            "metadata": {"name": "checkout", "namespace": "shop", "annotations": {annotation.0: annotation.1}},
            "spec": {"consoleTokenRef": {"name": "edgee"}}, "status": status,
        });
        serde_json::from_value(key).unwrap()
    }

    #[test]
    fn a_request_is_done_when_status_echoes_it_and_no_leaked_key_is_left() {
        let done = key((ROTATE_REQUESTED, "2"), &json!({"lastHandledRotateAt": "2"}));
        assert!(Request::Rotate.is_done(&done));
        assert!(
            !Request::Rotate.is_done(&key((ROTATE_REQUESTED, "2"), &json!({"lastHandledRotateAt": "1"})))
        );
        assert!(!Request::Rotate.is_done(&key(("other", "2"), &json!({}))));
        let previous = |leaked| {
            json!({
                "lastHandledLeaked": "2",
                "previous": [{"id": "k1", "serial": 1, "replacedAt": "2026-01-01T00:00:00Z",
                    "retireAfter": "2026-01-02T00:00:00Z", "leaked": leaked}],
            })
        };
        assert!(!Request::Leaked.is_done(&key((LEAKED, "2"), &previous(true))));
        assert!(Request::Leaked.is_done(&key((LEAKED, "2"), &previous(false))));
    }

    #[test]
    fn the_question_names_every_key_that_dies() {
        let previous = json!({"previous": [{"id": "k1", "serial": 1, "replacedAt": "2026-01-01T00:00:00Z",
            "retireAfter": "2026-01-02T00:00:00Z"}]});
        let text = consequence(&[key(("a", "b"), &previous)]);
        assert!(
            text.contains("shop/checkout") && text.contains("Secret checkout and its previous key"),
            "{text}"
        );
    }
}
