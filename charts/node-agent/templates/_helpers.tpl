{{/* nodeAgent.labels are those of every object. */}}
{{- define "nodeAgent.labels" -}}
app.kubernetes.io/name: node-agent
app.kubernetes.io/part-of: networkstack
{{- end }}

{{/* nodeAgent.name is that of every object. */}}
{{- define "nodeAgent.name" -}}
networkstack-node-agent
{{- end }}
