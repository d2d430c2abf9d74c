//! A node: what a scheduler and a kubelet do for the pods of one namespace.
//!
//! The controllers of the real control plane make the pods of a Deployment and of a hook's Job. This node runs
//! their containers: the built image, on an empty read-only root, as a user without a name, with the token of the pod's
//! service account, with its arguments and its environment, Ready by its readiness probe, and with a grace period when
//! the pod is deleted.
//!
//! There is one difference to a real node: all pods share the loopback network, so each pod gets the address at which it
//! serves its metrics.

use super::image::{self, archive, folder, is_root, say, succeed, unpack};
use super::process::{Keysmith, get};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// A host name for the vendor, so that names have to be resolved.
pub const VENDOR: &str = "vendor.test";
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";
const PORT: u16 = 8080;
/// The delay before a container that ended is started again.
const BACKOFF: Duration = Duration::from_secs(2);

/// The container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Only the kernel: the layer as the root of a process of user 65532, or of the user who runs the tests.
    EmptyRoot,
    /// podman and runc, the closest to a kubelet here. They need root.
    Podman,
}

/// The address of the API server, as pods get it.
struct Server {
    host: String,
    port: u16,
}

/// A running container, removed with the test.
struct Container {
    process: Keysmith,
    engine: Engine,
    name: String,
    address: String,
    started: jiff::Timestamp,
    restarts: u32,
    ready: bool,
    told_to_stop: bool,
    ended: Option<(ExitStatus, Instant)>,
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.engine == Engine::Podman {
            // Killing the process is not enough: podman's container outlives podman.
            let _ = podman().args(["rm", "--force", "--ignore", "--time", "0", &self.name]).output();
        }
    }
}

struct Node {
    client: Client,
    namespace: String,
    label: String,
    server: Server,
    engine: Engine,
    containers: BTreeMap<String, Container>,
}

/// Starts a node for a namespace. It ends when the returned value is dropped. The output of its pods is in files whose
/// names begin with that label.
pub async fn start(kubeconfig: &Path, namespace: &str, engine: Engine, label: &str) -> AbortOnDropHandle<()> {
    // The image is built before anything waits for a pod.
    tokio::task::spawn_blocking(archive).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let url = config.cluster_url.clone();
    let server = Server { host: url.host().unwrap().to_owned(), port: url.port_u16().unwrap_or(443) };
    let client = Client::try_from(config).unwrap();
    let (namespace, label) = (namespace.to_owned(), label.to_owned());
    let mut node = Node { client, namespace, label, server, engine, containers: BTreeMap::new() };
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut last = String::new();
        loop {
            if let Err(error) = node.turn().await
                && last != error
            {
                say(&format!("the node: {error}"));
                last = error;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}

impl Node {
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Checks every pod once.
    async fn turn(&mut self) -> Result<(), String> {
        let pods = self.pods().list(&ListParams::default()).await.map_err(|it| it.to_string())?.items;
        // A pod that was deleted by force gets no grace period.
        self.containers.retain(|uid, _| pods.iter().any(|pod| pod.uid().as_ref() == Some(uid)));
        let mut result = Ok(());
        for pod in &pods {
            result = result.and(self.play(pod).await.map_err(|it| format!("{}: {it}", pod.name_any())));
        }
        result
    }

    async fn play(&mut self, pod: &Pod) -> Result<(), String> {
        let uid = pod.uid().unwrap();
        let (leaving, name) = (pod.metadata.deletion_timestamp.is_some(), pod.name_any());
        let Some(container) = self.containers.get_mut(&uid) else {
            return if leaving { self.remove(pod).await } else { self.start(pod, 0).await };
        };
        if let Some(status) = container.process.ended() {
            if leaving {
                return self.remove(pod).await;
            }
            let Some((_, at)) = container.ended else {
                container.ready = false;
                container.ended = Some((status, Instant::now()));
                say(&format!("{name} ended with {status}; it printed:\n{}", container.process.printed()));
                return self.report(&name, &uid).await;
            };
            let stays = pod.spec.as_ref().unwrap().restart_policy.as_deref() == Some("Never");
            if stays || at.elapsed() < BACKOFF {
                return Ok(());
            }
            let restarts = container.restarts + 1;
            return self.start(pod, restarts).await;
        }
        if leaving && !container.told_to_stop {
            container.told_to_stop = true;
            container.process.tell_to_stop();
        }
        let ready = is_ready(pod, &container.address).await;
        if ready == container.ready {
            return Ok(());
        }
        container.ready = ready;
        self.report(&name, &uid).await
    }

    /// Removes the pod's object when its container is gone.
    async fn remove(&mut self, pod: &Pod) -> Result<(), String> {
        let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
        let at_once = DeleteParams { preconditions, ..DeleteParams::default().grace_period(0) };
        match self.pods().delete(&pod.name_any(), &at_once).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        self.containers.remove(&pod.uid().unwrap());
        Ok(())
    }

    async fn start(&mut self, pod: &Pod, restarts: u32) -> Result<(), String> {
        let (name, spec) = (pod.name_any(), pod.spec.as_ref().unwrap());
        let main = &spec.containers[0];
        let expected = image::name();
        if main.image.as_deref() != Some(&expected) {
            return Err(format!("no image {:?} here, only {expected}", main.image));
        }
        if spec.node_name.is_none() {
            let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": "node"}});
            let (pods, how) = (self.pods(), PostParams::default());
            let bound = pods.create_subresource::<_, Value>("binding", &name, &how, &binding);
            bound.await.map_err(|it| it.to_string())?;
        }
        let account = self.account(pod).await.map_err(|it| it.to_string())?;
        let address = address();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let given = main.env.iter().flatten().map(|it| (it.name.clone(), text(&it.value)));
        let more = [
            ("HOSTNAME", name.clone()),
            ("KUBERNETES_SERVICE_HOST", self.server.host.clone()),
            ("KUBERNETES_SERVICE_PORT", self.server.port.to_string()),
            ("KEYSMITH_METRICS_ADDRESS", format!("{address}:{PORT}")),
        ];
        let environment: Vec<_> = given.chain(more.map(|(name, value)| (name.to_owned(), value))).collect();
        let arguments = main.args.clone().unwrap_or_default();
        let hosts = self.hosts().await.map_err(|it| it.to_string())?;
        let mut command = match self.engine {
            Engine::EmptyRoot => in_an_empty_root(&name, (&account, &hosts), &environment),
            Engine::Podman => by_podman_and_runc(&name, &account, &environment),
        };
        command.args(arguments);
        let container = Container {
            process: Keysmith::launch(&format!("{}-{name}", self.label), command),
            engine: self.engine,
            name: name.clone(),
            address,
            started: jiff::Timestamp::now(),
            restarts,
            ready: false,
            told_to_stop: false,
            ended: None,
        };
        let uid = pod.uid().unwrap();
        self.containers.insert(uid.clone(), container);
        self.report(&name, &uid).await
    }

    /// What the DNS of a cluster says of the Services of this namespace: each leads to a pod of its selector. Their ports are
    /// those of the pods.
    async fn hosts(&self) -> Result<String, kube::Error> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut lines = format!("127.0.0.1 localhost {VENDOR}\n");
        for service in services.list(&ListParams::default()).await? {
            let selector = service.spec.as_ref().and_then(|it| it.selector.clone()).unwrap_or_default();
            let selector: Vec<_> = selector.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let pods = self.pods().list(&ListParams::default().labels(&selector.join(","))).await?;
            let running = pods.iter().find_map(|pod| self.containers.get(&pod.uid()?));
            if let Some(running) = running {
                let (address, name, namespace) = (&running.address, service.name_any(), &self.namespace);
                let names = format!("{name} {name}.{namespace} {name}.{namespace}.svc");
                lines.extend([address.as_str(), " ", &names, "\n"]);
            }
        }
        Ok(lines)
    }

    /// The files of the pod's service account, in a folder for the pod.
    async fn account(&self, pod: &Pod) -> Result<PathBuf, kube::Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": 3607,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid()}}}))
        .unwrap();
        let account = pod.spec.as_ref().unwrap().service_account_name.clone().unwrap();
        let answer = accounts.create_token_request(&account, &PostParams::default(), &request).await?;
        let authority =
            maps.get("kube-root-ca.crt").await?.data.unwrap_or_default().remove("ca.crt").unwrap_or_default();
        let folder = folder(&format!("account-{}", pod.name_any()));
        for (name, text) in [
            ("token", answer.status.unwrap().token.unwrap_or_default()),
            ("ca.crt", authority),
            ("namespace", self.namespace.clone()),
        ] {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o444)).unwrap();
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        Ok(folder)
    }

    /// Writes the pod's status.
    async fn report(&self, pod: &str, uid: &str) -> Result<(), String> {
        let container = &self.containers[uid];
        let now = jiff::Timestamp::now();
        let (phase, state) = match container.ended {
            None => ("Running", json!({"running": {"startedAt": container.started}})),
            Some((status, _)) => {
                let (phase, reason) =
                    if status.success() { ("Succeeded", "Completed") } else { ("Failed", "Error") };
                let printed = container.process.printed();
                let message = &printed[printed.floor_char_boundary(printed.len().saturating_sub(2048))..];
                let terminated = json!({"exitCode": status.code().unwrap_or(-1), "reason": reason,
                    "message": message, "startedAt": container.started, "finishedAt": now});
                (phase, json!({"terminated": terminated}))
            }
        };
        let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now});
        let ready = container.ready;
        let status = json!({
            "phase": phase, "startTime": container.started,
            "podIP": container.address, "podIPs": [{"ip": container.address}],
            "conditions": [condition("PodScheduled", true), condition("Initialized", true),
                condition("ContainersReady", ready), condition("Ready", ready)],
            "containerStatuses": [{"name": "keysmith", "image": image::name(), "imageID": "", "ready": ready,
                "started": container.ended.is_none(), "restartCount": container.restarts, "state": state}],
        });
        let patch = Patch::Merge(json!({"status": status}));
        let written = self.pods().patch_status(pod, &PatchParams::default(), &patch).await;
        written.map(drop).map_err(|it| it.to_string())
    }
}

/// A loopback address for one pod, because test programs run at the same time.
fn address() -> String {
    static MADE: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// The result of the readiness probe; without a probe, a running pod is Ready.
async fn is_ready(pod: &Pod, address: &str) -> bool {
    let probe = pod.spec.as_ref().unwrap().containers[0].readiness_probe.as_ref();
    let Some(probe) = probe.and_then(|it| it.http_get.as_ref()) else { return true };
    let (address, path) = (format!("{address}:{PORT}"), probe.path.clone().unwrap());
    let asked = tokio::time::timeout(Duration::from_secs(1), get(&address, &path)).await;
    matches!(asked, Ok(Some((200, _))))
}

/// A runtime adds devices to the layer. These are used: a static binary reads random numbers from them. If nothing may
/// be mounted, root can still create them.
const ENTER: &str = r#"
place=$1 user=$2 number=8
shift 2
for device in random urandom; do
  if ! mount --bind "/dev/$device" "$place/dev/$device"; then
    rm "$place/dev/$device" && mknod -m 444 "$place/dev/$device" c 1 "$number" || exit
  fi
  number=9
done
exec chroot ${user:+--userspec="$user"} "$place" /keysmith "$@""#;

fn in_an_empty_root(
    name: &str,
    (account, hosts): (&Path, &str),
    environment: &[(String, String)],
) -> Command {
    let place = folder(&format!("root-{name}"));
    let image = unpack(archive(), &folder(&format!("layers-{name}")));
    succeed(Command::new("tar").arg("-xzf").arg(&image.layer).arg("-C").arg(&place));
    for folder in [ACCOUNT, "etc", "dev"] {
        fs::create_dir_all(place.join(folder)).unwrap();
    }
    for file in ["token", "ca.crt", "namespace"] {
        fs::copy(account.join(file), place.join(ACCOUNT).join(file)).unwrap();
    }
    fs::write(place.join("etc/hosts"), hosts).unwrap();
    for device in ["dev/random", "dev/urandom"] {
        fs::write(place.join(device), "").unwrap();
    }
    succeed(Command::new("chmod").args(["-R", "a+rX,a-w"]).arg(&place));
    let user = if is_root() { "65532:65532" } else { "" };
    let apart: &[&str] = if is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--mount", "--user", "--map-root-user"]
    };
    let may_be_apart = Command::new(apart[0]).args(&apart[1..]).arg("true").status().unwrap().success();
    let mut command = Command::new("env");
    command.args(if may_be_apart { apart } else { &[] });
    command.args(["bash", "-c", ENTER, "enter"]).arg(&place).arg(user);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(environment.iter().cloned());
    command
}

/// The folder of podman's store and state in this run. podman refuses paths of more than 50 characters for the state.
fn podman_folder() -> PathBuf {
    std::env::temp_dir().join(format!("keysmith-podman-{}", std::process::id()))
}

fn podman() -> Command {
    let mut command = Command::new("podman");
    command
        .arg("--root")
        .arg(podman_folder().join("store"))
        .arg("--runroot")
        .arg(podman_folder().join("run"));
    command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]);
    command
}

/// Removes the store and the state of podman.
pub fn remove_podman_folder() {
    std::fs::remove_dir_all(podman_folder()).unwrap();
}

fn by_podman_and_runc(name: &str, account: &Path, environment: &[(String, String)]) -> Command {
    let mut command = podman();
    command.args(["run", "--rm", "--name", name, "--network", "host", "--read-only", "--cap-drop", "all"]);
    // podman raises these limits to their maximum, which not every machine permits.
    command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
    command.args(["--add-host", &format!("{VENDOR}:127.0.0.1")]);
    command.arg("--volume").arg(format!("{}:/{ACCOUNT}:ro", account.display()));
    for (name, value) in environment {
        command.arg("--env").arg(format!("{name}={value}"));
    }
    command.arg(format!("oci-archive:{}", archive().display()));
    command
}
