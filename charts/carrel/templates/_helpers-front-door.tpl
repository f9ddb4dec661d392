{{/* Origin of a place of the front door, as browsers write it. Takes (dict "root" $ "label" "hub"); an empty label is the portal. */}}
{{- define "carrel.origin" -}}
{{- $door := .root.Values.frontDoor -}}
https://{{ with .label }}{{ . }}.{{ end }}{{ $door.host }}{{ if ne (int $door.port) 443 }}:{{ int $door.port }}{{ end }}
{{- end -}}

{{/* The one issuer of people. */}}
{{- define "carrel.oidc.issuer" -}}
{{- if eq .Values.identity.service "Demo" -}}
{{ include "carrel.origin" (dict "root" . "label" "id") }}/realms/carrel
{{- else -}}
{{ .Values.frontDoor.oidc.issuer }}
{{- end -}}
{{- end -}}

{{/* Its discovery document, at an address that pods reach. */}}
{{- define "carrel.oidc.discovery" -}}
{{- if eq .Values.identity.service "Demo" -}}
https://{{ include "carrel.name.identity" . }}.{{ .Release.Namespace }}.svc:8443/realms/carrel/.well-known/openid-configuration
{{- else -}}
{{ .Values.frontDoor.oidc.discoveryUrl | default (printf "%s/.well-known/openid-configuration" (trimSuffix "/" .Values.frontDoor.oidc.issuer)) }}
{{- end -}}
{{- end -}}

{{/* Volume with the authorities of the provider's certificate as ca.crt. */}}
{{- define "carrel.oidc.authorities" -}}
{{- if eq .Values.identity.service "Demo" -}}
{{- include "carrel.authority-volume" . -}}
{{- else -}}
configMap:
  name: {{ .Values.hub.oidc.authorities }}
{{- end -}}
{{- end -}}

{{/* Rules of a NetworkPolicy by which a process reaches the identity provider. */}}
{{- define "carrel.oidc.egress" -}}
{{- if eq .Values.identity.service "Demo" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "carrel.selector" (dict "root" . "component" "identity") | nindent 10 }}
  ports:
    - {protocol: TCP, port: 8443}
{{- else -}}
- to:
    {{- range .Values.frontDoor.oidc.reach.cidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  ports:
    - {protocol: TCP, port: {{ int .Values.frontDoor.oidc.reach.port }}}
{{- end }}
# Its address is asked of the cluster's DNS.
{{ include "carrel.egress.dns" . }}
{{- end -}}

{{/* Whether the Hub runs: not empty where it does. */}}
{{- define "carrel.hub" -}}
{{- if and .Values.frontDoor.host (eq .Values.frontDoor.hub "Offered") -}}yes{{- end -}}
{{- end -}}
