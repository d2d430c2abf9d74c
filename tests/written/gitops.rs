//! The customizations of `GitOps` tools for Keysmith's kinds: Argo CD's health and actions in Lua, Flux's health checks in
//! CEL. Both run in the interpreters of those tools (`tests/gitops`), with the same cases, in Argo CD's own layout.
//!
//! `KEYSMITH_UPDATE=1 cargo test --all-features --test fast gitops` writes `deploy/argocd/argocd-cm.yaml`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const CUSTOMIZATIONS: &str = "deploy/argocd/resource_customizations/keysmith.dev";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The interpreters, built once: half a minute the first time, a moment when Go has cached them.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gitops");
        let output = Command::new("go")
            .args(["build", "-trimpath", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(root().join("tests/gitops"))
            .envs([("CGO_ENABLED", "0"), ("GOWORK", "off"), ("GOFLAGS", "-mod=readonly")])
            .output()
            .expect("Go, which builds the interpreters of Argo CD and Flux");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        program
    })
}

/// Runs the interpreters for all questions at once.
fn ask(questions: &[Value]) -> Vec<Value> {
    let mut child = Command::new(program()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for question in questions {
        writeln!(stdin, "{question}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), questions.len());
    answers.into_iter().map(|it| if it["error"].is_null() { it["value"].clone() } else { it }).collect()
}

/// A folder with Argo CD's customization of one kind.
struct Customization {
    kind: String,
    folder: PathBuf,
}

impl Customization {
    fn script(&self, path: &str) -> String {
        fs::read_to_string(self.folder.join(path)).unwrap()
    }

    /// The cases of `health_test.yaml`: object, health, message.
    fn health_cases(&self) -> Vec<(PathBuf, String, String)> {
        let tests = read(&self.folder.join("health_test.yaml"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let cases = tests["tests"].as_array().unwrap().iter().map(|test| {
            let health = &test["healthStatus"];
            (self.folder.join(text(&test["inputPath"])), text(&health["status"]), text(&health["message"]))
        });
        cases.collect()
    }
}

fn customizations() -> Vec<Customization> {
    let kinds: Vec<_> = keysmith::api::crds().into_iter().map(|it| it.spec.names.kind).collect();
    let all = kinds.into_iter().map(|kind| {
        let folder = root().join(CUSTOMIZATIONS).join(&kind);
        assert!(folder.is_dir(), "Argo CD knows nothing of {kind}: copy the folder of another kind");
        Customization { kind, folder }
    });
    all.collect()
}

#[test]
fn argo_cd_sees_the_health_of_every_kind() {
    for it in customizations() {
        let script = it.script("health.lua");
        let cases = it.health_cases();
        let questions: Vec<_> =
            cases.iter().map(|(path, ..)| json!({"lua": script, "object": read(path)})).collect();
        for ((path, status, message), answer) in cases.iter().zip(ask(&questions)) {
            assert_eq!(answer, json!({"status": status, "message": message}), "{}", path.display());
        }
        for health in ["Healthy", "Progressing", "Degraded"] {
            assert!(
                cases.iter().any(|(_, status, _)| status == health),
                "no case of {health} for {}",
                it.kind
            );
        }
        let written = fs::read_dir(it.folder.join("testdata")).unwrap().count();
        assert_eq!(written, cases.len(), "an object of {} that no case uses", it.kind);
    }
}

#[test]
fn every_case_is_an_object_that_there_could_be() {
    for it in customizations() {
        for (path, ..) in it.health_cases() {
            let object = read(&path);
            assert_eq!(object["kind"], it.kind.as_str());
            let fits = match it.kind.as_str() {
                "ConsoleToken" => serde_json::from_value::<keysmith::api::ConsoleToken>(object.clone()).err(),
                "ClusterConsoleToken" => {
                    serde_json::from_value::<keysmith::api::ClusterConsoleToken>(object.clone()).err()
                }
                "GatewayApiKey" => {
                    serde_json::from_value::<keysmith::api::GatewayApiKey>(object.clone()).err()
                }
                "ProjectSettings" => {
                    serde_json::from_value::<keysmith::api::ProjectSettings>(object.clone()).err()
                }
                _ => serde_json::from_value::<keysmith::api::ProviderKey>(object.clone()).err(),
            };
            assert!(fits.is_none(), "{}: {fits:?}", path.display());
            for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
                let known =
                    keysmith::api::Reason::ALL.iter().any(|(it, _)| condition["reason"] == it.as_str());
                assert!(known, "{}: {condition}", path.display());
            }
        }
    }
}

#[test]
fn argo_cd_offers_actions_where_they_make_sense_and_they_do_what_they_say() {
    for it in customizations() {
        let actions = it.folder.join("actions");
        let tests = read(&actions.join("action_test.yaml"));
        let object = |path: &Value| read(&actions.join(path.as_str().unwrap()));
        let discovery = it.script("actions/discovery.lua");
        for test in tests["discoveryTests"].as_array().unwrap() {
            let answer = ask(&[json!({"lua": discovery, "object": object(&test["inputPath"])})]).remove(0);
            let expected = test["result"].as_array().unwrap().iter().map(|action| {
                let disabled = json!({"disabled": action["disabled"]});
                (action["name"].as_str().unwrap().to_owned(), disabled)
            });
            let expected: serde_json::Map<_, _> = expected.collect();
            assert_eq!(answer, Value::Object(expected), "{} of {}", test["inputPath"], it.kind);
        }
        let mut tested = Vec::new();
        for test in tests["actionTests"].as_array().unwrap() {
            let name = test["action"].as_str().unwrap();
            let script = it.script(&format!("actions/{name}/action.lua"));
            let answer = ask(&[json!({"lua": script, "object": object(&test["inputPath"])})]).remove(0);
            let (answer, expected) = (plain(&answer), plain(&object(&test["expectedOutputPath"])));
            assert_eq!(answer, expected, "{name} of {}", it.kind);
            tested.push(name.to_owned());
        }
        tested.sort();
        let mut written: Vec<_> = fs::read_dir(&actions)
            .unwrap()
            .map(|it| it.unwrap())
            .filter(|it| it.path().join("action.lua").exists())
            .map(|it| it.file_name().into_string().unwrap())
            .collect();
        written.sort();
        assert_eq!(tested, written, "actions of {}", it.kind);
    }
}

/// Lua has only one type of number.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(name, it)| (name.clone(), plain(it))).collect(),
        other => other.clone(),
    }
}

#[test]
fn flux_comes_to_the_same_conclusions_as_argo_cd() {
    let team = read(&root().join("deploy/flux/team.yaml"));
    let checks: BTreeMap<_, _> = team["spec"]["healthCheckExprs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["kind"].as_str().unwrap().to_owned(), it.clone()))
        .collect();
    for it in customizations() {
        let check = checks.get(&it.kind).unwrap_or_else(|| panic!("Flux knows nothing of {}", it.kind));
        assert_eq!(check["apiVersion"], "keysmith.dev/v1alpha1");
        for (path, health, _) in it.health_cases() {
            let object = read(&path);
            let asked = ["failed", "current"].map(|name| json!({"cel": check[name], "object": object}));
            let answers = ask(&asked);
            // A suspended resource counts as healthy if its key works.
            let expected = match health.as_str() {
                "Degraded" => [true, false],
                "Healthy" | "Suspended" => [false, true],
                _ => [false, false],
            };
            assert_eq!(answers, expected.map(Value::from), "{}", path.display());
        }
    }
}

/// Status as Keysmith writes it, in the order of the writes, and the conclusion of either tool.
#[test]
fn both_tools_wait_for_what_comes_by_itself_and_fail_what_a_person_has_to_mend() {
    use keysmith::api::{Reason, Verdict};
    use keysmith::plan::fault::{Fault, FaultKind, Occurrence};
    use keysmith::plan::report::{self, call_purpose::CallPurpose};
    let now = |minutes: i64| jiff::Timestamp::from_second(1_795_000_000 + 60 * minutes).unwrap();
    let refused = |occurrence| {
        let fault = Fault::without_effect(FaultKind::TokenRefused);
        report::failed(&fault, CallPurpose::ListKeys, now(0), occurrence)
    };
    let missing = || Verdict::waiting(Reason::SecretMissing, "Secret a does not exist; create it");
    let down = || Verdict::reconciling(Reason::VendorUnavailable, "the vendor is down; tried again soon");
    let table: Vec<(Vec<(i64, Verdict)>, &str)> = vec![
        (vec![(0, missing())], "Progressing"),
        (vec![(0, missing()), (4, missing())], "Progressing"),
        (vec![(0, missing()), (5, missing())], "Degraded"),
        (vec![(0, missing()), (4, down()), (6, missing())], "Progressing"),
        (vec![(0, missing()), (5, missing()), (6, missing().still_ready(true))], "Degraded"),
        (vec![(0, refused(Occurrence::First))], "Progressing"),
        (vec![(0, refused(Occurrence::First)), (1, refused(Occurrence::Repeated))], "Degraded"),
        (vec![(0, down()), (60, down())], "Progressing"),
        (vec![(0, down()), (1, Verdict::settled(Reason::Issued, "all is well"))], "Healthy"),
        (
            vec![(0, missing()), (5, missing()), (6, Verdict::settled(Reason::Issued, "all is well"))],
            "Healthy",
        ),
        (vec![(0, down().still_ready(true))], "Healthy"),
        (vec![(0, Verdict::stalled(Reason::BudgetSpent, "the budget is spent"))], "Degraded"),
    ];
    let team = read(&root().join("deploy/flux/team.yaml"));
    for it in customizations() {
        let checks = team["spec"]["healthCheckExprs"].as_array().unwrap();
        let check = checks.iter().find(|check| check["kind"] == it.kind.as_str()).unwrap();
        for (verdicts, health) in &table {
            let (mut conditions, mut last) = (Vec::new(), None);
            for (minute, verdict) in verdicts {
                report::transition(&mut conditions, &mut last, verdict, Some(1), now(*minute));
            }
            let object = json!({
                "apiVersion": "keysmith.dev/v1alpha1", "kind": it.kind,
                "metadata": {"name": "a", "generation": 1}, "spec": {},
                "status": {"observedGeneration": 1, "conditions": conditions},
            });
            let answers = ask(&[
                json!({"lua": it.script("health.lua"), "object": object}),
                json!({"cel": check["failed"], "object": object}),
                json!({"cel": check["current"], "object": object}),
            ]);
            assert_eq!(answers[0]["status"], *health, "Argo CD, {}: {verdicts:?}", it.kind);
            let expected = [*health == "Degraded", *health == "Healthy"].map(Value::from);
            assert_eq!(answers[1..], expected, "Flux, {}: {verdicts:?}", it.kind);
        }
    }
}

/// The same scripts as a patch of Argo CD's own ConfigMap, for users who do not build Argo CD.
fn config_map() -> String {
    let indented = |text: &str, by: usize| {
        let lines =
            text.lines().map(|line| if line.is_empty() { String::new() } else { " ".repeat(by) + line });
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let mut text = String::from(
        "# Written from resource_customizations by tests/written/gitops.rs. Merge it into Argo CD's ConfigMap:\n\
         #   kubectl patch configmap argocd-cm -n argocd --patch-file deploy/argocd/argocd-cm.yaml\n\
         data:\n",
    );
    for it in customizations() {
        let kind = &it.kind;
        let _ = writeln!(text, "  resource.customizations.health.keysmith.dev_{kind}: |");
        text += &indented(&it.script("health.lua"), 4);
        let _ =
            write!(text, "  resource.customizations.actions.keysmith.dev_{kind}: |\n    discovery.lua: |\n");
        text += &indented(&it.script("actions/discovery.lua"), 6);
        text += "    definitions:\n";
        let tests = read(&it.folder.join("actions/action_test.yaml"));
        for test in tests["actionTests"].as_array().unwrap() {
            let name = test["action"].as_str().unwrap();
            let _ = write!(text, "      - name: {name}\n        action.lua: |\n");
            text += &indented(&it.script(&format!("actions/{name}/action.lua")), 10);
        }
    }
    text
}

#[test]
fn the_config_map_has_the_same_scripts() {
    let path = root().join("deploy/argocd/argocd-cm.yaml");
    let fresh = config_map();
    if std::env::var_os("KEYSMITH_UPDATE").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == fresh, "argocd-cm.yaml is stale: run make generate");
    let parsed: Value = serde_yaml::from_str(&fresh).unwrap();
    for it in customizations() {
        let health = &parsed["data"][format!("resource.customizations.health.keysmith.dev_{}", it.kind)];
        assert_eq!(*health, it.script("health.lua"));
        let actions =
            parsed["data"][format!("resource.customizations.actions.keysmith.dev_{}", it.kind)].as_str();
        let actions: Value = serde_yaml::from_str(actions.unwrap()).unwrap();
        assert_eq!(actions["discovery.lua"], it.script("actions/discovery.lua"));
        assert!(!actions["definitions"].as_array().unwrap().is_empty());
    }
}

#[test]
fn no_secret_is_in_what_is_meant_for_git() {
    for path in fs::read_dir(root().join("deploy/examples/gitops")).unwrap() {
        let path = path.unwrap().path();
        let object = read(&path);
        assert_ne!(object["kind"], "Secret", "{}", path.display());
    }
    let output = Command::new("kubectl")
        .args(["kustomize", "deploy/examples/gitops"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
