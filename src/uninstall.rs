//! `keysmith uninstall-check`: whether the operator can be uninstalled without leaving anything behind. The command
//! changes nothing. The chart runs it before a release is removed, and a refusal keeps the release.

use crate::api;
use crate::cluster::{is_missing, sentence};
use crate::flags;
use crate::output::{Failure, print, tell};
use crate::plan::class::ControllerClass;
use crate::session::Kubernetes;
use crate::session::kubeconfig::ClusterArguments;
use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

/// How the kinds of console tokens end.
const CONSOLE_TOKEN: &str = "ConsoleToken";
/// Exit code: resources are left.
const REMAINS: u8 = 3;
/// How many resources a message names; it counts the rest.
const NAMED: usize = 20;
/// Small pages bound the peak memory of a list.
const PAGE: u32 = 250;

/// The arguments of `keysmith uninstall-check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing is left, 3 resources are left, 2 a flag or its value is wrong, \
    1 it could not be told."
)]
pub struct Arguments {
    /// Namespaces to look into, separated by commas; all of them when left out.
    #[arg(long, env = "KEYSMITH_NAMESPACES", value_delimiter = ',', value_parser = flags::namespace)]
    namespaces: Vec<String>,
    /// Only what the operator of this controller class works for; when left out, what no class works for.
    #[arg(long, env = "KEYSMITH_CONTROLLER_CLASS", value_name = "NAME", default_value = "", hide_default_value = true, value_parser = ControllerClass::parse)]
    controller_class: ControllerClass,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Lists the resources that are left and reports them.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let namespaces: Vec<_> =
        arguments.namespaces.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    for namespace in &namespaces {
        // A deleted namespace holds no resources. A namespace that never existed is a typing mistake and is reported.
        if let Err(why) = kubernetes.check_namespace("--namespaces", namespace).await {
            tell(&why.to_string());
        }
    }
    let mut found = Vec::new();
    for crd in api::crds() {
        let of_kind = instances(&kubernetes.client, &crd, &namespaces).await;
        found.extend(of_kind.map_err(|error| unlisted(&crd, &error))?);
    }
    let (left, others) = divided(&found, &arguments.controller_class);
    if left.is_empty() {
        print("no resources of Keysmith are left\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&refusal(&left, &namespaces, others))?;
    Ok(ExitCode::from(REMAINS))
}

/// A resource, and what its class follows from.
struct Instance {
    kind: String,
    namespace: Option<String>,
    name: String,
    /// Of a console token: its class.
    own: Option<ControllerClass>,
    /// Of another kind: kind and name of its console token.
    token: Option<(String, String)>,
    /// The class whose finalizer it has.
    holder: Option<ControllerClass>,
}

impl Instance {
    fn new(kind: &str, object: &DynamicObject) -> Self {
        let spec = &object.data["spec"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let reference = &spec["consoleTokenRef"];
        let of_kind = text(&reference["kind"]).unwrap_or_else(|| CONSOLE_TOKEN.to_owned());
        Self {
            kind: kind.to_owned(),
            namespace: object.namespace(),
            name: object.name_any(),
            own: kind
                .ends_with(CONSOLE_TOKEN)
                .then(|| ControllerClass::of_spec(spec["controllerClass"].as_str())),
            token: text(&reference["name"]).map(|name| (of_kind, name)),
            holder: ControllerClass::of_finalizers(object.finalizers()),
        }
    }

    /// Whether it is the console token that another resource names.
    fn is_named_by(&self, other: &Self) -> bool {
        other.token.as_ref().is_some_and(|(kind, name)| *kind == self.kind && *name == self.name)
            && (self.namespace.is_none() || self.namespace == other.namespace)
    }

    fn title(&self) -> String {
        let place = self.namespace.as_ref().map_or_else(String::new, |it| format!("{it}/"));
        format!("{} {place}{}", self.kind, self.name)
    }
}

/// The resources that an operator of that class works for, and whether there are others.
fn divided(found: &[Instance], class: &ControllerClass) -> (Vec<String>, bool) {
    let tokens: Vec<_> = found.iter().filter(|it| it.own.is_some()).collect();
    let is_ours = |it: &&Instance| {
        let named = || tokens.iter().find(|token| token.is_named_by(it)).and_then(|it| it.own.clone());
        class.works_for(it.own.clone().or_else(named).as_ref(), it.holder.as_ref())
    };
    let left: Vec<_> = found.iter().filter(is_ours).map(Instance::title).collect();
    let others = left.len() < found.len();
    (left, others)
}

fn unlisted(crd: &CustomResourceDefinition, error: &kube::Error) -> String {
    let names = &crd.spec.names;
    match error {
        kube::Error::Api(status) if status.code == 403 => format!(
            "{}s cannot be listed: forbidden (403); grant the right to list {} of {}",
            names.kind,
            names.plural,
            api::GROUP
        ),
        other => format!("{}s cannot be listed: {}", names.kind, sentence(other)),
    }
}

/// The resources of one kind; none if the definition is not installed.
async fn instances(
    client: &Client,
    crd: &CustomResourceDefinition,
    namespaces: &[&str],
) -> kube::Result<Vec<Instance>> {
    let names = &crd.spec.names;
    let gvk = GroupVersionKind::gvk(api::GROUP, api::VERSION, &names.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &names.plural);
    let places: Vec<Api<DynamicObject>> = if namespaces.is_empty() {
        vec![Api::all_with(client.clone(), &resource)]
    } else if crd.spec.scope == "Namespaced" {
        namespaces.iter().map(|it| Api::namespaced_with(client.clone(), it, &resource)).collect()
    } else {
        // Cluster-wide objects belong to other releases as well, and an operator of some namespaces may not list them.
        Vec::new()
    };
    let mut found = Vec::new();
    for place in places {
        let mut page = Some(ListParams::default().limit(PAGE));
        while let Some(params) = page {
            let list = match place.list(&params).await {
                Err(error) if is_missing(&error) => break,
                other => other?,
            };
            found.extend(list.items.iter().map(|object| Instance::new(&names.kind, object)));
            let token = list.metadata.continue_.filter(|it| !it.is_empty());
            page = token.map(|it| ListParams::default().limit(PAGE).continue_token(&it));
        }
    }
    Ok(found)
}

/// The refusal: which resources are left, why that matters, and the ways out. `others`: whether operators of other controller
/// classes have resources, too.
fn refusal(left: &[String], namespaces: &[&str], others: bool) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "{} resources are left, and without Keysmith their keys are neither rotated nor revoked:",
        left.len()
    );
    // Where not everything may be deleted, each is named.
    let named = if others { left.len() } else { NAMED };
    for line in left.iter().take(named) {
        let _ = writeln!(text, "  {line}");
    }
    if left.len() > named {
        let _ = writeln!(text, "  and {} more: kubectl get keysmith -A", left.len() - named);
    }
    text.push_str("either revoke the keys and remove the resources, then uninstall again:\n");
    let places: Vec<_> = match namespaces {
        [] => vec![("ctok,cctok", "-A".to_owned())],
        some => some.iter().map(|it| ("ctok", format!("-n {it}"))).collect(),
    };
    if others {
        text.push_str(
            "  kubectl delete each of these by its name, keys before their console tokens. There are RESOURCES OF OTHER OPERATORS \
             besides: with --all their keys would be revoked as well\n",
        );
    }
    for (tokens, place) in places.iter().filter(|_| !others) {
        let _ = writeln!(
            text,
            "  kubectl delete pvk,kps,gak --all {place} && kubectl delete {tokens} --all {place}"
        );
    }
    text.push_str(
        "or do the same with deletionPolicy: Retain on the GatewayApiKeys whose keys are to go on working\n\
         or leave resources, Secrets and keys as they are, for a later installation to go on with:\n  \
           helm uninstall RELEASE --no-hooks\n  \
           until then neither they, nor Secrets with the finalizer keysmith.dev/token-in-use, nor their namespaces can be deleted\n\
         or keep the release, which Helm takes for one on its way out now:\n  \
           helm rollback RELEASE REVISION, with the last revision of helm history RELEASE\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_left_and_every_way_out() {
        let left: Vec<_> = (0..25).map(|it| format!("GatewayApiKey shop/key-{it}")).collect();
        let text = refusal(&left, &[], false);
        assert!(
            text.starts_with("25 resources are left") && text.contains("\n  GatewayApiKey shop/key-19\n")
        );
        assert!(!text.contains("key-20") && text.contains("and 5 more"), "{text}");
        for way in [
            "kubectl delete pvk,kps,gak --all -A",
            "deletionPolicy: Retain",
            "--no-hooks",
            "token-in-use",
            "helm rollback",
        ] {
            assert!(text.contains(way), "{way} is not in: {text}");
        }
        let scoped = refusal(&left, &["shop", "search"], false);
        assert!(
            scoped.contains("--all -n search") && !scoped.contains("--all -A"),
            "others' resources: {scoped}"
        );
        assert!(!refusal(&left[..1], &[], false).contains("more: "), "nothing is hidden");
    }

    #[test]
    fn resources_of_other_operators_are_neither_counted_nor_deleted() {
        let instance = |kind: &str, name: &str, spec: Value, finalizer: Option<&str>| {
            let object = serde_json::json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "spec": spec,
                "metadata": {"name": name, "namespace": "shop", "finalizers": finalizer.into_iter().collect::<Vec<_>>()}});
            Instance::new(kind, &serde_json::from_value(object).unwrap())
        };
        let with = |token: &str| serde_json::json!({"consoleTokenRef": {"name": token}});
        let found = [
            instance("ConsoleToken", "edgee", serde_json::json!({}), None),
            instance("ConsoleToken", "tried", serde_json::json!({"controllerClass": "canary"}), None),
            instance("ProjectSettings", "ours", with("edgee"), None),
            instance("ProjectSettings", "theirs", with("tried"), None),
            // A finalizer counts where the console token is gone.
            instance("GatewayApiKey", "left", with("gone"), Some("keysmith.dev/cleanup-canary")),
            instance("GatewayApiKey", "forged", with("edgee"), Some("keysmith.dev/cleanup-canary")),
        ];
        let of = |class: &str| divided(&found, &ControllerClass::parse(class).unwrap());
        let ours = ["ConsoleToken shop/edgee", "ProjectSettings shop/ours", "GatewayApiKey shop/forged"];
        assert_eq!(of(""), (ours.map(str::to_owned).to_vec(), true));
        let theirs = ["ConsoleToken shop/tried", "ProjectSettings shop/theirs", "GatewayApiKey shop/left"];
        assert_eq!(of("canary"), (theirs.map(str::to_owned).to_vec(), true));
        let text = refusal(&of("canary").0, &[], true);
        assert!(!text.contains("--all -A") && text.contains("RESOURCES OF OTHER OPERATORS"), "{text}");
    }
}
