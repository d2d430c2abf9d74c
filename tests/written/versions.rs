//! One version for crate, chart, definitions and manifests, moved by one command; and the workflow that releases it.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Exit status and output.
fn version(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("bash").arg(folder.join(".ci/version")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A copy of the files with the version, in which the test changes it.
fn copy(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("tests/charts")).unwrap();
    for part in
        [".ci", "charts", "crds", "deploy", "tests/charts/golden", "Cargo.toml", "Cargo.lock", "CHANGELOG.md"]
    {
        let copied =
            Command::new("cp").arg("-r").arg(root().join(part)).arg(folder.join(part)).status().unwrap();
        assert!(copied.success());
    }
    folder
}

fn read(folder: &Path, path: &str) -> String {
    fs::read_to_string(folder.join(path)).unwrap()
}

#[test]
fn everything_has_the_version_of_the_crate() {
    assert_eq!(version(&root(), &[]), (true, format!("{}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn one_command_moves_all_of_it_and_nothing_else() {
    let (from, to) = (env!("CARGO_PKG_VERSION"), "7.8.9-rc.1");
    let folder = copy("version-moved");
    let (ok, text) = version(&folder, &[to]);
    assert!(ok, "{text}");
    assert_eq!(version(&folder, &[]).1.trim(), to);
    for part in ["charts", "crds", "deploy", "tests/charts/golden", "Cargo.toml", "Cargo.lock"] {
        let output =
            Command::new("diff").arg("-r").arg(root().join(part)).arg(folder.join(part)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = |mark: &str| {
            text.lines().filter(|it| it.starts_with(mark)).map(str::to_owned).collect::<Vec<_>>()
        };
        let (old, new) = (lines("< "), lines("> "));
        assert!(!old.is_empty(), "{part} says no version");
        let moved: Vec<_> = old.iter().map(|it| it.replace(from, to).replacen('<', ">", 1)).collect();
        assert_eq!(moved, new, "{part}");
    }
    // The chart still renders its golden files, and the lock file is still valid.
    let lock = read(&folder, "Cargo.lock");
    assert_eq!(lock.matches(to).count(), 1);
    assert!(read(&folder, "CHANGELOG.md").contains(&format!("## [Unreleased]\n\n## [{to}] - 2")));
}

#[test]
fn invalid_and_differing_versions_are_refused() {
    let folder = copy("version-refused");
    for wrong in ["v1.2.3", "1.2", "1.2.3 ", "01.2.3", env!("CARGO_PKG_VERSION")] {
        assert!(!version(&folder, &[wrong]).0, "{wrong}");
    }
    let chart = read(&folder, "charts/keysmith/Chart.yaml").replace("\nversion: ", "\nversion: 9");
    fs::write(folder.join("charts/keysmith/Chart.yaml"), chart).unwrap();
    let (ok, text) = version(&folder, &[]);
    assert!(!ok && text.contains("charts/keysmith/Chart.yaml"), "{text}");
}

/// The steps of the release workflow: job, step.
fn steps() -> (Value, Vec<(String, Value)>) {
    let text = fs::read_to_string(root().join(".github/workflows/release.yaml")).unwrap();
    let workflow: Value = serde_yaml::from_str(&text).unwrap();
    let mut steps = Vec::new();
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        for step in job["steps"].as_array().unwrap() {
            steps.push((name.clone(), step.clone()));
        }
    }
    (workflow, steps)
}

#[test]
fn krew_installs_the_binaries_of_a_release_as_a_plugin() {
    let folder = root().join("target/tmp/krew");
    std::fs::create_dir_all(&folder).unwrap();
    for arch in ["amd64", "arm64"] {
        std::fs::write(folder.join(format!("keysmith-{arch}")), format!("a binary of {arch}")).unwrap();
    }
    let run = |arguments: &[&str]| {
        Command::new(root().join("deploy/krew/manifest")).args(arguments).output().unwrap()
    };
    let output = run(&[folder.to_str().unwrap(), "https://example.com/v1/"]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(folder.join("keysmith.krew.yaml")).unwrap();
    let plugin: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(plugin["spec"]["version"], concat!("v", env!("CARGO_PKG_VERSION")));
    let platforms = plugin["spec"]["platforms"].as_array().unwrap();
    for (platform, arch) in platforms.iter().zip(["amd64", "arm64"]) {
        let archive = format!("kubectl-keysmith-linux-{arch}.tar.gz");
        assert_eq!(platform["uri"], format!("https://example.com/v1/{archive}"));
        assert_eq!(platform["selector"]["matchLabels"], serde_json::json!({"os": "linux", "arch": arch}));
        let sum = Command::new("sha256sum").arg(folder.join(&archive)).output().unwrap();
        assert!(sum.stdout.starts_with(platform["sha256"].as_str().unwrap().as_bytes()));
        let unpacked = Command::new("tar")
            .arg("-xzOf")
            .arg(folder.join(&archive))
            .arg("kubectl-keysmith")
            .output()
            .unwrap();
        assert_eq!(unpacked.stdout, format!("a binary of {arch}").as_bytes());
    }
    assert_eq!(platforms.len(), 2);
    assert!(!run(&["/nonexistent", "https://example.com"]).status.success());
}

#[test]
fn the_release_is_well_formed() {
    let (workflow, steps) = steps();
    assert_eq!(workflow["permissions"], serde_json::json!({}), "each job says what it needs");
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        assert!(job["runs-on"].is_string() && job["permissions"].is_object(), "{name}");
        if let Some(needed) = job["needs"].as_str() {
            assert!(workflow["jobs"][needed].is_object(), "{name} needs {needed}");
        }
    }
    for (job, step) in &steps {
        assert_ne!(step["run"].is_string(), step["uses"].is_string(), "{job}: {step}");
        if let Some(action) = step["uses"].as_str() {
            // By commit: a tag that is moved would run other code with the rights of this workflow.
            let commit = action.split_once('@').map_or("", |(_, commit)| commit);
            assert!(commit.len() == 40 && commit.bytes().all(|it| it.is_ascii_hexdigit()), "{action}");
        }
        if let Some(script) = step["run"].as_str() {
            // A text that others choose, such as the name of a tag, is passed as a variable and never as a part of a
            // script.
            assert!(!script.contains("${{"), "{script}");
            let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
            bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            assert!(bash.wait().unwrap().success(), "{script}");
        }
    }
}

#[test]
fn the_release_tests_signs_and_lists_what_it_publishes() {
    let (workflow, steps) = steps();
    let place = |job: &str, words: &str| {
        let found = steps
            .iter()
            .position(|(it, step)| it == job && step["run"].as_str().is_some_and(|it| it.contains(words)));
        found.unwrap_or_else(|| panic!("{job} has no step with: {words}"))
    };
    place("check", "make test");
    place("check", "$(.ci/version)");
    assert_eq!(
        (&workflow["jobs"]["binary"]["needs"], &workflow["jobs"]["publish"]["needs"]),
        (&"check".into(), &"binary".into())
    );
    let pushed = place("publish", "imagetools create");
    for words in ["cosign sign --yes \"$IMAGE@$DIGEST\"", "cosign attest", "cosign sign-blob"] {
        assert!(place("publish", words) > pushed);
    }
    assert!(place("binary", "deploy/image/build sbom") < place("publish", "cosign attest"));
    place("check", "make check");
    place("check", "make advisories");
    place("check", "make reproducible");
    assert!(place("publish", "gh release create") > place("publish", "cosign sign-blob"));
    let identity = &workflow["jobs"]["publish"]["permissions"]["id-token"];
    assert_eq!(identity, "write", "without it nothing can be signed without a key");
    // Every script of this repository that a step runs exists.
    for script in [".ci/version", "tests/controlplane/helm", "deploy/krew/manifest"] {
        assert!(root().join(script).exists());
    }
}
