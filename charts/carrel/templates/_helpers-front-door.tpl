{{/* Origin of a place of the front door, as browsers write it. Takes (dict "root" $ "label" "hub"); an empty label is the portal. */}}
{{- define "carrel.origin" -}}
{{- $door := .root.Values.frontDoor -}}
https://{{ with .label }}{{ . }}.{{ end }}{{ $door.host }}{{ if ne (int $door.port) 443 }}:{{ int $door.port }}{{ end }}
{{- end -}}
