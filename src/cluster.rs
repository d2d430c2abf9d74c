//! Access to Kubernetes: claims and status by compare-and-swap, Secrets, watches, events.

pub mod ca_bundle;
pub mod cache;
pub mod events;
pub mod hold;
pub mod inventory;
pub mod lease;
pub mod ledger;
pub mod measured;
pub mod namespaces;
pub mod object;
pub mod secret;
pub mod versions;
pub mod watch;
pub mod workloads;

/// Whether the request met a concurrent write (409).
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether a retry of the same request may succeed.
pub fn is_transient(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}

/// Whether RBAC or an admission plugin rejected the request (403).
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether the object does not exist (404).
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// An error of the API server, without its message, which may quote what was sent.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.reason, status.code),
        kube::Error::SerdeError(_) => "an answer that cannot be decoded".to_owned(),
        _ => "no connection to the API server".to_owned(),
    }
}

/// An error of a watch, without its message.
pub fn brief_watch(error: &kube::runtime::watcher::Error) -> String {
    use kube::runtime::watcher::Error::{
        InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
    };
    match error {
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => brief(error),
        WatchError(status) => format!("{} ({})", status.reason, status.code),
        NoResourceVersion => "an answer without a resourceVersion".to_owned(),
    }
}

/// Whether only a user can repair the watch: its kind is not served, or RBAC does not allow the watch.
pub fn needs_a_person(error: &kube::runtime::watcher::Error) -> bool {
    use kube::runtime::watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    let code = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status.code,
        _ => return false,
    };
    matches!(code, 401 | 403 | 404)
}

/// An error of the API server as the last clause of a sentence: what is wrong, and what to do.
pub fn sentence(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => "the API server does not accept these credentials (401); log in again, or choose another context"
                .to_owned(),
            403 => "the API server forbids it (403)".to_owned(),
            404 => "the API server does not have it (404)".to_owned(),
            _ => format!("the API server answers {}; try again later", brief(error)),
        },
        kube::Error::SerdeError(_) => {
            "the answer cannot be decoded; check that the address is that of a Kubernetes API server".to_owned()
        }
        kube::Error::Auth(_) => {
            "the credentials that the kubeconfig asks for cannot be obtained; log in again".to_owned()
        }
        _ => format!("the API server cannot be reached: {}", cause(error)),
    }
}

/// Why there is no connection, without quoting a library's error text.
fn cause(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if text.contains("certificate") || text.contains("Certificate") {
            return "its certificate is not accepted; check certificate-authority-data in the kubeconfig";
        }
        if text.contains("lookup address") || text.contains("dns error") {
            return "its name cannot be resolved; check the address in the kubeconfig and the network";
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            match error.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    return "connection refused; check the address in the kubeconfig, and that it runs";
                }
                std::io::ErrorKind::TimedOut => {
                    return "no answer in time; check the address in the kubeconfig and the network";
                }
                _ => {}
            }
        }
        next = error.source();
    }
    "no connection; check the address in the kubeconfig and the network"
}
