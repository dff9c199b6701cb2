{{/* weave-net.validate fails with a remedy on what no schema can say. */}}
{{- define "weave-net.validate" -}}
{{- if ne .Release.Namespace "kube-system" }}
{{- fail "Weave Net keeps its list of peers in kube-system and nowhere else: install it there" }}
{{- end }}
{{- with .Values.kubeApi }}
{{- if and .host (not .port) }}
{{- fail "kubeApi.host is set and kubeApi.port is not: set both, or neither" }}
{{- end }}
{{- if and .port (not .host) }}
{{- fail "kubeApi.port is set and kubeApi.host is not: set both, or neither" }}
{{- end }}
{{- end }}
{{- if and .Values.npc.enabled (eq (int .Values.metricsPort) (int .Values.npc.metricsPort)) }}
{{- fail "metricsPort and npc.metricsPort are the same port of the node: make them differ" }}
{{- end }}
{{- end }}

{{/* weave-net.labels are on every object. */}}
{{- define "weave-net.labels" -}}
name: weave-net
{{- end }}

{{/* weave-net.image is an image and its pull policy. */}}
{{- define "weave-net.image" -}}
image: {{ printf "%s:%s" .repository .tag | quote }}
{{- with .pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end }}

{{/* weave-net.nodeEnv is what both containers get. The controller and the agent name the node by HOSTNAME. */}}
{{- define "weave-net.nodeEnv" -}}
- name: HOSTNAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- with .Values.iptablesBackend }}
- name: IPTABLES_BACKEND
  value: {{ . | quote }}
{{- end }}
{{- with .Values.kubeApi }}
{{- if .host }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ .host | trimPrefix "[" | trimSuffix "]" | quote }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ int .port | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* weave-net.env configures the agent. The password itself is never here. */}}
{{- define "weave-net.env" -}}
# The init container has done what is to be done first.
- name: INIT_CONTAINER
  value: "true"
# Nobody is asked for newer versions.
- name: CHECKPOINT_DISABLE
  value: "1"
- name: IPALLOC_RANGE
  value: {{ .Values.ipallocRange | quote }}
- name: WEAVE_MTU
  value: {{ int .Values.mtu | toString | quote }}
{{- with .Values.password.secretName }}
- name: WEAVE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . | quote }}
      key: {{ $.Values.password.key | quote }}
{{- end }}
- name: EXPECT_NPC
  value: {{ ternary "1" "0" .Values.npc.enabled | quote }}
- name: NO_MASQ_LOCAL
  value: {{ ternary "1" "0" .Values.noMasqLocal | quote }}
- name: CONN_LIMIT
  value: {{ int .Values.connLimit | toString | quote }}
- name: WEAVE_METRICS_ADDR
  value: {{ printf "0.0.0.0:%d" (int .Values.metricsPort) | quote }}
- name: EXTRA_ARGS
  value: {{ printf "--log-level=%s" .Values.logLevel | quote }}
{{- if not .Values.fastDatapath }}
- name: WEAVE_NO_FASTDP
  value: "1"
{{- end }}
{{ include "weave-net.nodeEnv" . }}
{{- end }}

{{/* weave-net.npcArgs are the controller's arguments, one per line. */}}
{{- define "weave-net.npcArgs" -}}
- {{ printf "--log-level=%s" .Values.npc.logLevel | quote }}
- {{ printf "--metrics-addr=:%d" (int .Values.npc.metricsPort) | quote }}
- {{ printf "--max-list-size=%d" (int .Values.npc.maxListSize) | quote }}
- {{ printf "--allow-mcast=%t" .Values.npc.allowMulticast | quote }}
{{- end }}
