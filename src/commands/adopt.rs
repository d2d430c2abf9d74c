//! `keysmith adopt`: resources for keys that exist at a vendor and that no cluster manages, to be looked at, edited and
//! applied. The vendor is asked for its listing only; nothing is written, here or there.

use crate::api::{GROUP, VERSION};
use crate::columns::printable;
use crate::flags;
use crate::flags::network::NetworkArguments;
use crate::gateway::Vendors;
use crate::output::{Failure, WrongFlag, print, program, tell};
use crate::plan::capability::Capabilities;
use crate::plan::class::ControllerClass;
use crate::plan::identity::{AnyToken, TokenKind, TokenRef};
use crate::plan::listing::{Listed, Setting};
use crate::plan::money;
use crate::plan::naming::{Mark, NameStyle};
use crate::runtime::clock::Clock;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::vendors::Everything;
use crate::session::{self, Kubernetes, Session, objects};
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

/// Exit code: there is nothing to adopt.
const NONE: u8 = 3;
/// Longest name of a resource that is made of a key's name.
const LONGEST: usize = 50;

/// The arguments of `keysmith adopt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Standard output is YAML with spec.managementPolicy: Observe, so that applying it changes no key; the documentation says \
    how to go on (\"Take over a key that exists\"). Exit codes: 0 there are such keys, 3 there is none, 2 a flag or its value is wrong, \
    1 the vendor could not be asked or something else went wrong."
)]
pub struct Arguments {
    /// The ConsoleToken whose account is listed, such as edgee.
    #[arg(value_name = "CONSOLE_TOKEN", value_parser = flags::name)]
    console_token: String,
    /// It is a ClusterConsoleToken.
    #[arg(long)]
    cluster_token: bool,
    /// The namespace of the ConsoleToken and of the resources; that of the kubeconfig's context when left out.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    /// Only this key, by the vendor's id; may be repeated.
    #[arg(long = "key", value_name = "ID", value_parser = flags::key_id)]
    keys: Vec<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Namespace of the Secrets that ClusterConsoleTokens name, usually the operator's; looked for when left out.
    #[arg(long, env = "KEYSMITH_CLUSTER_RESOURCE_NAMESPACE", value_name = "NAMESPACE", value_parser = flags::namespace)]
    cluster_resource_namespace: Option<String>,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (endpoints, transport) = arguments.network.connect()?;
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let written = arguments.namespace.clone().filter(|it| !it.is_empty());
    if let Some(namespace) = &written {
        kubernetes.check_namespace("--namespace", namespace).await?;
    }
    let namespace = written.unwrap_or_else(|| kubernetes.namespace.clone());
    let kind = if arguments.cluster_token { TokenKind::ClusterConsoleToken } else { TokenKind::ConsoleToken };
    let reference = match kind {
        TokenKind::ConsoleToken => TokenRef::beside(Some(namespace.clone()), &arguments.console_token),
        TokenKind::ClusterConsoleToken => TokenRef::shared(&arguments.console_token),
    };
    let found = objects::token(&kubernetes.client, &reference).await?;
    let token = found.ok_or_else(|| format!("there is no {} {reference}", reference.kind.name()))?;
    let home =
        session::home(&kubernetes, &ControllerClass::default(), arguments.cluster_resource_namespace.clone())
            .await;
    let present = present(&kubernetes, &namespace, &token).await?;
    let session = Session {
        client: kubernetes.client,
        transport: Arc::new(transport),
        clock: Clock::system(),
        endpoints,
        vendors: Vendors::default(),
        home,
        class: ControllerClass::default(),
    };
    let refused = |why: String| format!("{} {reference}: {}", reference.kind.name(), printable(&why));
    let (account, listing) = session.ask(&token).await.map_err(refused)?;
    let absent: Vec<_> =
        arguments.keys.iter().filter(|id| !listing.keys.iter().any(|it| it.id.0 == **id)).collect();
    if let Some(id) = absent.first() {
        return Err(WrongFlag(format!("--key {}: the account has no key with this id", printable(id))).into());
    }
    let (text, told) = manifests(
        &listing.keys,
        &arguments.keys,
        &Place { namespace: &namespace, token: &reference, present },
        account.capabilities(),
    );
    print(&text)?;
    for line in &told {
        tell(line);
    }
    Ok(if text.is_empty() { ExitCode::from(NONE) } else { ExitCode::SUCCESS })
}

/// Names of GatewayApiKeys that exist, and the ids of keys of the same account that they name.
struct Present {
    names: BTreeSet<String>,
    ids: BTreeSet<String>,
}

async fn present(kubernetes: &Kubernetes, namespace: &str, token: &AnyToken) -> Result<Present, Failure> {
    let everything = Everything::read(&kubernetes.client).await?;
    let here = everything.keys.iter().filter(|it| it.metadata.namespace.as_deref() == Some(namespace));
    Ok(Present {
        names: here.filter_map(|it| it.metadata.name.clone()).collect(),
        ids: everything.ids_at(token),
    })
}

/// Where the resources are to be.
struct Place<'a> {
    namespace: &'a str,
    token: &'a TokenRef,
    present: Present,
}

/// The resources for keys that nothing manages, and what to say of the others.
fn manifests(
    keys: &[Listed],
    wanted: &[String],
    place: &Place<'_>,
    capabilities: &Capabilities,
) -> (String, Vec<String>) {
    let (mut text, mut names, mut marked, mut known) = (String::new(), place.present.names.clone(), 0, 0);
    for key in keys.iter().filter(|it| wanted.is_empty() || wanted.contains(&it.id.0)) {
        if place.present.ids.contains(&key.id.0) {
            known += 1;
        } else if Mark::parse(&key.name).is_some() {
            marked += 1;
        } else {
            let name = free_name(&key.name, &mut names);
            text += &manifest(key, &name, place, capabilities);
        }
    }
    let mut told = Vec::new();
    if known > 0 {
        told.push(format!("left out: {known} that a GatewayApiKey names already"));
    }
    if marked > 0 {
        told.push(format!(
            "left out: {marked} with a mark of Keysmith, of this cluster or another; {} orphans lists those that no resource accounts for",
            program()
        ));
    }
    if text.is_empty() {
        told.push("there is no key that nothing manages".to_owned());
    } else if capabilities.names == NameStyle::Slug {
        told.push(format!(
            "{}: keys cannot be renamed there, and not be marked as Keysmith's: they can be looked at only (Observe)",
            capabilities.title
        ));
    }
    (text, told)
}

fn manifest(key: &Listed, name: &str, place: &Place<'_>, capabilities: &Capabilities) -> String {
    let mut spec = json!({
        "consoleTokenRef": place.token.reference(),
        "externalId": key.id.0,
        "managementPolicy": "Observe",
    });
    // Without it, the key would be renamed like the resource once it is managed.
    if capabilities.names != NameStyle::Slug && crate::plan::names::display(&key.name).is_ok() {
        spec["displayName"] = json!(key.name);
    }
    let resource = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "GatewayApiKey",
        "metadata": {"name": name, "namespace": place.namespace}, "spec": spec,
    });
    format!("---\n{}{}", shown(key, capabilities), serde_yaml::to_string(&resource).unwrap_or_default())
}

/// What the vendor shows of the key, as comments: what is not written into the spec stays as it is.
fn shown(key: &Listed, capabilities: &Capabilities) -> String {
    let mut lines = vec![format!("named {} at {}", printable(&key.name), capabilities.title)];
    lines.extend(key.created_at.map(|it| format!("made {it:.0}")));
    lines.extend(key.last_used_at.map(|it| format!("last used {it:.0}")));
    lines.extend(key.expires_at.map(|it| format!("expires {it:.0}")));
    if let Setting::Set(limit) = key.shown.budget {
        let budget = money::budget(limit);
        lines.push(format!("budget {} {} {:?}", budget.amount, capabilities.budget.currency, budget.period));
    }
    if let Some(models) = key.shown.models.as_ref().filter(|it| !it.is_empty()) {
        lines.push(format!("models {}", printable(&models.join(", "))));
    }
    if key.shown.active == Some(false) {
        lines.push("switched off".to_owned());
    }
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "# {line}");
        text
    })
}

/// A name of a resource that is like the key's and not taken.
fn free_name(key: &str, taken: &mut BTreeSet<String>) -> String {
    let letters =
        key.chars().map(|it| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' });
    let words: Vec<_> =
        letters.collect::<String>().split('-').filter(|it| !it.is_empty()).map(str::to_owned).collect();
    let joined: String = words.join("-").chars().take(LONGEST).collect();
    let base = match joined.trim_matches('-') {
        "" => "key".to_owned(),
        base => base.to_owned(),
    };
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let free = std::iter::once(base.clone()).chain(numbered).find(|it| !taken.contains(it)).unwrap_or(base);
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GatewayApiKey;
    use crate::gateway::edgee::CAPABILITIES as EDGEE;
    use crate::plan::listing::{KeyId, Shown};
    use crate::plan::naming::{ClusterId, Serial};

    fn key(id: &str, name: &str) -> Listed {
        Listed {
            id: KeyId(id.to_owned()),
            name: name.to_owned(),
            created_at: None,
            expires_at: None,
            last_used_at: None,
            spent: None,
            remaining: None,
            shown: Shown::default(),
            unread: Vec::new(),
        }
    }

    #[test]
    fn keys_that_nothing_manages_become_resources_and_no_others() {
        let marked = Mark::new(&ClusterId("c".to_owned()), "u").name("Checkout", Serial(1));
        let keys = [
            key("k1", "Büro: Früh!"),
            key("k2", &marked),
            key("k3", "named"),
            key("k4", "x\n- y: z"),
            key("k5", ""),
        ];
        let token = TokenRef::beside(Some("shop".to_owned()), "edgee");
        let present = Present { names: ["b-ro-fr-h".to_owned()].into(), ids: ["k3".to_owned()].into() };
        let (text, told) =
            manifests(&keys, &[], &Place { namespace: "shop", token: &token, present }, &EDGEE);
        let resources: Vec<serde_json::Value> = serde_yaml::Deserializer::from_str(&text)
            .map(|it| serde::Deserialize::deserialize(it).unwrap())
            .collect();
        let fields = |path: &str| -> Vec<_> {
            resources.iter().map(|it| it.pointer(path).cloned().unwrap_or_default()).collect()
        };
        assert_eq!(fields("/spec/externalId"), ["k1", "k4", "k5"]);
        assert_eq!(fields("/metadata/name"), ["b-ro-fr-h-2", "x-y-z", "key"]);
        assert!(fields("/spec/managementPolicy").iter().all(|it| it == "Observe"));
        assert_eq!(fields("/spec/displayName")[0], "Büro: Früh!");
        assert_eq!(told.len(), 2);
        for resource in resources {
            serde_json::from_value::<GatewayApiKey>(resource).unwrap();
        }
    }
}
