{{/* Names, labels and images. Every label is quoted: a release called y, or 1e3, must stay text. */}}

{{- define "rejoinder.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that every name made of it fits 63 with its suffix and a StatefulSet's ordinal. */}}
{{- define "rejoinder.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "rejoinder.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rejoinder.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "process" name) -> the labels that select a process's pods; they never change. */}}
{{- define "rejoinder.selector" -}}
app.kubernetes.io/name: {{ include "rejoinder.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .process | quote }}
{{- end -}}

{{- define "rejoinder.labels" -}}
{{ include "rejoinder.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
app.kubernetes.io/part-of: "rejoinder"
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | quote }}
{{- range $key, $value := .root.Values.commonLabels }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "process" name) -> labels of its pods. Without the chart's version: a new chart alone restarts nothing. */}}
{{- define "rejoinder.podLabels" -}}
{{- $extra := (index .root.Values .process | default dict).extra | default dict -}}
{{ include "rejoinder.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: "rejoinder"
{{- range $key, $value := merge (dict) ($extra.podLabels | default dict) .root.Values.pods.labels .root.Values.commonLabels }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "process" name "made" map) -> annotations of its pods, those that the chart makes first. */}}
{{- define "rejoinder.podAnnotations" -}}
{{- $extra := (index .root.Values .process | default dict).extra | default dict -}}
{{- with merge (dict) (.made | default dict) ($extra.podAnnotations | default dict) .root.Values.pods.annotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "process" name "suffix" "-x") -> name, namespace and labels of an object of a process */}}
{{- define "rejoinder.metadata" -}}
name: {{ include "rejoinder.fullname" .root }}-{{ .process }}{{ .suffix | default "" }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "rejoinder.labels" . | nindent 2 }}
{{- end -}}

{{/* (dict "root" $ "process" name "image" map) */}}
{{- define "rejoinder.image" -}}
{{- $global := .root.Values.image -}}
{{- $repository := .image.repository | default (printf "%s/%s" $global.repository .process) -}}
{{- with $global.registry }}{{ $repository = printf "%s/%s" . $repository }}{{ end -}}
{{- if .image.digest -}}
{{ $repository }}@{{ .image.digest }}
{{- else -}}
{{ $repository }}:{{ .image.tag | default $global.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* (dict "root" $ "process" name) -> address for our own clients: every pod of a headless Service, spread by gRPC. */}}
{{- define "rejoinder.target" -}}
{{- $port := (index (include "rejoinder.processes" .root | fromYaml) .process).port -}}
dns:///{{ include "rejoinder.host" . }}:{{ $port }}
{{- end -}}

{{- define "rejoinder.host" -}}
{{ include "rejoinder.fullname" .root }}-{{ .process }}-headless.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end -}}
