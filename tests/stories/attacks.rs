//! Attacks that must fail, on a real API server with the policies that the chart installs: with the token of the
//! operator, and with the rights of a tenant.

use crate::support::drivers::Driver;
use crate::support::plane;
use crate::support::report;
use crate::support::rights::Account;
use crate::support::world::{TOKEN, World, key_spec, merged};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use keysmith::emulator::VendorId;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

/// Refused attacks: the policy's words, or those of RBAC.
struct Attacks<'a> {
    world: &'a World,
    count: usize,
}

impl Attacks<'_> {
    /// The attack was refused with these words.
    fn refused<T: std::fmt::Debug>(&mut self, what: &str, outcome: kube::Result<T>, words: &str) {
        let error = outcome.expect_err(what).to_string();
        assert!(error.contains(words), "{what}: {error}");
        report::add(&[("attacks", 1), ("refused", 1)]);
        self.count += 1;
    }

    /// Tries an attack until it is refused: a policy comes into force some time after it was written.
    async fn refused_soon<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        attack: impl AsyncFn(PostParams) -> kube::Result<T>,
        words: &str,
    ) {
        let dry = || PostParams { dry_run: true, ..PostParams::default() };
        let refusal = self
            .world
            .eventually(&format!("refused: {what}"), async || match attack(dry()).await {
                Err(error) => Ok(error),
                Ok(done) => Err(format!("{done:?}")),
            })
            .await;
        self.refused::<()>(what, Err(refusal), words);
    }
}

fn parsed<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

pub fn resources(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("keysmith.dev", "v1alpha1", kind);
    let mut resource = ApiResource::from_gvk(&gvk);
    if kind == "ProjectSettings" {
        // kube would pluralize the plural.
        "projectsettings".clone_into(&mut resource.plural);
    }
    Api::namespaced_with(client.clone(), namespace, &resource)
}

pub fn resource(kind: &str, name: &str, spec: Value) -> DynamicObject {
    parsed(
        json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}),
    )
}

/// A Secret with the owner and the label that Keysmith's have.
fn forged(name: &str, owner: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "labels": {"app.kubernetes.io/managed-by": "keysmith"},
            "ownerReferences": [{"apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "name": "checkout", "uid": owner, "controller": true}],
        },
        "stringData": {"key": "canary-secret-forged"},
    })
}

/// A thief of the token of the operator can still read Secrets, and write those that hold keys; not more.
#[expect(clippy::too_many_lines, reason = "a table of attacks")]
pub async fn a_stolen_operator_token_is_worth_little(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.write_secret("payroll", &[("password", "canary-secret-payroll")]).await;
    let uid = world.api("GatewayApiKey").get("checkout").await.unwrap().uid().unwrap();
    let stolen = plane::client_of(&Account::cluster(&world.namespace)).await;
    let (post, patch) = (PostParams::default(), PatchParams::default());
    let mut attacks = Attacks { world, count: 0 };
    let secrets: Api<Secret> = Api::namespaced(stolen.clone(), &world.namespace);
    let plain =
        || parsed::<Secret>(json!({"metadata": {"name": "plain"}, "stringData": {"a": "canary-secret-a"}}));
    attacks
        .refused_soon(
            "a Secret that no key controls",
            async |post| secrets.create(&post, &plain()).await,
            "that a GatewayApiKey controls",
        )
        .await;
    let typed = |kind: &str| merged(forged("typed", &uid), json!({"type": kind}));
    let mut account = typed("kubernetes.io/service-account-token");
    let mut argo = forged("argo", &uid);
    argo["metadata"]["labels"]["argocd.argoproj.io/secret-type"] = json!("cluster");
    account["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
    for (what, namespace, object, words) in [
        ("the token of a service account", "kube-system", account.clone(), "meaning of its own"),
        ("the token of a service account, here", &world.namespace, account, "meaning of its own"),
        ("a bootstrap token", &world.namespace, typed("bootstrap.kubernetes.io/token"), "meaning of its own"),
        ("a release of Helm", &world.namespace, typed("helm.sh/release.v1"), "meaning of its own"),
        ("a Secret in kube-system", "kube-system", forged("any", &uid), "namespace of Kubernetes itself"),
        ("a cluster of Argo CD", &world.namespace, argo, "another tool grants rights"),
    ] {
        let api: Api<Secret> = Api::namespaced(stolen.clone(), namespace);
        attacks.refused(what, api.create(&post, &parsed(object)).await, words);
    }
    // The Secret of another owner is not taken over by the write itself.
    let mut taken = secrets.get("payroll").await.unwrap();
    taken.data = None;
    taken.string_data = Some([("password".to_owned(), "canary-secret-taken".to_owned())].into());
    attacks.refused(
        "a foreign Secret is overwritten",
        secrets.replace("payroll", &post, &taken).await,
        "that a GatewayApiKey controls",
    );
    let owner: Secret = parsed(forged("payroll", &uid));
    taken.metadata.owner_references = owner.metadata.owner_references;
    taken.metadata.labels = owner.metadata.labels;
    attacks.refused(
        "a foreign Secret is taken over",
        secrets.replace("payroll", &post, &taken).await,
        "controlled before",
    );
    attacks.refused(
        "a Secret is deleted",
        secrets.delete("checkout", &DeleteParams::default()).await,
        "forbidden",
    );

    let keys = resources(&stolen, &world.namespace, "GatewayApiKey");
    // Each policy comes into force by itself, so the first attack on each is repeated.
    let mine = resource("GatewayApiKey", "mine", key_spec(json!({})));
    attacks
        .refused_soon("a key is ordered", async |post| keys.create(&post, &mine).await, "no specification")
        .await;
    let spec = json!({"spec": {"secret": {"template": {"metadata": {"labels": {"a": "b"}}}}}});
    attacks.refused(
        "a key is edited",
        keys.patch("checkout", &patch, &Patch::Merge(spec)).await,
        "no specification",
    );
    let tokens = resources(&stolen, &world.namespace, "ConsoleToken");
    let away = json!({"spec": {"gatewayUrl": "https://attacker.test"}});
    attacks.refused(
        "applications are sent elsewhere",
        tokens.patch("edgee", &patch, &Patch::Merge(away)).await,
        "no specification",
    );
    let maps: Api<ConfigMap> = Api::namespaced(stolen.clone(), &world.namespace);
    let map = parsed::<ConfigMap>(json!({"metadata": {"name": "kube-root-ca.crt.mine"}}));
    attacks
        .refused_soon(
            "another ConfigMap is written",
            async |post| maps.create(&post, &map).await,
            "its ledgers",
        )
        .await;

    let deployments = Api::<Deployment>::namespaced(world.user.clone(), &world.namespace);
    let workload = json!({"metadata": {"name": "shop"}, "spec": {
        "selector": {"matchLabels": {"app": "shop"}},
        "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "x", "image": "example.com/x"}]}},
    }});
    deployments.create(&post, &parsed(workload)).await.unwrap();
    let stolen_deployments = Api::<Deployment>::namespaced(stolen.clone(), &world.namespace);
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "evil.test/x"}]}}}});
    let dry = |post: PostParams| PatchParams { dry_run: post.dry_run, ..PatchParams::default() };
    attacks
        .refused_soon(
            "a workload gets an image",
            async |post| stolen_deployments.patch("shop", &dry(post), &Patch::Strategic(&image)).await,
            "nothing of a workload",
        )
        .await;
    for (what, change) in [
        ("a service account", json!({"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}})),
        ("replicas", json!({"spec": {"replicas": 0}})),
        ("a label", json!({"metadata": {"labels": {"a": "b"}}})),
    ] {
        let outcome = stolen_deployments.patch("shop", &patch, &Patch::Strategic(change)).await;
        attacks.refused(&format!("a workload gets {what}"), outcome, "nothing of a workload");
    }
    let foreign =
        json!({"spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}}}});
    attacks.refused(
        "a foreign annotation",
        stolen_deployments.patch("shop", &patch, &Patch::Merge(foreign)).await,
        "only annotations",
    );
    let own =
        json!({"spec": {"template": {"metadata": {"annotations": {"keysmith.dev/secret-u": "3-abc"}}}}});
    stolen_deployments.patch("shop", &patch, &Patch::Merge(own)).await.unwrap();
    assert_eq!(attacks.count, 19);
}

/// The rights of somebody who may write Keysmith's kinds in a namespace, and nothing else.
pub async fn tenant(world: &World, name: &str, more: &[Value]) -> Client {
    let accounts: Api<ServiceAccount> = Api::namespaced(world.user.clone(), &world.namespace);
    accounts.create(&PostParams::default(), &parsed(json!({"metadata": {"name": name}}))).await.unwrap();
    let mut rules = vec![json!({
        "apiGroups": ["keysmith.dev"], "resources": ["consoletokens", "gatewayapikeys", "providerkeys", "projectsettings"],
        "verbs": ["get", "list", "create", "update", "patch", "delete"],
    })];
    rules.extend(more.iter().cloned());
    let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": world.namespace}]);
    for (kind, object) in [
        ("Role", json!({"rules": rules})),
        (
            "RoleBinding",
            json!({"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}, "subjects": subjects}),
        ),
    ] {
        let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(world.user.clone(), &world.namespace, &ApiResource::from_gvk(&gvk));
        let head =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        api.create(&PostParams::default(), &parsed(merged(head, object))).await.unwrap();
    }
    plane::client_of_service_account(&world.namespace, name).await
}

/// A user who names a thing must have the right to it.
#[expect(clippy::too_many_lines, reason = "a table of attacks")]
pub async fn a_tenant_names_only_what_it_has_the_right_to(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.write_secret("payroll", &[("token", TOKEN)]).await;
    let poor = tenant(world, "poor", &[]).await;
    let verb = |verb: &str| json!({"apiGroups": ["keysmith.dev"], "resources": ["consoletokens"], "resourceNames": ["edgee"], "verbs": [verb]});
    let rich = tenant(
        world,
        "rich",
        &[
            json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["payroll"], "verbs": ["get"]}),
            json!({"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["shop"], "verbs": ["patch"]}),
            json!({"apiGroups": ["keysmith.dev"], "resources": ["gatewayapikeys"], "verbs": ["claim"]}),
            verb("adopt"), verb("abandon"), verb("mint"),
        ],
    )
    .await;
    let (post, patch) = (PostParams::default(), PatchParams::default());
    let kinds = |client: &Client, kind: &str| resources(client, &world.namespace, kind);
    let token = || merged(world.token_spec(), json!({"secretRef": {"name": "payroll", "key": "token"}}));
    let mut attacks = Attacks { world, count: 0 };
    let named = resource("ConsoleToken", "sent", token());
    attacks
        .refused_soon(
            "a Secret is sent to a vendor",
            async |post| kinds(&poor, "ConsoleToken").create(&post, &named).await,
            "spec.secretRef: you may not read Secret payroll",
        )
        .await;
    kinds(&rich, "ConsoleToken").create(&post, &named).await.unwrap();
    let credential = json!({
        "provider": "openai", "consoleTokenRef": {"name": "edgee"}, "credentialsRef": {"name": "payroll", "key": "token"}, "scope": "Organization",
    });
    let stored = resource("ProviderKey", "sent", credential);
    attacks.refused(
        "a credential is stored",
        kinds(&poor, "ProviderKey").create(&post, &stored).await,
        "spec.credentialsRef",
    );

    let keys = kinds(&poor, "GatewayApiKey");
    for (what, spec, words) in [
        ("a key is taken over", json!({"externalId": "key_000042"}), "the verb adopt"),
        ("a key is left behind", json!({"deletionPolicy": "Retain"}), "the verb abandon"),
        (
            "a workload is restarted",
            json!({"rotation": {"restart": [{"kind": "Deployment", "name": "shop"}]}}),
            "the right to patch",
        ),
        (
            "workloads are restarted",
            json!({"rotation": {"restart": [{"kind": "Deployment", "selector": {"matchLabels": {"app": "shop"}}}]}}),
            "the right to patch",
        ),
    ] {
        let made = keys.create(&post, &resource("GatewayApiKey", "mine", key_spec(spec.clone()))).await;
        attacks.refused(what, made, words);
        // Which key is adopted cannot be edited at all.
        if what != "a key is taken over" {
            let edit = Patch::Merge(json!({"spec": spec.clone()}));
            attacks.refused(
                &format!("{what}, by an edit"),
                keys.patch("checkout", &patch, &edit).await,
                words,
            );
        }
        if what != "workloads are restarted" {
            let mine = resource("GatewayApiKey", "mine", key_spec(spec));
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            kinds(&rich, "GatewayApiKey").create(&dry, &mine).await.expect(what);
        }
    }
    let annotated = |name: &str, value: &str| json!({"metadata": {"annotations": {name: value}}});
    let force = annotated("keysmith.dev/force-orphan", "yes");
    attacks.refused(
        "a resource is let go",
        keys.patch("checkout", &patch, &Patch::Merge(force)).await,
        "the verb abandon",
    );
    // Nor while it is being deleted, which is when the policy and the annotation are read.
    world
        .edit(
            "GatewayApiKey",
            "checkout",
            json!({"metadata": {"finalizers": ["keysmith.dev/cleanup", "example.com/held"]}}),
        )
        .await
        .unwrap();
    keys.delete("checkout", &DeleteParams::default()).await.unwrap();
    let force = annotated("keysmith.dev/force-orphan", "yes");
    attacks.refused(
        "a deleted resource is let go",
        keys.patch("checkout", &patch, &Patch::Merge(force)).await,
        "the verb abandon",
    );
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    attacks.refused(
        "a deleted key is left behind",
        keys.patch("checkout", &patch, &Patch::Merge(retain)).await,
        "the verb abandon",
    );
    world
        .eventually("the operator is done with it", async || {
            let finalizers = world.api("GatewayApiKey").get("checkout").await.unwrap().metadata.finalizers;
            let left = finalizers.unwrap_or_default();
            if left == ["example.com/held"] { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    world.edit("GatewayApiKey", "checkout", json!({"metadata": {"finalizers": []}})).await.unwrap();
    world.gone("GatewayApiKey", "checkout").await;
    world.key("checkout", json!({})).await;
    let mint = json!({"issuerRef": {"name": "edgee"}, "secret": {"name": "minted"}, "rotation": {"restart": [{"kind": "Deployment", "name": "shop"}]}});
    let mut minted = VendorId::Cortecs.token_spec();
    minted["mint"] = mint;
    let minted = resource("ConsoleToken", "minted", minted);
    attacks.refused(
        "a token is minted",
        kinds(&poor, "ConsoleToken").create(&post, &minted).await,
        "the verb mint",
    );
    let peer = tenant(world, "minter", &[verb("mint")]).await;
    attacks.refused(
        "its readers are restarted",
        kinds(&peer, "ConsoleToken").create(&post, &minted).await,
        "the right to patch",
    );
    let claim = annotated("keysmith.dev/claim", "{}");
    attacks.refused(
        "a claim is forged",
        keys.patch("checkout", &patch, &Patch::Merge(claim.clone())).await,
        "keysmith.dev/claim is written by Keysmith",
    );
    let mut copied = resource("GatewayApiKey", "copied", key_spec(json!({})));
    copied.metadata.annotations = Some([("keysmith.dev/claim".to_owned(), "{}".to_owned())].into());
    attacks.refused(
        "a claim is brought along",
        keys.create(&post, &copied).await,
        "leave the annotation out",
    );
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    kinds(&rich, "GatewayApiKey").patch("checkout", &dry, &Patch::Merge(claim)).await.unwrap();
    // What has been named already may stay, and the rest is edited without a right to it.
    kinds(&poor, "ConsoleToken")
        .patch("sent", &patch, &Patch::Merge(json!({"spec": {"usage": {"interval": "1h"}}})))
        .await
        .unwrap();
    keys.patch("checkout", &patch, &Patch::Merge(json!({"spec": {"displayName": "Checkout"}})))
        .await
        .unwrap();
    assert_eq!(attacks.count, 16);
    kinds(&rich, "ConsoleToken").delete("sent", &DeleteParams::default()).await.unwrap();
    world.gone("ConsoleToken", "sent").await;
}
