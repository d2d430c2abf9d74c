//! The GatewayApiKeys that a command is about.

use crate::api::GatewayApiKey;
use crate::cli::flags;
use crate::cluster::object;
use crate::output::{Failure, WrongFlag};
use crate::plan::identity::ObjectName;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{Kubernetes, objects};
use clap::Args;
use kube::ResourceExt;

/// Names, or a namespace and labels.
#[derive(Debug, Args)]
pub struct Selection {
    /// Names of GatewayApiKeys.
    #[arg(value_name = "NAME", value_parser = flags::name)]
    names: Vec<String>,
    /// Their namespace; that of the kubeconfig's context when left out.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["namespace", "names"])]
    all_namespaces: bool,
    /// Only GatewayApiKeys with these labels, such as team=shop.
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names", value_parser = flags::selector)]
    selector: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

impl Selection {
    /// Connects to the cluster.
    pub async fn connect(&self) -> Result<Kubernetes, Failure> {
        let kubernetes = Kubernetes::connect(&self.cluster).await?;
        if let Some(namespace) = self.namespace.as_ref().filter(|it| !it.is_empty()) {
            kubernetes.check_namespace("--namespace", namespace).await?;
        }
        Ok(kubernetes)
    }

    /// Refuses a selection of everything, for commands that change what they select.
    pub fn must_choose(&self) -> Result<(), WrongFlag> {
        if self.names.is_empty() && self.selector.is_none() {
            let what = "name the GatewayApiKeys, or choose them by label with -l";
            return Err(WrongFlag(what.to_owned()));
        }
        Ok(())
    }

    /// The namespace; `None` for all of them.
    pub fn namespace<'a>(&'a self, kubernetes: &'a Kubernetes) -> Option<&'a str> {
        let written = self.namespace.as_deref().filter(|it| !it.is_empty());
        (!self.all_namespaces).then(|| written.unwrap_or(&kubernetes.namespace))
    }

    /// Whether only some GatewayApiKeys of the namespace are chosen.
    pub const fn is_narrow(&self) -> bool {
        !self.names.is_empty() || self.selector.is_some()
    }

    /// The selected keys, sorted. A name that does not exist is an error, before anything is changed.
    pub async fn keys(&self, kubernetes: &Kubernetes) -> Result<Vec<GatewayApiKey>, Failure> {
        let namespace = self.namespace(kubernetes);
        let found = objects::keys(&kubernetes.client, namespace, self.selector.as_deref()).await?;
        let mut keys = Vec::new();
        let mut missing = self.names.clone();
        for guard in found {
            let name = guard.name_any();
            if !self.names.is_empty() && !self.names.contains(&name) {
                continue;
            }
            missing.retain(|it| *it != name);
            let unfit = ObjectName::new(&object::namespace(&guard), &name);
            keys.push(guard.0.map_err(|_| {
                format!("GatewayApiKey {unfit} does not fit the definition of this version; correct it first")
            })?);
        }
        if let Some(name) = missing.first() {
            let place = namespace.unwrap_or_default();
            return Err(format!(
                "there is no GatewayApiKey {name} in namespace {place}; kubectl get gatewayapikeys -n {place} lists them"
            )
            .into());
        }
        if keys.is_empty() && self.is_narrow() {
            let place = namespace.map_or_else(|| "any namespace".to_owned(), |it| format!("namespace {it}"));
            return Err(format!("no GatewayApiKey in {place} has such labels").into());
        }
        keys.sort_by_key(|it| (object::namespace(it), it.name_any()));
        Ok(keys)
    }
}

/// Namespace and name of a key, for messages.
pub fn named(key: &GatewayApiKey) -> ObjectName {
    ObjectName::new(&object::namespace(key), &key.name_any())
}
