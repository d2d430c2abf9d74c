//! `keysmith support-bundle`: one file with what a person needs who helps from afar: resources, events, what the doctor says,
//! the operator's Deployments, Pods and logs. Credentials, e-mail addresses and templates are taken out, Secrets are not read
//! but their metadata, and what is in it is listed before it is written.

mod scrub;

use super::doctor::{self, OURS};
use crate::api::{self, GROUP, MANAGED_BY_LABEL, MANAGER};
use crate::output::{Failure, can_confirm, confirm, print, tell};
use crate::runtime::clock::Clock;
use crate::session::Kubernetes;
use crate::session::kubeconfig::ClusterArguments;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use kube::core::ObjectList;
use kube::{Api, Client};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines of a log that are taken, the last ones.
const LINES: i64 = 5000;
/// Page size of lists.
const PAGE: u32 = 500;

/// The arguments of `keysmith support-bundle`.
#[derive(Debug, Args)]
#[command(
    after_help = "It takes the rights to list Keysmith's resources and, for the rest, events, Leases, Deployments, Pods and their logs, and the \
    metadata of Secrets; what may not be read is left out and named. Look through the file before you send it. Exit codes: 0 written, \
    2 a flag or its value is wrong, 1 not written."
)]
pub struct Arguments {
    /// The file to write, a tar archive packed by gzip.
    #[arg(short, long, value_name = "FILE", default_value = "keysmith-support.tar.gz")]
    output: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// The files of a bundle, by name.
#[derive(Default)]
struct Bundle {
    files: Vec<(String, String)>,
    unread: Vec<String>,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    if !arguments.yes {
        can_confirm("support-bundle")?;
    }
    if arguments.output.exists() {
        return Err(exists(&arguments.output));
    }
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let bundle = collect(&kubernetes).await;
    let mut listed = String::new();
    for (name, text) in &bundle.files {
        // Writing to a String does not fail.
        let _ = writeln!(listed, "  {name}, {} bytes", text.len());
    }
    print(&format!("{}:\n{listed}", arguments.output.display()))?;
    for unread in &bundle.unread {
        tell(&format!("left out: {unread}"));
    }
    if !arguments.yes
        && !confirm("It is written to this machine only; look through it before you send it").await?
    {
        tell("nothing was written");
        return Ok(ExitCode::FAILURE);
    }
    let packed = pack(&bundle.files)?;
    write(&arguments.output, &packed)?;
    print(&format!("written, {} bytes\n", packed.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a new file that nobody else of this machine may read.
fn write(path: &Path, packed: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt;
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(packed));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        kind => format!("--output {}: cannot be written: {kind}", path.display()).into(),
    })
}

fn exists(path: &Path) -> Failure {
    format!("--output {}: exists already; name another file", path.display()).into()
}

fn pack(files: &[(String, String)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("keysmith-support/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

async fn collect(kubernetes: &Kubernetes) -> Bundle {
    let client = &kubernetes.client;
    let mut bundle = Bundle::default();
    let server = client.apiserver_version().await.map_or_else(|_| "unknown".to_owned(), |it| it.git_version);
    let now = Clock::system().now();
    let about = format!("keysmith {}\nkubernetes {server}\ntime {now:.0}\n", env!("CARGO_PKG_VERSION"));
    bundle.files.push(("about.txt".to_owned(), about));
    bundle
        .files
        .push(("doctor.txt".to_owned(), scrub::text(&doctor::text(&doctor::checks(client, None).await))));
    for crd in api::crds() {
        let names = &crd.spec.names;
        let all = all_of(client, GROUP, api::VERSION, &names.kind, &names.plural);
        bundle.add(&format!("resources/{}.yaml", names.plural), list(&all, &ListParams::default()).await);
    }
    let ours = ListParams::default().labels(OURS);
    let deployments = all_of(client, "apps", "v1", "Deployment", "deployments");
    bundle.add("operator/deployments.yaml", list(&deployments, &ours).await);
    let pods = list(&all_of(client, "", "v1", "Pod", "pods"), &ours).await;
    let names: Vec<_> = pods.iter().flatten().filter_map(place).collect();
    bundle.add("operator/pods.yaml", pods);
    for (namespace, name) in names {
        bundle.add_log(client, &namespace, &name).await;
    }
    let managed = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGER}"));
    let leases = all_of(client, "coordination.k8s.io", "v1", "Lease", "leases");
    bundle.add("operator/leases.yaml", list(&leases, &managed).await);
    bundle.add("secrets-metadata.yaml", secrets(&Api::all(client.clone()), &managed).await);
    let events = all_of(client, "events.k8s.io", "v1", "Event", "events");
    let events = list(&events, &ListParams::default()).await;
    let is_ours = |event: &Value| {
        event["regarding"]["apiVersion"].as_str().is_some_and(|it| it.starts_with(GROUP))
            || event["reportingController"].as_str().is_some_and(|it| it.starts_with("keysmith"))
    };
    bundle.add("events.yaml", events.map(|all| all.into_iter().filter(is_ours).collect()));
    if !bundle.unread.is_empty() {
        bundle.files.push(("left-out.txt".to_owned(), bundle.unread.join("\n") + "\n"));
    }
    bundle
}

fn place(pod: &Value) -> Option<(String, String)> {
    let text = |field: &str| pod["metadata"][field].as_str().map(str::to_owned);
    text("namespace").zip(text("name"))
}

impl Bundle {
    fn add(&mut self, name: &str, found: kube::Result<Vec<Value>>) {
        match found {
            Ok(mut objects) => {
                objects.iter_mut().for_each(scrub::resource);
                self.files.push((name.to_owned(), yaml(&objects)));
            }
            Err(error) => self.unread.push(format!("{name}: {}", crate::cluster::sentence(&error))),
        }
    }

    async fn add_log(&mut self, client: &Client, namespace: &str, name: &str) {
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        for previous in [false, true] {
            let container = Some("keysmith".to_owned());
            let params = LogParams {
                container,
                tail_lines: Some(LINES),
                timestamps: true,
                previous,
                ..LogParams::default()
            };
            let file = format!("operator/{name}{}.log", if previous { "-before-its-restart" } else { "" });
            match pods.logs(name, &params).await {
                Ok(log) => self.files.push((file, scrub::text(&log))),
                // A container that never restarted has no earlier log.
                Err(_) if previous => {}
                Err(error) => self.unread.push(format!("{file}: {}", crate::cluster::sentence(&error))),
            }
        }
    }
}

/// The objects of a kind. Their types are not needed, and would make the binary larger.
fn all_of(client: &Client, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    Api::all_with(client.clone(), &resource)
}

async fn list(api: &Api<DynamicObject>, params: &ListParams) -> kube::Result<Vec<Value>> {
    pages(params, async |params| api.list(params).await).await
}

/// The metadata of Keysmith's Secrets. Their content is not read.
async fn secrets(api: &Api<Secret>, params: &ListParams) -> kube::Result<Vec<Value>> {
    pages(params, async |params| api.list_metadata(params).await).await
}

/// Everything that a list has, read page by page.
async fn pages<K: Clone + Serialize>(
    params: &ListParams,
    read: impl AsyncFn(&ListParams) -> kube::Result<ObjectList<K>>,
) -> kube::Result<Vec<Value>> {
    let (mut params, mut all) = (params.clone().limit(PAGE), Vec::new());
    loop {
        let page = read(&params).await?;
        all.extend(page.items.iter().filter_map(|it| serde_json::to_value(it).ok()));
        match page.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn yaml(objects: &[Value]) -> String {
    let one = |it| String::from("---\n") + &serde_yaml::to_string(it).unwrap_or_default();
    objects.iter().map(one).collect()
}
