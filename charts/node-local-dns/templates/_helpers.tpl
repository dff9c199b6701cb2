{{/* nodeLocalDNS.corefile is the configuration before the cache has filled in addresses. */}}
{{- define "nodeLocalDNS.corefile" -}}
{{- range .Values.servers }}
{{- $port := int (.port | default 53) }}
{{- $keys := list }}
{{- range .zones }}{{ $keys = append $keys (printf "%s:%d" .zone $port) }}{{ end }}
{{- join " " $keys }} {
{{- range .plugins }}
    {{ .name }}{{ if hasKey . "parameters" }} {{ .parameters }}{{ end }}{{ if .configBlock }} {
{{ .configBlock | indent 8 }}
    }{{ end }}
{{- end }}
}
{{ end }}
{{- end }}

{{/* nodeLocalDNS.redirected says whether Cilium redirects queries, or nothing. */}}
{{- define "nodeLocalDNS.redirected" -}}
{{- if eq .Values.interception "RedirectPolicy" }}yes{{ end }}
{{- end }}

{{/* nodeLocalDNS.addresses are those that the cache gives the node's interface. */}}
{{- define "nodeLocalDNS.addresses" -}}
{{ .Values.localAddress }}{{ with .Values.serviceAddress }},{{ . }}{{ end }}
{{- end }}
