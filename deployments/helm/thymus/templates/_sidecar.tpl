{{/*
Thymus in a pod of another chart. That chart names this one as a dependency with mode: sidecar, and writes

  spec:
    enableServiceLinks: false
    securityContext: {fsGroup: 65532}
    initContainers:
      {{- include "thymus.sidecar" .Subcharts.thymus | nindent 6 }}
    volumes:
      {{- include "thymus.volumes" .Subcharts.thymus | nindent 6 }}

The proxy mounts the volume thymus-run at /run/thymus where extauthz.socket lies there, and runs with the group 65532.
*/}}
{{- define "thymus.sidecar" -}}
- restartPolicy: Always
  {{- include "thymus.container" . | nindent 2 }}
{{- end }}

{{- define "thymus.container" -}}
name: thymus
image: {{ include "thymus.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["serve", "--config", "/etc/thymus/thymus.yaml"]
env:
  - name: THYMUS_INSTANCE
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - {name: GOMEMLIMIT, value: {{ .Values.goMemLimit | quote }}}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: diagnostics, containerPort: {{ .Values.diagnostics.port }}}
  {{- if eq .Values.mode "standalone" }}
  - {name: data, containerPort: {{ .Values.data.port }}}
  {{- if .Values.extauthz.enabled }}
  - {name: grpc, containerPort: {{ .Values.extauthz.port }}}
  {{- end }}
  {{- end }}
startupProbe:
  httpGet: {path: /readyz, port: diagnostics}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: diagnostics}
  periodSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz, port: diagnostics}
  periodSeconds: 10
  failureThreshold: 3
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: thymus-config, mountPath: /etc/thymus/thymus.yaml, subPath: thymus.yaml, readOnly: true}
  - {name: thymus-policies, mountPath: /etc/thymus/policies, readOnly: true}
  - {name: thymus-state, mountPath: /var/lib/thymus}
  - {name: thymus-ring, mountPath: /run/thymus-ring}
  - {name: thymus-run, mountPath: /run/thymus}
  {{- if .Values.data.tls.secretName }}
  - {name: thymus-tls, mountPath: /etc/thymus/tls, readOnly: true}
  {{- end }}
  {{- if .Values.data.token.secretName }}
  - {name: thymus-token, mountPath: /etc/thymus/token, readOnly: true}
  {{- end }}
  {{- if .Values.management.token.secretName }}
  - {name: thymus-management, mountPath: /etc/thymus/management, readOnly: true}
  {{- end }}
  {{- if .Values.events.kafka.sasl.secretName }}
  - {name: thymus-kafka, mountPath: /etc/thymus/kafka, readOnly: true}
  {{- end }}
{{- end }}

{{- define "thymus.volumes" -}}
- name: thymus-config
  configMap: {name: {{ include "thymus.fullname" . }}}
- name: thymus-policies
  configMap: {name: {{ include "thymus.policies" . }}}
- name: thymus-ring
  emptyDir: {medium: Memory, sizeLimit: {{ .Values.events.ring.volumeSize }}}
- name: thymus-run
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- if not (and (eq .Values.mode "standalone") .Values.state.persistence.enabled) }}
- name: thymus-state
  emptyDir: {sizeLimit: {{ .Values.state.sizeLimit }}}
{{- end }}
{{- with .Values.data.tls.secretName }}
- name: thymus-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.data.token.secretName }}
- name: thymus-token
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.management.token.secretName }}
- name: thymus-management
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.events.kafka.sasl.secretName }}
- name: thymus-kafka
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
