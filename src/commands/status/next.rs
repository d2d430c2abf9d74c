//! What happens next to a key, and when, by its status.

use crate::api::gateway_api_key::GatewayApiKeyStatus;
use crate::api::rotation::{ManagementPolicy, PreviousKey};
use crate::api::{GatewayApiKey, LEAKED, ROTATE_REQUESTED};
use crate::columns::printable;
use crate::output::program;
use jiff::Timestamp;
use kube::ResourceExt;
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
    let is_suspended = key.spec.suspend == Some(true);
    let is_observed = key.spec.management_policy == Some(ManagementPolicy::Observe);
    if is_observed {
        return vec![Next::open("nothing: Keysmith only looks at the key (spec.managementPolicy: Observe)")];
    }
    let mut next: Vec<_> = status.previous.iter().filter_map(|it| end_of(it, is_suspended)).collect();
    if key.metadata.deletion_timestamp.is_some() {
        next.push(Next::open("the resource is being deleted"));
    } else if is_suspended {
        next.push(Next::open(format!("nothing else before spec.suspend is removed ({} resume)", program())));
    } else {
        next.extend(asked(key));
        next.extend(scheduled(&status, now));
    }
    if next.is_empty() {
        next.push(Next::open("nothing is scheduled; the key does not expire"));
    }
    next.sort_by_key(|it| it.at);
    next
}

/// How a previous key ends. A suspended resource keeps it, unless it leaked.
fn end_of(previous: &PreviousKey, is_suspended: bool) -> Option<Next> {
    let what = format!("the previous key, serial {} ({})", previous.serial, printable(&previous.id));
    if previous.leaked {
        return Some(Next::open(format!("{what}, is revoked, because it leaked")));
    }
    if is_suspended {
        return None;
    }
    Some(match previous.disabled_at {
        Some(since) => Next::open(format!("{what}, is deleted; it has been switched off since {since}")),
        None => Next::at(previous.retire_after, format!("{what}, may be switched off and deleted")),
    })
}

/// Requests that are not answered.
fn asked(key: &GatewayApiKey) -> impl Iterator<Item = Next> {
    let status = key.status.as_ref();
    let open = |name: &str, handled: Option<&String>| {
        key.annotations().get(name).is_some_and(|it| Some(it) != handled)
    };
    let leaked = open(LEAKED, status.and_then(|it| it.last_handled_leaked.as_ref()));
    let rotate = open(ROTATE_REQUESTED, status.and_then(|it| it.last_handled_rotate_at.as_ref()));
    let leaked =
        leaked.then(|| Next::open("a new key, because this one was declared leaked, which is then revoked"));
    let rotate = rotate.then(|| Next::open("a new key, which was requested"));
    leaked.into_iter().chain(rotate)
}

fn scheduled(status: &GatewayApiKeyStatus, now: Timestamp) -> Vec<Next> {
    let mut next = Vec::new();
    if let Some(at) = status.next_attempt_at.filter(|at| *at > now) {
        let failures = status.failures.unwrap_or_default();
        next.push(Next::at(at, format!("the next attempt, after {failures} that failed")));
    }
    let failing = status.rotation_failures.unwrap_or_default() > 0;
    next.extend(match (status.serial, status.next_rotation_time, status.expires_at) {
        (None, ..) if next.is_empty() => Some(Next::open("a first key, once what Ready says is mended")),
        (Some(_), Some(at), _) if failing => Some(Next::at(at, "the next attempt to replace the key")),
        (Some(_), Some(at), _) => Some(Next::at(at, "a new key")),
        (Some(_), None, Some(at)) => Some(Next::at(at, "the key expires; no replacement is scheduled")),
        (None, ..) | (_, None, None) => None,
    });
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
        let made = |more: Value| {
            let mut status = json!({"serial": 2});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        let suspended = json!({"suspend": true});
        let table = [
            (json!({}), json!({}), vec!["a first key"]),
            (json!({}), made(json!({})), vec!["nothing is scheduled"]),
            (json!({}), made(json!({"nextRotationTime": day})), vec!["a new key"]),
            (
                json!({}),
                made(json!({"nextRotationTime": day, "rotationFailures": 1})),
                vec!["the next attempt to replace"],
            ),
            (json!({}), made(json!({"expiresAt": day})), vec!["no replacement is scheduled"]),
            (json!({}), json!({"nextAttemptAt": day, "failures": 3}), vec!["after 3 that failed"]),
            (suspended.clone(), made(json!({"nextRotationTime": day})), vec!["keysmith resume"]),
            (
                json!({}),
                made(json!({"previous": previous(json!({})), "nextRotationTime": day})),
                vec!["serial 1 (k1), may be", "a new key"],
            ),
            (suspended.clone(), made(json!({"previous": previous(json!({}))})), vec!["resume"]),
            (
                suspended,
                made(json!({"previous": previous(json!({"leaked": true}))})),
                vec!["because it leaked", "resume"],
            ),
            (
                json!({}),
                made(json!({"previous": previous(json!({"disabledAt": day}))})),
                vec!["switched off since"],
            ),
            (
                json!({"externalId": "k", "managementPolicy": "Observe"}),
                made(json!({"nextRotationTime": day})),
                vec!["only looks"],
            ),
        ];
        for (spec, status, wanted) in table {
            let told = told(&spec, &status);
            let fits = told.len() == wanted.len()
                && told.iter().zip(&wanted).all(|(told, wanted)| told.contains(wanted));
            assert!(fits, "{spec} {status}: {told:?}");
        }
    }

    #[test]
    fn a_request_that_is_not_answered_comes_first() {
        let mut key: GatewayApiKey = serde_json::from_value(json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
            "metadata": {"name": "k", "annotations": {LEAKED: "1", ROTATE_REQUESTED: "2"}},
            "spec": {"consoleTokenRef": {"name": "edgee"}},
            "status": {"serial": 1, "lastHandledRotateAt": "2", "nextRotationTime": "2026-01-09T00:00:00Z"},
        }))
        .unwrap();
        let told = |key: &GatewayApiKey| next(key, "2026-01-01T00:00:00Z".parse().unwrap()).remove(0).what;
        assert!(told(&key).contains("declared leaked"));
        key.status.as_mut().unwrap().last_handled_leaked = Some("1".to_owned());
        assert_eq!(told(&key), "a new key");
    }
}
