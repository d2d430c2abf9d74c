{{/* The name of every object of the release. */}}
{{- define "keysmith.name" -}}
{{- $chart := .Values.nameOverride | default "keysmith" }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $chart .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $chart | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "keysmith.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "keysmith.name" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* A Deployment's selector can never change, so neither can these. */}}
{{- define "keysmith.selector" -}}
app.kubernetes.io/name: keysmith
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The shards, as a list: 1-of-3, 2-of-3 and 3-of-3, or one that is empty. */}}
{{- define "keysmith.shards" -}}
{{- $count := int .Values.shards }}
{{- if eq $count 1 }}
- ""
{{- else }}
{{- range $number := untilStep 1 (int (add1 $count)) 1 }}
- {{ printf "%d-of-%d" $number $count }}
{{- end }}
{{- end }}
{{- end }}

{{/* The pods of helm test, which no selector above may select. */}}
{{- define "keysmith.testSelector" -}}
app.kubernetes.io/name: keysmith-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keysmith.labels" -}}
{{ include "keysmith.labelsAnd" (dict "root" . "more" dict) }}
{{- end }}

{{/* The labels of an object with some of its own, which replace common labels of the same name: root and more. */}}
{{- define "keysmith.labelsAnd" -}}
{{ include "keysmith.selector" .root }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with include "keysmith.commonLabels" . }}
{{ . }}
{{- end }}
{{- with .more }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* commonLabels, then those of a parent chart, which do not replace labels that selectors select by. */}}
{{- define "keysmith.commonLabels" -}}
{{- $global := .root.Values.global | default dict }}
{{- $shared := omit ($global.commonLabels | default dict) "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- $labels := merge (deepCopy (.root.Values.commonLabels | default dict)) $shared }}
{{- range $name, $_ := .more }}{{ $labels = omit $labels $name }}{{ end }}
{{- with $labels }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* The registry of a parent chart takes the place of the one in image.repository. A first part with a dot or a port, or
localhost, is a registry; any other is a part of the path. */}}
{{- define "keysmith.image" -}}
{{- $global := .Values.global | default dict }}
{{- $repository := .Values.image.repository }}
{{- with $global.imageRegistry }}
{{- $path := regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "" }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $path }}
{{- end }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $repository .Values.image.digest }}
{{- else }}{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Pull secrets of every pod, those of a parent chart last. Some parent charts list names alone. */}}
{{- define "keysmith.imagePullSecrets" -}}
{{- $global := .Values.global | default dict }}
{{- $secrets := list }}
{{- range concat (.Values.imagePullSecrets | default list) ($global.imagePullSecrets | default list) }}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) }}
{{- end }}
{{- with uniq $secrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The nodes of every pod. Tolerations of a parent chart count only where the release has none. */}}
{{- define "keysmith.nodes" -}}
{{- $global := .Values.global | default dict }}
{{- with merge (deepCopy (.Values.nodeSelector | default dict)) ($global.nodeSelector | default dict) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations | default $global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Whether an object of the Prometheus operator is rendered, `true` or nothing: root, kind, name of the value, and values. */}}
{{- define "keysmith.renders" -}}
{{- if .values.enabled }}
{{- $mode := .values.renderMode | default "alwaysRender" }}
{{- $served := .root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) }}
{{- if or $served (eq $mode "alwaysRender") }}true
{{- else if eq $mode "failIfMissing" }}
{{- fail (printf "%s.renderMode: failIfMissing, and the cluster does not serve %s of monitoring.coreos.com/v1; install the definitions of the Prometheus operator first, or use skipIfMissing" .name .kind) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Fields of the pod that podSpecExtra may not hold, because the chart sets them, with the value for each. */}}
{{- define "keysmith.podSpecExtra" -}}
{{- $own := dict
  "affinity" "use the value affinity"
  "automountServiceAccountToken" "Keysmith needs the token of its service account"
  "containers" "use the value extraContainers"
  "dnsConfig" "use the value dnsConfig"
  "dnsPolicy" "use the value dnsPolicy"
  "enableServiceLinks" "Keysmith reads no such variables"
  "hostAliases" "use the value hostAliases"
  "imagePullSecrets" "use the value imagePullSecrets"
  "nodeSelector" "use the value nodeSelector"
  "priorityClassName" "use the value priorityClassName"
  "restartPolicy" "a Deployment takes Always only"
  "runtimeClassName" "use the value runtimeClassName"
  "securityContext" "use the value podSecurityContext"
  "serviceAccount" "use the value serviceAccount.name"
  "serviceAccountName" "use the value serviceAccount.name"
  "terminationGracePeriodSeconds" "use the value terminationGracePeriodSeconds"
  "tolerations" "use the value tolerations"
  "topologySpreadConstraints" "use the value topologySpreadConstraints"
  "volumes" "use the value extraVolumes" }}
{{- range $key, $_ := .Values.podSpecExtra }}
{{- with get $own $key }}
{{- fail (printf "podSpecExtra.%s: the chart sets this field of the pod itself; %s" $key .) }}
{{- end }}
{{- end }}
{{- with .Values.podSpecExtra }}{{ toYaml . }}{{ end }}
{{- end }}

{{- define "keysmith.leaseNamespace" -}}
{{ .Values.leaderElection.namespace | default .Release.Namespace }}
{{- end }}

{{/* The plurals of the kinds of that scope, as JSON: {"items": […]}. They are read from the definitions, so that a new
kind needs nothing here. */}}
{{- define "keysmith.plurals" -}}
{{- $plurals := list }}
{{- range $path, $_ := .root.Files.Glob "files/crds/*.yaml" }}
{{- $crd := $.root.Files.Get $path | fromYaml }}
{{- if or $.all (eq $crd.spec.scope "Namespaced") }}{{ $plurals = append $plurals $crd.spec.names.plural }}{{ end }}
{{- end }}
{{- dict "items" (sortAlpha $plurals) | toJson }}
{{- end }}

{{/* Whether Secrets are watched: `true` or `false`. */}}
{{- define "keysmith.watchSecrets" -}}
{{- if kindIs "bool" .Values.watchSecrets }}{{ .Values.watchSecrets }}{{ else }}{{ empty .Values.namespaces }}{{ end }}
{{- end }}

{{/* The volume of the certificate authorities, if there are any. */}}
{{- define "keysmith.caBundle" -}}
{{- with .Values.caBundle }}
{{- if and .configMap .secret }}{{ fail "caBundle: set configMap or secret, not both" }}{{ end }}
{{- if .configMap -}}
configMap:
  name: {{ .configMap }}
{{- else if .secret -}}
secret:
  secretName: {{ .secret }}
{{- end }}
{{- end }}
{{- end }}

{{/* What Keysmith may do with its own kinds and with what it makes of them, in a namespace or in all. */}}
{{- define "keysmith.rules" -}}
{{- $plurals := (include "keysmith.plurals" . | fromJson).items }}
- apiGroups: [keysmith.dev]
  resources: [{{ join ", " $plurals }}]
  verbs: [list, watch]
# Claims and finalizers are written by patch; ProjectSettings have neither.
- apiGroups: [keysmith.dev]
  resources: [{{ join ", " (without $plurals "projectsettings") }}]
  verbs: [patch]
# Before a key is revoked that nobody seems to use, its resource is read once more, and not from a cache. One is created
# for each ConsoleToken that is to be minted.
- apiGroups: [keysmith.dev]
  resources: [gatewayapikeys]
  verbs: [get, create]
# Not a verb of the API server: the admission policy asks who may write the annotation keysmith.dev/claim.
- apiGroups: [keysmith.dev]
  resources: [gatewayapikeys, providerkeys]
  verbs: [claim]
- apiGroups: [keysmith.dev]
  resources: [{{ join "/status, " $plurals }}/status]
  verbs: [patch]
# Credentials are read by name, keys are written. Of the others only metadata is watched. None is ever deleted: a
# Secret goes with the resource that owns it.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, {{ if eq (include "keysmith.watchSecrets" .root) "true" }}list, watch, {{ end }}create, update]
# Certificate authorities that spec.caBundleRef names.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if .root.Values.rbac.restartWorkloads }}
# Named ones are read, labelled ones listed; one annotation of the pod template is patched.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, patch]
{{- end }}
{{- end }}

{{/* ClusterConsoleTokens choose namespaces by their labels. Only metadata is read. */}}
{{- define "keysmith.labelRule" -}}
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}

{{/* Its UID says which cluster this is. */}}
{{- define "keysmith.clusterRule" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end }}

{{/* In a Role this is the Role's own namespace and no other. */}}
{{- define "keysmith.namespaceRule" -}}
# Whether a watched namespace exists is said by /readyz.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end }}

{{/* A Role, or ClusterRole without `namespace`, with its binding: root, name, namespace, and rules as text. */}}
{{- define "keysmith.role" -}}
{{- $kind := ternary "Role" "ClusterRole" (hasKey . "namespace") -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "keysmith.labels" .root | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "keysmith.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "keysmith.serviceAccountName" .root }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}

{{/* The ports of networkPolicy.vendors, of allowedEndpoints and of httpsProxy, each once, as JSON: {"items": […]}. */}}
{{- define "keysmith.vendorPorts" -}}
{{- $ports := list }}
{{- range .Values.networkPolicy.vendors.ports }}{{ $ports = append $ports (int .) }}{{ end }}
{{- range concat .Values.allowedEndpoints (compact (list .Values.httpsProxy)) }}
{{- $url := urlParse (trimSuffix "/" .) }}
{{- $named := regexFind ":[0-9]+$" $url.host | trimPrefix ":" }}
{{- $ports = append $ports (int (default (ternary 80 443 (eq $url.scheme "http")) $named)) }}
{{- end }}
{{- dict "items" (uniq $ports) | toJson }}
{{- end }}
