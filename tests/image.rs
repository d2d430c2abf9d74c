//! The container image: what is in it, and that it works as it does in a pod: on an empty root that cannot be written,
//! for a user without a name, with the rights of the service account only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    pub mod canary;
    #[allow(dead_code, reason = "the stories in the simulated cluster use it")]
    pub mod cluster;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod drivers;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod replica;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
    pub mod vendor;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod world;
}
#[allow(dead_code, reason = "only what serves a vendor and asks a process is used")]
mod stories {
    pub mod binary;
}

use keysmith::emulator::edgee::DataPlaneAnswer;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use stories::binary::{get, serve_vendor};
use support::plane;
use support::process::{Keysmith, free_port};
use support::world::{TOKEN, World, merged, token_spec};

const SIZE: u64 = 20_000_000;
const NAMESPACE: &str = "keysmith-system";
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";
/// The vendor by a name, so that names have to be resolved.
const VENDOR: &str = "vendor.test";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An empty folder of this test program's own.
fn folder(name: &str) -> PathBuf {
    let folder = plane::folder().with_extension("image").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Past the test harness, which keeps what tests print to itself.
fn say(text: &str) {
    std::io::stderr().write_all(format!("image: {text}\n").as_bytes()).unwrap();
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn has(tool: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|it| it.join(tool).exists());
    if !found {
        say(&format!(
            "SKIPPED, because there is no {tool} here; apt-get install buildah podman runc brings it"
        ));
    }
    found
}

fn is_root() -> bool {
    succeed(Command::new("id").arg("-u")) == "0"
}

/// The archive that `deploy/image/build` makes without any engine, built once for all tests.
fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        say("building the release binary for the image; the first time takes minutes");
        build()
    })
}

fn build() -> PathBuf {
    let script = root().join("deploy/image/build");
    // What it prints is seen, so that minutes of compilation do not look like a hang.
    let done = Command::new("bash").arg(script).arg("archive").env("ARCH", "amd64").status().unwrap();
    assert!(done.success());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("image/keysmith-amd64.tar")
}

/// An image that was taken apart.
struct Image {
    config: Value,
    layer: PathBuf,
}

fn unpack(archive: &Path, folder: &Path) -> Image {
    succeed(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder));
    let read =
        |path: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap() };
    // Every reference is what it says, in digest and size.
    let follow = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        let path = folder.join("blobs/sha256").join(&digest);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(hex(&bytes), digest);
        assert_eq!(descriptor["size"], bytes.len());
        path
    };
    let index = read("index.json");
    let manifest: Value = serde_json::from_slice(&fs::read(follow(&index["manifests"][0])).unwrap()).unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let config = serde_json::from_slice(&fs::read(follow(&manifest["config"])).unwrap()).unwrap();
    let layer = follow(&manifest["layers"][0]);
    // The same for those who read archives of `docker save`.
    let saved = read("manifest.json");
    let digest = layer.file_name().unwrap().to_str().unwrap();
    assert_eq!(saved[0]["Layers"], json!([format!("blobs/sha256/{digest}")]));
    Image { config, layer }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn the_image_is_one_small_static_binary_for_a_user_without_a_name() {
    let folder = folder("parts");
    let image = unpack(archive(), &folder);
    let config = &image.config["config"];
    assert_eq!((&image.config["os"], &image.config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["User"], "65532:65532");
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/keysmith"]), &json!(["run"])));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    // No shell, and nothing else either.
    let listed = succeed(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(&image.layer));
    let words: Vec<_> = listed.split_whitespace().collect();
    assert_eq!(
        (words[0], words[1], words[words.len() - 1], listed.lines().count()),
        ("-r-xr-xr-x", "0/0", "keysmith", 1)
    );
    succeed(Command::new("tar").arg("-xzf").arg(&image.layer).arg("-C").arg(&folder));
    let binary = fs::read(folder.join("keysmith")).unwrap();
    say(&format!("the binary has {} bytes", binary.len()));
    assert!((binary.len() as u64) < SIZE, "{} bytes", binary.len());
    let unzipped = Command::new("gzip").arg("-dc").arg(&image.layer).output().unwrap().stdout;
    assert_eq!(image.config["rootfs"]["diff_ids"], json!([format!("sha256:{}", hex(&unzipped))]));
    // What it was built from and where is nobody's business, and the emulator has no place in a cluster.
    let holds = |text: &str| binary.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(!holds(env!("CARGO_MANIFEST_DIR")), "a path of this machine is in the binary");
    assert!(!succeed(Command::new(folder.join("keysmith")).arg("--help")).contains("emulate"));
    // The same sources give the same image.
    let before = fs::read(archive()).unwrap();
    assert_eq!(hex(&fs::read(build()).unwrap()), hex(&before));
}

#[test]
fn buildah_makes_the_same_of_the_dockerfile() {
    if !has("buildah") || !is_root() {
        return;
    }
    archive();
    let folder = folder("buildah");
    let buildah = |arguments: &[&str]| {
        let store = ["--root", "store", "--runroot", "run", "--storage-driver", "vfs"];
        succeed(Command::new("buildah").current_dir(&folder).args(store).args(arguments))
    };
    let dockerfile = root().join("deploy/image/Dockerfile");
    let context = archive().parent().unwrap();
    let (dockerfile, context) = (dockerfile.to_str().unwrap(), context.to_str().unwrap());
    let arguments = ["--build-arg", "TARGETARCH=amd64", "--build-arg", "VERSION=0.0.0-test"];
    buildah(
        &[&["build", "--file", dockerfile, "--tag", "keysmith:test"], &arguments[..], &[context]].concat(),
    );
    buildah(&["push", "keysmith:test", "oci-archive:image.tar:keysmith:test"]);
    let parts = folder.join("parts");
    fs::create_dir(&parts).unwrap();
    succeed(Command::new("tar").arg("-xf").arg(folder.join("image.tar")).arg("-C").arg(&parts));
    let read = |digest: &Value| -> Value {
        let digest = digest.as_str().unwrap().replace(':', "/");
        serde_json::from_slice(&fs::read(parts.join("blobs").join(digest)).unwrap()).unwrap()
    };
    let index: Value = serde_json::from_slice(&fs::read(parts.join("index.json")).unwrap()).unwrap();
    let manifest = read(&index["manifests"][0]["digest"]);
    let config = read(&manifest["config"]["digest"]);
    let ours = unpack(archive(), &self::folder("ours")).config;
    for field in ["User", "Entrypoint", "Cmd", "ExposedPorts"] {
        assert_eq!(config["config"][field], ours["config"][field], "{field}");
    }
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], "0.0.0-test");
    let size: u64 =
        manifest["layers"].as_array().unwrap().iter().map(|it| it["size"].as_u64().unwrap()).sum();
    assert!(size < SIZE, "{size} bytes");
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    let listed = succeed(Command::new("tar").arg("-tzf").arg(parts.join("blobs").join(layer)));
    assert_eq!(listed, "keysmith");
}

/// What a pod brings with it: the service account's files, and where the API server is.
struct Pod {
    account: PathBuf,
    environment: Vec<(String, String)>,
}

fn kubectl(arguments: &[&str]) -> String {
    let kubectl = &mut Command::new("kubectl");
    succeed(kubectl.current_dir(root()).arg("--kubeconfig").arg(plane::kubeconfig()).args(arguments))
}

fn pod(vendor: u16, metrics: u16) -> Pod {
    kubectl(&["apply", "--server-side", "--force-conflicts", "--kustomize", "deploy"]);
    let cluster = Kubeconfig::read_from(plane::kubeconfig()).unwrap().clusters[0].cluster.clone().unwrap();
    let server: http::Uri = cluster.server.unwrap().parse().unwrap();
    let authority = match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(data), _) => succeed(Command::new("bash").args(["-c", "base64 -d <<<\"$1\"", "decode", &data])),
        (None, path) => fs::read_to_string(path.unwrap()).unwrap(),
    };
    let account = folder("account");
    let token = kubectl(&["create", "token", "keysmith", "--namespace", NAMESPACE]);
    for (name, text) in [("token", token.as_str()), ("ca.crt", &authority), ("namespace", NAMESPACE)] {
        fs::write(account.join(name), text).unwrap();
        fs::set_permissions(account.join(name), fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(&account, fs::Permissions::from_mode(0o755)).unwrap();
    let environment = [
        ("KUBERNETES_SERVICE_HOST", server.host().unwrap().to_owned()),
        ("KUBERNETES_SERVICE_PORT", server.port_u16().unwrap_or(443).to_string()),
        ("KEYSMITH_ALLOWED_ENDPOINTS", format!("http://{VENDOR}:{vendor}")),
        ("KEYSMITH_METRICS_ADDRESS", format!("127.0.0.1:{metrics}")),
        ("KEYSMITH_POLL_INTERVAL", "2s".to_owned()),
        ("KEYSMITH_LEADER_ELECT", "true".to_owned()),
    ];
    Pod { account, environment: environment.map(|(name, value)| (name.to_owned(), value)).into() }
}

/// Beside the layer a runtime brings devices. These are used: a static binary asks them for random numbers.
const ENTER: &str = r#"
for device in random urandom; do mount --bind "/dev/$device" "$1/dev/$device"; done
exec chroot ${2:+--userspec="$2"} "$1" /keysmith run"#;

/// Without an engine: the layer as the root of a process of user 65532, or of whoever runs the tests.
fn in_an_empty_root(pod: &Pod) -> Command {
    let place = folder("root");
    let image = unpack(archive(), &folder("layers"));
    succeed(Command::new("tar").arg("-xzf").arg(&image.layer).arg("-C").arg(&place));
    for folder in [ACCOUNT, "etc", "dev"] {
        fs::create_dir_all(place.join(folder)).unwrap();
    }
    for file in ["token", "ca.crt", "namespace"] {
        fs::copy(pod.account.join(file), place.join(ACCOUNT).join(file)).unwrap();
    }
    fs::write(place.join("etc/hosts"), format!("127.0.0.1 localhost {VENDOR}\n")).unwrap();
    for device in ["dev/random", "dev/urandom"] {
        fs::write(place.join(device), "").unwrap();
    }
    succeed(Command::new("chmod").args(["-R", "a+rX,a-w"]).arg(&place));
    let mut command = Command::new("unshare");
    let user = if is_root() { "65532:65532" } else { "" };
    command
        .arg("--mount")
        .args((!is_root()).then_some("--user"))
        .args((!is_root()).then_some("--map-root-user"));
    command.args(["bash", "-c", ENTER, "enter"]).arg(&place).arg(user);
    let path = std::env::var_os("PATH").unwrap();
    command.env_clear().env("PATH", path).envs(pod.environment.iter().cloned());
    command
}

/// podman refuses paths of more than 50 characters here.
fn podman_state() -> PathBuf {
    std::env::temp_dir().join(format!("keysmith-podman-{}", std::process::id()))
}

/// As a kubelet would have it run.
fn by_podman_and_runc(pod: &Pod) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(folder("podman")).arg("--runroot").arg(podman_state());
    command.args(["--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "run"]);
    command.args(["--rm", "--network", "host", "--read-only", "--cap-drop", "all"]);
    // podman raises these as far as they go, which not every machine lets it.
    command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
    command.args(["--add-host", &format!("{VENDOR}:127.0.0.1")]);
    command.arg("--volume").arg(format!("{}:/{ACCOUNT}:ro", pod.account.display()));
    for (name, value) in &pod.environment {
        command.arg("--env").arg(format!("{name}={value}"));
    }
    command.arg(format!("oci-archive:{}", archive().display()));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_makes_a_key_with_the_rights_of_its_service_account_only() {
    let mut world = World::real().await;
    world.stop().await;
    let vendor = serve_vendor(&world).await;
    let metrics = free_port();
    tokio::task::spawn_blocking(archive).await.unwrap();
    let pod = tokio::task::spawn_blocking(move || pod(vendor, metrics)).await.unwrap();
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    let endpoint = json!({"endpoint": format!("http://{VENDOR}:{vendor}/edgee")});
    world.create("ConsoleToken", "edgee", merged(token_spec(), endpoint)).await;
    makes_a_key(&world, Keysmith::launch("image-root", in_an_empty_root(&pod)), metrics).await;
    if has("podman") && has("runc") && is_root() {
        makes_a_key(&world, Keysmith::launch("image-podman", by_podman_and_runc(&pod)), metrics).await;
        let _ = fs::remove_dir_all(podman_state());
    }
    world.end().await;
}

async fn makes_a_key(world: &World, process: Keysmith, metrics: u16) {
    world
        .eventually("it is ready", async || match get(metrics, "/readyz").await {
            Some((200, _)) => Ok(()),
            other => Err(format!("{other:?}; it printed:\n{}", process.printed())),
        })
        .await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    assert_eq!(world.vendor().check(&secret, None), DataPlaneAnswer::Accepted);
    let told = get(metrics, "/metrics").await.unwrap().1;
    assert!(told.lines().any(|line| line == "keysmith_leader 1"), "{told}");
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
    let printed = process.printed();
    assert!(!printed.contains("Forbidden") && !printed.contains("403"), "it needs more rights:\n{printed}");
    process.assert_silent();
    assert!(process.terminate().await.success());
}
