//! The tools by which teams apply Keysmith's resources, themselves: Flux's kustomize-controller, Argo CD's application
//! controller and External Secrets on a real control plane, with the folder of `deploy/examples/gitops`.
//!
//! Flux runs with every `make test`; building the other two takes ten minutes more, so they run with `make realtools`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod canary;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod ground;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
}

use axum::Router;
use axum::extract::{Path as At, State};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::ground::{Ground, TOKEN, root};
use support::process::{self, Keysmith, free_port};
use tokio::net::TcpListener;

/// Files by their name.
type Files = BTreeMap<String, String>;

impl Ground {
    /// The definitions of a tool, and the command that is the tool.
    fn tool(&self, script: &str) -> Command {
        let script = root().join("tests/realtools").join(script);
        let definitions = self.folder.join("definitions").join(script.file_name().unwrap());
        std::fs::create_dir_all(&definitions).unwrap();
        self.command("bash", &[script.to_str().unwrap(), "crds", definitions.to_str().unwrap()]).unwrap();
        self.kubectl(&["apply", "--server-side", "-f", definitions.to_str().unwrap()]);
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        let mut command = Command::new("bash");
        command.arg(script).env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// The folder of a team, at the emulated vendor.
    fn team(&self) -> Files {
        let folder = root().join("deploy/examples/gitops");
        let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        let mut files: Files = files
            .map(|it| {
                (it.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(it).unwrap())
            })
            .collect();
        let at = format!(
            "spec:\n  endpoint: http://127.0.0.1:{0}/edgee\n  gatewayUrl: http://127.0.0.1:{0}/edgee-gateway\n",
            self.port
        );
        change(&mut files, "console-token.yaml", "spec:\n", &at);
        files
    }
}

fn change(files: &mut Files, file: &str, from: &str, to: &str) {
    let text = files.get_mut(file).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    *text = text.replacen(from, to, 1);
}

/// What Ready of a resource says.
fn ready(object: &Value) -> (String, String) {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.into_iter().find(|it| it["type"] == "Ready").unwrap_or_default();
    let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

/// What a file server has.
type Served = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Flux with a source that a test commits to.
struct Flux<'a> {
    ground: &'a Ground,
    served: Served,
    port: u16,
    #[expect(dead_code, reason = "it ends with the test")]
    controller: Keysmith,
}

impl<'a> Flux<'a> {
    async fn new(ground: &'a Ground) -> Self {
        ground.kubectl(&["create", "namespace", "flux-system"]);
        let mut command = ground.tool("flux/kustomize-controller");
        let (health, metrics) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        command.env("RUNTIME_NAMESPACE", "flux-system");
        command.args(["--watch-all-namespaces", "--events-addr", "", "--metrics-addr", &metrics]);
        command.args(["--health-addr", &health]);
        command.arg("--feature-gates=ExternalArtifact=true,CancelHealthCheckOnNewRevision=true");
        let controller = Keysmith::launch("flux", command);
        ground
            .eventually("Flux is ready", async || match process::get(&health, "/readyz").await {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
        let served = Served::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/{file}", get(file)).with_state(Arc::clone(&served));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let source = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "ExternalArtifact",
            "metadata": {"name": "fleet", "namespace": "flux-system"}, "spec": {},
        });
        ground.apply("fleet", &source);
        Self { ground, served, port, controller }
    }

    /// Another content of the source.
    fn commit(&self, files: &Files) {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        let packed = archive.into_inner().unwrap().finish().unwrap();
        let hex = Sha256::digest(&packed).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        });
        let (size, now) = (packed.len(), jiff::Timestamp::now().to_string());
        self.served.lock().unwrap().insert(format!("{hex}.tar.gz"), packed);
        let artifact = json!({
            "url": format!("http://127.0.0.1:{}/{hex}.tar.gz", self.port), "path": format!("{hex}.tar.gz"),
            "digest": format!("sha256:{hex}"), "revision": format!("main@sha256:{hex}"), "size": size, "lastUpdateTime": now,
        });
        let stored = json!({"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored", "lastTransitionTime": now});
        let status = json!({"status": {"artifact": artifact, "conditions": [stored]}}).to_string();
        self.ground.kubectl(&[
            "patch",
            "externalartifact",
            "fleet",
            "-n",
            "flux-system",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ]);
    }

    /// The Kustomization of the documentation, of this source.
    fn kustomization(&self) {
        let text = std::fs::read_to_string(root().join("deploy/flux/team.yaml")).unwrap();
        let mut team: Value = serde_yaml::from_str(&text).unwrap();
        let spec = team["spec"].as_object_mut().unwrap();
        spec.remove("dependsOn");
        spec.remove("decryption");
        spec.insert("sourceRef".to_owned(), json!({"kind": "ExternalArtifact", "name": "fleet"}));
        spec.insert("path".to_owned(), json!("./"));
        // A team waits a minute for another attempt, and a test does not.
        spec.insert("retryInterval".to_owned(), json!("3s"));
        self.ground.apply("team", &team);
    }

    fn state(&self) -> (String, String) {
        ready(&self.ground.get(&["kustomization", "shop-keys", "-n", "flux-system"]))
    }

    async fn until(&self, wanted: &str, what: &str) {
        self.ground
            .eventually(what, async || match self.state() {
                (status, _) if status == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
    }

    /// Has it applied again.
    fn ask(&self) {
        let asked = format!("reconcile.fluxcd.io/requestedAt={}", jiff::Timestamp::now());
        self.ground.kubectl(&[
            "annotate",
            "--overwrite",
            "kustomization",
            "shop-keys",
            "-n",
            "flux-system",
            &asked,
        ]);
    }
}

async fn file(At(name): At<String>, State(served): State<Served>) -> Vec<u8> {
    served.lock().unwrap().get(&name).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flux_applies_waits_keeps_what_people_ask_for_and_prunes() {
    let ground = Ground::new("flux").await;
    ground.secret("openai-credential", "api_key", "canary-credential");
    // In this story a person brings the Secret of the console token; and pruning is not switched off.
    let mut files = ground.team();
    files.remove("edgee-console.yaml");
    change(&mut files, "kustomization.yaml", "  - edgee-console.yaml\n", "");
    for file in ["checkout.yaml", "console-token.yaml"] {
        change(&mut files, file, "    kustomize.toolkit.fluxcd.io/prune: disabled\n", "");
    }
    let flux = Flux::new(&ground).await;
    flux.commit(&files);
    flux.kustomization();
    // The Secret comes later: that is no failure.
    ground
        .eventually("Flux applied it, and waits", async || match flux.state() {
            (status, _)
                if status == "Unknown" && !ground.get(&["gak", "checkout", "-n", "shop"]).is_null() =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        })
        .await;
    for _ in 0..40 {
        let (status, message) = flux.state();
        assert_ne!(status, "False", "it failed before the Secret came: {message}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    ground.secret("edgee-console", "token", TOKEN);
    flux.until("True", "Flux says that all of it works").await;
    assert_eq!(ground.keys().len(), 1);

    // A token that is refused fails the sync, and a corrected one mends it.
    ground.secret("edgee-console", "token", "ek_live_emulated-0-refused");
    ground
        .eventually("the token says so", async || {
            let token = ready(&ground.get(&["ctok", "edgee", "-n", "shop"]));
            if token.0 == "False" { Ok(()) } else { Err(format!("{token:?}")) }
        })
        .await;
    flux.ask();
    flux.until("False", "Flux says that it does not work").await;
    ground.secret("edgee-console", "token", TOKEN);
    flux.until("True", "Flux says that it works again").await;
    assert_eq!(ground.keys().len(), 1);

    // A leak that is declared while the operator is down is handled when it is up, although Flux applied meanwhile.
    ground.stop_operator().await;
    ground.command(env!("CARGO_BIN_EXE_keysmith"), &["leaked", "checkout", "-n", "shop", "--yes"]).unwrap();
    ground.kubectl(&["annotate", "gak", "checkout", "-n", "shop", "by=kubectl"]);
    let old = ground.keys();
    flux.ask();
    // What a manager named kubectl wrote goes, which is why the documentation names another one.
    let annotations = || ground.get(&["gak", "checkout", "-n", "shop"])["metadata"]["annotations"].clone();
    ground
        .eventually("Flux applied it again", async || {
            if annotations()["by"].is_null() { Ok(()) } else { Err(annotations().to_string()) }
        })
        .await;
    assert!(annotations()["keysmith.dev/leaked"].is_string(), "{}", annotations());
    ground.start_operator().await;
    ground.until_keys("the leaked key is revoked", |keys| keys.len() == 1 && keys != old).await;
    flux.until("True", "Flux says that it works").await;

    // What leaves git is revoked.
    let empty = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n";
    flux.commit(&Files::from([("kustomization.yaml".to_owned(), empty.to_owned())]));
    ground.until_keys("the key is revoked", <[String]>::is_empty).await;
    ground
        .eventually("nothing is left", async || {
            let left = ground.kubectl(&["get", "keysmith", "-n", "shop", "-o", "name"]);
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
}

/// The folder of a team in the repository of Argo CD.
fn push(repositories: &Path, files: &Files) {
    let folder = repositories.join("shop/keys");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

#[ignore = "make realtools builds Argo CD and External Secrets, which takes ten minutes"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn argo_cd_syncs_in_waves_with_a_token_from_external_secrets_and_asks_before_it_prunes() {
    let ground = Ground::new("argo").await;
    ground.secret("openai-credential", "api_key", "canary-credential");
    let repositories = ground.folder.join("repositories");
    let mut files = ground.team();
    push(&repositories, &files);
    let mut secrets = ground.tool("externalsecrets/external-secrets");
    secrets.args(["--metrics-addr", &format!("127.0.0.1:{}", free_port())]);
    let _secrets = Keysmith::launch("external-secrets", secrets);
    let mut argo = ground.tool("argo/argo");
    let port = free_port();
    argo.args(["controller", "-repositories"]).arg(&repositories).args(["-metrics-port", &port.to_string()]);
    let _argo = Keysmith::launch("argo", argo);
    ground
        .eventually("Argo CD is ready", async || {
            match process::get(&format!("127.0.0.1:{port}"), "/healthz").await {
                Some((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    let argo_folder = root().join("deploy/argocd");
    let settings = argo_folder.join("argocd-cm.yaml");
    ground.kubectl(&[
        "patch",
        "configmap",
        "argocd-cm",
        "-n",
        "argocd",
        "--patch-file",
        settings.to_str().unwrap(),
    ]);
    ground.kubectl(&["apply", "-f", argo_folder.join("application-team.yaml").to_str().unwrap()]);
    let application = || ground.get(&["application", "shop-keys", "-n", "argocd"])["status"].clone();
    let state = |status: &Value| {
        let text = |path: &str| status.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("/sync/status"), text("/health/status"))
    };
    // There is no vault yet: later waves wait, and nothing is given up.
    ground
        .eventually("the first wave waits", async || {
            let token = ground.get(&["externalsecret", "edgee-console", "-n", "shop"]);
            if token.is_null() { Err(application().to_string()) } else { Ok(()) }
        })
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(ground.get(&["gak", "checkout", "-n", "shop"]).is_null(), "the wave of the key did not wait");
    let value = json!({"console-token": TOKEN}).to_string();
    let vault = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "vault", "namespace": "shop"},
        "spec": {"provider": {"fake": {"data": [{"key": "llm/edgee", "value": value}]}}},
    });
    ground.apply("vault", &vault);
    let good = ("Synced".to_owned(), "Healthy".to_owned());
    let until_good = async |what: &str| {
        ground
            .eventually(what, async || {
                let status = application();
                if state(&status) == good { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
    };
    until_good("all of it works").await;
    assert_eq!(ground.keys().len(), 1);
    // Nothing is applied again and again.
    let synced = application()["operationState"]["finishedAt"].clone();
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(application()["operationState"]["finishedAt"], synced, "it syncs although nothing changed");

    // A rotation from git.
    let old = ground.keys();
    change(&mut files, "checkout.yaml", "trigger: \"2026-11-21\"", "trigger: \"2026-11-22\"");
    push(&repositories, &files);
    ground.until_keys("a new key", |keys| keys.len() == 2).await;
    until_good("the new key works").await;
    assert!(ground.keys().iter().any(|it| old.contains(it)), "the old key works on for the overlap");

    // A mistake in git: the key stays until a person confirms.
    files.remove("checkout.yaml");
    files.remove("provider-key.yaml");
    change(&mut files, "kustomization.yaml", "  - checkout.yaml\n", "");
    change(&mut files, "kustomization.yaml", "  - provider-key.yaml\n", "");
    push(&repositories, &files);
    ground
        .eventually("Argo CD asks", async || {
            let status = application();
            if status["operationState"]["phase"] == "Running" { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(ground.keys().len(), 2);
    let approved = format!("argocd.argoproj.io/deletion-approved={}", jiff::Timestamp::now());
    ground.kubectl(&["annotate", "application", "shop-keys", "-n", "argocd", &approved]);
    ground.until_keys("the keys are revoked", <[String]>::is_empty).await;
}
