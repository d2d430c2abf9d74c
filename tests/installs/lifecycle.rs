//! The whole life of a release, on a real control plane and with keys in use: installed from the previous chart,
//! upgraded, rolled back, uninstalled, installed again. No key is lost and none is created again.

use super::site::{NAMESPACE, ORG, Site, TOKEN, object};
use crate::support::helm::{RELEASE, chart, root};
use crate::support::node::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The state that must not change: the resources, the Secrets, the keys at the vendor, and the number of keys ever
/// created.
#[derive(Debug, PartialEq)]
struct State {
    resources: BTreeMap<String, (Value, Value, Value)>,
    secrets: BTreeMap<String, Value>,
    keys: Vec<String>,
    provider_keys: Vec<String>,
    made: usize,
}

fn state(site: &Site) -> State {
    let name =
        |it: &Value| format!("{} {}", it["kind"].as_str().unwrap(), it["metadata"]["name"].as_str().unwrap());
    let resources = site.resources();
    let secrets = site.get(&["secrets", "-n", "shop"])["items"].as_array().unwrap().clone();
    State {
        resources: resources
            .iter()
            .map(|it| {
                let parts = (
                    it["metadata"]["uid"].clone(),
                    it["status"]["id"].clone(),
                    it["status"]["serial"].clone(),
                );
                (name(it), parts)
            })
            .collect(),
        secrets: secrets.iter().map(|it| (name(it), it["data"].clone())).collect(),
        keys: site.keys(),
        provider_keys: site.vendor.edgee().provider_keys(ORG).into_iter().map(|it| it.id).collect(),
        made: site.vendor.count("POST", "/api_keys") + site.vendor.count("POST", "/provider_keys"),
    }
}

/// Three keys; a provider key is assigned to one of them.
fn objects(site: &Site) -> Vec<Value> {
    let secret = |name: &str, entry: &str, value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "shop"}, "stringData": {entry: value}});
    let key = json!({"consoleTokenRef": {"name": "edgee"}, "expiresInDays": 90});
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "byok"},
        "gatewayKeyRefs": [{"name": "checkout"}],
    });
    vec![
        secret("edgee-console", "token", TOKEN),
        secret("byok", "api_key", "canary-credential"),
        object("ConsoleToken", "edgee", site.console_token()),
        object("GatewayApiKey", "checkout", key.clone()),
        object("GatewayApiKey", "search", key.clone()),
        object("GatewayApiKey", "kept", key),
        object("ProviderKey", "openai", provider_key),
    ]
}

/// The applied objects equal the live ones, although the operator has worked on them: Argo CD and Flux show no
/// difference.
fn in_sync(site: &Site, applied: &Path) {
    let resources = site.resources();
    for applied in objects(site).iter().filter(|it| it["apiVersion"] == "keysmith.dev/v1alpha1") {
        let same = |it: &&Value| {
            it["kind"] == applied["kind"] && it["metadata"]["name"] == applied["metadata"]["name"]
        };
        assert_eq!(resources.iter().find(same).unwrap()["spec"], applied["spec"]);
    }
    let difference = site.kubectl(&["diff", "--server-side", "-f", applied.to_str().unwrap()]);
    assert_eq!(difference.unwrap(), "", "a dry run of the same says that something would change");
}

fn assert_kept(site: &Site, before: &State, step: &str) {
    assert_eq!(state(site), *before, "after {step}");
    for secret in ["checkout", "search", "kept"] {
        site.assert_works(secret);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_comes_and_goes_and_its_keys_stay() {
    let mut site = Site::new("lifecycle", Engine::EmptyRoot).await;
    let applied = site.folder().join("apply.json");
    site.kubectl(&["create", "namespace", "shop"]).unwrap();
    let previous = root().join("tests/charts/previous/keysmith");
    lend_new_kind(&site);
    site.release("install", &previous, &["--create-namespace"]);
    site.apply(&objects(&site), &applied);
    site.looked_at().await;
    in_sync(&site, &applied);
    let before = state(&site);
    assert_eq!((before.keys.len(), before.provider_keys.len(), before.resources.len()), (3, 1, 5));

    // The present binary under the Roles of the previous chart may lack rights; a release has both of one version.
    let refused_before = site.refusals();
    site.release("upgrade", &chart(), &[]);
    site.looked_at().await;
    assert_kept(&site, &before, "the upgrade");
    assert_eq!(site.refusals(), refused_before, "it needs more rights");

    site.helm(&["rollback", "keysmith", "1", "--wait"]).unwrap();
    site.looked_at().await;
    assert_kept(&site, &before, "the rollback");
    site.release("upgrade", &chart(), &["--set", "replicaCount=2"]);
    site.looked_at().await;
    assert_kept(&site, &before, "the second upgrade");
    in_sync(&site, &applied);

    the_release_refuses_to_go(&mut site, &before).await;
    everything_can_be_left_in_place(&mut site, &before).await;
    keys_can_be_left_and_revoked(&site);
    site.stopped().await;
    site.assert_silent();
}

/// The present binary, which stands for the previous one, watches a kind that the previous chart does not have: its
/// definition, as that of the release, and the rights to it.
fn lend_new_kind(site: &Site) {
    let name = "clusterconsoletokens.keysmith.dev";
    let file = root().join("crds").join(format!("{name}.yaml"));
    site.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]).unwrap();
    let release = [
        format!("meta.helm.sh/release-name={}", RELEASE.0),
        format!("meta.helm.sh/release-namespace={NAMESPACE}"),
    ];
    site.kubectl(&["annotate", "crd", name, &release[0], &release[1]]).unwrap();
    site.kubectl(&["label", "crd", name, "app.kubernetes.io/managed-by=Helm", "--overwrite"]).unwrap();
    site.kubectl(&["wait", "--for=condition=Established", "crd", name, "--timeout=60s"]).unwrap();
    let resources = format!("--resource={name},{name}/status,namespaces");
    site.kubectl(&["create", "clusterrole", "new-kind", "--verb=get,list,watch,patch", &resources]).unwrap();
    let account = format!("--serviceaccount={NAMESPACE}:keysmith");
    site.kubectl(&["create", "clusterrolebinding", "new-kind", "--clusterrole=new-kind", &account]).unwrap();
}

/// The exit code of the hook's container.
fn exit_code(site: &Site) -> Value {
    let label = "app.kubernetes.io/component=uninstall-check";
    let pods = site.get(&["pods", "-n", NAMESPACE, "-l", label]);
    pods["items"][0]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone()
}

/// While resources exist, the hook fails, and so does the uninstallation.
async fn the_release_refuses_to_go(site: &mut Site, before: &State) {
    let error = site.helm(&["uninstall", "keysmith", "--timeout", "60s"]).unwrap_err();
    assert_eq!(exit_code(site), 3);
    assert!(error.contains("Job Failed"), "{error}");
    let list = site.helm(&["list"]).unwrap();
    assert!(list.contains("keysmith"), "{list}");
    site.looked_at().await;
    assert_kept(site, before, "an uninstallation that was refused");
    // For Helm the release is being uninstalled until a rollback restores it.
    let history: Value =
        serde_json::from_str(&site.helm(&["history", "keysmith", "-o", "json"]).unwrap()).unwrap();
    let revision = history.as_array().unwrap().last().unwrap()["revision"].to_string();
    site.helm(&["rollback", "keysmith", &revision, "--wait"]).unwrap();
    site.release("upgrade", &chart(), &[]);
    site.looked_at().await;
}

/// The documented way to leave keys in place, and a later installation that continues with them.
async fn everything_can_be_left_in_place(site: &mut Site, before: &State) {
    let text = site.helm(&["uninstall", "keysmith", "--no-hooks"]).unwrap();
    assert!(text.contains("gatewayapikeys.keysmith.dev"), "it names what it kept: {text}");
    assert!(site.kubectl(&["get", "deployment", "keysmith", "-n", NAMESPACE]).is_err());
    assert!(site.kubectl(&["get", "clusterrole", "keysmith"]).is_err());
    site.stopped().await;
    assert_kept(site, before, "an uninstallation without the hook");
    site.release("install", &chart(), &[]);
    site.looked_at().await;
    assert_kept(site, before, "another installation");
}

/// The documented first step of an uninstallation: afterwards no resource is left, and retained keys still exist at the
/// vendor.
fn keys_can_be_left_and_revoked(site: &Site) {
    let kept = site.get(&["gak", "kept", "-n", "shop"])["status"]["id"].as_str().unwrap().to_owned();
    let retain = r#"{"spec": {"deletionPolicy": "Retain"}}"#;
    site.kubectl(&["patch", "gak", "kept", "-n", "shop", "--type", "merge", "-p", retain]).unwrap();
    for kinds in ["pvk,gak", "ctok"] {
        site.kubectl(&["delete", kinds, "--all", "-A", "--timeout=120s"]).unwrap();
    }
    assert_eq!(site.keys(), [kept], "the others are revoked");
    site.helm(&["uninstall", "keysmith", "--timeout", "60s"]).unwrap();
    assert!(!site.helm(&["list"]).unwrap().contains("keysmith-"));
    site.kubectl(&["get", "crd", "gatewayapikeys.keysmith.dev"]).unwrap();
}
