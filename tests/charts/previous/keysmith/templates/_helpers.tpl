{{- define "keysmith.name" -}}
{{- if contains "keysmith" .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-keysmith" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "keysmith.selector" -}}
app.kubernetes.io/name: keysmith
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "keysmith.labels" -}}
{{ include "keysmith.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}
