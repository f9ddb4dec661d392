{{/* Hook annotations of what makes trust. Takes the weight. */}}
{{- define "carrel.hook.trust" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* What may be looked at and renewed. A signing key may not be changed by anybody. */}}
{{- define "carrel.trust.renewal-rules" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    - {{ include "carrel.name.ca" . }}
    - {{ include "carrel.name.ingest-tls" . }}
    - {{ include "carrel.name.mirror-tls" . }}
    - {{ include "carrel.name.ledger-tls" . }}
    - {{ include "carrel.name.gateway-tls" . }}
    - {{ include "carrel.name.front-door-tls" . }}
    - {{ include "carrel.name.hub-tls" . }}
    - {{ include "carrel.name.identity-tls" . }}
    - {{ include "carrel.name.identity-clients" . }}
    - {{ include "carrel.name.identity-people" . }}
    - {{ include "carrel.name.identity-realm" . }}
  verbs: [get, patch]
- apiGroups: [""]
  resources: [secrets]
  resourceNames:
    - {{ include "carrel.name.ingest-signing" . }}
    - {{ include "carrel.name.ledger-signing" . }}
  verbs: [get]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "carrel.name.ca" . }}]
  verbs: [get, patch]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames:
    - {{ include "carrel.name.ingest-public-key" . }}
    - {{ include "carrel.name.ledger-public-key" . }}
  verbs: [get]
{{- end -}}

{{/* Pod that makes and renews. Takes (dict "root" $ "account" name). */}}
{{- define "carrel.trust.pod" -}}
metadata:
  labels:
    {{- include "carrel.labels" (dict "root" .root "component" "trust") | nindent 4 }}
spec:
  serviceAccountName: {{ .account }}
  automountServiceAccountToken: true
  enableServiceLinks: false
  restartPolicy: Never
  {{- include "carrel.pull-secrets" .root | nindent 2 }}
  securityContext:
    {{- include "carrel.pod-security" .root | nindent 4 }}
  containers:
    - name: trust
      image: {{ .root.Values.images.platform.ref | quote }}
      command: [python, -m, carrel.cli, trust, ensure]
      args:
        - --namespace={{ .root.Release.Namespace }}
        {{- if eq .root.Values.mirror.service "Offered" }}
        - --service={{ include "carrel.name.mirror" .root }}
        {{- end }}
        {{- if eq .root.Values.ledger.service "Offered" }}
        - --service={{ include "carrel.name.ledger" .root }}
        {{- end }}
        {{- if .root.Values.frontDoor.host }}
        - --service={{ include "carrel.name.gateway" .root }}
        {{- if not .root.Values.frontDoor.certificateSecretName }}
        - --front-door={{ .root.Values.frontDoor.host }}
        {{- end }}
        {{- end }}
        {{- if include "carrel.hub" .root }}
        - --service={{ include "carrel.name.hub" .root }}
        {{- end }}
        {{- if eq .root.Values.identity.service "Demo" }}
        - --service={{ include "carrel.name.identity" .root }}
        - --realm-of
        - {{ include "carrel.origin" (dict "root" .root "label" "") }}
        - {{ include "carrel.origin" (dict "root" .root "label" "hub") }}
        - https://{{ include "carrel.name.gateway" .root }}.{{ .root.Release.Namespace }}.svc:8443
        {{- range .root.Values.identity.people }}
        - --person={{ .username }}={{ .subject }}
        {{- end }}
        {{- range .root.Values.identity.overseers }}
        - --overseer={{ .username }}={{ .subject }}
        {{- end }}
        {{- end }}
        - --certificates={{ ternary "CertManager" "Made" (eq .root.Values.trust.certManager "Use") }}
      resources:
        requests: {cpu: 50m, memory: 96Mi}
        limits: {memory: 256Mi}
      securityContext:
        {{- include "carrel.container-security" .root | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 16Mi}
{{- end -}}

{{/* Hook annotations of what retires the platform. Takes the weight. */}}
{{- define "carrel.hook.retirement" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
