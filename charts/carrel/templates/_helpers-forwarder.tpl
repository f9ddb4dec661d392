{{/* Sends a pod's chains to the central log; reads them and nothing else. Takes (dict "root" $ "volume" "ledger" "directory" "/ledger" "image" ref "port" 8086), with "chain" where the volume holds more than chains. */}}
{{- define "carrel.forwarder" -}}
{{- if eq .root.Values.ledger.service "Offered" }}
- name: forwarder
  image: {{ .image | quote }}
  command: [python, -m, carrel.forwarder]
  env:
    - name: CARREL_LEDGER_DIR
      value: {{ .directory }}
    - name: CARREL_LEDGER_ADDRESS
      value: {{ include "carrel.ledger.address" .root }}
    - name: CARREL_LEDGER_TOKEN
      value: /run/ledger/token
    - name: CARREL_LEDGER_AUTHORITY
      value: /run/ledger/ca.crt
    - name: CARREL_METRICS_PORT
      value: {{ .port | quote }}
  ports:
    - {name: fwd-metrics, containerPort: {{ .port }}}
  {{- include "carrel.probes" "fwd-metrics" | nindent 2 }}
  resources:
    {{- toYaml .root.Values.ledger.forwarder.resources | nindent 4 }}
  securityContext:
    {{- .security | default (include "carrel.container-security" .root) | nindent 4 }}
  volumeMounts:
    - {name: {{ .volume }}, mountPath: {{ .directory }}{{ with .chain }}/{{ . }}{{ end }}, readOnly: true{{ with .subPath | default .chain }}, subPath: {{ . }}{{ end }}}
    - {name: ledger-door, mountPath: /run/ledger, readOnly: true}
    {{- if .tokenless }}
    # In the place of the pod's token: the one for the log is all that it needs.
    - {name: nothing, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
    {{- end }}
    - {name: tmp, mountPath: /tmp}
{{- end }}
{{- end -}}

{{/* Token for the log alone, and the authority of its certificate. */}}
{{- define "carrel.forwarder-volume" -}}
{{- if eq .Values.ledger.service "Offered" }}
- name: ledger-door
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken: {audience: carrel-ledger, expirationSeconds: 3600, path: token}
      {{- if eq .Values.trust.certManager "Use" }}
      - secret:
          name: {{ include "carrel.name.ledger-tls" . }}
          items: [{key: ca.crt, path: ca.crt}]
      {{- else }}
      - configMap:
          name: {{ include "carrel.name.ca" . }}
          items: [{key: ca.crt, path: ca.crt}]
      {{- end }}
{{- end }}
{{- end -}}

{{/* Address of the log; its name is the one in its certificate. */}}
{{- define "carrel.ledger.address" -}}
https://{{ include "carrel.name.ledger" . }}.{{ .Release.Namespace }}.svc:8443
{{- end -}}

{{/* Root without any power but to read the files of others. */}}
{{- define "carrel.reading-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL], add: [DAC_READ_SEARCH]}
{{- end -}}
