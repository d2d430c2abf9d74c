//! The GatewayApiKeys that a command is about.

use crate::api::GatewayApiKey;
use crate::cluster::{is_missing, object, sentence};
use crate::flags;
use crate::output::{Failure, WrongFlag};
use crate::plan::identity::ObjectName;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{Kubernetes, objects};
use clap::Args;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};

/// Names, or a namespace and labels.
#[derive(Debug, Args)]
pub struct Selection {
    /// Names of GatewayApiKeys.
    #[arg(value_name = "NAME", value_parser = flags::name)]
    names: Vec<String>,
    /// Their namespace; that of the kubeconfig's context when left out.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    /// All namespaces, whatever -n says.
    #[arg(short = 'A', long, conflicts_with = "names")]
    all_namespaces: bool,
    /// Only GatewayApiKeys with these labels, such as team=shop.
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "names", value_parser = flags::selector)]
    selector: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What is selected.
#[derive(Default)]
pub struct Selected {
    /// The keys, sorted.
    pub keys: Vec<GatewayApiKey>,
    /// Those that do not fit the definition of this version.
    pub unfit: Vec<ObjectName>,
}

impl Selected {
    fn add(&mut self, guard: DeserializeGuard<GatewayApiKey>) {
        let name = ObjectName::new(&object::namespace(&guard), &guard.name_any());
        match guard.0 {
            Ok(key) => self.keys.push(key),
            Err(_) => self.unfit.push(name),
        }
    }
}

impl Selection {
    /// Connects to the cluster.
    pub async fn connect(&self) -> Result<Kubernetes, Failure> {
        let kubernetes = Kubernetes::connect(&self.cluster).await?;
        if let Some(namespace) = self.namespace(&kubernetes).filter(|_| self.namespace.is_some()) {
            kubernetes.check_namespace("--namespace", namespace).await?;
        }
        Ok(kubernetes)
    }

    /// Refuses a selection of everything, for commands that change what they select.
    pub fn must_choose(&self) -> Result<(), WrongFlag> {
        if self.is_narrow() {
            return Ok(());
        }
        Err(WrongFlag("name the GatewayApiKeys, or choose them by label with -l".to_owned()))
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

    /// The selected keys. A name that does not exist is an error, before anything is changed. Named keys are read one by
    /// one, which takes no right to list them.
    pub async fn keys(&self, kubernetes: &Kubernetes) -> Result<Selected, Failure> {
        let namespace = self.namespace(kubernetes);
        let mut selected = Selected::default();
        for name in &self.names {
            let api: Api<DeserializeGuard<GatewayApiKey>> = object::within(&kubernetes.client, namespace);
            let place = namespace.unwrap_or_default();
            let found = api.get(name).await.map_err(|error| match &error {
                it if is_missing(it) => format!(
                    "there is no GatewayApiKey {name} in namespace {place}; kubectl get gatewayapikeys -n {place} lists them"
                ),
                it => format!("GatewayApiKey {place}/{name} cannot be read: {}", sentence(it)),
            })?;
            selected.add(found);
        }
        if self.names.is_empty() {
            let found = objects::keys(&kubernetes.client, namespace, self.selector.as_deref()).await?;
            for guard in found {
                selected.add(guard);
            }
        }
        if self.is_narrow() && selected.keys.is_empty() && selected.unfit.is_empty() {
            let place = namespace.map_or_else(|| "any namespace".to_owned(), |it| format!("namespace {it}"));
            return Err(format!("no GatewayApiKey in {place} has such labels").into());
        }
        selected.keys.sort_by_key(named);
        selected.keys.dedup_by_key(|it| named(it));
        Ok(selected)
    }
}

/// Namespace and name of a key, for messages.
pub fn named(key: &GatewayApiKey) -> ObjectName {
    ObjectName::new(&object::namespace(key), &key.name_any())
}

/// The sentence on a resource that does not fit.
pub fn unfit(kind: &str, name: &ObjectName) -> String {
    format!("{kind} {name} does not fit the definition of this version; correct it first")
}
