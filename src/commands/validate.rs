//! `keysmith validate -f`: checks files without a cluster, by the definitions of this version and by what the operator
//! refuses. For CI; `keysmith plan` asks a cluster as well.

pub mod cel;
pub mod schema;

use super::manifests::{self, Document, Manifests, definition};
use crate::api::kind::for_each_kind;
use crate::api::{GatewayApiKey, ProjectSettings};
use crate::cluster::object::Managed;
use crate::columns::printable;
use crate::gateway::{Driver, Vendors};
use crate::output::{Failure, WrongFlag, print, tell};
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::spec_error::SpecError;
use crate::plan::{desired, names, project, token};
use clap::Args;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code: something would be refused.
const REFUSED: u8 = 4;

/// The arguments of `keysmith validate`.
#[derive(Debug, Args)]
#[command(
    after_help = "No cluster and no vendor is asked. What a vendor cannot do is checked where the ConsoleToken that a key names is in the \
    same files, or --vendor names one. Exit codes: 0 nothing would be refused, 4 something would be, or what a file holds is no \
    resource, 2 a flag or its value is wrong, or no file has a resource of Keysmith."
)]
pub struct Arguments {
    /// A file or folder with resources, or - for standard input; may be repeated.
    #[arg(short, long, required = true, value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// The vendor of keys whose ConsoleToken is not in these files, by its name in keysmith explain.
    #[arg(long, value_name = "NAME")]
    vendor: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let vendors = Vendors::default();
    let default = arguments.vendor.as_deref().map(|it| named(&vendors, it)).transpose()?;
    let manifests = manifests::read(&arguments.filename)?;
    let mut refused = manifests.broken.len();
    let mut lines: Vec<_> = manifests.broken.iter().map(|it| format!("REFUSED  {it}")).collect();
    for document in &manifests.documents {
        let findings = check(document, &manifests, &vendors, default);
        refused += usize::from(!findings.is_empty());
        let title = format!("{} {} ({})", document.kind, printable(&document.name), document.place);
        if findings.is_empty() {
            lines.push(format!("ok       {title}"));
        }
        lines.extend(findings.iter().map(|it| format!("REFUSED  {title}: {}", printable(it))));
    }
    if !lines.is_empty() {
        print(&(lines.join("\n") + "\n"))?;
    }
    if let Some(left_out) = manifests.left_out() {
        tell(&left_out);
    }
    if manifests.documents.is_empty() && manifests.broken.is_empty() {
        return Err(WrongFlag(manifests::NONE.to_owned()).into());
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

fn named(vendors: &Vendors, name: &str) -> Result<&'static Driver, WrongFlag> {
    let known: Vec<_> = vendors.drivers().map(|it| it.name).collect();
    let unknown = || WrongFlag(format!("--vendor {}: is none of {}", printable(name), known.join(", ")));
    vendors.drivers().find(|it| it.name == name).ok_or_else(unknown)
}

/// What would be refused of a document.
fn check(
    document: &Document,
    all: &Manifests,
    vendors: &Vendors,
    default: Option<&'static Driver>,
) -> Vec<String> {
    let Some(crd) = definition(&document.kind) else { return Vec::new() };
    let mut value = document.value.clone();
    let findings = schema::check(&crd, &mut value);
    let mut said: Vec<_> = findings.into_iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
    said.extend(names::object(&document.name).err().map(|it| format!("metadata.name: {it}")));
    // A resource that the API server refuses never comes to the operator.
    if said.is_empty() && !decodes(&document.kind, &value) {
        said.push(
            "a value has a form that the operator cannot read, such as a fraction where a whole number is meant (30.0)"
                .to_owned(),
        );
    }
    if said.is_empty() {
        said.extend(refusal(document, &value, all, vendors, default).map(|it| it.to_string()));
    }
    said
}

/// Whether the operator can read a resource that the schema admits.
fn decodes(kind: &str, value: &serde_json::Value) -> bool {
    let mut decoded = true;
    for_each_kind!(K => if K::KIND == kind {
        decoded = read::<K>(value).is_ok();
    });
    decoded
}

/// What the operator refuses, by the kind.
fn refusal(
    document: &Document,
    value: &serde_json::Value,
    all: &Manifests,
    vendors: &Vendors,
    default: Option<&'static Driver>,
) -> Option<SpecError> {
    match document.kind.as_str() {
        "GatewayApiKey" => {
            let key: GatewayApiKey = read(value).ok()?;
            let driver = token_of(&TokenRef::named_by(&key), document, all)
                .map_or(default, |token| vendors.driver(&token.spec().vendor));
            desired::desired(&key, driver?.capabilities, None).err()
        }
        "ProjectSettings" => {
            let settings: ProjectSettings = read(value).ok()?;
            project::check(&settings.spec.settings, settings.spec.management_policy).err()
        }
        _ => {
            let token = document.token()?;
            let spec = token.spec();
            let minted = || {
                let (mint, own) = (spec.mint.as_ref()?, vendors.capabilities(&spec.vendor)?);
                let issuer = token_of(&token.reference().sibling(&mint.issuer_ref.name), document, all)?;
                token::check_mint(&token, mint, own, vendors.capabilities(&issuer.spec().vendor)).err()
            };
            token::check_spec(spec).err().or_else(minted)
        }
    }
}

fn read<K: DeserializeOwned>(value: &serde_json::Value) -> serde_json::Result<K> {
    serde_json::from_value(value.clone())
}

/// The console token with that identity in the same files. A namespace that is left out is that of the resource that names
/// the token: it is the same of the kubeconfig's context for both.
fn token_of(wanted: &TokenRef, beside: &Document, all: &Manifests) -> Option<AnyToken> {
    let namespace = beside.namespace.clone().unwrap_or_default();
    let wanted =
        TokenRef { namespace: wanted.namespace.as_ref().map(|_| namespace.clone()), ..wanted.clone() };
    manifests::token(&all.documents, &wanted, &namespace)?.token()
}
