{{/* multus.validate fails with a remedy on what no schema can say. */}}
{{- define "multus.validate" -}}
{{- with .Values.kubeApi }}
{{- if and .host (not .port) }}
{{- fail "kubeApi.host is set and kubeApi.port is not: set both, or neither" }}
{{- end }}
{{- if and .port (not .host) }}
{{- fail "kubeApi.port is set and kubeApi.host is not: set both, or neither" }}
{{- end }}
{{- end }}
{{- if and .Values.config.globalNamespaces (not .Values.config.namespaceIsolation) }}
{{- fail "config.globalNamespaces is read with config.namespaceIsolation only: set that to true, or remove it" }}
{{- end }}
{{- end }}

{{/* multus.labels are on every object. */}}
{{- define "multus.labels" -}}
app: multus
name: multus
tier: node
{{- end }}

{{/* multus.config is what the daemon reads. The node's file system is below /hostroot and, where it writes, below /host. */}}
{{- define "multus.config" -}}
{{- $c := .Values.config }}
{{- $dir := printf "/host%s" .Values.cniConfDir }}
{{- $conf := dict
      "binDir" .Values.cniBinDir
      "chrootDir" "/hostroot"
      "cniConfigDir" $dir
      "cniVersion" $c.cniVersion
      "logLevel" ($c.logLevel | default "verbose")
      "logToStderr" true
      "multusAutoconfigDir" $dir
      "multusConfigFile" "auto"
      "socketDir" "/host/run/multus/" }}
{{- with $c.readinessIndicatorFile }}
{{- $_ := set $conf "readinessindicatorfile" (printf "%s/%s" $dir .) }}
{{- end }}
{{- with $c.masterPlugin }}
{{- $_ := set $conf "multusMasterCNI" . }}
{{- end }}
{{- if $c.namespaceIsolation }}
{{- $_ := set $conf "namespaceIsolation" true }}
{{- with $c.globalNamespaces }}
{{- $_ := set $conf "globalNamespaces" (join "," .) }}
{{- end }}
{{- end }}
{{- with $c.metricsPort }}
{{- $_ := set $conf "metricsPort" (int .) }}
{{- end }}
{{- $conf | toPrettyJson }}
{{- end }}

{{/* multus.image is the image of both containers. */}}
{{- define "multus.image" -}}
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}
