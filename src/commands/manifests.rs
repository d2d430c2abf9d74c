//! Keysmith's resources in files, as `kubectl apply -f` reads them.

use crate::api::{self, ClusterConsoleToken, ConsoleToken, GROUP, VERSION};
use crate::output::{Failure, WrongFlag};
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::names;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file.
const LARGEST: u64 = 16 * 1024 * 1024;
/// What is said of files without a resource of Keysmith: a group that is misspelt would pass unnoticed.
pub const NONE: &str = "--filename: there is no resource of keysmith.dev in these files";
/// Endings of file names that are read in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A resource of ours in a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file and the number of the document in it, for messages.
    pub place: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The namespace that it names. `None`: it names none.
    pub namespace: Option<String>,
    /// The resource as written.
    pub value: Value,
}

/// What files hold.
#[derive(Debug, Default)]
pub struct Manifests {
    /// Keysmith's resources, in the order of the files.
    pub documents: Vec<Document>,
    /// Number of objects of other kinds, which are left out.
    pub others: usize,
    /// What cannot be read, and where.
    pub broken: Vec<String>,
}

/// Reads files, folders (not those in them) and, for `-`, standard input.
pub fn read(places: &[PathBuf]) -> Result<Manifests, Failure> {
    let mut manifests = Manifests::default();
    for place in places {
        if place.as_os_str() == "-" {
            let text = text(std::io::stdin(), "standard input")?;
            manifests.add("standard input", &text);
            continue;
        }
        for file in files(place)? {
            let shown = file.display().to_string();
            let opened = std::fs::File::open(&file).map_err(|error| unreadable(&file, &error))?;
            let text = text(opened, &shown)?;
            manifests.add(&shown, &text);
        }
    }
    Ok(manifests)
}

fn unreadable(file: &Path, error: &std::io::Error) -> WrongFlag {
    WrongFlag(format!("--filename {}: cannot be read: {}", file.display(), error.kind()))
}

/// The files of a place, by name.
fn files(place: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let entries = std::fs::read_dir(place).map_err(|error| unreadable(place, &error))?;
    let mut files = entries
        .map(|it| it.map(|it| it.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(place, &error))?;
    let is_manifest =
        |it: &PathBuf| it.extension().is_some_and(|it| ENDINGS.iter().any(|ending| it == *ending));
    files.retain(|it| it.is_file() && is_manifest(it));
    files.sort();
    if files.is_empty() {
        let why = format!("--filename {}: has no file that ends in .yaml, .yml or .json", place.display());
        return Err(WrongFlag(why).into());
    }
    Ok(files)
}

fn text(from: impl Read, shown: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::from(WrongFlag(format!("--filename {shown}: {why}")));
    let mut text = String::new();
    from.take(LARGEST + 1).read_to_string(&mut text).map_err(|_| wrong("is no text"))?;
    if text.len() as u64 > LARGEST {
        return Err(wrong("is larger than 16 MiB"));
    }
    Ok(text)
}

impl Manifests {
    /// Adds the documents of a file. What a parser says of a broken one is left out but for its place: it may quote a
    /// credential.
    fn add(&mut self, file: &str, text: &str) {
        for (at, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
            let place = format!("{file}, document {}", at + 1);
            match Value::deserialize(document) {
                Ok(value) => self.add_object(&place, value),
                Err(error) => {
                    let line =
                        error.location().map_or_else(String::new, |it| format!(", line {}", it.line()));
                    self.broken.push(format!("{place}: is no YAML and no JSON{line}"));
                    // Where the next document begins is unknown.
                    return;
                }
            }
        }
    }

    fn add_object(&mut self, place: &str, value: Value) {
        // Between two separators there may be nothing.
        if value.is_null() {
            return;
        }
        let kind = value["kind"].as_str().unwrap_or_default().to_owned();
        if let Some(Value::Array(items)) = value.get("items").filter(|_| kind.ends_with("List")) {
            for (at, item) in items.iter().enumerate() {
                self.add_object(&format!("{place}, item {}", at + 1), item.clone());
            }
            return;
        }
        let group = value["apiVersion"].as_str().and_then(|it| it.split_once('/')).map(|(group, _)| group);
        if group != Some(GROUP) {
            self.others += 1;
            return;
        }
        if definition(&kind).is_none() {
            let known: Vec<_> = api::crds().into_iter().map(|it| it.spec.names.kind).collect();
            self.broken
                .push(format!("{place}: kind: {GROUP} has no kind {kind:?}; it has {}", known.join(", ")));
            return;
        }
        let version = format!("{GROUP}/{VERSION}");
        if value["apiVersion"] != version.as_str() {
            self.broken.push(format!("{place}: apiVersion: there is no such version; write {version}"));
            return;
        }
        let Some(name) = value["metadata"]["name"].as_str() else {
            self.broken.push(format!("{place}: metadata.name: is missing; a {kind} needs a name"));
            return;
        };
        let namespace = &value["metadata"]["namespace"];
        let sound = match namespace {
            Value::Null => Ok(()),
            Value::String(it) => names::object(it),
            _ => Err("is no text"),
        };
        // Both are parts of an address of the API server.
        for (field, checked) in [("name", names::object(name)), ("namespace", sound)] {
            if let Err(why) = checked {
                self.broken.push(format!("{place}: metadata.{field}: {why}"));
                return;
            }
        }
        let namespace = namespace.as_str().map(str::to_owned);
        self.documents.push(Document {
            place: place.to_owned(),
            name: name.to_owned(),
            namespace,
            kind,
            value,
        });
    }

    /// The sentence on objects that were left out.
    pub fn left_out(&self) -> Option<String> {
        match self.others {
            0 => None,
            1 => Some("1 object of another kind was left out".to_owned()),
            more => Some(format!("{more} objects of other kinds were left out")),
        }
    }
}

impl Document {
    /// The console token that it is, if it fits the definition of this version.
    pub fn token(&self) -> Option<AnyToken> {
        let value = self.value.clone();
        match self.kind.as_str() {
            "ConsoleToken" => serde_json::from_value::<ConsoleToken>(value).ok().map(AnyToken::from),
            "ClusterConsoleToken" => {
                serde_json::from_value::<ClusterConsoleToken>(value).ok().map(AnyToken::from)
            }
            _ => None,
        }
    }
}

/// The document of that console token. `namespace`: that of documents that name none.
pub fn token<'a>(documents: &'a [Document], wanted: &TokenRef, namespace: &str) -> Option<&'a Document> {
    documents.iter().find(|it| {
        let within = it.namespace.as_deref().unwrap_or(namespace);
        let same = wanted.namespace.as_deref().is_none_or(|wanted| wanted == within);
        it.kind == wanted.kind.name() && it.name == wanted.name && same
    })
}

/// The definition of a kind.
pub fn definition(kind: &str) -> Option<CustomResourceDefinition> {
    api::crds().into_iter().find(|it| it.spec.names.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifests(text: &str) -> Manifests {
        let mut manifests = Manifests::default();
        manifests.add("a.yaml", text);
        manifests
    }

    #[test]
    fn what_a_file_may_hold_is_found_or_told() {
        let key =
            "apiVersion: keysmith.dev/v1alpha1\nkind: GatewayApiKey\nmetadata: {name: a, namespace: shop}\n";
        let found = manifests(&format!("---\n{key}---\n---\napiVersion: v1\nkind: Secret\n---\n{key}"));
        assert_eq!((found.documents.len(), found.others, found.broken.len()), (2, 1, 0));
        assert_eq!(found.documents[1].place, "a.yaml, document 4");
        assert_eq!(found.documents[0].namespace.as_deref(), Some("shop"));
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: keysmith.dev/v1alpha1, kind: ConsoleToken, metadata: {name: t}}\n";
        assert_eq!(manifests(list).documents[0].place, "a.yaml, document 1, item 1");
        for (text, words) in [
            ("a: [", "is no YAML and no JSON, line"),
            ("apiVersion: keysmith.dev/v1\nkind: Key\nmetadata: {name: a}", "it has ConsoleToken"),
            ("apiVersion: keysmith.dev/v1alpha1\nkind: GatewayApiKey", "metadata.name"),
            (
                "apiVersion: keysmith.dev/v1\nkind: GatewayApiKey\nmetadata: {name: a}",
                "write keysmith.dev/v1alpha1",
            ),
            (
                "apiVersion: keysmith.dev/v1alpha1\nkind: GatewayApiKey\nmetadata: {name: 'a#'}",
                "metadata.name",
            ),
            (
                "apiVersion: keysmith.dev/v1alpha1\nkind: GatewayApiKey\nmetadata: {name: 'a?x='}",
                "metadata.name",
            ),
            ("apiVersion: keysmith.dev/v1alpha1\nkind: GatewayApiKey\nmetadata: {name: ''}", "metadata.name"),
            (
                "apiVersion: keysmith.dev/v1alpha1\nkind: GatewayApiKey\nmetadata: {name: a, namespace: '../b'}",
                "metadata.namespace",
            ),
        ] {
            let broken = manifests(text).broken;
            assert!(broken.len() == 1 && broken[0].contains(words), "{broken:?}");
        }
        let quoted = manifests("token: sk-fake\n\t- x: \"sk-fake").broken;
        assert!(!quoted.is_empty() && !quoted[0].contains("fake"), "{quoted:?}");
    }
}
