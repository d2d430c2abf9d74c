//! The content of the image, and equal images from both engines.

use crate::support::helm::root;
use crate::support::image::{archive, build, folder, has, hex, is_root, name, say, succeed, unpack};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const SIZE: u64 = 20_000_000;

#[test]
fn the_image_is_one_small_static_binary_for_a_user_without_a_name() {
    let folder = folder("parts");
    let image = unpack(archive(), &folder);
    let config = &image.config["config"];
    assert_eq!(image.name, name());
    assert_eq!((&image.config["os"], &image.config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["User"], "65532:65532");
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/keysmith"]), &json!(["run"])));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    // The image has no shell and no other file.
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
    // The binary holds no paths of the build machine, and no emulator.
    let holds = |text: &str| binary.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(!holds(env!("CARGO_MANIFEST_DIR")), "a path of this machine is in the binary");
    assert!(!succeed(Command::new(folder.join("keysmith")).arg("--help")).contains("emulate"));
    // It sends no traces, and says so instead of leaving them out.
    let traced = Command::new(folder.join("keysmith"))
        .args(["run", "--otlp-endpoint", "http://collector:4318"])
        .output();
    let traced = traced.unwrap();
    let said = String::from_utf8_lossy(&traced.stderr);
    assert!(traced.status.code() == Some(2) && said.contains("FEATURES=otlp"), "{said}");
    // The same sources give the same image.
    let before = fs::read(archive()).unwrap();
    assert_eq!(hex(&fs::read(build()).unwrap()), hex(&before));
}

/// Scanners of images read there what they look up in databases of vulnerabilities.
#[test]
fn the_binary_lists_the_crates_that_it_is_made_of() {
    let binary = archive().with_extension("");
    let list = auditable_info::audit_info_from_file(&binary, auditable_info::Limits::default()).unwrap();
    let compiled: Vec<_> = list
        .packages
        .iter()
        .filter(|it| format!("{:?}", it.kind) == "Runtime")
        .map(|it| (it.name.as_str(), it.version.to_string()))
        .collect();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for (name, version) in &compiled {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{name} {version}");
    }
    let has = |name: &str| compiled.iter().any(|(it, _)| *it == name);
    assert!(has("kube") && has("rustls") && has("reqwest") && has("keysmith"), "{compiled:?}");
    // The emulator's crates and those of the tests are not in it.
    assert!(!has("serde_urlencoded") && !has("rcgen") && !has("proptest"), "{compiled:?}");
}

#[test]
fn buildah_makes_the_same_of_the_dockerfile() {
    if !is_root() || !has(&["buildah"]) {
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
    let ours = unpack(archive(), &crate::support::image::folder("ours")).config;
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
