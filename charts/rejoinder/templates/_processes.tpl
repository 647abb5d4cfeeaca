{{/*
What the chart knows of each process; a new one is a row here, its settings in _settings.tpl and its values.
  port: gRPC. kind: workload. kafka: opens our log. calls: whom it calls. public: applications call it.
  rpc: false where it answers health alone. http: a port for applications, or for people, beside it.
*/}}
{{- define "rejoinder.processes" -}}
feedback: {port: 50051, kind: Deployment, kafka: true, calls: [], public: true, rpc: true}
policy: {port: 50052, kind: StatefulSet, kafka: true, calls: [feedback], public: true, rpc: true}
reward: {port: 50053, kind: Deployment, kafka: false, calls: [], public: true, rpc: true}
rerank: {port: 50054, kind: {{ .Values.rerank.spool.persistent | ternary "StatefulSet" "Deployment" }}, kafka: false, calls: [feedback], public: true, rpc: true}
ledger: {port: 50055, kind: StatefulSet, kafka: true, calls: [], public: false, rpc: true}
signals: {port: 50056, kind: StatefulSet, kafka: true, calls: [ledger], public: false, rpc: false}
rollouts: {port: 50057, kind: StatefulSet, kafka: true, calls: [ledger, policy], public: false, rpc: true}
{{- if .Values.observe.http.enabled }}
observe: {port: 50070, http: 8070, kind: StatefulSet, kafka: true, calls: [feedback], public: true, rpc: true}
{{- else }}
observe: {port: 50070, kind: StatefulSet, kafka: true, calls: [feedback], public: false, rpc: false}
{{- end }}
gateway: {port: 50058, http: 8080, kind: Deployment, kafka: false, calls: [policy, feedback, rerank], public: true, rpc: true}
console: {port: 50059, http: 8090, kind: {{ .Values.console.persistence.enabled | ternary "StatefulSet" "Deployment" }}, kafka: false, calls: [ledger, feedback, rollouts], public: true, rpc: false}
operator: {port: 50058, kind: Deployment, kafka: true, calls: [ledger, policy], public: false, rpc: false}
{{- end -}}

{{/* Names of the processes that run, in their order; none beside `embedded`. */}}
{{- define "rejoinder.enabled" -}}
{{- if not .Values.embedded.enabled -}}
{{- $values := .Values -}}
{{- $names := list -}}
{{- range $name := list "feedback" "policy" "reward" "rerank" "ledger" "signals" "rollouts" "observe" "gateway" "console" "operator" -}}
{{- if ne (index $values $name).enabled false -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "process" name) -> replicas of a process at least */}}
{{- define "rejoinder.replicas" -}}
{{- $values := index .root.Values .process -}}
{{- $scaling := $values.autoscaling | default (dict "enabled" false) -}}
{{- $keda := $values.keda | default (dict "enabled" false) -}}
{{- if eq .process "rollouts" -}}1
{{- else if $scaling.enabled -}}{{ $scaling.minReplicas | int }}
{{- else if $keda.enabled -}}{{ $keda.minReplicas | int }}
{{- else -}}{{ $values.replicas | int }}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "process" name) -> "true" where something else sets the replicas */}}
{{- define "rejoinder.scaled" -}}
{{- $values := index .root.Values .process -}}
{{- $scaling := $values.autoscaling | default (dict "enabled" false) -}}
{{- $keda := $values.keda | default (dict "enabled" false) -}}
{{- or $scaling.enabled $keda.enabled -}}
{{- end -}}
