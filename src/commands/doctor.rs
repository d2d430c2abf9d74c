//! `keysmith doctor`: what a person would check one by one when keys do not come: definitions, the operator, the clock,
//! console tokens, policies, and the person's own rights. It changes nothing, and calls no vendor unless asked to.

use super::status::Health;
use crate::api::{self, GROUP};
use crate::cluster::{is_missing, sentence};
use crate::columns::printable;
use crate::gateway::Rank;
use crate::gateway::account::Listing;
use crate::output::{Failure, print};
use crate::plan::class::ControllerClass;
use crate::plan::identity::AnyToken;
use crate::plan::naming::Mark;
use crate::runtime::clock::Clock;
use crate::session::kubeconfig::{ClusterArguments, shown};
use crate::session::vendors::AskArguments;
use crate::session::{Kubernetes, Session, objects};
use clap::Args;
use jiff::fmt::rfc2822;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::client::Body;
use kube::{Api, Client, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;

/// Exit code: something needs attention.
const ATTENTION: u8 = 3;
/// Clocks that differ by no more than this many seconds agree: the header of the API server has whole seconds, and the
/// answer takes a while.
const AGREES: i64 = 5;
/// The label of a shard's Deployment.
const SHARD: &str = "keysmith.dev/shard";
/// What the chart labels its objects with.
pub(super) const OURS: &str = "app.kubernetes.io/name=keysmith";

/// The arguments of `keysmith doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing needs attention, 3 something does, 2 a flag or its value is wrong, 1 the API server cannot \
    be reached."
)]
pub struct Arguments {
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    ask: AskArguments,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// As it should be.
    Fine,
    /// Could not be checked, or may be on purpose.
    Unsure,
    /// Keys do not work because of it, or will not.
    Wrong,
}

/// A check and its result.
pub struct Check {
    what: String,
    state: State,
    text: String,
}

impl Check {
    fn new(what: impl Into<String>, state: State, text: impl Into<String>) -> Self {
        Self { what: what.into(), state, text: text.into() }
    }
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let server = shown(&arguments.cluster.config().await?);
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let mut found = vec![Check::new("API server", State::Fine, server)];
    let session = arguments.ask.session(&kubernetes).await?;
    found.extend(checks(&kubernetes.client, session.as_ref()).await);
    print(&text(&found))?;
    let wrong = found.iter().any(|it| it.state == State::Wrong);
    Ok(if wrong { ExitCode::from(ATTENTION) } else { ExitCode::SUCCESS })
}

/// Every check but that of the API server. `session`: ask the vendors with it.
pub async fn checks(client: &Client, session: Option<&Session>) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.push(clock(client).await);
    checks.extend(definitions(client).await);
    let deployments = deployments(client).await;
    checks.extend(operators(&deployments));
    checks.push(policies(client).await);
    let classes = deployments.map(|list| list.iter().map(class).collect()).unwrap_or_default();
    checks.extend(tokens(client, session, &classes).await);
    checks.extend(rights(client).await);
    checks
}

/// The checks for people, a line each.
pub fn text(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let state = match check.state {
            State::Fine => "ok     ",
            State::Unsure => "look at",
            State::Wrong => "WRONG  ",
        };
        format!("{state}  {}: {}\n", check.what, check.text)
    };
    checks.iter().map(line).collect()
}

async fn clock(client: &Client) -> Check {
    let request = http::Request::get("/version").body(Body::empty());
    let Ok(request) = request else { return Check::new("clock", State::Unsure, "cannot be asked") };
    let answer = client.send(request).await.ok();
    let date = answer.as_ref().and_then(|it| it.headers().get("date")?.to_str().ok());
    let date = date.and_then(|it| rfc2822::parse(&it.replace("GMT", "+0000")).ok());
    let Some(date) = date else {
        return Check::new("clock", State::Unsure, "the API server does not say what time it is");
    };
    let differs = Clock::system().now().as_second() - date.timestamp().as_second();
    if differs.abs() <= AGREES {
        return Check::new("clock", State::Fine, "this machine and the API server agree");
    }
    let text = format!(
        "this machine is {differs} s ahead of the API server; correct the clock of the one that is wrong: expiries and windows go by it"
    );
    Check::new("clock", State::Unsure, text)
}

async fn definitions(client: &Client) -> Vec<Check> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut checks = Vec::new();
    for crd in api::crds() {
        let name = crd.name_any();
        let what = format!("definition {name}");
        checks.push(match api.get(&name).await {
            Ok(found) => match found.labels().get("app.kubernetes.io/version").map(String::as_str) {
                Some(env!("CARGO_PKG_VERSION")) => continue,
                version => {
                    let version = version.map_or_else(|| "an unknown version".to_owned(), printable);
                    let text = format!(
                        "is of {version}, this command of {}; upgrade the release, or use the command of its version",
                        env!("CARGO_PKG_VERSION")
                    );
                    Check::new(what, State::Unsure, text)
                }
            },
            Err(error) if is_missing(&error) => {
                Check::new(what, State::Wrong, "is missing; install the chart, or kubectl apply --server-side -f crds/")
            }
            Err(error) => Check::new(what, State::Unsure, sentence(&error)),
        });
    }
    if checks.is_empty() {
        let text = format!("all there, of version {}", env!("CARGO_PKG_VERSION"));
        checks.push(Check::new("definitions", State::Fine, text));
    }
    checks
}

/// The Deployments of the chart.
async fn deployments(client: &Client) -> kube::Result<Vec<Deployment>> {
    let api: Api<Deployment> = Api::all(client.clone());
    Ok(api.list(&ListParams::default().labels(OURS)).await?.items)
}

/// The operators, by class: those of different classes work side by side.
fn operators(deployments: &kube::Result<Vec<Deployment>>) -> Vec<Check> {
    let list = match deployments {
        Ok(list) => list,
        Err(error) => return vec![Check::new("operator", State::Unsure, sentence(error))],
    };
    if list.is_empty() {
        let text = "there is no Deployment with the label app.kubernetes.io/name=keysmith; install the chart, unless it runs elsewhere";
        return vec![Check::new("operator", State::Unsure, text)];
    }
    let mut classes: BTreeMap<String, Vec<&Deployment>> = BTreeMap::new();
    for deployment in list {
        classes.entry(class(deployment)).or_default().push(deployment);
    }
    let what = |class: &str| {
        if class.is_empty() {
            "operator".to_owned()
        } else {
            format!("operator of class {}", printable(class))
        }
    };
    classes.iter().map(|(class, list)| Check { what: what(class), ..operator(list) }).collect()
}

/// The class of the operator in a Deployment; empty for none.
fn class(deployment: &Deployment) -> String {
    let pod = deployment.spec.template.spec.as_ref();
    let variables = pod.into_iter().flat_map(|it| &it.containers).flat_map(|it| it.env.iter().flatten());
    let mut classes = variables.filter(|it| it.name == "KEYSMITH_CONTROLLER_CLASS");
    classes.find_map(|it| it.value.clone()).unwrap_or_default()
}

/// The operator in these Deployments, of one class.
fn operator(list: &[&Deployment]) -> Check {
    let [deployment] = list else {
        return several(list);
    };
    let (ready, wanted) = pods(deployment);
    let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
    let place = format!("Deployment {namespace}/{name}");
    if ready == 0 {
        let text = format!(
            "{place} has no ready pod of {wanted}; kubectl logs -n {namespace} deploy/{name} says why. Keys work on, nothing is rotated"
        );
        return Check::new("operator", State::Wrong, text);
    }
    Check::new("operator", State::Fine, format!("{place}, {ready} of {wanted} pods ready"))
}

/// Ready and wanted pods.
fn pods(deployment: &Deployment) -> (i32, i32) {
    let ready = deployment.status.as_ref().and_then(|it| it.ready_replicas).unwrap_or_default();
    (ready, deployment.spec.replicas.unwrap_or(1))
}

/// More than one Deployment.
fn several(list: &[&Deployment]) -> Check {
    if list.iter().all(|it| pods(it).0 == 0) {
        let text =
            format!("none of {} Deployments has a ready pod; keys work on, nothing is rotated", list.len());
        return Check::new("operator", State::Wrong, text);
    }
    if let Some(shards) = shards(list) {
        return shards;
    }
    let text = format!(
        "{} Deployments have its label; two releases that watch the same namespaces disturb each other, unless each has a controllerClass of \
         its own",
        list.len()
    );
    Check::new("operator", State::Unsure, text)
}

/// Deployments that are the shards of one operator, all of them.
fn shards(list: &[&Deployment]) -> Option<Check> {
    let mut found: Vec<_> = list.iter().map(|it| it.labels().get(SHARD)).collect::<Option<_>>()?;
    found.sort_unstable();
    found.dedup();
    let count = found.first()?.split_once("-of-")?.1;
    let wanted: Vec<_> = (1..=count.parse::<usize>().ok()?).map(|it| format!("{it}-of-{count}")).collect();
    if found.len() != list.len()
        || wanted.len() != found.len()
        || !wanted.iter().all(|it| found.contains(&it))
    {
        return None;
    }
    let idle: Vec<_> = list.iter().filter(|it| pods(it).0 == 0).map(|it| it.name_any()).collect();
    Some(match idle.as_slice() {
        [] => Check::new("operator", State::Fine, format!("{count} shards, each with a ready pod")),
        idle => {
            let text = format!(
                "{} has no ready pod; the keys of its accounts work on, and nothing of them is rotated",
                idle.join(", ")
            );
            Check::new("operator", State::Wrong, text)
        }
    })
}

async fn policies(client: &Client) -> Check {
    let api: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    match api.list_metadata(&ListParams::default().labels(OURS)).await {
        Ok(list) if list.items.is_empty() => {
            let text = "none of Keysmith's; refusals by limits show in status instead of at kubectl apply";
            Check::new("admission policies", State::Unsure, text)
        }
        Ok(list) => {
            let names: Vec<_> = list.items.iter().map(ResourceExt::name_any).collect();
            Check::new("admission policies", State::Fine, names.join(", "))
        }
        Err(error) => Check::new("admission policies", State::Unsure, sentence(&error)),
    }
}

/// `classes`: those of the operators, if any operator was found.
async fn tokens(client: &Client, session: Option<&Session>, classes: &BTreeSet<String>) -> Vec<Check> {
    let found = match objects::tokens(client, None, None).await {
        Ok(found) => found,
        Err(unread) => return vec![Check::new("console tokens", State::Unsure, unread.to_string())],
    };
    if found.is_empty() {
        return vec![Check::new(
            "console tokens",
            State::Unsure,
            "there are none; without one no key is made",
        )];
    }
    let mut checks = Vec::new();
    for found in found {
        let answer = match (session, &found.token) {
            (Some(session), Some(token)) => Some(ask(session, token).await),
            _ => None,
        };
        let stranded = found.token.as_ref().map(AnyToken::class);
        let stranded = stranded.filter(|it| !classes.is_empty() && !classes.contains(it.name()));
        checks.push(match stranded {
            Some(class) => stray(&found, &class),
            None => token(found, answer),
        });
    }
    checks
}

/// What a vendor answers to a console token.
struct Answer {
    listing: Arc<Listing>,
    /// The token's rank, where the vendor has several.
    rank: Option<Rank>,
}

async fn ask(session: &Session, token: &AnyToken) -> Result<Answer, String> {
    let (account, listing) = session.ask(token).await?;
    let rank = account.rank().await.map_err(|fault| fault.to_string())?;
    Ok(Answer { listing, rank })
}

/// A console token of a class that no operator has.
fn stray(found: &objects::FoundToken, class: &ControllerClass) -> Check {
    let what = format!("{} {}", found.reference.kind.name(), found.reference);
    let whose = if class.is_none() { "no class".to_owned() } else { format!("controllerClass {class}") };
    let text = format!(
        "no operator here has {whose}: nothing that is made with this token is rotated, revoked or reported; install one (chart: controllerClass), \
         unless it runs elsewhere"
    );
    Check::new(what, State::Wrong, text)
}

/// A console token, and what its vendor answers, where it was asked.
fn token(found: objects::FoundToken, answer: Option<Result<Answer, String>>) -> Check {
    let what = format!("{} {}", found.reference.kind.name(), found.reference);
    let Some(token) = found.token else {
        return Check::new(
            what,
            State::Wrong,
            "does not fit the definition of this version; correct it first",
        );
    };
    let status = token.status().cloned().unwrap_or_default();
    let health = Health::of(&status.conditions);
    let account = status.account.map_or_else(String::new, |it| format!(", account {}", printable(&it.id)));
    let (state, text) = if health.ready {
        (State::Fine, format!("{}{account}", printable(&status.vendor.unwrap_or_default())))
    } else {
        (State::Wrong, format!("{}: {}", health.reason, health.message))
    };
    match answer {
        None => Check::new(what, state, text),
        // What this machine cannot reach, the operator may.
        Some(Err(why)) => {
            let state = if state == State::Fine { State::Unsure } else { state };
            Check::new(what, state, format!("{text}; asked from here: {}", printable(&why)))
        }
        Some(Ok(answer)) => answered(Check::new(what, state, text), &answer),
    }
}

/// The same, with the number of keys and the rank of the token.
fn answered(check: Check, answer: &Answer) -> Check {
    let ours = answer.listing.keys.iter().filter(|it| Mark::parse(&it.name).is_some()).count();
    let keys = format!("keys in the account: {}, with a mark of Keysmith: {ours}", answer.listing.keys.len());
    let text = format!("{}; {keys}", check.text);
    match answer.rank {
        None => Check { text, ..check },
        Some(Rank { name, lacks: None }) => Check { text: format!("{text}; rank {name}"), ..check },
        Some(Rank { name, lacks: Some(lacks) }) => {
            Check { state: State::Wrong, text: format!("{text}; rank {name}: {lacks}"), ..check }
        }
    }
}

/// The rights that the other commands take, of the person who runs this one.
async fn rights(client: &Client) -> Vec<Check> {
    let wanted = [
        ("list", GROUP, "gatewayapikeys", "status, report, usage, and choosing keys by label"),
        ("list", GROUP, "consoletokens", "status, report, usage and orphans"),
        ("list", GROUP, "providerkeys", "status and report of a namespace"),
        ("get", GROUP, "gatewayapikeys", "rotate, leaked, suspend and resume by name"),
        ("patch", GROUP, "gatewayapikeys", "rotate, leaked, suspend and resume"),
        ("list", "", "secrets", "whose"),
        ("get", "", "secrets", "usage and orphans, for the Secrets of console tokens"),
    ];
    let mut checks = Vec::new();
    for (verb, group, resource, purpose) in wanted {
        let what = format!("right to {verb} {resource} in all namespaces");
        match may(client, verb, group, resource).await {
            Ok(true) => checks.push(Check::new(what, State::Fine, format!("yes, for {purpose}"))),
            Ok(false) => {
                let text = format!("no; {purpose} works only where a Role grants it");
                checks.push(Check::new(what, State::Unsure, text));
            }
            Err(error) => checks.push(Check::new(what, State::Unsure, sentence(&error))),
        }
    }
    checks
}

async fn may(client: &Client, verb: &str, group: &str, resource: &str) -> kube::Result<bool> {
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..Default::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|it| it.allowed))
}
