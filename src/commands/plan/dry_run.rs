//! The dry run of a resource at the API server: what would be stored, or why it would be refused.

use crate::api::GROUP;
use crate::cluster::sentence;
use crate::commands::manifests::{Document, definition};
use crate::output::Failure;
use crate::session::Kubernetes;
use http::{Method, Request};
use kube::core::Status;
use serde_json::{Value, json};

/// The query of every request that is no read.
const DRY: &str = "dryRun=All&fieldValidation=Strict&fieldManager=keysmith-plan";

/// A resource as it is, and what the API server says of the edit.
pub struct DryRun {
    /// Its namespace; `None` for kinds without one.
    pub namespace: Option<String>,
    /// The resource as it is stored, if it is.
    pub before: Option<Value>,
    /// The answer.
    pub answer: Answer,
}

/// What the API server says.
pub enum Answer {
    /// It would be stored like this.
    Stored(Value),
    /// It would be refused.
    Refused(String),
    /// What is stored may not be read, so that nothing can be said.
    Unread(String),
    /// The API server could not check it, and why; the resource as it was written.
    Unasked(String, Value),
}

/// Asks the API server. `namespace`: that of a resource that names none.
pub async fn ask(kubernetes: &Kubernetes, document: &Document, namespace: &str) -> Result<DryRun, Failure> {
    // Kinds without a definition were told before.
    let Some(crd) = definition(&document.kind) else {
        return Err(format!("{}: {} is no kind of {GROUP}", document.place, document.kind).into());
    };
    let namespace = (crd.spec.scope == "Namespaced")
        .then(|| document.namespace.clone().unwrap_or_else(|| namespace.to_owned()));
    let version = document.value["apiVersion"].as_str().unwrap_or_default();
    let within = namespace.as_ref().map_or_else(String::new, |it| format!("/namespaces/{it}"));
    let list = format!("/apis/{version}{within}/{}", crd.spec.names.plural);
    let place = format!("{list}/{}", document.name);
    let before = match call(kubernetes, Method::GET, &place, None).await {
        Ok(found) => Some(found),
        Err(kube::Error::Api(status)) if status.is_not_found() => None,
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            return Ok(DryRun {
                namespace,
                before: None,
                answer: Answer::Unread(lacks("get", &crd.spec.names.plural)),
            });
        }
        Err(error) => return Err(format!("{} {}: {}", document.kind, document.name, sentence(&error)).into()),
    };
    let (method, path, body) = match &before {
        Some(before) => (Method::PUT, &place, edited(before, &document.value)),
        None => (Method::POST, &list, named(&document.value, namespace.as_deref())),
    };
    let path = format!("{path}?{DRY}");
    let answer = match call(kubernetes, method.clone(), &path, Some(&body)).await {
        Ok(stored) => Answer::Stored(stored),
        Err(kube::Error::Api(status)) => {
            let verb = if method == Method::PUT { "update" } else { "create" };
            refusal(&status, verb, &crd.spec.names.plural, before.as_ref(), body)
        }
        Err(error) => return Err(format!("{} {}: {}", document.kind, document.name, sentence(&error)).into()),
    };
    Ok(DryRun { namespace, before, answer })
}

fn lacks(verb: &str, plural: &str) -> String {
    format!("forbidden (403); it takes the right to {verb} {plural} of {GROUP}")
}

/// Whether a policy or the schema refuses it, or whether it was not checked at all.
fn refusal(status: &Status, verb: &str, plural: &str, before: Option<&Value>, body: Value) -> Answer {
    let unasked = |why: String, mut body: Value| {
        if let Some(before) = before {
            let generation = before["metadata"]["generation"].as_i64().unwrap_or_default();
            let is_changed = before["spec"] != body["spec"];
            body["metadata"]["generation"] = json!(generation + i64::from(is_changed));
        }
        Answer::Unasked(why, body)
    };
    match status.code {
        // RBAC names the user and what the user "cannot" do; an admission policy does not.
        403 if status.message.contains(" cannot ") => unasked(lacks(verb, plural), body),
        404 => unasked("its namespace does not exist yet".to_owned(), body),
        400 | 403 | 422 => Answer::Refused(status.message.clone()),
        409 => unasked("it was changed meanwhile; try again".to_owned(), body),
        code => unasked(format!("it answered {code}"), body),
    }
}

/// The stored resource with the written specification; labels and annotations are added, as `kubectl apply` does.
fn edited(before: &Value, written: &Value) -> Value {
    let mut after = before.clone();
    after["spec"] = written["spec"].clone();
    for part in ["labels", "annotations"] {
        if let Value::Object(added) = &written["metadata"][part] {
            let mut all = before["metadata"][part].as_object().cloned().unwrap_or_default();
            all.extend(added.clone());
            after["metadata"][part] = Value::Object(all);
        }
    }
    // A field outside of these is one that the schema does not know.
    for (name, value) in written.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&name.as_str()) {
            after[name] = value.clone();
        }
    }
    after
}

fn named(written: &Value, namespace: Option<&str>) -> Value {
    let mut new = written.clone();
    if let Some(namespace) = namespace {
        new["metadata"]["namespace"] = json!(namespace);
    }
    new
}

async fn call(
    kubernetes: &Kubernetes,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> kube::Result<Value> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = body.map(|it| it.to_string().into_bytes()).unwrap_or_default();
    let request = request.body(body).map_err(kube::Error::HttpError)?;
    // Whatever a path is made of: nothing is written.
    if request.method() != Method::GET && request.uri().query() != Some(DRY) {
        return Err(kube::Error::Service("it would be no dry run".into()));
    }
    kubernetes.client.request(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_is_missing_is_no_refusal_of_the_resource() {
        let answer = |code, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            refusal(&status, "update", "gatewayapikeys", None, json!({}))
        };
        let forbidden = "gatewayapikeys.keysmith.dev \"a\" is forbidden: User \"ci\" cannot update resource";
        assert!(matches!(answer(403, forbidden), Answer::Unasked(why, _) if why.contains("right to update")));
        let policy = "gatewayapikeys.keysmith.dev \"a\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no";
        assert!(matches!(answer(403, policy), Answer::Refused(_)));
        assert!(matches!(answer(422, "spec.budget: no"), Answer::Refused(_)));
        assert!(matches!(answer(404, "namespaces \"x\" not found"), Answer::Unasked(..)));
    }

    #[test]
    fn an_edit_keeps_what_others_wrote_and_takes_the_specification_whole() {
        let before = json!({"metadata": {"uid": "u", "annotations": {"a": "1", "b": "2"}}, "spec": {"x": 1, "y": 2}, "status": {"s": 1}});
        let after =
            edited(&before, &json!({"metadata": {"annotations": {"a": "3"}}, "spec": {"x": 2}, "extra": 1}));
        let wanted = json!({"metadata": {"uid": "u", "annotations": {"a": "3", "b": "2"}}, "spec": {"x": 2}, "status": {"s": 1}, "extra": 1});
        assert_eq!(after, wanted);
    }
}
