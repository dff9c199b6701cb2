{{/* coreDNS.asKubeadm says whether the objects are those of kubeadm, or nothing. */}}
{{- define "coreDNS.asKubeadm" -}}
{{- if eq (.Values.layout | default "") "kubeadm" }}yes{{ end }}
{{- end }}

{{/* coreDNS.kept says that the Corefile is the one that was found, or nothing. */}}
{{- define "coreDNS.kept" -}}
{{- if and (include "coreDNS.asKubeadm" .) .Values.found.corefile (not .Values.found.changed) }}yes{{ end }}
{{- end }}

{{/* coreDNS.image is an image with its tag, or its digest. */}}
{{- define "coreDNS.image" -}}
{{- if hasPrefix "@" .tag }}{{ .repository }}{{ .tag }}{{ else }}{{ .repository }}:{{ .tag }}{{ end }}
{{- end }}

{{/* coreDNS.corefile is the configuration. */}}
{{- define "coreDNS.corefile" -}}
{{- range .Values.servers }}
{{- $port := int (.port | default 53) }}
{{- $keys := list }}
{{- range .zones }}{{ $keys = append $keys (printf "%s%s:%d" (.scheme | default "") .zone $port) }}{{ end }}
{{- join " " $keys }} {
{{- range .plugins }}
    {{ .name }}{{ if hasKey . "parameters" }} {{ .parameters }}{{ end }}{{ if .configBlock }} {
{{ .configBlock | indent 8 }}
    }{{ end }}
{{- end }}
}
{{ end }}
{{- end }}

{{/* coreDNS.text is what is in the ConfigMap, in one place for it and its checksum. */}}
{{- define "coreDNS.text" -}}
{{- if include "coreDNS.kept" . }}{{ .Values.found.corefile }}{{ else }}{{ include "coreDNS.corefile" . }}{{ end }}
{{- end }}

{{/* coreDNS.labels are those that kubeadm gives the Deployment and the Service. */}}
{{- define "coreDNS.labels" -}}
k8s-app: kube-dns
kubernetes.io/cluster-service: "true"
kubernetes.io/name: CoreDNS
{{- end }}

{{/* coreDNS.foundTemplate is the pod template that was found, with what the values state over it. */}}
{{- define "coreDNS.foundTemplate" -}}
{{- $template := mustDeepCopy .Values.found.template }}
{{- $spec := $template.spec }}
{{- range $spec.containers }}
{{- if eq .name "coredns" }}
{{- $_ := set . "image" (include "coreDNS.image" $.Values.image) }}
{{- if $.Values.resources }}{{ $_ := set . "resources" $.Values.resources }}{{ end }}
{{- end }}
{{- end }}
{{- range $key := list "affinity" "nodeSelector" "tolerations" "topologySpreadConstraints" }}
{{- with get $.Values $key }}{{ $_ := set $spec $key . }}{{ end }}
{{- end }}
{{- if gt (int .Values.terminationGracePeriodSeconds) (int ($spec.terminationGracePeriodSeconds | default 30)) }}
{{- $_ := set $spec "terminationGracePeriodSeconds" (int .Values.terminationGracePeriodSeconds) }}
{{- end }}
{{- $annotations := $template.metadata.annotations | default dict }}
{{- range $key, $value := .Values.podAnnotations }}{{ $_ := set $annotations $key $value }}{{ end }}
{{- if not (include "coreDNS.kept" .) }}
{{- $_ := set $annotations "checksum/config" (include "coreDNS.text" . | sha256sum) }}
{{- end }}
{{- if $annotations }}{{ $_ := set $template.metadata "annotations" $annotations }}{{ end }}
{{- toYaml $template }}
{{- end }}

{{/* coreDNS.template is the pod template where nothing was found. */}}
{{- define "coreDNS.template" -}}
metadata:
  labels:
    k8s-app: kube-dns
  annotations:
    # CoreDNS takes up a changed Corefile by itself, but keeps the old one when the new one is broken. New pods tell.
    checksum/config: {{ include "coreDNS.text" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: coredns
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  dnsPolicy: Default
  {{- with .Values.terminationGracePeriodSeconds }}
  terminationGracePeriodSeconds: {{ . }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- range $key := list "affinity" "nodeSelector" "tolerations" "topologySpreadConstraints" }}
  {{- with get $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: coredns
      image: {{ include "coreDNS.image" .Values.image | quote }}
      {{- with .Values.image.pullPolicy }}
      imagePullPolicy: {{ . }}
      {{- end }}
      args: [-conf, /etc/coredns/Corefile]
      ports:
        - {name: dns, containerPort: 53, protocol: UDP}
        - {name: dns-tcp, containerPort: 53, protocol: TCP}
        - {name: metrics, containerPort: 9153, protocol: TCP}
        - {name: liveness-probe, containerPort: 8080, protocol: TCP}
        - {name: readiness-probe, containerPort: 8181, protocol: TCP}
      livenessProbe:
        httpGet:
          path: /health
          port: liveness-probe
        initialDelaySeconds: 60
        timeoutSeconds: 5
        failureThreshold: 5
      readinessProbe:
        httpGet:
          path: /ready
          port: readiness-probe
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          add: [NET_BIND_SERVICE]
          drop: [ALL]
      volumeMounts:
        - name: config-volume
          mountPath: /etc/coredns
          readOnly: true
  volumes:
    - name: config-volume
      configMap:
        name: coredns
        items:
          - key: Corefile
            path: Corefile
{{- end }}
