{{/*
The settings file of each process: what the chart knows, then the person's own over it. Names are those of
services/rejoinder/<process>/settings.py; a test loads every rendered file with the process's own loader.
Where things are mounted: settings.yaml, auth, jwks, cluster, token, tls, kafka, postgresql, erasure below /etc/rejoinder.
*/}}

{{/* (dict "root" $ "process" name) -> YAML */}}
{{- define "rejoinder.settings" -}}
{{- $made := include (printf "rejoinder.settings.%s" .process) . | fromYaml -}}
{{- $own := deepCopy (index .root.Values .process).settings -}}
{{- toYaml (mustMergeOverwrite $made $own) -}}
{{- end -}}

{{- define "rejoinder.settings.server" -}}
{{- $row := index (include "rejoinder.processes" .root | fromYaml) .process -}}
server:
  host: 0.0.0.0
  port: {{ $row.port }}
  metrics_port: {{ include "rejoinder.metricsPort" . }}
  grace_s: 20
  leave_s: 2
  {{- if $row.rpc }}
  {{- /* Below pods.minReadySeconds: every caller asks for names between two replicas that go, and knows the first anew. */}}
  {{- $ready := .root.Values.pods.minReadySeconds | int }}
  max_connection_age_s: {{ ge $ready 20 | ternary (sub $ready 10) 300 }}
  {{- end }}
  {{- if .root.Values.tls.enabled }}
  tls:
    cert_file: /etc/rejoinder/tls/tls.crt
    key_file: /etc/rejoinder/tls/tls.key
    {{- if .root.Values.tls.mutual }}
    client_ca_file: /etc/rejoinder/tls/ca.crt
    {{- end }}
  {{- end }}
  {{- with .root.Values.auth.rate }}
  rate:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  auth:
    {{- if .root.Values.auth.open }}
    open: true
    {{- else }}
    file: /etc/rejoinder/auth/principals.yaml
    {{- end }}
    {{- with include "rejoinder.settings.jwt" .root | fromYaml }}
    jwt:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end -}}

{{/* $ -> `server.auth.jwt`, nothing where no issuer's tokens are taken. */}}
{{- define "rejoinder.settings.jwt" -}}
{{- $jwt := .Values.auth.jwt -}}
{{- $made := dict -}}
{{- if $jwt.configMap -}}
{{- $made = dict "jwks" "/etc/rejoinder/jwks/jwks.json" -}}
{{- else if $jwt.cluster -}}
{{- $made = dict "jwks" "https://kubernetes.default.svc/openid/v1/jwks" "ca_file" "/etc/rejoinder/cluster/ca.crt" "token_file" "/etc/rejoinder/cluster/token" -}}
{{- end -}}
{{- if $jwt.settings.issuer -}}
{{- toYaml (mergeOverwrite $made (deepCopy $jwt.settings)) -}}
{{- end -}}
{{- end -}}

{{- define "rejoinder.metricsPort" -}}9464{{- end -}}

{{/* The `kafka` theme of a process on our log. */}}
{{- define "rejoinder.settings.kafka" -}}
{{ include "rejoinder.settings.brokers" . }}
prefix: {{ .root.Values.kafka.prefix | quote }}
partitions: {{ .root.Values.kafka.partitions | int }}
replication: {{ .root.Values.kafka.replication | int }}
min_insync: {{ .root.Values.kafka.minInsync | int }}
{{- end -}}

{{- define "rejoinder.settings.brokers" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $own := (index .root.Values .process).kafka -}}
bootstrap: {{ include "rejoinder.bootstrap" .root | quote }}
{{- if or $kafka.sasl.mechanism $kafka.strimzi.users }}
sasl: {{ $kafka.sasl.mechanism | default "SCRAM-SHA-512" | quote }}
user: {{ include "rejoinder.kafkaUser" . | quote }}
password_file: /etc/rejoinder/kafka/password
{{- end }}
{{- if or $kafka.tls.enabled $kafka.strimzi.cluster }}
tls: true
{{- if or $kafka.tls.caSecret $kafka.strimzi.cluster }}
ca_file: /etc/rejoinder/kafka/ca.crt
{{- end }}
{{- if or $own.clientSecret $kafka.tls.clientSecret }}
cert_file: /etc/rejoinder/kafka/tls.crt
key_file: /etc/rejoinder/kafka/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{- define "rejoinder.bootstrap" -}}
{{- with .Values.kafka -}}
{{- if .strimzi.cluster -}}
{{ .strimzi.cluster }}-kafka-bootstrap.{{ .strimzi.namespace | default $.Release.Namespace }}.svc:{{ .strimzi.port | int }}
{{- else -}}
{{ .bootstrap }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rejoinder.kafkaUser" -}}
{{- $own := (index .root.Values .process).kafka -}}
{{- if .root.Values.kafka.strimzi.users -}}
{{- $own.user | default (printf "%s-%s" (include "rejoinder.fullname" .root) .process) -}}
{{- else -}}
{{- $own.user | default .root.Values.kafka.sasl.user -}}
{{- end -}}
{{- end -}}

{{/* How a process calls ours: token and certificates, keys of a theme. */}}
{{- define "rejoinder.settings.caller" -}}
{{- if not .root.Values.auth.open }}
token_file: /etc/rejoinder/token/token
{{- end }}
{{- if .root.Values.tls.enabled }}
ca_file: /etc/rejoinder/tls/ca.crt
{{- if .root.Values.tls.mutual }}
cert_file: /etc/rejoinder/tls/tls.crt
key_file: /etc/rejoinder/tls/tls.key
{{- end }}
{{- end }}
{{- end -}}

{{/* Below the volume's root, which the rounds' stages mount at /volume: beside it lie their work and the artefacts. */}}
{{- define "rejoinder.registry" -}}
{{ .Values.registry.url | default "/registry/registry" }}
{{- end -}}

{{- define "rejoinder.settings.feedback" -}}
{{ include "rejoinder.settings.server" . }}
production: true
{{- $scaling := .root.Values.feedback.autoscaling }}
processes: {{ max 1 (ternary $scaling.maxReplicas .root.Values.feedback.replicas $scaling.enabled | int) }}
log:
  kind: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
{{- end -}}

{{- define "rejoinder.settings.policy" -}}
{{ include "rejoinder.settings.server" . }}
model:
  policy: {{ .root.Values.policy.name | quote }}
  registry: {{ include "rejoinder.registry" .root | quote }}
  artefacts: /registry/artefacts
arms:
  log: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
record:
  feedback: {{ include "rejoinder.target" (dict "root" .root "process" "feedback") | quote }}
  spool: /var/lib/rejoinder/spool
  spool_max_bytes: {{ .root.Values.policy.spool.maxBytes | int64 }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
{{- end -}}

{{- define "rejoinder.settings.reward" -}}
{{ include "rejoinder.settings.server" . }}
model:
  folder: /opt/rejoinder/models/heads/bt-v1
  {{- include "rejoinder.settings.triton" .root | nindent 2 }}
{{- end -}}

{{/* Where a model's server is, for those whose settings say `backend: triton`. */}}
{{- define "rejoinder.settings.triton" -}}
{{- if .Values.triton.enabled -}}
triton: {target: "dns:///{{ include "rejoinder.fullname" . }}-triton.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:8001"}
{{- end -}}
{{- end -}}

{{- define "rejoinder.settings.rerank" -}}
{{ include "rejoinder.settings.server" . }}
encoder:
  folder: /opt/rejoinder/models/heads/minilm
  {{- include "rejoinder.settings.triton" .root | nindent 2 }}
reward:
  folder: /opt/rejoinder/models/heads/bt-v1
  {{- include "rejoinder.settings.triton" .root | nindent 2 }}
record:
  feedback: {{ include "rejoinder.target" (dict "root" .root "process" "feedback") | quote }}
  spool: /var/lib/rejoinder/spool
  spool_max_bytes: {{ .root.Values.rerank.spool.maxBytes | int64 }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
{{- end -}}

{{- define "rejoinder.settings.ledger" -}}
{{ include "rejoinder.settings.server" . }}
log:
  kind: kafka
  relay: true
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
store:
  {{- include "rejoinder.settings.store" (dict "url" .root.Values.postgresql.url "secret" .root.Values.postgresql.existingSecret) | nindent 2 }}
  {{- if .root.Values.ledger.persistence.enabled }}
  snapshots: /var/lib/rejoinder/snapshots
  {{- end }}
erasure:
  key_file: /etc/rejoinder/erasure/key
looks:
  file: /var/lib/rejoinder/looks.jsonl
{{- end -}}

{{- define "rejoinder.settings.store" -}}
url: {{ .url | quote }}
{{- if .secret }}
password_file: /etc/rejoinder/postgresql/password
{{- end }}
{{- end -}}

{{- define "rejoinder.settings.signals" -}}
{{ include "rejoinder.settings.server" . }}
source:
  ledger: {{ include "rejoinder.target" (dict "root" .root "process" "ledger") | quote }}
  log: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
read:
  model: /opt/rejoinder/models/signals
{{- end -}}

{{- define "rejoinder.settings.rollouts" -}}
{{- $root := .root -}}
{{ include "rejoinder.settings.server" . }}
policy:
  name: {{ .root.Values.policy.name | quote }}
  registry: {{ include "rejoinder.registry" .root | quote }}
  replicas:
    {{- range $number := until (.root.Values.policy.replicas | int) }}
    - {{ printf "%s-policy-%d.%s:50052" (include "rejoinder.fullname" $root) $number (include "rejoinder.host" (dict "root" $root "process" "policy")) | quote }}
    {{- end }}
source:
  log: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
  ledger: {{ include "rejoinder.target" (dict "root" .root "process" "ledger") | quote }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
engine:
  memory: /var/lib/rejoinder/rollouts.db
{{- end -}}

{{- define "rejoinder.settings.observe" -}}
{{ include "rejoinder.settings.server" . }}
brokers:
  {{- include "rejoinder.settings.brokers" . | nindent 2 }}
into:
  feedback: {{ include "rejoinder.target" (dict "root" .root "process" "feedback") | quote }}
  log: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
faults:
  key_file: /etc/rejoinder/erasure/key
{{- with (index (include "rejoinder.processes" .root | fromYaml) "observe").http }}
http:
  host: 0.0.0.0
  port: {{ . }}
{{- end }}
{{- end -}}

{{- define "rejoinder.settings.gateway" -}}
{{ include "rejoinder.settings.server" . }}
http:
  host: 0.0.0.0
  port: {{ (index (include "rejoinder.processes" .root | fromYaml) "gateway").http }}
upstream:
  kind: policy
  model: {{ .root.Values.policy.name | quote }}
  policy:
    address: {{ include "rejoinder.target" (dict "root" .root "process" "policy") | quote }}
    {{- include "rejoinder.settings.caller" . | nindent 4 }}
record:
  feedback: {{ include "rejoinder.target" (dict "root" .root "process" "feedback") | quote }}
  spool: /var/lib/rejoinder/spool
  spool_max_bytes: {{ .root.Values.gateway.spool.maxBytes | int64 }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
{{- if .root.Values.rerank.enabled }}
rerank:
  address: {{ include "rejoinder.target" (dict "root" .root "process" "rerank") | quote }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Services are asked with the visitor's own token: the console holds none. */}}
{{- define "rejoinder.settings.console" -}}
{{- $root := .root -}}
{{- $caller := omit (include "rejoinder.settings.caller" . | fromYaml) "token_file" -}}
{{ include "rejoinder.settings.server" . }}
http:
  host: 0.0.0.0
  port: {{ (index (include "rejoinder.processes" .root | fromYaml) "console").http }}
{{- range $name := list "ledger" "feedback" "rollouts" }}
{{ $name }}:
  address: {{ ternary (include "rejoinder.target" (dict "root" $root "process" $name)) "" (ne (index $root.Values $name).enabled false) | quote }}
  {{- with $caller }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
policy:
  name: {{ .root.Values.policy.name | quote }}
  registry: {{ include "rejoinder.registry" .root | quote }}
  rounds: /registry
looks:
  file: /var/lib/rejoinder/looks.jsonl
  key_file: /etc/rejoinder/erasure/key
{{- end -}}

{{- define "rejoinder.settings.operator" -}}
{{ include "rejoinder.settings.server" . }}
watch:
  namespaces: {{ .root.Values.operator.clusterWide | ternary list (.root.Values.operator.watchNamespaces | default (list .root.Release.Namespace)) | toJson }}
election:
  namespace: {{ .root.Release.Namespace | quote }}
  name: {{ include "rejoinder.fullname" .root }}-operator
policy:
  registry: {{ include "rejoinder.registry" .root | quote }}
  replicas: {{ include "rejoinder.host" (dict "root" .root "process" "policy") }}:50052
source:
  log: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | nindent 4 }}
  ledger: {{ include "rejoinder.target" (dict "root" .root "process" "ledger") | quote }}
  {{- include "rejoinder.settings.caller" . | nindent 2 }}
rounds:
  config_map: {{ include "rejoinder.fullname" .root }}-rounds
  secret: {{ .root.Values.operator.rounds.existingSecret | quote }}
{{- if .root.Values.operator.verdicts.enabled }}
verdicts: {host: 0.0.0.0, port: {{ include "rejoinder.verdictsPort" .root }}}
{{- end }}
{{- end -}}

{{- define "rejoinder.verdictsPort" -}}8058{{- end -}}

{{/* What a round's own stages are told, in pods that the operator makes: all their files lie in one Secret. */}}
{{- define "rejoinder.settings.rounds" -}}
services:
  registry: {{ .root.Values.registry.url | default "/volume/registry" | quote }}
  ledger: {{ include "rejoinder.target" (dict "root" .root "process" "ledger") | quote }}
  policy: {{ include "rejoinder.target" (dict "root" .root "process" "policy") | quote }}
  reward: {{ ternary (include "rejoinder.target" (dict "root" .root "process" "reward")) "" (ne .root.Values.reward.enabled false) | quote }}
  {{- include "rejoinder.settings.caller" . | replace "/etc/rejoinder/token/" "/etc/rejoinder/secrets/" | replace "/etc/rejoinder/tls/" "/etc/rejoinder/secrets/" | nindent 2 }}
log:
  kind: kafka
  kafka:
    {{- include "rejoinder.settings.kafka" . | replace "/etc/rejoinder/kafka/" "/etc/rejoinder/secrets/" | nindent 4 }}
{{- end -}}
