//! Every command of the documentation, and where it is run.

/// Where a command is run.
pub enum Where {
    /// Here, in the order of this table: with these exit codes, and this answer to what it asks.
    Here(&'static [i32], &'static str),
    /// In that file, under that name.
    In(&'static str, &'static str),
    /// Nowhere, because of that.
    Nowhere(&'static str),
}

use Where::{Here, In, Nowhere};

const README: &str = "the_documented_commands_install_use_upgrade_fail_over_and_remove";
const LIFE: &str = "tests/installs/lifecycle.rs";
const FINE: Where = Here(&[0], "");

/// The table.
pub const TABLE: &[(&str, Where)] = &[
    // What a team has first.
    ("kubectl apply -f deploy/examples/edgee/namespace.yaml", FINE),
    ("kubectl apply --server-side -f crds", FINE),
    (
        "kubectl create secret generic edgee-console -n shop --from-literal=token=\"$EDGEE_TOKEN\" --dry-run=client -o yaml",
        FINE,
    ),
    ("kubectl create secret generic edgee-console -n shop --from-literal=token=\"$EDGEE_TOKEN\"", FINE),
    ("kubectl create secret generic openai-credential -n shop --from-literal=api_key=sk-fake", FINE),
    ("kubectl keysmith --help", FINE),
    ("kubectl keysmith validate -f deploy/examples/edgee", FINE),
    // 3: applying them would do something.
    ("kubectl keysmith plan -f deploy/examples/edgee", Here(&[0, 3], "")),
    // The token and the key, with the endpoint of the emulator.
    (APPLY, FINE),
    ("kubectl wait ctok/edgee gak/checkout -n shop --for=condition=Ready --timeout=60s", FINE),
    ("kubectl wait gak/checkout -n shop --for=condition=Ready", FINE),
    // What there is.
    ("kubectl get keysmith -A", FINE),
    ("kubectl get keysmith -n shop", FINE),
    ("kubectl get gak,ctok -n shop", FINE),
    ("kubectl explain gatewayapikey.spec", FINE),
    ("kubectl describe gak checkout -n shop", FINE),
    ("kubectl describe gak -n shop", FINE),
    ("kubectl describe gak NAME -n NS", FINE),
    ("kubectl describe ctok", FINE),
    ("kubectl describe ctok edgee -n shop", FINE),
    ("kubectl describe ctok NAME -n NS", FINE),
    ("kubectl describe cctok NAME", FINE),
    ("kubectl get gak checkout -n shop -o yaml", FINE),
    ("kubectl get gak NAME -n NS -o yaml", FINE),
    ("kubectl get secret checkout-llm -n shop -o yaml --show-managed-fields", FINE),
    ("kubectl get secret SECRET -n NS -o yaml --show-managed-fields", FINE),
    ("kubectl get events -n shop --field-selector involvedObject.name=checkout", FINE),
    ("kubectl get endpointslices -n default", FINE),
    ("kubectl keysmith status -n shop", FINE),
    ("kubectl keysmith doctor", FINE),
    ("kubectl keysmith doctor --ask-vendors", FINE),
    ("kubectl keysmith report -A > keys.html", FINE),
    ("kubectl keysmith adopt edgee -n shop > adopted.yaml", FINE),
    ("kubectl keysmith report -A --ask-vendors > keys.html", FINE),
    ("kubectl keysmith support-bundle --output keysmith-support.tar.gz", Here(&[0], "yes")),
    ("kubectl keysmith whose < found.txt", FINE),
    ("kubectl keysmith whose --name 'checkout [ks-abcdef-abcdefghijklmnop-2]'", FINE),
    ("keysmith explain cortecs -o json", FINE),
    ("keysmith completion bash", FINE),
    ("keysmith man FOLDER", FINE),
    ("keysmith usage --by namespace", FINE),
    ("keysmith usage --by key -n shop", FINE),
    ("keysmith usage --by label=team", FINE),
    ("keysmith usage --by label=team -o csv", FINE),
    ("keysmith usage -n NS", FINE),
    ("keysmith usage -n shop --since 2026-11-01", FINE),
    // Rotations.
    (
        "kubectl annotate gak checkout -n shop --field-manager=keysmith-user --overwrite keysmith.dev/rotate-requested-at=\"$(date +%s)\"",
        FINE,
    ),
    ("kubectl get gak checkout -n shop -o jsonpath='{.status.lastRotation}'", FINE),
    ("kubectl keysmith rotate checkout -n shop", FINE),
    ("kubectl keysmith rotate checkout -n shop --wait", FINE),
    ("kubectl keysmith rotate -l team=shop -A", FINE),
    (
        "kubectl patch gak checkout -n shop --type merge -p '{\"spec\": {\"rotation\": {\"overlap\": \"96h\", \"maxOverlap\": \"120h\"}}}'",
        FINE,
    ),
    ("kubectl keysmith suspend checkout -n shop", FINE),
    ("kubectl keysmith resume checkout -n shop", FINE),
    (
        "kubectl annotate gak NAME -n NS --field-manager=keysmith-user keysmith.dev/reconcile-requested-at=\"$(date +%s)\" --overwrite",
        FINE,
    ),
    (
        "kubectl annotate ctok edgee -n shop --field-manager=keysmith-user --overwrite keysmith.dev/accept-account=ACCOUNT",
        FINE,
    ),
    (
        "kubectl get gak NAME -n NS -o jsonpath='{.status.conditions[?(@.type==\"RotationOverdue\")].message}'",
        FINE,
    ),
    // Leaks.
    (
        "kubectl annotate gak checkout -n shop --field-manager=keysmith-user --overwrite keysmith.dev/leaked=\"$(date +%s)\"",
        FINE,
    ),
    ("kubectl get gak NAME -n NS -o jsonpath='{.status.conditions[?(@.type==\"LeakOpen\")].message}'", FINE),
    ("kubectl keysmith leaked checkout -n shop", Here(&[0], "yes")),
    ("kubectl keysmith leaked checkout -n shop --wait", Here(&[0], "yes")),
    (
        "kubectl annotate gatewayapikey NAME --field-manager=keysmith-user --overwrite keysmith.dev/leaked=\"$(date +%s)\"",
        FINE,
    ),
    // The emulator.
    ("curl http://127.0.0.1:8787", FINE),
    ("curl http://127.0.0.1:8787/_emulator/state", FINE),
    ("curl 'http://127.0.0.1:8787/_emulator/edgee/keys?organization=org_demo'", FINE),
    (
        "curl -X PATCH http://127.0.0.1:8787/_emulator/edenai-v3/switches -d '{\"count\": true, \"keyLimit\": 5}'",
        FINE,
    ),
    (
        "curl -X POST http://127.0.0.1:8787/_emulator/edenai-v3/tokens -d '{\"token\": \"mgmt-globex\", \"account\": \"globex\"}'",
        FINE,
    ),
    (
        "curl -X POST http://127.0.0.1:8787/_emulator/faults \\\n  -d '{\"method\": \"POST\", \"pathContains\": \"/api_keys\", \"times\": 1, \"effect\": {\"kind\": \"dropAfter\"}}'",
        FINE,
    ),
    // Argo CD's settings, without Argo CD.
    ("kubectl patch configmap argocd-cm -n argocd --patch-file deploy/argocd/argocd-cm.yaml", FINE),
    // The end of a key, and what is left then: exit code 3.
    (
        "kubectl patch gak checkout -n shop --type merge -p '{\"spec\": {\"deletionPolicy\": \"Retain\"}}'",
        FINE,
    ),
    (
        "kubectl annotate gak checkout -n shop --field-manager=keysmith-user keysmith.dev/force-orphan=yes",
        FINE,
    ),
    ("kubectl delete pvk,kps,gak --all -n shop", FINE),
    ("keysmith orphans -n shop -o json", Here(&[3], "")),
    ("keysmith orphans", Here(&[3], "")),
    ("keysmith orphans --delete", Here(&[3], "no")),
    ("keysmith orphans --delete --yes --key key_000042", FINE),
    ("kubectl delete ctok --all -n shop", FINE),
    ("kubectl delete pvk,kps,gak --all -A", FINE),
    ("kubectl delete ctok,cctok --all -A", FINE),
    ("kubectl patch secret NAME -n NAMESPACE --type merge -p '{\"metadata\": {\"finalizers\": null}}'", FINE),
    // Installations run where pods do.
    ("make image IMAGE=REGISTRY/keysmith:\"$(make -s version)\"", In("tests/installs/readme.rs", README)),
    (
        "helm install keysmith charts/keysmith -n keysmith-system --create-namespace --wait \\\n  --set image.repository=REGISTRY/keysmith --set replicaCount=2",
        In("tests/installs/readme.rs", README),
    ),
    (
        "helm install keysmith charts/keysmith -n keysmith-system --create-namespace --set image.repository=REGISTRY/keysmith",
        In("tests/installs/readme.rs", README),
    ),
    ("helm test keysmith -n keysmith-system", In("tests/installs/readme.rs", README)),
    ("kubectl create namespace shop", In("tests/installs/readme.rs", README)),
    (
        "helm upgrade keysmith charts/keysmith -n keysmith-system --wait --reset-then-reuse-values --set pollInterval=2m",
        In("tests/installs/readme.rs", README),
    ),
    (
        "leader=$(kubectl get lease keysmith -n keysmith-system -o jsonpath='{.spec.holderIdentity}')",
        In("tests/installs/readme.rs", README),
    ),
    ("kubectl delete pod \"${leader%_*}\" -n keysmith-system", In("tests/installs/readme.rs", README)),
    (
        "kubectl get lease keysmith -n keysmith-system -o yaml",
        In("tests/installs/readme.rs", "\"lease\", \"keysmith\""),
    ),
    ("kubectl get pods -n keysmith-system", In("tests/installs/readme.rs", "\"pods\", \"-n\", NAMESPACE")),
    ("helm uninstall keysmith -n keysmith-system", In("tests/installs/readme.rs", README)),
    ("helm uninstall keysmith -n keysmith-system --no-hooks", In(LIFE, "--no-hooks")),
    ("helm history keysmith -n keysmith-system", In(LIFE, "\"history\"")),
    ("helm rollback keysmith REVISION -n keysmith-system", In(LIFE, "\"rollback\"")),
    ("kubectl apply -f deploy/overlays/cluster/role.yaml", In("tests/installs/namespaced.rs", "\"Rights\"")),
    (
        "kubectl wait namespace/shop --for=delete --timeout=5m",
        In("tests/installs/namespaced.rs", "\"Rights\""),
    ),
    ("kubectl delete -f deploy/overlays/cluster/role.yaml", In("tests/installs/namespaced.rs", "\"Rights\"")),
    (
        "helm upgrade keysmith charts/keysmith -n keysmith-system --wait --reset-then-reuse-values \\\n  --set 'admissionPolicies.otherOperators={keysmith-canary/keysmith-canary}'",
        In("tests/installs/side_by_side.rs", "docs/pages/how-to/side-by-side.md"),
    ),
    (
        "helm install keysmith-canary charts/keysmith -n keysmith-canary --create-namespace --wait \\\n  --set image.repository=REGISTRY/keysmith --set controllerClass=canary --set crds.enabled=false \\\n  --set 'admissionPolicies.otherOperators={keysmith-system/keysmith}'",
        In("tests/installs/side_by_side.rs", "docs/pages/how-to/side-by-side.md"),
    ),
    (CANARY, In("tests/installs/side_by_side.rs", "docs/pages/how-to/side-by-side.md")),
    ("kubectl apply -k deploy", In("tests/installs/kustomize.rs", "kustomize")),
    (
        "kubectl apply -k deploy/examples/emulator/edgee",
        In("tests/stories/examples.rs", "deploy/examples/emulator"),
    ),
    (
        "kubectl apply -f deploy/argocd/application-keysmith.yaml -f deploy/argocd/application-team.yaml",
        In("tests/tools.rs", "application-team.yaml"),
    ),
    // The way without an account is what `deploy/demo` does, at every vendor.
    ("make demo", In("tests/control_plane.rs", "the_demo_holds_at_edgee")),
    ("make demo ONCE=1", In("tests/control_plane.rs", "ONCE")),
    ("make demo VENDOR=edenai", In("tests/control_plane.rs", "the_demo_holds_at_eden_ai_v3")),
    ("make demo-down", In("deploy/demo", "down")),
    ("cargo build && eval \"$(make cluster)\"", In("tests/control_plane.rs", "two_run_side_by_side")),
    ("target/debug/keysmith emulate &", In("deploy/demo", "emulate")),
    (
        "target/debug/keysmith run --allowed-endpoints http://127.0.0.1:8787 --poll-interval 5s &",
        In("deploy/demo", "--allowed-endpoints"),
    ),
    (
        "kubectl create secret generic edgee-console -n shop --from-literal=token=ek_live_emulated-console-token",
        In("deploy/demo", "create secret generic"),
    ),
    ("target/release/keysmith run", In("tests/support/ground.rs", "\"run\"")),
    // What would build or test the whole from within a test of it.
    ("cargo build --release", In("deploy/image/build", "build --release")),
    ("make help", Nowhere("it lists the targets, which the test of this table looks up")),
    ("make image", In("tests/installs/readme.rs", README)),
    (
        "FEATURES=otlp make image",
        Nowhere("a second image; `tests/documents/traces.rs` runs a binary with the feature"),
    ),
    ("make docs", In("Makefile", "test: control-plane litellm flux site")),
    ("make test", Nowhere("this test is a part of it")),
    ("make check", Nowhere("the workflow of releases runs it")),
    ("make generate", Nowhere("`make check` compares what it writes")),
    (
        "make sbom",
        Nowhere("the workflow of releases runs it; `tests/installs/image.rs` reads the list that it prints"),
    ),
    ("make chaos", Nowhere("hours; `tests/chaos.rs` is a short form")),
    ("make attack", Nowhere("an hour; the stories are a short form")),
    ("make bench", Nowhere("an hour")),
    ("make reproducible", Nowhere("a quarter of an hour; the workflow of releases runs it")),
    // What this machine has no program for, or nothing to do it to.
    (
        "install -m 755 target/release/keysmith ~/.local/bin/kubectl-keysmith",
        Nowhere("a copy of the binary; here, a link has that name"),
    ),
    (
        "ln -s kubectl-keysmith ~/.local/bin/kubectl_complete-keysmith",
        In("tests/stories/plugin.rs", "kubectl_complete-keysmith"),
    ),
    ("kubectl krew install --manifest-url=…/keysmith.krew.yaml", In("tests/written/versions.rs", "krew")),
    (
        "kubectl exec -n keysmith-system deploy/keysmith -- /keysmith status -A",
        Nowhere("the node of the tests has no kubelet to ask"),
    ),
    (
        "kubectl logs -n keysmith-system deployment/keysmith",
        Nowhere("the node of the tests has no kubelet to ask"),
    ),
    ("printf %s \"$KEY\" | sha256sum", In("tests/litellm_driver/quirks.rs", "Sha256::digest")),
];

const APPLY: &str = "kubectl apply -f - <<YAML
apiVersion: keysmith.dev/v1alpha1
kind: ConsoleToken
metadata: {name: edgee, namespace: shop}
spec:
  vendor: {edgee: {organizationId: org_12345}}
  secretRef: {name: edgee-console, key: token}
---
apiVersion: keysmith.dev/v1alpha1
kind: GatewayApiKey
metadata: {name: checkout, namespace: shop}
spec:
  consoleTokenRef: {name: edgee}
  budget: {amount: \"20\", period: Monthly}
  expiresInDays: 90
YAML";

const CANARY: &str = "kubectl apply -f - <<YAML
apiVersion: keysmith.dev/v1alpha1
kind: ConsoleToken
metadata: {name: edgee-canary, namespace: shop}
spec:
  controllerClass: canary
  vendor: {edgee: {organizationId: org_12345}}
  secretRef: {name: edgee-console, key: token}
YAML";
