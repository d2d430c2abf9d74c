//! What people ask of the operator: a new key, the end of a leaked one, a pause. Each is one field or annotation of a
//! GatewayApiKey; the operator does the rest, and echoes in status what it has done.

use super::select::{Selected, Selection, named, unfit};
use crate::api::condition::{self, LEAK_OPEN, READY};
use crate::api::rotation::ManagementPolicy;
use crate::api::{GatewayApiKey, LEAKED, ROTATE_REQUESTED};
use crate::cluster::{is_missing, sentence};
use crate::columns::printable;
use crate::flags;
use crate::output::{Failure, can_confirm, confirm, print, program, tell};
use crate::runtime::clock::Clock;
use crate::session::Kubernetes;
use clap::Args;
use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Exit code: what was asked for is not done in time.
const NOT_DONE: u8 = 3;
/// The field manager of what these commands write. Not the name of the plugin: Flux takes away what a manager wrote whose name
/// begins with kubectl, and a declared leak would be lost while the operator is down.
const WRITER: &str = "keysmith-user";
/// Time between two looks at the requests that are not done.
const PAUSE: Duration = Duration::from_secs(1);

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
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Rotate,
    Leaked,
}

/// How far a request is.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// The operator has not answered it, or is not done.
    Open,
    /// A new key is in the Secret, and no leaked one is left.
    Done,
    /// The leaked keys are revoked, and no key works.
    NoKey,
    /// Another tool wrote another value before the operator saw the request.
    Overwritten,
}

/// A request that was written.
struct Asked<'a> {
    key: &'a GatewayApiKey,
    request: Request,
    value: &'a str,
}

impl Request {
    const fn annotation(self) -> &'static str {
        match self {
            Self::Rotate => ROTATE_REQUESTED,
            Self::Leaked => LEAKED,
        }
    }

    /// Why this key cannot be asked for it.
    fn refusal(self, key: &GatewayApiKey) -> Option<&'static str> {
        if key.metadata.deletion_timestamp.is_some() {
            return Some("is being deleted, which ends its keys as spec.deletionPolicy says");
        }
        let is_observed = key.spec.management_policy == Some(ManagementPolicy::Observe);
        match self {
            Self::Rotate if is_observed => Some(
                "is only looked at (spec.managementPolicy: Observe), so that Keysmith does not replace its key",
            ),
            Self::Leaked if is_observed => Some(
                "is only looked at (spec.managementPolicy: Observe), so that Keysmith does NOT revoke its key: do so in the vendor's console now",
            ),
            _ => None,
        }
    }
}

impl Asked<'_> {
    fn progress(&self, now: &GatewayApiKey) -> Progress {
        let status = now.status.clone().unwrap_or_default();
        let handled = match self.request {
            Request::Rotate => &status.last_handled_rotate_at,
            Request::Leaked => &status.last_handled_leaked,
        };
        let written = now.annotations().get(self.request.annotation());
        let before = self.key.status.as_ref().and_then(|it| it.serial);
        let replaced = status.serial.is_some() && status.serial != before;
        let is_overwritten = written.is_none_or(|it| it != self.value);
        if handled.as_deref() != Some(self.value) && !(is_overwritten && replaced) {
            let ended = is_overwritten && (written.is_none() || handled.as_ref() == written);
            return if ended { Progress::Overwritten } else { Progress::Open };
        }
        match self.request {
            Request::Leaked if status.previous.iter().any(|it| it.leaked) => Progress::Open,
            Request::Leaked if status.serial.is_none() => Progress::NoKey,
            Request::Rotate if status.serial.is_none() => Progress::Open,
            _ => Progress::Done,
        }
    }
}

/// `keysmith rotate`.
pub async fn rotate(arguments: Rotate) -> Result<ExitCode, Failure> {
    arguments.selection.must_choose()?;
    let kubernetes = arguments.selection.connect().await?;
    let selected = arguments.selection.keys(&kubernetes).await?;
    carry_out(&kubernetes, &selected, Request::Rotate, &arguments.wait).await
}

/// `keysmith leaked`.
pub async fn leaked(arguments: Leaked) -> Result<ExitCode, Failure> {
    arguments.selection.must_choose()?;
    if !arguments.yes {
        can_confirm("leaked")?;
    }
    let kubernetes = arguments.selection.connect().await?;
    let selected = arguments.selection.keys(&kubernetes).await?;
    let doomed: Vec<_> = selected.keys.iter().filter(|it| Request::Leaked.refusal(it).is_none()).collect();
    if !arguments.yes && !doomed.is_empty() && !confirm(&consequence(&doomed)).await? {
        tell("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    carry_out(&kubernetes, &selected, Request::Leaked, &arguments.wait).await
}

/// `keysmith suspend` and `keysmith resume`.
pub async fn suspend(arguments: Suspend, suspended: bool) -> Result<ExitCode, Failure> {
    arguments.selection.must_choose()?;
    let kubernetes = arguments.selection.connect().await?;
    let selected = arguments.selection.keys(&kubernetes).await?;
    let mut all = tell_unfit(&selected);
    for key in &selected.keys {
        let spec = json!({"spec": {"suspend": suspended.then_some(true)}});
        if let Err(why) = patch(&kubernetes, key, &spec).await {
            tell(&why);
            all = false;
            continue;
        }
        let now = if suspended {
            format!(
                "suspended: key, settings and Secret stay as they are until {} resume; an expiry is not prevented",
                program()
            )
        } else {
            "resumed".to_owned()
        };
        print(&format!("GatewayApiKey {}: {now}\n", named(key)))?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reports the resources that cannot be read. Returns whether there are none.
fn tell_unfit(selected: &Selected) -> bool {
    selected.unfit.iter().for_each(|it| tell(&unfit("GatewayApiKey", it)));
    selected.unfit.is_empty()
}

fn consequence(keys: &[&GatewayApiKey]) -> String {
    let one = |key: &&GatewayApiKey| {
        let previous = key.status.as_ref().map_or(0, |it| it.previous.len());
        let also = match previous {
            0 => String::new(),
            1 => " and its previous key".to_owned(),
            more => format!(" and its {more} previous keys"),
        };
        let when = if key.spec.suspend == Some(true) {
            "at once, and the Secret then holds NO key that works: spec.suspend is set, so that no new one is made"
        } else {
            "as soon as a new key is in the Secret, or at once if none can be made"
        };
        format!(
            "GatewayApiKey {}: the key in Secret {}{also} will be revoked at the vendor {when}",
            named(key),
            printable(key.secret_name())
        )
    };
    let lines: Vec<_> = keys.iter().map(one).collect();
    format!("{}\nApplications are refused from then on until they read the Secret again", lines.join("\n"))
}

/// Writes the request to every key, whatever happens to another, and waits if that is asked for.
async fn carry_out(
    kubernetes: &Kubernetes,
    selected: &Selected,
    request: Request,
    wait: &Wait,
) -> Result<ExitCode, Failure> {
    // The time with its fraction: two requests within one second are two.
    let value = Clock::system().now().to_string();
    let mut all = tell_unfit(selected);
    let mut asked = Vec::new();
    for key in &selected.keys {
        let written = match request.refusal(key) {
            Some(why) => Err(format!("GatewayApiKey {} {why}", named(key))),
            None => {
                patch(kubernetes, key, &json!({"metadata": {"annotations": {request.annotation(): value}}}))
                    .await
            }
        };
        match written {
            Ok(()) => {
                print(&format!("GatewayApiKey {}: {}\n", named(key), announced(key, request)))?;
                asked.push(Asked { key, request, value: &value });
            }
            Err(why) => {
                tell(&why);
                all = false;
            }
        }
    }
    let done = !wait.wait || wait.until(kubernetes, asked).await?;
    Ok(match (all, done) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(NOT_DONE),
        (true, true) => ExitCode::SUCCESS,
    })
}

fn announced(key: &GatewayApiKey, request: Request) -> String {
    let suspended = key.spec.suspend == Some(true);
    let resume = program();
    let asked = match request {
        Request::Rotate => "a new key is requested",
        Request::Leaked => "declared leaked",
    };
    match request {
        _ if !suspended => asked.to_owned(),
        Request::Rotate => {
            format!("{asked}; spec.suspend is set, so that nothing happens before {resume} resume")
        }
        Request::Leaked => {
            format!(
                "{asked}; spec.suspend is set, so that it is revoked and NO new key is made before {resume} resume"
            )
        }
    }
}

async fn patch(kubernetes: &Kubernetes, key: &GatewayApiKey, change: &Value) -> Result<(), String> {
    let params = PatchParams { field_manager: Some(WRITER.to_owned()), ..PatchParams::default() };
    let written = api(kubernetes, key).patch_metadata(&key.name_any(), &params, &Patch::Merge(change)).await;
    written.map(drop).map_err(|error| {
        let why = match &error {
            it if is_missing(it) => "it was deleted meanwhile".to_owned(),
            kube::Error::Api(status) if status.code == 403 => {
                "forbidden (403): it takes the right to patch gatewayapikeys of keysmith.dev, and no admission policy that refuses it".to_owned()
            }
            other => sentence(other),
        };
        format!("GatewayApiKey {} is not changed: {why}", named(key))
    })
}

fn api(kubernetes: &Kubernetes, key: &GatewayApiKey) -> Api<GatewayApiKey> {
    crate::cluster::object::api(&kubernetes.client, key)
}

impl Wait {
    /// Waits until all requests have ended. Returns whether each is done.
    async fn until(&self, kubernetes: &Kubernetes, mut asked: Vec<Asked<'_>>) -> Result<bool, Failure> {
        let deadline = Instant::now() + self.timeout.unsigned_abs();
        let mut all = true;
        loop {
            let last = Instant::now() >= deadline;
            let mut open = Vec::new();
            for it in asked {
                let name = named(it.key);
                // A read that fails is repeated until the end of the wait.
                let now = match api(kubernetes, it.key).get(&it.key.name_any()).await {
                    Err(error) if is_missing(&error) => {
                        all = false;
                        tell(&format!("GatewayApiKey {name}: was deleted meanwhile"));
                        continue;
                    }
                    Err(error) if last => {
                        all = false;
                        tell(&format!("GatewayApiKey {name}: cannot be read: {}", sentence(&error)));
                        continue;
                    }
                    Err(_) => {
                        open.push(it);
                        continue;
                    }
                    Ok(now) => now,
                };
                match it.progress(&now) {
                    Progress::Done => print(&format!("GatewayApiKey {name}: {}\n", served(&now)))?,
                    Progress::Overwritten => {
                        all = false;
                        let annotation = it.request.annotation();
                        tell(&format!(
                            "GatewayApiKey {name}: another tool changed {annotation} before the operator saw it; ask again"
                        ));
                    }
                    // No new key comes while it is suspended.
                    Progress::NoKey if last || now.spec.suspend == Some(true) => {
                        all = false;
                        let (secret, why) = (printable(now.secret_name()), waiting(&now));
                        tell(&format!(
                            "GatewayApiKey {name}: the leaked keys are revoked, and Secret {secret} holds NO key that works; {why}"
                        ));
                    }
                    _ if last => {
                        all = false;
                        tell(&format!("GatewayApiKey {name}: not done; {}", waiting(&now)));
                    }
                    _ => open.push(it),
                }
            }
            if open.is_empty() {
                return Ok(all);
            }
            asked = open;
            sleep(PAUSE).await;
        }
    }
}

/// What a key serves once a request is done.
fn served(key: &GatewayApiKey) -> String {
    let status = key.status.clone().unwrap_or_default();
    let serial = status.serial.map_or_else(String::new, |it| format!("serial {it} is in "));
    let previous = status.previous.iter();
    let previous =
        previous.map(|it| format!("; serial {} works until {} at least", it.serial, it.retire_after));
    format!("{serial}Secret {}{}", printable(key.secret_name()), previous.collect::<String>())
}

/// What prevents a request from being done. That a leaked key works outranks everything else.
fn waiting(key: &GatewayApiKey) -> String {
    let conditions = key.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
    let leak = condition::find(conditions, LEAK_OPEN).filter(|it| it.status == "True");
    let said = leak.into_iter().chain(condition::find(conditions, READY));
    let said: Vec<_> = said
        .map(|it| format!("{} is {}, {}: {}", it.type_, it.status, it.reason, printable(&it.message)))
        .collect();
    if said.is_empty() {
        return "the operator has not looked at it; check that it runs".to_owned();
    }
    said.join("; ")
}

#[cfg(test)]
mod tests;
