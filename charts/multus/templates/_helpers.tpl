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

{{/*
multus.pace is how pods are replaced. A daemon that leaves everything to its successor stays until that one serves, unless they would
want the same port of the node. What cleans a node comes when the daemon there is gone.
*/}}
{{- define "multus.pace" -}}
{{- $s := .Values.updateStrategy }}
{{- $rolling := $s.rollingUpdate }}
{{- $successor := and .Values.keepConfiguration (not .Values.config.metricsPort) (not .Values.cleanup.image) (not $rolling) }}
{{- if .Values.cleanup.image }}
{{- $rolling = dict "maxUnavailable" "10%" "maxSurge" 0 }}
{{- else if not $rolling }}
{{- $rolling = ternary (dict "maxUnavailable" 0 "maxSurge" "10%") (dict "maxUnavailable" "10%" "maxSurge" 0) $successor }}
{{- end }}
{{- if $successor }}
# Until then it knows the pods of its node.
minReadySeconds: 5
{{- end }}
updateStrategy:
  type: {{ ternary "RollingUpdate" $s.type (ne .Values.cleanup.image "") }}
  {{- if or .Values.cleanup.image (eq $s.type "RollingUpdate") }}
  rollingUpdate:
    {{- toYaml $rolling | nindent 4 }}
  {{- end }}
{{- end }}

{{/* multus.probe is what says whether a daemon can be found. */}}
{{- define "multus.probe" -}}
- /usr/bin/test
- -S
- /host/run/multus/multus.sock
- -a
- -e
- {{ printf "/host%s/00-multus.conf" .Values.cniConfDir | quote }}
{{- end }}

{{/* multus.cleanup are the containers and volumes of a pod that removes from its node what the daemon left there, and stays. */}}
{{- define "multus.cleanup" -}}
dnsPolicy: Default
automountServiceAccountToken: false
initContainers:
  - name: clean
    image: {{ .Values.cleanup.image | quote }}
    {{- with .Values.cleanup.imagePullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args: [clean-node, multus]
    terminationMessagePolicy: FallbackToLogsOnError
    securityContext:
      allowPrivilegeEscalation: false
      privileged: false
      readOnlyRootFilesystem: true
      runAsNonRoot: false
      runAsUser: 0
      capabilities:
        drop: [ALL]
        # Directories of CNI plugins belong to whoever unpacked them.
        add: [DAC_OVERRIDE]
    volumeMounts:
      - name: cni-conf
        mountPath: /etc/cni/net.d
      - name: cni-bin
        mountPath: /opt/cni/bin
      - name: cni-state
        mountPath: /var/lib/cni
      - name: multus-run
        mountPath: /run/multus
containers:
  # A DaemonSet knows no other way to have been on every node.
  - name: done
    image: {{ .Values.cleanup.image | quote }}
    {{- with .Values.cleanup.imagePullPolicy }}
    imagePullPolicy: {{ . }}
    {{- end }}
    args: [clean-node, wait]
    resources:
      requests: {cpu: 1m, memory: 16Mi}
      limits: {memory: 96Mi}
    securityContext:
      allowPrivilegeEscalation: false
      privileged: false
      readOnlyRootFilesystem: true
      runAsNonRoot: true
      runAsUser: 65532
      capabilities:
        drop: [ALL]
volumes:
  - name: cni-conf
    hostPath:
      path: {{ .Values.cniConfDir }}
      type: DirectoryOrCreate
  - name: cni-bin
    hostPath:
      path: {{ .Values.cniBinDir }}
      type: DirectoryOrCreate
  - name: cni-state
    hostPath:
      path: /var/lib/cni
      type: DirectoryOrCreate
  - name: multus-run
    hostPath:
      path: /run/multus
      type: DirectoryOrCreate
{{- end }}
