{{- /* Where the API server sends a new pod. */ -}}
{{- define "injector" -}}
clientConfig:
  service:
    name: istiod-{{ .Values.revision }}
    namespace: {{ .Values.namespace | quote }}
    path: /inject
    port: 443
rules:
- operations: [CREATE]
  apiGroups: [""]
  apiVersions: [v1]
  resources: [pods]
failurePolicy: Fail
reinvocationPolicy: Never
sideEffects: None
admissionReviewVersions: [v1]
{{- end }}
