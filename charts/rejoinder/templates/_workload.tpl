{{/* (dict "root" $ "process" name) -> the Deployment or StatefulSet of a process. */}}
{{- define "rejoinder.workload" -}}
{{- $root := .root -}}
{{- $process := .process -}}
{{- $row := index (include "rejoinder.processes" $root | fromYaml) $process -}}
{{- $values := index $root.Values $process -}}
{{- $extra := $values.extra | default dict -}}
{{- $files := include "rejoinder.files" . | fromYamlArray -}}
{{- $claim := include "rejoinder.claim" . | fromYaml -}}
{{- $image := include "rejoinder.image" (dict "root" $root "process" $process "image" $values.image) -}}
apiVersion: apps/v1
kind: {{ $row.kind }}
metadata:
  name: {{ include "rejoinder.fullname" $root }}-{{ $process }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "rejoinder.labels" . | nindent 4 }}
  {{- with $extra.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if ne (include "rejoinder.scaled" .) "true" }}
  replicas: {{ eq $process "rollouts" | ternary 1 ($values.replicas | int) }}
  {{- end }}
  revisionHistoryLimit: {{ $root.Values.pods.revisionHistoryLimit | int }}
  minReadySeconds: {{ has $process (list "ledger" "rollouts" "signals" "observe" "operator") | ternary 0 ($root.Values.pods.minReadySeconds | int) }}
  {{- if eq $row.kind "StatefulSet" }}
  serviceName: {{ include "rejoinder.fullname" $root }}-{{ $process }}-headless
  podManagementPolicy: Parallel
  updateStrategy: {type: RollingUpdate}
  {{- if $claim }}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  {{- end }}
  {{- else }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  {{- end }}
  selector:
    matchLabels:
      {{- include "rejoinder.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "rejoinder.podLabels" . | nindent 8 }}
      {{- $made := dict "checksum/settings" (include "rejoinder.settings" . | sha256sum) }}
      {{- include "rejoinder.podAnnotations" (merge (dict "made" $made) .) | nindent 6 }}
    spec:
      serviceAccountName: {{ include "rejoinder.fullname" $root }}-{{ $process }}
      automountServiceAccountToken: {{ eq $process "operator" }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ include "rejoinder.termination" . }}
      securityContext:
        {{- include "rejoinder.podSecurity" . | nindent 8 }}
      {{- include "rejoinder.placement" . | trim | nindent 6 }}
      {{- if and (eq $process "policy") $values.bootstrap.enabled }}
      initContainers:
        - name: bootstrap
          image: {{ $image | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [python3, -m, rejoinder.registry.bootstrap]
          args:
            - --registry={{ include "rejoinder.registry" $root }}
            - --artefacts=/registry/artefacts
            - --policy={{ $values.name }}
            - --folder={{ $values.bootstrap.folder }}
            - --version={{ $values.bootstrap.version }}
          env:
            - {name: OMP_WAIT_POLICY, value: passive}
            {{- if $root.Values.registry.existingSecret }}
            - {name: FSSPEC_CONFIG_DIR, value: /etc/rejoinder/fsspec}
            {{- end }}
            {{- with $extra.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          securityContext:
            {{- include "rejoinder.containerSecurity" . | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- range $files }}
            {{- if has .name (list "tmp" "registry" "fsspec") }}
            - {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: {{ not .write }}}
            {{- end }}
            {{- end }}
            {{- with $extra.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      {{- end }}
      containers:
        - name: {{ $process }}
          image: {{ $image | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [--settings, /etc/rejoinder/settings/settings.yaml]
          env:
            - {name: OMP_WAIT_POLICY, value: passive}
            {{- if eq $process "observe" }}
            - name: REJOINDER_OBSERVE__READ__MEMBER
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            {{- end }}
            {{- if and (has $process (list "policy" "rollouts" "operator" "console")) $root.Values.registry.existingSecret }}
            - {name: FSSPEC_CONFIG_DIR, value: /etc/rejoinder/fsspec}
            {{- end }}
            {{- with $extra.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: {{ $row.port }}}
            - {name: metrics, containerPort: {{ include "rejoinder.metricsPort" . }}}
            {{- with $row.http }}
            - {name: http, containerPort: {{ . }}}
            {{- end }}
            {{- if and (eq $process "operator") $values.verdicts.enabled }}
            - {name: verdicts, containerPort: {{ include "rejoinder.verdictsPort" $root }}}
            {{- end }}
          {{- include "rejoinder.probes" . | trim | nindent 10 }}
          {{- include "rejoinder.lifecycle" $root | nindent 10 }}
          securityContext:
            {{- include "rejoinder.containerSecurity" . | nindent 12 }}
          resources:
            {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            {{- range $files }}
            - {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: {{ not .write }}}
            {{- end }}
            {{- if $claim }}
            - {name: data, mountPath: /var/lib/rejoinder}
            {{- end }}
            {{- with $extra.volumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        {{- range $files }}
        - name: {{ .name }}
          {{- toYaml .source | nindent 10 }}
        {{- end }}
        {{- with $extra.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  {{- if $claim }}
  volumeClaimTemplates:
    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: data
        labels:
          {{- include "rejoinder.selector" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $claim.storageClass }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources: {requests: {storage: {{ $claim.size | quote }}}}
  {{- end }}
{{- end -}}

{{/* (dict "root" $ "process" name) -> {size, storageClass} of a pod's own claim, or nothing. */}}
{{- define "rejoinder.claim" -}}
{{- $values := index .root.Values .process -}}
{{- if has .process (list "ledger" "console") -}}
{{- if $values.persistence.enabled }}{{ toYaml $values.persistence }}{{ end -}}
{{- else if eq .process "rollouts" -}}
{{ toYaml $values.persistence }}
{{- else if has .process (list "policy" "rerank") -}}
{{- if $values.spool.persistent }}{{ toYaml $values.spool }}{{ end -}}
{{- end -}}
{{- end -}}
