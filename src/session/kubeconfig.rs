//! Connections to a cluster: by flags, by `KUBECONFIG`, or by the service account of a pod.

use crate::cluster::sentence;
use crate::output::Failure;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;

/// The cluster that a command is about, as kubectl's flags of the same names.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterArguments {
    /// The kubeconfig; the variable KUBECONFIG, ~/.kube/config or the service account of a pod when left out.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; its current one when left out.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl ClusterArguments {
    /// The configuration with kube's automatic retries off. A retried create would meet its own object as "already
    /// exists", and a retried compare-and-swap its own write as a conflict.
    pub async fn config(&self) -> Result<Config, Failure> {
        let mut config = self.read().await?;
        config.default_retry = false;
        Ok(config)
    }

    async fn read(&self) -> Result<Config, Failure> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            let config = Config::infer().await;
            return config
                .map_err(|error| unconfigured(error.source().and_then(|it| it.downcast_ref()), false));
        }
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match kubeconfig {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        };
        config.map_err(|error| unconfigured(Some(&error), self.kubeconfig.is_some()))
    }
}

/// The address of the API server, without the parts that may be a credential.
pub fn shown(config: &Config) -> String {
    let url = &config.cluster_url;
    let (scheme, host) = (url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default());
    let port = url.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}")
}

/// The configuration of the operator.
pub async fn config() -> Result<Config, Failure> {
    ClusterArguments::default().config().await
}

/// The client of a configuration.
pub fn client(config: Config) -> Result<Client, Failure> {
    let url = shown(&config);
    Client::try_from(config).map_err(|error| {
        let why = match &error {
            kube::Error::Auth(_) => sentence(&error),
            _ => "the certificates, key or proxy that the kubeconfig names cannot be used".to_owned(),
        };
        format!("{url}: {why}").into()
    })
}

/// Explains an invalid kubeconfig. Its text is not repeated, because it holds credentials.
fn unconfigured(error: Option<&KubeconfigError>, is_named: bool) -> Failure {
    let is_named = is_named || std::env::var_os("KUBECONFIG").is_some_and(|it| !it.is_empty());
    let why = match error {
        Some(KubeconfigError::ReadConfig(error, _)) if !is_named && error.kind() == ErrorKind::NotFound => {
            "there is no kubeconfig and no pod's service account; set KUBECONFIG or write ~/.kube/config"
                .to_owned()
        }
        Some(KubeconfigError::ReadConfig(error, path)) => {
            let why = match error.kind() {
                ErrorKind::NotFound => "it does not exist",
                ErrorKind::PermissionDenied => "permission denied",
                _ => "it is no file that can be read",
            };
            format!("the kubeconfig {} cannot be read: {why}", path.display())
        }
        Some(KubeconfigError::LoadContext(name)) => format!(
            "the kubeconfig has no context {name:?}; kubectl config get-contexts lists them, kubectl config use-context NAME \
             chooses one"
        ),
        Some(KubeconfigError::LoadClusterOfContext(name)) => {
            format!("the kubeconfig has no cluster {name:?}, which its current context names")
        }
        Some(KubeconfigError::CurrentContextNotSet) => {
            "the kubeconfig has no current context; choose one with kubectl config use-context NAME"
                .to_owned()
        }
        Some(KubeconfigError::Parse(_)) => "the kubeconfig is not the YAML of a kubeconfig".to_owned(),
        Some(KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_)) => {
            "the kubeconfig names no server, or one that is no URL, for its cluster".to_owned()
        }
        Some(KubeconfigError::FindPath) | None => {
            "there is no kubeconfig and no pod's service account; set KUBECONFIG".to_owned()
        }
        Some(_) => "the certificates, key or proxy that the kubeconfig names cannot be read".to_owned(),
    };
    why.into()
}
