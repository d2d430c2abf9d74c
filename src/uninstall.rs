//! `keysmith uninstall-check`: whether the operator can be uninstalled without leaving anything behind. The command
//! changes nothing. The chart runs it before a release is removed, and a refusal keeps the release.

use crate::api;
use crate::cli::flags;
use crate::cluster::{is_missing, sentence};
use crate::output::{Failure, print, tell};
use crate::plan::class::ControllerClass;
use crate::session::Kubernetes;
use crate::session::kubeconfig::ClusterArguments;
use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::{Api, Client, ResourceExt};
use std::fmt::Write;
use std::process::ExitCode;

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
    let mut left = Vec::new();
    for crd in api::crds() {
        let found = instances(&kubernetes.client, &crd, &namespaces, &arguments.controller_class).await;
        left.extend(found.map_err(|error| unlisted(&crd, &error))?);
    }
    if left.is_empty() {
        print("no resources of Keysmith are left\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&refusal(&left, &namespaces))?;
    Ok(ExitCode::from(REMAINS))
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

/// The resources of one kind as `Kind namespace/name`; none if the definition is not installed.
async fn instances(
    client: &Client,
    crd: &CustomResourceDefinition,
    namespaces: &[&str],
    class: &ControllerClass,
) -> kube::Result<Vec<String>> {
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
            let list = match place.list_metadata(&params).await {
                Err(error) if is_missing(&error) => break,
                other => other?,
            };
            let is_of_class = |object: &&PartialObjectMeta<DynamicObject>| {
                class.works_for(ControllerClass::of_finalizers(object.finalizers()).as_ref(), None)
            };
            found.extend(list.items.iter().filter(is_of_class).map(|object| {
                let place = object.namespace().map_or_else(String::new, |it| it + "/");
                format!("{} {place}{}", names.kind, object.name_any())
            }));
            let token = list.metadata.continue_.filter(|it| !it.is_empty());
            page = token.map(|it| ListParams::default().limit(PAGE).continue_token(&it));
        }
    }
    Ok(found)
}

/// The refusal: which resources are left, why that matters, and the ways out.
fn refusal(left: &[String], namespaces: &[&str]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "{} resources are left, and without Keysmith nobody looks after their keys:",
        left.len()
    );
    for line in left.iter().take(NAMED) {
        let _ = writeln!(text, "  {line}");
    }
    if left.len() > NAMED {
        let _ = writeln!(text, "  and {} more: kubectl get keysmith -A", left.len() - NAMED);
    }
    text.push_str("either revoke the keys and remove the resources, then uninstall again:\n");
    let places: Vec<_> = match namespaces {
        [] => vec![("ctok,cctok", "-A".to_owned())],
        some => some.iter().map(|it| ("ctok", format!("-n {it}"))).collect(),
    };
    for (tokens, place) in places {
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
        let text = refusal(&left, &[]);
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
        let scoped = refusal(&left, &["shop", "search"]);
        assert!(
            scoped.contains("--all -n search") && !scoped.contains("--all -A"),
            "others' resources: {scoped}"
        );
        assert!(!refusal(&left[..1], &[]).contains("more: "), "nothing is hidden");
    }
}
