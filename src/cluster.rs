//! What Kubernetes understands: claims and status by compare-and-swap, Secrets behind a guard, watches, events.

pub mod events;
pub mod hold;
pub mod inventory;
pub mod lease;
pub mod ledger;
pub mod object;
pub mod secret;
pub mod watch;
pub mod workloads;

/// Whether an answer says that somebody else wrote in between.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether the same request may succeed a little later.
pub fn is_transient(error: &kube::Error) -> bool {
    !matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}

/// Whether the API server does not let us: a right is missing, or an admission plugin says no.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether an answer says that the object is not there.
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// An error of the API server without its text where that may quote what was sent.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.reason, status.code),
        kube::Error::SerdeError(_) => "an answer that cannot be decoded".to_owned(),
        _ => "no connection to the API server".to_owned(),
    }
}
