{{/* flannel.validate fails with a remedy on what no schema can say. */}}
{{- define "flannel.validate" -}}
{{- if not (or .Values.podCidr .Values.podCidrv6) }}
{{- fail "podCidr and podCidrv6 are both empty: pods would get no addresses. Set podCidr to the cluster's IPv4 pod range, podCidrv6 to its IPv6 one, or both" }}
{{- end }}
{{- if and .Values.podCidrv6 (not (has .Values.flannel.backend (list "vxlan" "host-gw" "wireguard"))) }}
{{- fail (printf "flannel.backend %s carries IPv4 only: use vxlan, host-gw or wireguard, or leave podCidrv6 empty" .Values.flannel.backend) }}
{{- end }}
{{- if and (eq .Values.flannel.backend "ipsec") (lt (len (.Values.flannel.psk | default "")) 96) }}
{{- fail "flannel.backend ipsec needs flannel.psk with at least 96 characters" }}
{{- end }}
{{- with .Values.kubeApi }}
{{- if and .host (not .port) }}
{{- fail "kubeApi.host is set and kubeApi.port is not: set both, or neither" }}
{{- end }}
{{- if and .port (not .host) }}
{{- fail "kubeApi.port is set and kubeApi.host is not: set both, or neither" }}
{{- end }}
{{- end }}
{{- if include "flannel.layout" . }}
{{- if not (get (($.Values.found | default dict).netConf | default "" | fromJson) "Backend") }}
{{- fail "layout needs found.netConf, the net-conf.json of the Flannel that is there: set it, or leave layout empty" }}
{{- end }}
{{- end }}
{{- with (.Values.flannel.cniConf | fromJson).Error }}
{{- fail (printf "flannel.cniConf is not a JSON object: %s" .) }}
{{- end }}
{{- end }}

{{/* flannel.layout is whose objects these look like: manifest, chart, or nothing. */}}
{{- define "flannel.layout" -}}
{{- .Values.layout | default "" }}
{{- end }}

{{/* flannel.objectLabels are on the objects, where layouts differ; pods have flannel.labels in all of them. */}}
{{- define "flannel.objectLabels" -}}
{{- include "flannel.labels" . }}
{{- if eq (include "flannel.layout" .) "manifest" }}
k8s-app: flannel
{{- end }}
{{- end }}

{{/* flannel.accessLabels are on the objects that give flanneld access to the API server. */}}
{{- define "flannel.accessLabels" -}}
{{- if eq (include "flannel.layout" .) "manifest" -}}
labels:
  k8s-app: flannel
{{- else if eq (include "flannel.layout" .) "" -}}
labels:
  {{- include "flannel.labels" . | nindent 2 }}
{{- end }}
{{- end }}

{{/* flannel.labels are on every namespaced object, spelt as upstream does. */}}
{{- define "flannel.labels" -}}
app: flannel
tier: node
{{- end }}

{{/*
flannel.netConf is the network configuration that flanneld reads. A setting goes out only when the
backend reads it, so that values meant for another backend cannot change the pods' checksum.
*/}}
{{- define "flannel.netConf" -}}
{{- $f := .Values.flannel }}
{{- $backend := dict "Type" $f.backend }}
{{- $settings := dict }}
{{- if eq $f.backend "vxlan" }}
{{- $settings = dict "Port" $f.backendPort "VNI" $f.vni "GBP" $f.GBP "DirectRouting" $f.directRouting "MTU" $f.mtu "MacPrefix" $f.macPrefix }}
{{- else if eq $f.backend "wireguard" }}
{{- $mode := $f.tunnelMode | default "" | trimAll "\"" }}
{{- $settings = dict "ListenPort" $f.backendPort "ListenPortV6" $f.backendPortv6 "PSK" $f.psk "MTU" $f.mtu "Mode" $mode "PersistentKeepaliveInterval" $f.keepaliveInterval }}
{{- else if eq $f.backend "udp" }}
{{- $settings = dict "Port" $f.backendPort }}
{{- else if eq $f.backend "ipip" }}
{{- $settings = dict "DirectRouting" $f.directRouting }}
{{- else if eq $f.backend "ipsec" }}
{{- $settings = dict "PSK" $f.psk }}
{{- end }}
{{- range $key, $value := $settings }}
{{- if $value }}
{{- $_ := set $backend $key $value }}
{{- end }}
{{- end }}
{{- $conf := dict "Backend" $backend }}
{{- if .Values.podCidr }}
{{- $_ := set $conf "Network" .Values.podCidr }}
{{- else }}
{{- $_ := set $conf "EnableIPv4" false }}
{{- end }}
{{- if .Values.podCidrv6 }}
{{- $_ := set $conf "EnableIPv6" true }}
{{- $_ := set $conf "IPv6Network" .Values.podCidrv6 }}
{{- end }}
{{- if $f.enableNFTables }}
{{- $_ := set $conf "EnableNFTables" true }}
{{- end }}
{{- $conf | toPrettyJson }}
{{- end }}

{{/* flannel.foundNetConf is the network configuration that was found, with what the values state over it. */}}
{{- define "flannel.foundNetConf" -}}
{{- $text := .Values.found.netConf | default "" }}
{{- $found := fromJson $text }}
{{- $merged := mustMergeOverwrite (mustDeepCopy $found) (include "flannel.netConf" . | fromJson) }}
{{- if ne (get (get $found "Backend" | default dict) "Type") .Values.flannel.backend }}
{{- /* Settings of another backend mean nothing to this one. */}}
{{- $_ := set $merged "Backend" (get (include "flannel.netConf" . | fromJson) "Backend") }}
{{- end }}
{{- if eq (toJson $found) (toJson $merged) }}
{{- $text }}
{{- else }}
{{- toPrettyJson $merged }}
{{- end }}
{{- end }}

{{/* flannel.changed says that the configuration is not the one that was found, or nothing. */}}
{{- define "flannel.changed" -}}
{{- $found := .Values.found | default dict }}
{{- if not (and (eq .Values.flannel.cniConf ($found.cniConf | default "")) (eq (include "flannel.foundNetConf" .) ($found.netConf | default ""))) }}yes{{ end }}
{{- end }}

{{/* flannel.configData is the ConfigMap's data, in one place for the ConfigMap and its checksum. */}}
{{- define "flannel.configData" -}}
{{- if include "flannel.layout" . }}
{{- toYaml (dict "cni-conf.json" .Values.flannel.cniConf "net-conf.json" (include "flannel.foundNetConf" .)) }}
{{- else -}}
cni-conf.json: |
  {{- .Values.flannel.cniConf | trim | nindent 2 }}
net-conf.json: |
  {{- include "flannel.netConf" . | nindent 2 }}
{{- end }}
{{- end }}

{{/* flannel.args are flanneld's arguments, one per line. */}}
{{- define "flannel.args" -}}
{{- range .Values.flannel.args }}
- {{ . | quote }}
{{- end }}
{{- with (.Values.flannel.healthz | default dict).port }}
- {{ printf "--healthz-port=%d" (int .) | quote }}
{{- /* The default, 0.0.0.0, does not answer the kubelet where a node's first address is IPv6. */}}
{{- if and $.Values.podCidrv6 (not (contains "--healthz-ip" (join " " $.Values.flannel.args))) }}
- "--healthz-ip=::"
{{- end }}
{{- end }}
{{- end }}

{{/* flannel.kubeApiEnv leads client-go past the Service "kubernetes". */}}
{{- define "flannel.kubeApiEnv" -}}
{{- with .Values.kubeApi }}
{{- if .host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ .host | trimPrefix "[" | trimSuffix "]" | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ int .port | toString | quote }}
{{- end }}
{{- end }}
{{- end }}
