{{/* What must not be installed, in one list, so that a person mends it all at once. */}}
{{- define "rejoinder.check" -}}
{{- $wrong := list -}}
{{- $v := .Values -}}
{{- if not $v.embedded.enabled -}}
{{- if not (or $v.kafka.bootstrap $v.kafka.strimzi.cluster) -}}
{{- $wrong = append $wrong "kafka.bootstrap (or kafka.strimzi.cluster) is not set; `embedded.enabled=true` tries everything in one pod" -}}
{{- end -}}
{{- if not $v.postgresql.url -}}
{{- $wrong = append $wrong "postgresql.url is not set" -}}
{{- end -}}
{{- if not $v.erasure.existingSecret -}}
{{- $wrong = append $wrong "erasure.existingSecret is not set: without a key no user could be forgotten" -}}
{{- end -}}
{{- if not (or $v.auth.open $v.auth.existingSecret) -}}
{{- $wrong = append $wrong "auth.existingSecret is not set (auth.open=true lets everybody on the network call everything)" -}}
{{- end -}}
{{- $jwt := $v.auth.jwt -}}
{{- if or $jwt.settings $jwt.configMap $jwt.cluster -}}
{{- if not (and $jwt.settings.issuer $jwt.settings.audience) -}}
{{- $wrong = append $wrong "auth.jwt needs auth.jwt.settings.issuer and auth.jwt.settings.audience" -}}
{{- end -}}
{{- if ne 1 (list $jwt.settings.jwks $jwt.configMap $jwt.cluster | compact | len) -}}
{{- $wrong = append $wrong "auth.jwt needs one of auth.jwt.settings.jwks, auth.jwt.configMap and auth.jwt.cluster" -}}
{{- end -}}
{{- if $v.auth.open -}}
{{- $wrong = append $wrong "auth.jwt and auth.open: our own processes would show no token" -}}
{{- end -}}
{{- end -}}
{{- if and $v.kafka.sasl.mechanism (not $v.kafka.sasl.existingSecret) (not $v.kafka.strimzi.users) -}}
{{- range $name := splitList "," (include "rejoinder.enabled" .) -}}
{{- $own := (index $v $name).kafka -}}
{{- if and $own (not $own.existingSecret) -}}
{{- $wrong = append $wrong (printf "kafka.sasl.existingSecret is not set, nor %s.kafka.existingSecret" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.kafka.sasl.mechanism (not $v.kafka.strimzi.users) -}}
{{- range $name := splitList "," (include "rejoinder.enabled" .) -}}
{{- $own := (index $v $name).kafka -}}
{{- if and $own (not (or $own.user $v.kafka.sasl.user)) -}}
{{- $wrong = append $wrong (printf "kafka.sasl.user is not set, nor %s.kafka.user" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.kafka.strimzi.users (not $v.kafka.strimzi.cluster) -}}
{{- $wrong = append $wrong "kafka.strimzi.users needs kafka.strimzi.cluster" -}}
{{- end -}}
{{- if and $v.tls.enabled (not $v.tls.certManager.enabled) (not $v.tls.existingSecret) -}}
{{- $wrong = append $wrong "tls.enabled needs tls.existingSecret or tls.certManager.enabled" -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) -}}
{{- $wrong = append $wrong "tls.certManager.issuerRef.name is not set" -}}
{{- end -}}
{{- if and $v.policy.enabled $v.policy.autoscaling.enabled $v.rollouts.enabled -}}
{{- $wrong = append $wrong "policy.autoscaling and rollouts.enabled: the engine must know every replica" -}}
{{- end -}}
{{- if and $v.rollouts.enabled $v.operator.enabled -}}
{{- $wrong = append $wrong "rollouts.enabled and operator.enabled: one of them decides who is served what" -}}
{{- end -}}
{{- if and $v.rollouts.enabled (not $v.policy.enabled) -}}
{{- $wrong = append $wrong "rollouts.enabled needs policy.enabled: an engine without replicas rolls nothing out" -}}
{{- end -}}
{{- if and $v.rollouts.enabled $v.policy.enabled (eq (int $v.policy.replicas) 0) -}}
{{- $wrong = append $wrong "policy.replicas is 0: rollouts.enabled needs a replica to ask" -}}
{{- end -}}
{{- if and $v.integrations.argo.enabled (not (and $v.operator.enabled $v.operator.verdicts.enabled)) -}}
{{- $wrong = append $wrong "integrations.argo.enabled needs operator.enabled and operator.verdicts.enabled" -}}
{{- end -}}
{{- if and $v.integrations.flagger.enabled (not (and $v.operator.enabled $v.integrations.flagger.prometheus)) -}}
{{- $wrong = append $wrong "integrations.flagger.enabled needs operator.enabled and integrations.flagger.prometheus" -}}
{{- end -}}
{{- if and $v.operator.enabled (not $v.policy.enabled) -}}
{{- $wrong = append $wrong "operator.enabled needs policy.enabled" -}}
{{- end -}}
{{- if and $v.gateway.enabled (not $v.policy.enabled) (not (dig "upstream" "kind" "" $v.gateway.settings)) -}}
{{- $wrong = append $wrong "gateway.enabled needs policy.enabled or gateway.settings.upstream" -}}
{{- end -}}
{{- if and $v.observe.enabled (not $v.observe.settings.topics) (or $v.observe.keda.enabled (not $v.observe.http.enabled)) -}}
{{- $wrong = append $wrong "observe.settings.topics is empty" -}}
{{- end -}}
{{- if and $v.signals.keda.enabled (not $v.signals.keda.consumerGroup) -}}
{{- $wrong = append $wrong "signals.keda.consumerGroup is not set" -}}
{{- end -}}
{{- if gt ($v.ledger.replicas | int) 1 -}}
{{- $wrong = append $wrong "ledger.replicas is more than 1: one process owns the tables" -}}
{{- end -}}
{{- range $name := list "policy" "rerank" "gateway" -}}
{{- $spool := (index $v $name).spool -}}
{{- if gt (mulf 2 ($spool.maxBytes | float64)) (include "rejoinder.bytes" $spool.size | float64) -}}
{{- $wrong = append $wrong (printf "%s.spool.maxBytes is more than half of %s.spool.size" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n- %s\n" (join "\n- " $wrong)) -}}
{{- end -}}
{{- end -}}

{{/* A quantity such as 1Gi in bytes. */}}
{{- define "rejoinder.bytes" -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "" 1 -}}
{{- $number := regexFind "^[0-9.]+" (toString .) -}}
{{- mulf ($number | float64) (index $units (trimPrefix $number (toString .)) | float64) -}}
{{- end -}}
