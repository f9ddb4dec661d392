{{/* What each JVM of the identity provider is told. The heap is about half of the memory limit's default. */}}
{{- define "carrel.environment.java" -}}
- name: JAVA_OPTS_APPEND
  value: -XX:TieredStopAtLevel=1 -Xmx448m
- name: HOME
  value: /tmp
{{- end -}}

{{/* Volume with the authority of the platform's services as ca.crt: published by the trust hook, or by cert-manager beside the certificate. */}}
{{- define "carrel.authority-volume" -}}
{{- if eq .Values.trust.certManager "Use" -}}
secret:
  secretName: {{ include "carrel.name.identity-tls" . }}
  items: [{key: ca.crt, path: ca.crt}]
  defaultMode: 0440
{{- else -}}
configMap:
  name: {{ include "carrel.name.ca" . }}
{{- end -}}
{{- end -}}
