{{/* traefik.name is the name of all objects. */}}
{{- define "traefik.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* traefik.selector are the labels by which pods are found. */}}
{{- define "traefik.selector" -}}
app.kubernetes.io/name: traefik
app.kubernetes.io/instance: {{ default (printf "%s-%s" .Release.Name .Release.Namespace) .Values.instanceLabelOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* traefik.certificate is the Secret with the default certificate; empty when there is none. */}}
{{- define "traefik.certificate" -}}
{{- with .Values.tlsStore.default }}{{ with .defaultCertificate }}{{ .secretName }}{{ end }}{{ end -}}
{{- end }}

{{/* traefik.dynamic is the configuration that Traefik reads from a file. */}}
{{- define "traefik.dynamic" -}}
tls:
  stores:
    default:
      defaultCertificate:
        certFile: /configuration/tls.crt
        keyFile: /configuration/tls.key
{{- end }}

{{/* traefik.args are Traefik's arguments, one in a line. */}}
{{- define "traefik.args" -}}
{{- $v := .Values }}
- --global.checknewversion={{ $v.global.checkNewVersion }}
- --global.sendanonymoususage={{ $v.global.sendAnonymousUsage }}
- --ping=true
- --log.level={{ $v.log.level }}
- --log.format={{ $v.log.format }}
- --entrypoints.traefik.address=:{{ int $v.ports.traefik.port }}/tcp
{{- range $name := list "web" "websecure" }}
{{- $p := index $v.ports $name }}
- --entrypoints.{{ $name }}.address=:{{ int $p.port }}/tcp
{{- with $p.forwardedHeaders.trustedIPs }}
- --entrypoints.{{ $name }}.forwardedheaders.trustedips={{ join "," . }}
{{- end }}
{{- with $p.proxyProtocol.trustedIPs }}
- --entrypoints.{{ $name }}.proxyprotocol.trustedips={{ join "," . }}
{{- end }}
{{- $transport := $p.transport | default dict }}
{{- range $key := list "readTimeout" "writeTimeout" "idleTimeout" }}
{{- with index ($transport.respondingTimeouts | default dict) $key }}
- --entrypoints.{{ $name }}.transport.respondingtimeouts.{{ lower $key }}={{ . }}
{{- end }}
{{- end }}
{{- range $key := list "requestAcceptGraceTimeout" "graceTimeOut" }}
{{- with index ($transport.lifeCycle | default dict) $key }}
- --entrypoints.{{ $name }}.transport.lifecycle.{{ lower $key }}={{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- if $v.ports.websecure.http.tls.enabled }}
- --entrypoints.websecure.http.tls=true
{{- end }}
{{- with $v.ports.web.http.redirections.entryPoint }}
- --entrypoints.web.http.redirections.entrypoint.to={{ .to }}
- --entrypoints.web.http.redirections.entrypoint.scheme={{ default "https" .scheme }}
- --entrypoints.web.http.redirections.entrypoint.permanent={{ default false .permanent }}
{{- end }}
{{- if $v.accessLog.enabled }}
- --accesslog=true
- --accesslog.format={{ $v.accessLog.format }}
{{- end }}
{{- with $v.tracing }}
{{- if and .otlp.enabled .otlp.grpc.enabled }}
- --tracing.otlp=true
- --tracing.otlp.grpc.endpoint={{ .otlp.grpc.endpoint }}
- --tracing.otlp.grpc.insecure={{ .otlp.grpc.insecure }}
{{- with .serviceName }}
- --tracing.servicename={{ . }}
{{- end }}
{{- if ne (toString .sampleRate) "<nil>" }}
- --tracing.samplerate={{ .sampleRate }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.metrics.prometheus }}
- --entrypoints.metrics.address=:{{ int $v.ports.metrics.port }}/tcp
- --metrics.prometheus=true
- --metrics.prometheus.entrypoint={{ .entryPoint }}
{{- end }}
{{- with $v.providers.kubernetesIngress }}
{{- if .enabled }}
- --providers.kubernetesingress=true
{{- with .ingressClass }}
- --providers.kubernetesingress.ingressclass={{ . }}
{{- end }}
{{- with .namespaces }}
- --providers.kubernetesingress.namespaces={{ join "," . }}
{{- end }}
{{- if .allowExternalNameServices }}
- --providers.kubernetesingress.allowexternalnameservices=true
{{- end }}
{{- if and .publishedService.enabled $v.service.enabled }}
- --providers.kubernetesingress.ingressendpoint.publishedservice={{ $.Release.Namespace }}/{{ include "traefik.name" $ }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "traefik.certificate" . }}
- --providers.file.directory=/configuration
{{- end }}
{{- range $v.additionalArguments }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* traefik.pod is the template of the pods. */}}
{{- define "traefik.pod" -}}
{{- $certificate := include "traefik.certificate" . }}
metadata:
  labels:
    {{- include "traefik.selector" . | nindent 4 }}
    {{- with .Values.deployment.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.deployment.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "traefik.name" . }}
  terminationGracePeriodSeconds: {{ int .Values.deployment.terminationGracePeriodSeconds }}
  {{- with .Values.deployment.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- range $key := list "affinity" "nodeSelector" "tolerations" "topologySpreadConstraints" }}
  {{- with index $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: traefik
      {{- with .Values.image }}
      image: {{ printf "%s/%s:%s" .registry .repository (default $.Chart.AppVersion .tag) | quote }}
      imagePullPolicy: {{ .pullPolicy }}
      {{- end }}
      args:
        {{- include "traefik.args" . | trim | nindent 8 }}
      ports:
        - {name: traefik, containerPort: {{ int .Values.ports.traefik.port }}, protocol: TCP}
        {{- range $name := list "web" "websecure" }}
        {{- $p := index $.Values.ports $name }}
        - name: {{ $name }}
          containerPort: {{ int $p.port }}
          {{- with $p.hostPort }}
          hostPort: {{ int . }}
          {{- end }}
          protocol: TCP
        {{- end }}
        {{- if .Values.metrics.prometheus }}
        - {name: metrics, containerPort: {{ int .Values.ports.metrics.port }}, protocol: TCP}
        {{- end }}
      readinessProbe:
        httpGet: {path: /ping, port: traefik}
        initialDelaySeconds: 2
        periodSeconds: 10
        failureThreshold: 1
      livenessProbe:
        httpGet: {path: /ping, port: traefik}
        initialDelaySeconds: 2
        periodSeconds: 10
        failureThreshold: 3
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if $certificate }}
        - {name: configuration, mountPath: /configuration, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if $certificate }}
    # One directory, which is watched, so that a renewed certificate is read as well.
    - name: configuration
      projected:
        sources:
          - configMap:
              name: {{ include "traefik.name" . }}
          - secret:
              name: {{ $certificate }}
              items:
                - {key: tls.crt, path: tls.crt}
                - {key: tls.key, path: tls.key}
              # Without it the pod serves on, with a certificate of its own making.
              optional: true
    {{- end }}
{{- end }}

{{/* traefik.validate fails with a remedy on what no schema can say. */}}
{{- define "traefik.validate" -}}
{{- with .Values.autoscaling }}
{{- if and .enabled (not .maxReplicas) }}
{{- fail "autoscaling.enabled is set and autoscaling.maxReplicas is not: set it" }}
{{- end }}
{{- if and .enabled (ne $.Values.deployment.kind "Deployment") }}
{{- fail "autoscaling goes with deployment.kind Deployment: turn one of them off" }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if and .enabled (eq (empty .minAvailable) (empty .maxUnavailable)) }}
{{- fail "podDisruptionBudget.enabled needs one of minAvailable and maxUnavailable" }}
{{- end }}
{{- end }}
{{- end }}
