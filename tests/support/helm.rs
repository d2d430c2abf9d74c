//! The chart, rendered by the pinned helm.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The release's name and its namespace, as the documentation installs it.
pub const RELEASE: (&str, &str) = ("keysmith", "keysmith-system");

/// The top of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The chart in the working tree.
pub fn chart() -> PathBuf {
    root().join("charts/keysmith")
}

/// The pinned helm, which neither reads nor writes the user's configuration.
pub fn helm() -> Command {
    let mut command = Command::new(root().join("tests/controlplane/helm"));
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("helm");
    for (name, folder) in
        [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
    {
        command.env(name, home.join(folder));
    }
    command.env_remove("KUBECONFIG");
    command
}

/// The output of a command: standard output if it succeeded, standard error if it failed.
pub fn said(output: Output) -> Result<String, String> {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Every set of values that is rendered in tests: name and file.
pub fn combinations() -> Vec<(String, PathBuf)> {
    let folder = std::fs::read_dir(root().join("tests/charts/values")).unwrap();
    let mut found: Vec<_> = folder
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), path)
        })
        .collect();
    found.sort();
    assert!(found.len() >= 10, "the folder is not the one that was meant");
    found
}

/// The file of one set of values.
pub fn combination(wanted: &str) -> PathBuf {
    combinations().into_iter().find(|(name, _)| name == wanted).unwrap().1
}

/// The chart's manifest with these values, or helm's error.
pub fn template(values: &Path, more: &[&str]) -> Result<String, String> {
    let (name, namespace) = RELEASE;
    let mut command = helm();
    command.args(["template", name]).arg(chart()).args(["--namespace", namespace, "--values"]).arg(values);
    said(command.args(more).output().unwrap())
}

/// The objects of a manifest.
pub fn objects(manifest: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(manifest)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .filter(|object: &Value| !object.is_null())
        .collect()
}

/// The objects that the chart renders with these values.
pub fn rendered(values: &Path) -> Vec<Value> {
    objects(&template(values, &[]).unwrap())
}

/// Kind and name, for messages.
pub fn title(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

/// The objects of that kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The specs of all pods and pod templates in a list of objects.
pub fn pods(objects: &[Value]) -> Vec<(String, &Value)> {
    let spec = |object: &'_ Value| object.pointer("/spec/template/spec").is_some();
    objects.iter().filter(|it| spec(it)).map(|it| (title(it), &it["spec"]["template"]["spec"])).collect()
}

/// The strings of a list; empty if there is no list.
pub fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
