{{/* Where people log in: the demo's provider where it runs, else what frontDoor.oidc says. */}}
{{- define "carrel.environment.oidc" -}}
{{- $oidc := .Values.frontDoor.oidc -}}
{{- $issuer := $oidc.issuer -}}
{{- $discovery := $oidc.discoveryUrl | default (printf "%s/.well-known/openid-configuration" $oidc.issuer) -}}
{{- $client := $oidc.clientId -}}
{{- if eq .Values.identity.service "Demo" -}}
  {{- $issuer = printf "%s/realms/carrel" (include "carrel.origin" (dict "root" . "label" "id")) -}}
  {{- $discovery = printf "https://%s.%s.svc:8443/realms/carrel/.well-known/openid-configuration" (include "carrel.name.identity" .) .Release.Namespace -}}
  {{- $client = "carrel-gateway" -}}
{{- end -}}
- name: CARREL_OIDC_ISSUER
  value: {{ $issuer | quote }}
- name: CARREL_OIDC_DISCOVERY_URL
  value: {{ $discovery | quote }}
- name: CARREL_OIDC_CLIENT
  value: {{ $client | quote }}
- name: CARREL_OIDC_SECRET
  value: /oidc/gateway
{{- if eq .Values.identity.service "Demo" }}
- name: CARREL_OIDC_AUTHORITY
  value: /own/ca.crt
- name: CARREL_IDENTITY_ADDRESS
  value: https://{{ include "carrel.name.identity" . }}.{{ .Release.Namespace }}.svc:8443
{{- end }}
- name: CARREL_OIDC_ACR
  value: {{ $oidc.acr | toJson | quote }}
- name: CARREL_OIDC_AMR
  value: {{ $oidc.amr | toJson | quote }}
{{- end -}}
