{{/* kubeProxy.bindAddress is the address that names the node's primary family. */}}
{{- define "kubeProxy.bindAddress" -}}
{{- if .Values.bindAddress }}
{{- .Values.bindAddress }}
{{- else if contains ":" (splitList "," (.Values.clusterCIDR | default "") | first) -}}
::
{{- else -}}
0.0.0.0
{{- end }}
{{- end }}

{{/* kubeProxy.present is the given map, as YAML, without what is null, empty text or an empty list. */}}
{{- define "kubeProxy.present" -}}
{{- $present := dict }}
{{- range $key, $value := . }}
{{- if not (or (kindIs "invalid" $value) (and (or (kindIs "string" $value) (kindIs "slice" $value) (kindIs "map" $value)) (empty $value))) }}
{{- $_ := set $present $key $value }}
{{- end }}
{{- end }}
{{- toYaml $present }}
{{- end }}

{{/*
kubeProxy.config is the KubeProxyConfiguration. What is not set stays out of it, so that kube-proxy's
own defaults, which differ by mode and version, hold.
*/}}
{{- define "kubeProxy.config" -}}
{{- $v := .Values }}
{{- $client := dict "kubeconfig" "/var/lib/kube-proxy/kubeconfig.conf" }}
{{- with $v.clientConnection }}
{{- if .qps }}{{ $_ := set $client "qps" .qps }}{{ end }}
{{- if .burst }}{{ $_ := set $client "burst" (int .burst) }}{{ end }}
{{- end }}
{{- $config := dict
      "apiVersion" "kubeproxy.config.k8s.io/v1alpha1"
      "kind" "KubeProxyConfiguration"
      "mode" $v.mode
      "bindAddress" (include "kubeProxy.bindAddress" .)
      "clientConnection" $client
      "clusterCIDR" $v.clusterCIDR
      "detectLocalMode" $v.detectLocalMode
      "healthzBindAddress" $v.healthzBindAddress
      "metricsBindAddress" $v.metricsBindAddress
      "nodePortAddresses" $v.nodePortAddresses }}
{{- range $section := list "conntrack" "detectLocal" "iptables" "nftables" }}
{{- $_ := set $config $section (include "kubeProxy.present" (get $v $section) | fromYaml) }}
{{- end }}
{{- if eq $v.mode "ipvs" }}
{{- $_ := set $config "ipvs" (include "kubeProxy.present" $v.ipvs | fromYaml) }}
{{- end }}
{{- if $v.logLevel }}
{{- $_ := set $config "logging" (dict "verbosity" (int $v.logLevel)) }}
{{- end }}
{{- include "kubeProxy.present" $config }}
{{- end }}

{{/* kubeProxy.kubeconfig takes the certificate authority and the token from the pod's own mount. */}}
{{- define "kubeProxy.kubeconfig" -}}
{{- $host := .Values.apiServer.host | trimPrefix "[" | trimSuffix "]" -}}
{{- if contains ":" $host }}{{ $host = printf "[%s]" $host }}{{ end -}}
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://{{ $host }}:{{ int .Values.apiServer.port }}
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}

{{/* kubeProxy.asKubeadm says whether the objects are those of kubeadm, or nothing. */}}
{{- define "kubeProxy.asKubeadm" -}}
{{- if eq (.Values.layout | default "") "kubeadm" }}yes{{ end }}
{{- end }}

{{/*
kubeProxy.overrides are the fields of KubeProxyConfiguration that the values state. An empty mode is
iptables before 1.40, so it stays when that is wanted.
*/}}
{{- define "kubeProxy.overrides" -}}
{{- $config := include "kubeProxy.config" . | fromYaml }}
{{- $found := .Values.found.config | default "" | fromYaml }}
{{- if not .Values.bindAddress }}{{ $_ := unset $config "bindAddress" }}{{ end }}
{{- if and (hasKey $config "ipvs") (not .Values.ipvs.strictARP) }}{{ $_ := unset $config.ipvs "strictARP" }}{{ end }}
{{- $tag := regexFind "^v?[0-9]+\\.[0-9]+\\.[0-9]+" .Values.image.tag }}
{{- if and (eq .Values.mode "iptables") (not (get $found "mode")) $tag }}
{{- if semverCompare "<1.40.0-0" $tag }}{{ $_ := unset $config "mode" }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* kubeProxy.foundConfig is the configuration that was found, with what the values state over it. */}}
{{- define "kubeProxy.foundConfig" -}}
{{- $text := .Values.found.config | default "" }}
{{- $found := fromYaml $text }}
{{- $merged := mustMergeOverwrite (mustDeepCopy $found) (include "kubeProxy.overrides" . | fromYaml) }}
{{- if eq (toJson $found) (toJson $merged) }}
{{- $text }}
{{- else }}
{{- toYaml $merged }}
{{- end }}
{{- end }}

{{/* kubeProxy.foundKubeconfig is the one that was found, unless it names another API server. */}}
{{- define "kubeProxy.foundKubeconfig" -}}
{{- $text := .Values.found.kubeconfig | default "" }}
{{- $server := "" }}
{{- range (fromYaml $text).clusters }}{{ $server = .cluster.server }}{{ end }}
{{- $host := .Values.apiServer.host | trimPrefix "[" | trimSuffix "]" }}
{{- if contains ":" $host }}{{ $host = printf "[%s]" $host }}{{ end }}
{{- if eq $server (printf "https://%s:%d" $host (int .Values.apiServer.port)) }}
{{- $text }}
{{- else }}
{{- include "kubeProxy.kubeconfig" . }}
{{- end }}
{{- end }}

{{/* kubeProxy.changed says that the configuration is not the one that was found, or nothing. */}}
{{- define "kubeProxy.changed" -}}
{{- $found := .Values.found | default dict }}
{{- if not (and (eq (include "kubeProxy.foundConfig" .) ($found.config | default "")) (eq (include "kubeProxy.foundKubeconfig" .) ($found.kubeconfig | default ""))) }}yes{{ end }}
{{- end }}

{{/*
kubeProxy.protocols says whether the pods bring the names of protocols with them, or nothing. Where an image has none, nft lists
protocols as numbers; a kube-proxy that starts does not know the entries of its predecessor by these, and takes out what it put in.
*/}}
{{- define "kubeProxy.protocols" -}}
{{- if and (eq .Values.mode "nftables") (not (include "kubeProxy.asKubeadm" .)) }}yes{{ end }}
{{- end }}

{{/* kubeProxy.configData is the ConfigMap's data, in one place for the ConfigMap and its checksum. */}}
{{- define "kubeProxy.configData" -}}
{{- if include "kubeProxy.asKubeadm" . }}
{{- toYaml (dict "config.conf" (include "kubeProxy.foundConfig" .) "kubeconfig.conf" (include "kubeProxy.foundKubeconfig" .)) }}
{{- else -}}
config.conf: |
  {{- include "kubeProxy.config" . | nindent 2 }}
kubeconfig.conf: |
  {{- include "kubeProxy.kubeconfig" . | nindent 2 }}
{{- if include "kubeProxy.protocols" . }}
protocols: |
  icmp 1 ICMP
  tcp 6 TCP
  udp 17 UDP
  ipv6-icmp 58 IPv6-ICMP
  sctp 132 SCTP
{{- end }}
{{- end }}
{{- end }}

{{/*
kubeProxy.probe is an httpGet of the health server, given the path and the root. A server that
listens on one address, such as the loopback one, has to be asked there; "every address" is answered
on the node's own, which the kubelet takes by itself.
*/}}
{{- define "kubeProxy.probe" -}}
{{- $address := .root.Values.healthzBindAddress | default "0.0.0.0:10256" }}
{{- $port := regexFind "[0-9]+$" $address }}
{{- $host := $address | trimSuffix (printf ":%s" $port) | trimPrefix "[" | trimSuffix "]" -}}
httpGet:
  path: {{ .path }}
  port: {{ $port }}
  {{- if not (has $host (list "0.0.0.0" "::")) }}
  host: {{ $host | quote }}
  {{- end }}
{{- end }}

{{/* kubeProxy.container is what the running container and the init container have in common. */}}
{{- define "kubeProxy.container" -}}
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
command:
  - /usr/local/bin/kube-proxy
  - --config=/var/lib/kube-proxy/config.conf
  - --hostname-override=$(NODE_NAME)
{{- end }}

{{/* kubeProxy.mounts follow the command in both containers. */}}
{{- define "kubeProxy.mounts" -}}
env:
  - name: NODE_NAME
    valueFrom:
      fieldRef:
        fieldPath: spec.nodeName
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  - name: kube-proxy
    mountPath: /var/lib/kube-proxy
  - name: xtables-lock
    mountPath: /run/xtables.lock
  - name: lib-modules
    mountPath: /lib/modules
    readOnly: true
  {{- if include "kubeProxy.protocols" . }}
  - name: kube-proxy
    mountPath: /etc/protocols
    subPath: protocols
    readOnly: true
  {{- end }}
{{- end }}
