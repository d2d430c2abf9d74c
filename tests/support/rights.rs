//! The rights of the operator: the rules that the chart renders, from its golden files, which another test keeps up to
//! date. On a real API server, the operators of the stories run with exactly these rights, each under a service account
//! of its own, and every request is compared with them.

use super::plane::Asked;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The namespace of operators, apart from the watched ones: deleting a namespace removes its Roles and service
/// accounts.
const OPERATORS: &str = "keysmith-system";

/// The identity and the scope of an operator.
#[derive(Clone)]
pub struct Account {
    /// The name of its service account.
    pub name: String,
    /// The namespace with its ledger and its Lease; also the watched namespace, if it does not watch all.
    pub own: String,
    /// Whether its rights hold in every namespace.
    pub everywhere: bool,
}

impl Account {
    /// The operator of a story, with rights in the whole cluster.
    pub fn cluster(own: &str) -> Self {
        Self { name: own.to_owned(), own: own.to_owned(), everywhere: true }
    }

    /// Another operator, with Roles in that namespace only.
    pub fn namespaced(own: &str) -> Self {
        Self { name: format!("{own}-roles"), own: own.to_owned(), everywhere: false }
    }
}

/// One granted right: a verb on a resource, possibly limited to a name or a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group.
    pub group: String,
    /// Plural, with the subresource behind a slash.
    pub resource: String,
    /// The verb, as RBAC calls it.
    pub verb: String,
    names: Vec<String>,
    namespace: Option<String>,
}

impl Right {
    /// Whether this right permits the request.
    pub fn covers(&self, asked: &Asked) -> bool {
        let here = self.namespace.is_none() || self.namespace == asked.namespace;
        // A watch or list of one object has its name in a field selector.
        let named = self.names.is_empty() || asked.name.as_ref().is_some_and(|it| self.names.contains(it));
        let same = (&self.group, &self.resource, &self.verb) == (&asked.group, &asked.resource, &asked.verb);
        here && named && same
    }
}

/// The Roles of the rendered chart: name, namespace, rules.
fn rendered() -> Vec<(String, String, Value)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/charts/golden/namespaced.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    // Some operators of stories have a controller class, as a release has that says so: `tests/charts/rules.rs`.
    let own = "resourceNames: [keysmith, keysmith-1-of-2, keysmith-2-of-2]";
    assert!(text.contains(own), "the Leases are named otherwise");
    let text =
        text.replace(own, "resourceNames: [keysmith, keysmith-1-of-2, keysmith-2-of-2, keysmith-canary]");
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| -> Value { serde::Deserialize::deserialize(document).unwrap() })
        .filter(|object| object["kind"] == "Role")
        .map(|role| {
            let text = |field: &str| role["metadata"][field].as_str().unwrap().to_owned();
            (text("name"), text("namespace"), role["rules"].clone())
        })
        // One of the watched namespaces stands for all of them.
        .filter(|(_, namespace, _)| namespace != "search")
        .collect()
}

impl Account {
    /// Rules with their scope: a namespace, or all.
    fn placed(&self) -> Vec<(String, Option<String>, Value)> {
        let place = |namespace: &str| match namespace {
            "kube-system" => Some("kube-system".to_owned()),
            "shop" if self.everywhere => None,
            _ => Some(self.own.clone()),
        };
        let roles = rendered().into_iter();
        roles
            .map(|(name, namespace, rules)| (format!("{}-{name}", self.name), place(&namespace), rules))
            .collect()
    }

    /// Every right of this account.
    pub fn rights(&self) -> Vec<Right> {
        let strings = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().map(|it| it.as_str().unwrap().to_owned()).collect()
        };
        let mut rights = Vec::new();
        for (_, namespace, rules) in self.placed() {
            for rule in rules.as_array().unwrap() {
                let names = strings(&rule["resourceNames"]);
                for group in strings(&rule["apiGroups"]) {
                    for resource in strings(&rule["resources"]) {
                        rights.extend(strings(&rule["verbs"]).into_iter().map(|verb| Right {
                            group: group.clone(),
                            resource: resource.clone(),
                            verb,
                            names: names.clone(),
                            namespace: namespace.clone(),
                        }));
                    }
                }
            }
        }
        rights
    }

    /// Creates the service account, grants its rights, and returns a token for it.
    pub async fn token(&self, admin: &Client) -> String {
        let namespaces: Api<Namespace> = Api::all(admin.clone());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATORS}});
        namespaces.patch(OPERATORS, &manager(), &Patch::Apply(namespace)).await.unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), OPERATORS);
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": self.name}});
        accounts.patch(&self.name, &manager(), &Patch::Apply(account)).await.unwrap();
        for (name, namespace, rules) in self.placed() {
            let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
            let binding = json!({
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": OPERATORS}],
            });
            for (suffix, object) in [("", json!({"rules": rules})), ("Binding", binding)] {
                let api = roles(admin, &format!("{kind}{suffix}"), namespace.as_deref());
                let mut object = object;
                object["apiVersion"] = "rbac.authorization.k8s.io/v1".into();
                object["kind"] = format!("{kind}{suffix}").into();
                object["metadata"] = json!({"name": name});
                api.patch(&name, &manager(), &Patch::Apply(object)).await.unwrap();
            }
        }
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
            ..TokenRequest::default()
        };
        let made = accounts.create_token_request(&self.name, &PostParams::default(), &request).await.unwrap();
        made.status.unwrap().token.unwrap()
    }

    /// Removes the service account and its rights, except those that are deleted with the story's namespace.
    pub async fn withdraw(&self, admin: &Client) {
        for (name, namespace, _) in self.placed() {
            let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
            for kind in [kind.to_owned(), format!("{kind}Binding")] {
                let _ =
                    roles(admin, &kind, namespace.as_deref()).delete(&name, &DeleteParams::default()).await;
            }
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), OPERATORS);
        let _ = accounts.delete(&self.name, &DeleteParams::default()).await;
    }

    /// Waits until the API server, which watches roles, applies the new ones.
    pub async fn settled(&self, operator: &Client) {
        let secrets: Api<Secret> = if self.everywhere {
            Api::all(operator.clone())
        } else {
            Api::namespaced(operator.clone(), &self.own)
        };
        let maps: Api<ConfigMap> = Api::namespaced(operator.clone(), &self.own);
        let leases: Api<Lease> = Api::namespaced(operator.clone(), &self.own);
        let spaces: Api<Namespace> = Api::all(operator.clone());
        for _ in 0..500 {
            let answers = [
                secrets.list_metadata(&ListParams::default().limit(1)).await.err(),
                maps.get_opt("keysmith-ledger").await.err(),
                leases.get_opt("keysmith").await.err(),
                spaces.get("kube-system").await.err(),
            ];
            if answers.iter().all(Option::is_none) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the rights of {} never came into force", self.name);
    }
}

fn roles(admin: &Client, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(admin.clone(), namespace, &resource),
        None => Api::all_with(admin.clone(), &resource),
    }
}

fn manager() -> PatchParams {
    PatchParams::apply("keysmith-tests").force()
}
