//! The image, as `make image` builds it without a container engine.

use super::helm::root;
use super::plane;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A placeholder for the registry of the user.
pub const REGISTRY: &str = "registry.test";

/// The image by its full name.
pub fn name() -> String {
    format!("{REGISTRY}/keysmith:{}", env!("CARGO_PKG_VERSION"))
}

/// An empty folder for this test program.
pub fn folder(name: &str) -> PathBuf {
    let folder = plane::folder().with_extension("image").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Prints although the test harness captures the output of tests.
pub fn say(text: &str) {
    std::io::stderr().write_all(format!("image: {text}\n").as_bytes()).unwrap();
}

/// Runs a command that has to succeed; returns its standard output.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether these programs are installed; if not, a test is skipped and prints that.
pub fn has(tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let missing = |tool: &&&str| !std::env::split_paths(&path).any(|it| it.join(tool).exists());
    match tools.iter().find(missing) {
        None => true,
        Some(tool) => {
            say(&format!(
                "SKIPPED, because there is no {tool} here; apt-get install buildah podman runc brings it"
            ));
            false
        }
    }
}

pub fn is_root() -> bool {
    succeed(Command::new("id").arg("-u")) == "0"
}

/// The archive, built once per test program.
pub fn archive() -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        say("building the release binary for the image; the first time takes minutes");
        build()
    })
}

/// Builds it again.
pub fn build() -> PathBuf {
    let script = root().join("deploy/image/build");
    // The output is shown, so that minutes of compilation do not look like a hang.
    let mut command = Command::new("bash");
    let done = command.arg(script).arg("archive").env("ARCH", "amd64").env("IMAGE", name()).status().unwrap();
    assert!(done.success());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("image/keysmith-amd64.tar")
}

/// An unpacked image.
pub struct Image {
    /// Its name for a pull.
    pub name: String,
    pub config: Value,
    /// Its only layer, a gzipped tar.
    pub layer: PathBuf,
}

/// Unpacks an archive into a folder, and verifies digest and size of every reference.
pub fn unpack(archive: &Path, folder: &Path) -> Image {
    succeed(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder));
    let read =
        |path: &str| -> Value { serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap() };
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
    // The same for readers of `docker save` archives.
    let saved = read("manifest.json");
    let digest = layer.file_name().unwrap().to_str().unwrap();
    assert_eq!(saved[0]["Layers"], json!([format!("blobs/sha256/{digest}")]));
    let name = saved[0]["RepoTags"][0].as_str().unwrap().to_owned();
    Image { name, config, layer }
}

/// The hexadecimal digest.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
