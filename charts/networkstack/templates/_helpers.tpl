{{- define "networkstack.selector" -}}
app.kubernetes.io/name: networkstack
app.kubernetes.io/component: operator
{{- end }}

{{- define "networkstack.labels" -}}
app.kubernetes.io/name: networkstack
app.kubernetes.io/part-of: networkstack
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "networkstack.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "networkstack.replicas" -}}
{{- if kindIs "invalid" .Values.replicas -}}
{{ ternary 1 2 (eq .Values.mode "Bootstrap") }}
{{- else -}}
{{ .Values.replicas }}
{{- end }}
{{- end }}

{{/* networkstack.apiServerHost is the host alone, as an IPv6 address is written where no port follows. */}}
{{- define "networkstack.apiServerHost" -}}
{{- $host := .Values.apiServer.host | trim }}
{{- if or (contains "/" $host) (contains "]:" $host) (regexMatch "^[^:]*:[^:]*$" $host) }}
{{- fail (printf "apiServer.host: %q is no host alone: write a name or an address without a scheme, and the port into apiServer.port" $host) }}
{{- end }}
{{- $host | trimPrefix "[" | trimSuffix "]" }}
{{- end }}
