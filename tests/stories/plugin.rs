//! `kubectl keysmith`: the binary under the name of a plugin, called by kubectl itself.

use crate::stories::binary::{serve_vendor, token_at};
use crate::support::world::{World, key_spec, merged};
use crate::support::{canary, plane};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

/// A folder with the binary under its name as a plugin, for PATH.
fn path() -> OsString {
    let folder: PathBuf = plane::folder().join("plugin");
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("kubectl-keysmith");
    // Stories run side by side: the link of another one is the same.
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_keysmith"), link);
    let completion = folder.join("kubectl_complete-keysmith");
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_keysmith"), completion);
    let path = std::env::var_os("PATH").unwrap();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap()
}

/// The command in the namespace of the story.
async fn kubectl(world: &World, arguments: &[&str], input: &str) -> (i32, String, String) {
    let place = ["-n", &world.namespace];
    run(&[arguments, &place].concat(), input).await
}

/// Exit code, standard output, standard error.
async fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let config = tokio::task::spawn_blocking(plane::kubeconfig).await.unwrap();
    let mut command = tokio::process::Command::new("kubectl");
    command.arg("keysmith").args(arguments).arg("--kubeconfig").arg(config);
    command.env("PATH", path()).env_remove("KUBECONFIG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(canary::secret_in(&format!("{out}{err}")), None);
    (output.status.code().unwrap(), out, err)
}

async fn deployment_that_reads(world: &World, secret: &str) {
    let deployments: Api<Deployment> = Api::namespaced(world.user.clone(), &world.namespace);
    let labels = json!({"app": "checkout"});
    let container = json!({"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": secret}}]});
    let deployment = json!({
        "metadata": {"name": "checkout"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
}

pub async fn the_plugin_shows_rotates_suspends_and_finds_keys(world: &mut World) {
    world.token().await;
    world.key("checkout", key_spec(json!({"expiresInDays": 30, "rotation": {"overlap": "1h"}}))).await;
    world.create("GatewayApiKey", "report", key_spec(json!({}))).await;
    world.ready("GatewayApiKey", "report").await;
    deployment_that_reads(world, "checkout").await;
    let namespace = world.namespace.clone();

    let (code, out, err) = kubectl(world, &["status"], "").await;
    assert!(code == 0, "{code} {out}{err}");
    let key = format!("  GatewayApiKey {namespace}/checkout: Ready\n");
    assert!(
        out.starts_with(&format!("ConsoleToken {namespace}/edgee: Ready\n")) && out.contains(&key),
        "{out}"
    );
    assert!(out.contains("checkout, read by Deployment/checkout") && out.contains("(in "), "{out}");
    assert!(
        out.contains(": a new key\n") && out.contains("nothing is scheduled; the key does not expire"),
        "{out}"
    );
    let (_, out, _) = kubectl(world, &["status", "checkout", "-o", "json"], "").await;
    let shown: Value = serde_json::from_str(&out).unwrap();
    let token = &shown["tokens"][0];
    assert_eq!(token["keys"].as_array().unwrap().len(), 1, "{out}");
    assert_eq!((&token["vendor"], &token["keys"][0]["serial"]), (&json!("edgee"), &json!(1)), "{out}");
    let (code, _, err) = kubectl(world, &["status", "nobody"], "").await;
    assert!(
        code == 1 && err.contains(&format!("there is no GatewayApiKey nobody in namespace {namespace}")),
        "{err}"
    );

    // A rotation that is waited for ends with the new key in the Secret, and the old one still works.
    let old = world.entry("checkout", "key").await.unwrap();
    let (code, out, err) = kubectl(world, &["rotate", "checkout", "--wait", "--timeout", "1m"], "").await;
    assert!(
        code == 0 && out.contains("serial 2 is in Secret checkout; serial 1 works until"),
        "{code} {out}{err}"
    );
    let new = world.entry("checkout", "key").await.unwrap();
    assert!(old != new && world.accepts(&old) && world.accepts(&new));
    let (code, _, err) = kubectl(world, &["rotate"], "").await;
    assert!(code == 2 && err.contains("name the GatewayApiKeys"), "{code} {err}");

    // A key that was found somewhere, and a name in the vendor's console.
    let (code, out, err) = kubectl(world, &["whose"], &format!("{new}\n")).await;
    let place = format!("GatewayApiKey {namespace}/checkout, serial 2, in Secret {namespace}/checkout\n");
    assert_eq!((code, out), (0, place), "{err}");
    let line = format!("2026-11-30 WARN OPENAI_API_KEY='{new}' refused\n");
    let (code, out, err) = kubectl(world, &["whose"], &line).await;
    assert!(code == 0 && out.contains("checkout, serial 2"), "{code} {out}{err}");
    let (code, _, err) = kubectl(world, &["whose"], "sk-edgee-of-nobody").await;
    assert!(code == 3 && err.contains("holds a key of this text as its present key"), "{code} {err}");
    let name = world.keys().into_iter().map(|it| it.name).find(|it| it.starts_with("report")).unwrap();
    let (code, out, err) = kubectl(world, &["whose", "--name", &name], "").await;
    assert_eq!((code, out), (0, format!("GatewayApiKey {namespace}/report, serial 1\n")), "{err}");
    let (code, _, err) = kubectl(world, &["whose", "--name", "report"], "").await;
    assert!(code == 2 && err.contains("has no mark of Keysmith"), "{code} {err}");

    // Suspended, nothing is replaced; resumed, the request is done.
    let (code, out, _) = kubectl(world, &["suspend", "report"], "").await;
    assert!(code == 0 && out.contains("suspended"), "{code} {out}");
    world.reason("GatewayApiKey", "report", "Suspended").await;
    let (code, out, err) = kubectl(world, &["rotate", "report", "--wait", "--timeout", "2s"], "").await;
    assert!(
        code == 3 && out.contains("keysmith resume") && err.contains("not done; Ready is"),
        "{code} {out}{err}"
    );
    let (_, out, _) = kubectl(world, &["status", "report"], "").await;
    assert!(out.contains("nothing else before spec.suspend is removed"), "{out}");
    assert_eq!(kubectl(world, &["resume", "report"], "").await.0, 0);
    world.ready("GatewayApiKey", "report").await;

    // A leak asks first. Then no old key works.
    let (code, _, err) = kubectl(world, &["leaked", "checkout"], "yes\n").await;
    assert!(code == 2 && err.contains("add --yes"), "{code} {err}");
    let (code, out, err) =
        kubectl(world, &["leaked", "checkout", "--yes", "--wait", "--timeout", "1m"], "").await;
    assert!(code == 0 && out.contains("serial 3 is in Secret checkout"), "{code} {out}{err}");
    assert!(!world.accepts(&old) && !world.accepts(&new));
    let served = world.entry("checkout", "key").await.unwrap();
    assert!(world.accepts(&served));

    // Suspended, a leaked key is revoked and there is no new one, which is no success.
    assert_eq!(kubectl(world, &["suspend", "checkout"], "").await.0, 0);
    world.reason("GatewayApiKey", "checkout", "Suspended").await;
    let (code, out, err) =
        kubectl(world, &["leaked", "checkout", "--yes", "--wait", "--timeout", "1m"], "").await;
    assert!(
        code == 3 && out.contains("NO new key is made") && err.contains("holds NO key that works"),
        "{code} {out}{err}"
    );
    assert!(!world.accepts(&served));
}

pub async fn the_plugin_examines_the_installation_and_writes_a_page(world: &mut World) {
    world.token().await;
    let budget = json!({"budget": {"amount": "100", "period": "Monthly"}, "expiresInDays": 30});
    world.key("checkout", key_spec(budget)).await;
    world.key("report", key_spec(json!({}))).await;
    // The control plane is everybody's: other stories have tokens that do not work.
    let (code, out, err) = doctor().await;
    assert!([0, 3].contains(&code), "{code} {out}{err}");
    for line in [
        "ok       API server: https://127.0.0.1:".to_owned(),
        "ok       clock: this machine and the API server agree\n".to_owned(),
        format!("ok       definitions: all there, of version {}\n", env!("CARGO_PKG_VERSION")),
        format!("ok       ConsoleToken {}/edgee: edgee, account org_", world.namespace),
        "ok       right to patch gatewayapikeys in all namespaces: yes".to_owned(),
    ] {
        assert!(out.contains(&line), "{line:?} is not in {out}{err}");
    }
    world.write_secret("edgee-console", &[("token", "ek_live_emulated-refused")]).await;
    let wrong = format!("WRONG    ConsoleToken {}/edgee: ", world.namespace);
    world
        .eventually("the doctor names the token", async || match doctor().await {
            (3, out, _) if out.contains(&wrong) => Ok(()),
            (code, out, err) => Err(format!("{code} {out}{err}")),
        })
        .await;
    let (code, page, err) = kubectl(world, &["report"], "").await;
    assert!(
        code == 0 && page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"),
        "{err}"
    );
    let without = page.split("<h2>Without budget</h2>").nth(1).unwrap().split("</ul>").next().unwrap();
    assert!(without.contains("/report</b>") && !without.contains("/checkout</b>"), "{without}");
}

/// The command looks into all namespaces.
async fn doctor() -> (i32, String, String) {
    run(&["doctor"], "").await
}

pub async fn the_plugin_says_what_is_wrong(world: &mut World) {
    world.create("GatewayApiKey", "early", key_spec(json!({}))).await;
    let (code, out, err) = kubectl(world, &["status"], "").await;
    let missing = format!("ConsoleToken {}/edgee: not Ready, Missing\n", world.namespace);
    assert!(code == 3 && out.contains(&missing) && out.contains("early: not Ready"), "{code} {out}{err}");
    let (code, _, err) = kubectl(world, &["status", "--context", "none"], "").await;
    assert!(code == 1 && err.contains("has no context \"none\""), "{code} {err}");
    let observed = json!({"externalId": "key_000000", "managementPolicy": "Observe"});
    world.create("GatewayApiKey", "observed", key_spec(observed)).await;
    let (code, out, err) = kubectl(world, &["leaked", "observed", "--yes"], "").await;
    assert!(
        code == 1 && out.is_empty() && err.contains("Keysmith does NOT revoke its key"),
        "{code} {out}{err}"
    );
    let (code, out, _) = kubectl(world, &["--help"], "").await;
    assert!(code == 0 && out.contains("Usage: kubectl keysmith"), "{code} {out}");
}

/// A GatewayApiKey as a file has it.
fn file(name: &str, spec: Value) -> String {
    let key = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": name}, "spec": key_spec(spec),
    });
    format!("---\n{}", serde_yaml::to_string(&key).unwrap())
}

pub async fn the_plugin_foresees_what_applying_files_does(world: &mut World) {
    world.token().await;
    let kept = json!({"expiresInDays": 30, "rotation": {"overlap": "2h"}});
    world.key("checkout", kept.clone()).await;
    let version =
        async || world.api("GatewayApiKey").get("checkout").await.unwrap().metadata.resource_version;
    let (before, creations) = (version().await, world.creations());
    let plan = async |text: &str| kubectl(world, &["plan", "-f", "-"], text).await;
    let (code, out, err) = plan(&file("checkout", kept.clone())).await;
    assert!(
        code == 0 && out.contains("(standard input, document 1): unchanged\nresources: 1 unchanged;"),
        "{code} {out}{err}"
    );
    let with = |more: Value| file("checkout", merged(kept.clone(), more));
    let in_place = json!({"models": ["openai/gpt-5.2"], "secret": {"preset": "OpenAI"}});
    let (code, out, err) = plan(&with(in_place)).await;
    for words in [
        "changed in place at the vendor: spec.models;",
        "Secret checkout is written again, with the same key",
    ] {
        assert!(code == 0 && out.contains(words), "{code} {out}{err}");
    }
    // By the API server, and by the operator.
    let (code, out, err) = plan(&with(json!({"modles": ["openai/gpt-5.2"]}))).await;
    assert!(code == 4 && out.contains("REFUSED") && out.contains("modles"), "{code} {out}{err}");
    let (code, out, err) = plan(&with(json!({"budget": {"amount": "2.50", "period": "Monthly"}}))).await;
    let refused = "REFUSED: spec.budget.amount: Edgee takes whole USD only";
    let stays = "serial 1, works on and is NOT replaced";
    assert!(code == 4 && out.contains(refused) && out.contains(stays), "{code} {out}{err}");
    let text = [
        with(json!({"expiresInDays": 60})),
        file("late", json!({})),
        file("lost", json!({"consoleTokenRef": {"name": "none"}})),
    ];
    let (code, out, err) = plan(&text.concat()).await;
    for words in [
        "spec.expiresInDays: 30 -> 60",
        "a NEW KEY replaces the one in Secret checkout, serial 1: a field changed that the vendor fixes when a key is made \
         (spec.expiresInDays)",
        "the old key works for 2h more",
        "a first key is made and put into Secret late",
        "none does not exist, neither in the cluster nor in these files",
        "resources: 1 with a new key in place of one in use, 2 new; nothing was changed",
    ] {
        assert!(code == 3 && out.contains(words), "{words:?} is not in {code} {out}{err}");
    }
    // Nothing was changed; and applied, it does what was foreseen.
    assert_eq!((before, creations), (version().await, world.creations()));
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"expiresInDays": 60}})).await.unwrap();
    world
        .eventually("a new key", async || {
            match world.status("GatewayApiKey", "checkout").await["serial"].as_u64() {
                Some(2) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

pub async fn the_plugin_writes_resources_for_keys_that_exist(world: &mut World) {
    let port = serve_vendor(world).await;
    token_at(world, port).await;
    let key = world.vendor().add_key("Checkout (old)");
    let endpoints = format!("http://127.0.0.1:{port}");
    let adopt = ["adopt", "edgee", "--allowed-endpoints", &endpoints];
    let (code, out, err) = kubectl(world, &adopt, "").await;
    assert!(code == 0 && out.contains("# named Checkout (old) at Edgee\n"), "{code} {out}{err}");
    let resource: Value = serde_yaml::from_str(out.trim_start_matches("---\n")).unwrap();
    assert_eq!(resource["metadata"], json!({"name": "checkout-old", "namespace": world.namespace}));
    let spec = json!({
        "consoleTokenRef": {"name": "edgee"}, "externalId": key.id, "managementPolicy": "Observe",
        "displayName": "Checkout (old)",
    });
    assert_eq!(resource["spec"], spec);
    let (code, checked, err) = called(&["validate", "-f", "-", "--vendor", "edgee"], &out).await;
    assert!(code == 0 && checked.starts_with("ok "), "{code} {checked}{err}");
    // Once a resource names it, there is nothing left.
    world.create("GatewayApiKey", "checkout-old", spec).await;
    let (code, out, err) = kubectl(world, &adopt, "").await;
    let left = "1 that a GatewayApiKey names already";
    assert!(code == 3 && out.is_empty() && err.contains(left), "{code} {out}{err}");
    let (code, _, err) = kubectl(world, &["adopt", "none", "--allowed-endpoints", &endpoints], "").await;
    assert!(code == 1 && err.contains("there is no ConsoleToken"), "{code} {err}");
}

pub async fn the_plugin_packs_what_support_needs_without_credentials(world: &mut World) {
    world.token().await;
    let template = json!({"data": {"url": "https://user:fake-password@db/{{ key }}"}});
    world.key("checkout", json!({"email": "team@example.com", "secret": {"template": template}})).await;
    let folder = plane::folder().join(&world.namespace);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("support.tar.gz");
    let command = ["support-bundle", "--yes", "--output", file.to_str().unwrap()];
    let (code, out, err) = run(&command, "").await;
    let listed = out.contains("resources/gatewayapikeys.yaml") && out.contains("doctor.txt");
    assert!(code == 0 && listed, "{code} {out}{err}");
    let unpacked = tokio::process::Command::new("tar").arg("-xzOf").arg(&file).output().await.unwrap();
    let text = String::from_utf8(unpacked.stdout).unwrap();
    assert!(
        unpacked.status.success() && text.contains("checkout") && text.contains(&world.namespace),
        "{text}"
    );
    assert_eq!(canary::secret_in(&text), None);
    for secret in ["team@example.com", "fake-password", "managedFields", "last-applied"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let (code, _, err) = run(&command, "").await;
    assert!(code == 1 && err.contains("exists already"), "{code} {err}");
    let (code, _, err) = run(&["support-bundle"], "").await;
    assert!(code == 2 && err.contains("add --yes"), "{code} {err}");
}

pub async fn kubectl_completes_the_plugin(_: &mut World) {
    let completed = async |words: &[&str]| {
        let mut command = tokio::process::Command::new("kubectl");
        command.args(["__complete", "keysmith"]).args(words).env("PATH", path());
        String::from_utf8(command.output().await.unwrap().stdout).unwrap()
    };
    assert!(completed(&["rot"]).await.starts_with("rotate\t"), "{}", completed(&["rot"]).await);
    assert!(completed(&["rotate", "--wa"]).await.starts_with("--wait\t"));
    assert!(completed(&["status", "-o", "y"]).await.starts_with("yaml"));
}

/// The command without a cluster.
async fn called(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = tokio::process::Command::new("kubectl");
    command.arg("keysmith").args(arguments).env("PATH", path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
