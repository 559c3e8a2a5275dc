{{- define "thymus.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "thymus.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "thymus.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "thymus.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "thymus.selector" -}}
app.kubernetes.io/name: {{ include "thymus.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of the pods that hold Thymus; empty where nobody said which. */}}
{{- define "thymus.podSelector" -}}
{{- if eq .Values.mode "standalone" }}
{{- include "thymus.selector" . }}
{{- else if .Values.sidecar.podSelector }}
{{- toYaml .Values.sidecar.podSelector }}
{{- end }}
{{- end }}

{{- define "thymus.labels" -}}
{{ include "thymus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "thymus.serviceAccount" -}}
{{- default (ternary (include "thymus.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "thymus.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "thymus.policies" -}}
{{- default (printf "%s-policies" (include "thymus.fullname" .)) .Values.policies.existingConfigMap }}
{{- end }}

{{/* What cannot be told by a schema: values that contradict each other. */}}
{{- define "thymus.check" -}}
{{- if eq .Values.mode "standalone" }}
{{- if not (or .Values.data.tls.secretName .Values.data.token.secretName .Values.data.insecure) }}
{{- fail "mode standalone listens on all interfaces: set data.tls.secretName, data.token.secretName, or data.insecure where the network is guarded otherwise" }}
{{- end }}
{{- if and .Values.extauthz.enabled (not (or .Values.data.tls.secretName .Values.data.insecure)) }}
{{- fail "extauthz knows no token: set data.tls.secretName or data.insecure, or extauthz.enabled to false" }}
{{- end }}
{{- if .Values.extauthz.socket }}
{{- fail "extauthz.socket is for mode sidecar: nobody outside the pod can reach it" }}
{{- end }}
{{- end }}
{{- if and (ne .Values.events.kafka.sasl.mechanism "none") (not .Values.events.kafka.sasl.secretName) }}
{{- fail "events.kafka.sasl.mechanism is set without events.kafka.sasl.secretName" }}
{{- end }}
{{- end }}

{{/* thymus.yaml: what the chart sets, and config over it. */}}
{{- define "thymus.config" -}}
{{- $host := ternary "0.0.0.0" "127.0.0.1" (eq .Values.mode "standalone") }}
{{- $data := dict "listen" (printf "%s:%v" $host .Values.data.port) "drain_delay" (printf "%vs" .Values.drainDelaySeconds) }}
{{- if .Values.data.tls.secretName }}
{{- $tls := dict "cert" "/etc/thymus/tls/tls.crt" "key" "/etc/thymus/tls/tls.key" }}
{{- if .Values.data.tls.clientCA }}{{ $_ := set $tls "client_ca" "/etc/thymus/tls/ca.crt" }}{{ end }}
{{- $_ := set $data "tls" $tls }}
{{- end }}
{{- if .Values.data.token.secretName }}{{ $_ := set $data "token_file" (printf "/etc/thymus/token/%s" .Values.data.token.key) }}{{ end }}
{{- if .Values.data.insecure }}{{ $_ := set $data "insecure" true }}{{ end }}
{{- $events := dict "loss" .Values.events.loss
    "ring" (dict "path" "/run/thymus-ring" "size" .Values.events.ring.size)
    "journal" (dict "retain_size" .Values.events.journal.retainSize) }}
{{- if .Values.events.kafka.brokers }}
{{- $kafka := dict "brokers" .Values.events.kafka.brokers "topic" .Values.events.kafka.topic }}
{{- if .Values.events.kafka.tls }}{{ $_ := set $kafka "tls" (dict "enabled" true) }}{{ end }}
{{- if ne .Values.events.kafka.sasl.mechanism "none" }}
{{- $_ := set $kafka "sasl" (dict "mechanism" .Values.events.kafka.sasl.mechanism "username" .Values.events.kafka.sasl.username
    "password_file" (printf "/etc/thymus/kafka/%s" .Values.events.kafka.sasl.key)) }}
{{- end }}
{{- $_ := set $events "kafka" $kafka }}
{{- end }}
{{- $doc := dict "dir" "/var/lib/thymus/state" "data" $data "events" $events
    "diagnostics" (dict "listen" (printf "0.0.0.0:%v" .Values.diagnostics.port))
    "policies" (dict "paths" (list "/etc/thymus/policies")) }}
{{- if .Values.extauthz.enabled }}
{{- $x := dict }}
{{- if .Values.extauthz.socket }}{{ $_ := set $x "socket" .Values.extauthz.socket }}
{{- else }}{{ $_ := set $x "listen" (printf "%s:%v" $host .Values.extauthz.port) }}{{ end }}
{{- if .Values.extauthz.entrypoint }}{{ $_ := set $x "entrypoint" .Values.extauthz.entrypoint }}{{ end }}
{{- $_ := set $doc "extauthz" $x }}
{{- end }}
{{- if .Values.management.token.secretName }}
{{- $_ := set $doc "management" (dict "token_file" (printf "/etc/thymus/management/%s" .Values.management.token.key)) }}
{{- end }}
{{- toYaml (mergeOverwrite $doc (deepCopy .Values.config)) }}
{{- end }}
