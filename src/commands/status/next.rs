//! What happens next to a key, and when, by its status.

use crate::api::GatewayApiKey;
use crate::columns::printable;
use jiff::Timestamp;
use serde::Serialize;

/// Something that will happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// When; `None`: as soon as possible, or never by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What.
    pub what: String,
}

impl Next {
    fn at(at: Timestamp, what: impl Into<String>) -> Self {
        Self { at: Some(at), what: what.into() }
    }

    fn open(what: impl Into<String>) -> Self {
        Self { at: None, what: what.into() }
    }
}

/// What happens next to a key, the earliest first.
pub fn next(key: &GatewayApiKey, now: Timestamp) -> Vec<Next> {
    let status = key.status.clone().unwrap_or_default();
    let mut next = Vec::new();
    for previous in &status.previous {
        let id = printable(&previous.id);
        let what = format!("the previous key, serial {} ({id})", previous.serial);
        next.push(if previous.leaked {
            Next::open(format!("{what}, is revoked, because it leaked"))
        } else if let Some(since) = previous.disabled_at {
            Next::open(format!("{what}, is deleted; it has been switched off since {since}"))
        } else {
            Next::at(previous.retire_after, format!("{what}, may be switched off and deleted"))
        });
    }
    if key.metadata.deletion_timestamp.is_some() {
        next.push(Next::open("the resource is being deleted"));
        return next;
    }
    if key.spec.suspend == Some(true) {
        next.push(Next::open("nothing else before spec.suspend is removed (keysmith resume)"));
        return next;
    }
    if let Some(at) = status.next_attempt_at.filter(|at| *at > now) {
        let failures = status.failures.unwrap_or_default();
        next.push(Next::at(at, format!("the next attempt, after {failures} that failed")));
    }
    match (status.next_rotation_time, status.expires_at) {
        (Some(at), _) if status.rotation_failures.unwrap_or_default() > 0 => {
            next.push(Next::at(at, "the next attempt to replace the key"));
        }
        (Some(at), _) => next.push(Next::at(at, "a new key")),
        (None, Some(at)) => next.push(Next::at(at, "the key expires, and nothing replaces it")),
        (None, None) if next.is_empty() => {
            next.push(Next::open("nothing is scheduled; the key does not expire"));
        }
        (None, None) => {}
    }
    next.sort_by_key(|it| it.at);
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(spec: &Value, status: &Value) -> Vec<String> {
        let mut key = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "k"},
            "spec": {"consoleTokenRef": {"name": "edgee"}}, "status": status,
        });
        key["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let key = serde_json::from_value(key).unwrap();
        next(&key, "2026-01-01T00:00:00Z".parse().unwrap()).into_iter().map(|it| it.what).collect()
    }

    #[test]
    fn every_state_says_what_comes() {
        let previous = |more: Value| {
            let mut key = json!({"id": "k1", "serial": 1, "replacedAt": "2026-01-01T00:00:00Z",
                "retireAfter": "2026-01-02T00:00:00Z"});
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([key])
        };
        let day = "2026-01-09T00:00:00Z";
        let table = [
            (json!({}), json!({}), vec!["nothing is scheduled"]),
            (json!({}), json!({"nextRotationTime": day}), vec!["a new key"]),
            (
                json!({}),
                json!({"nextRotationTime": day, "rotationFailures": 1}),
                vec!["the next attempt to replace"],
            ),
            (json!({}), json!({"expiresAt": day}), vec!["nothing replaces it"]),
            (json!({}), json!({"nextAttemptAt": day, "failures": 3}), vec!["after 3 that failed"]),
            (json!({"suspend": true}), json!({"nextRotationTime": day}), vec!["keysmith resume"]),
            (
                json!({}),
                json!({"previous": previous(json!({})), "nextRotationTime": day}),
                vec!["serial 1 (k1), may be", "a new key"],
            ),
            (
                json!({"suspend": true}),
                json!({"previous": previous(json!({"leaked": true}))}),
                vec!["because it leaked", "resume"],
            ),
            (
                json!({}),
                json!({"previous": previous(json!({"disabledAt": day}))}),
                vec!["switched off since"],
            ),
        ];
        for (spec, status, wanted) in table {
            let told = told(&spec, &status);
            let fits = told.len() == wanted.len()
                && told.iter().zip(&wanted).all(|(told, wanted)| told.contains(wanted));
            assert!(fits, "{spec} {status}: {told:?}");
        }
    }
}
