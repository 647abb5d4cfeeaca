{{/* Parts that every pod shares: security, probes, life cycle, where secrets are mounted. */}}

{{- define "rejoinder.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Without a wait there is no hook: a sleep of 0 is refused before Kubernetes 1.34. */}}
{{- define "rejoinder.lifecycle" -}}
{{- with int .Values.pods.preStopSeconds -}}
lifecycle:
  preStop:
    sleep: {seconds: {{ . }}}
{{- end -}}
{{- end -}}

{{- define "rejoinder.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* (dict "root" $ "process" name): what decides where a pod may stand. */}}
{{- define "rejoinder.placement" -}}
{{- $pods := .root.Values.pods -}}
{{- $extra := (index .root.Values .process).extra | default dict -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $extra.priorityClassName | default $pods.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $extra.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with merge (dict) ($extra.nodeSelector | default dict) $pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $pods.tolerations ($extra.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $extra.affinity | default $pods.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $extra.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml $extra.topologySpreadConstraints | nindent 2 }}
{{- else if $pods.topologySpread.enabled }}
{{- $selector := include "rejoinder.selector" . }}
topologySpreadConstraints:
  {{- range $pods.topologySpread.keys }}
  - maxSkew: 1
    topologyKey: {{ . | quote }}
    whenUnsatisfiable: {{ $pods.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
(dict "root" $ "process" name). The kubelet's gRPC probe speaks no TLS, so with TLS the same truth (SERVING) is asked of
the metrics port by a line of Python, as the image has no shell.
*/}}
{{- define "rejoinder.probes" -}}
{{- if .root.Values.tls.enabled }}
{{- $ask := list "python3" "-I" "-S" "-c" (include "rejoinder.serving" . | trim) }}
startupProbe:
  exec: {command: {{ toJson $ask }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 60
readinessProbe:
  exec: {command: {{ toJson $ask }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  tcpSocket: {port: grpc}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- else }}
{{- $port := (index (include "rejoinder.processes" .root | fromYaml) .process).port }}
startupProbe:
  grpc: {port: {{ $port }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
readinessProbe:
  grpc: {port: {{ $port }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
  grpc: {port: {{ $port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}
{{- end -}}

{{- define "rejoinder.serving" -}}
import socket,sys;s=socket.create_connection(("127.0.0.1",{{ include "rejoinder.metricsPort" . }}),3);s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n");sys.exit(b"\nrejoinder_serving 1.0" not in b"".join(iter(lambda:s.recv(65536),b"")))
{{- end -}}

{{/*
(dict "root" $ "process" name) -> seconds. The chassis lets callers leave within leave_s, ends calls within grace_s, then what runs beside them within as
much again, then flushes its spool within drain_s; 10 s are for closing clients, engine and ports.
*/}}
{{- define "rejoinder.termination" -}}
{{- $settings := include "rejoinder.settings" . | fromYaml -}}
{{- $record := $settings.record | default dict -}}
{{- $drain := hasKey $settings "record" | ternary ($record.drain_s | default 5) 0 -}}
{{- ceil (addf .root.Values.pods.preStopSeconds $settings.server.leave_s (mulf 2 $settings.server.grace_s) $drain 10) | int -}}
{{- end -}}

{{/* (dict "root" $ "process" name) -> the volumes of a process as {volume, mount} pairs; a whole folder each, never a subPath, so that
what rotates is seen. */}}
{{- define "rejoinder.files" -}}
{{- $v := .root.Values -}}
{{- $row := index (include "rejoinder.processes" .root | fromYaml) .process -}}
{{- $values := index $v .process -}}
- {name: settings, mountPath: /etc/rejoinder/settings, source: {configMap: {name: {{ include "rejoinder.fullname" .root }}-{{ .process }}}}}
- {name: tmp, mountPath: /tmp, write: true, source: {emptyDir: {sizeLimit: 64Mi}}}
{{- if not $v.auth.open }}
- {name: auth, mountPath: /etc/rejoinder/auth, source: {secret: {secretName: {{ $v.auth.existingSecret | quote }}, defaultMode: 288, items: [{key: {{ $v.auth.principalsKey | quote }}, path: principals.yaml}]}}}
{{- if and $row.calls (ne .process "console") }}
- {name: token, mountPath: /etc/rejoinder/token, source: {secret: {secretName: {{ $v.auth.existingSecret | quote }}, defaultMode: 288, items: [{key: {{ $v.auth.tokenKey | quote }}, path: token}]}}}
{{- end }}
{{- end }}
{{- if $v.auth.jwt.configMap }}
- {name: jwks, mountPath: /etc/rejoinder/jwks, source: {configMap: {name: {{ $v.auth.jwt.configMap | quote }}, items: [{key: {{ $v.auth.jwt.configMapKey | quote }}, path: jwks.json}]}}}
{{- else if $v.auth.jwt.cluster }}
- {name: cluster, mountPath: /etc/rejoinder/cluster, source: {projected: {defaultMode: 288, sources: [{serviceAccountToken: {path: token, expirationSeconds: 3600}}, {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}]}}}
{{- end }}
{{- if $v.tls.enabled }}
- {name: tls, mountPath: /etc/rejoinder/tls, source: {secret: {secretName: {{ include "rejoinder.tlsSecret" . | quote }}, defaultMode: 288}}}
{{- end }}
{{- if $row.kafka }}
{{ include "rejoinder.kafkaFiles" . }}
{{- end }}
{{- if eq .process "ledger" }}
{{ include "rejoinder.postgresqlFiles" (dict "root" .root "secret" $v.postgresql.existingSecret "key" $v.postgresql.passwordKey) }}
{{- end }}
{{- if has .process (list "ledger" "observe" "console") }}
- {name: erasure, mountPath: /etc/rejoinder/erasure, source: {secret: {secretName: {{ $v.erasure.existingSecret | quote }}, defaultMode: 288, items: [{key: {{ $v.erasure.key | quote }}, path: key}]}}}
{{- end }}
{{- if has .process (list "policy" "rollouts" "operator" "console") }}
- {name: registry, mountPath: /registry, write: true, source: {persistentVolumeClaim: {claimName: {{ include "rejoinder.registryClaim" .root | quote }}}}}
{{- with $v.registry.existingSecret }}
- {name: fsspec, mountPath: /etc/rejoinder/fsspec, source: {secret: {secretName: {{ . | quote }}, defaultMode: 288}}}
{{- end }}
{{- end }}
{{- if and (has .process (list "ledger" "console")) (not $values.persistence.enabled) }}
- {name: data, mountPath: /var/lib/rejoinder, write: true, source: {emptyDir: {sizeLimit: 1Gi}}}
{{- end }}
{{- if has .process (list "policy" "rerank" "gateway") }}
{{- if not (get $values.spool "persistent") }}
- {name: data, mountPath: /var/lib/rejoinder, write: true, source: {emptyDir: {sizeLimit: {{ $values.spool.size | quote }}}}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "rejoinder.postgresqlFiles" -}}
{{- with .secret }}
- {name: postgresql, mountPath: /etc/rejoinder/postgresql, source: {secret: {secretName: {{ . | quote }}, defaultMode: 288, items: [{key: {{ $.key | quote }}, path: password}]}}}
{{- end }}
{{- with .root.Values.postgresql.tlsSecret }}
- {name: postgresql-tls, mountPath: /etc/rejoinder/postgresql-tls, source: {secret: {secretName: {{ . | quote }}, defaultMode: 288}}}
{{- end }}
{{- end -}}

{{- define "rejoinder.kafkaFiles" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $own := (index .root.Values .process).kafka -}}
{{- $sources := list -}}
{{- if $kafka.strimzi.users -}}
{{- $sources = append $sources (dict "secret" (dict "name" (include "rejoinder.kafkaUser" .) "items" (list (dict "key" "password" "path" "password")))) -}}
{{- else if $kafka.sasl.mechanism -}}
{{- $secret := $own.existingSecret | default $kafka.sasl.existingSecret -}}
{{- $key := ternary ($own.passwordKey | default $kafka.sasl.passwordKey) $kafka.sasl.passwordKey (not (empty $own.existingSecret)) -}}
{{- $sources = append $sources (dict "secret" (dict "name" $secret "items" (list (dict "key" $key "path" "password")))) -}}
{{- end -}}
{{- if $kafka.strimzi.cluster -}}
{{- $ca := $kafka.tls.caSecret | default (printf "%s-cluster-ca-cert" $kafka.strimzi.cluster) -}}
{{- $sources = append $sources (dict "secret" (dict "name" $ca "items" (list (dict "key" $kafka.tls.caKey "path" "ca.crt")))) -}}
{{- else if and $kafka.tls.enabled $kafka.tls.caSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" $kafka.tls.caSecret "items" (list (dict "key" $kafka.tls.caKey "path" "ca.crt")))) -}}
{{- end -}}
{{- with $own.clientSecret | default $kafka.tls.clientSecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" (list (dict "key" "tls.crt" "path" "tls.crt") (dict "key" "tls.key" "path" "tls.key")))) -}}
{{- end -}}
{{- if $sources -}}
- {name: kafka, mountPath: /etc/rejoinder/kafka, source: {projected: {defaultMode: 288, sources: {{ toJson $sources }}}}}
{{- end -}}
{{- end -}}

{{- define "rejoinder.tlsSecret" -}}
{{- if .root.Values.tls.certManager.enabled -}}
{{ include "rejoinder.fullname" .root }}-{{ .process }}-tls
{{- else -}}
{{ .root.Values.tls.existingSecret }}
{{- end -}}
{{- end -}}

{{- define "rejoinder.registryClaim" -}}
{{ .Values.registry.persistence.existingClaim | default (printf "%s-registry" (include "rejoinder.fullname" .)) }}
{{- end -}}
