{{/* Every name of the release, once. Kubernetes and the platform's code both know them. */}}
{{- define "carrel.name.namespace" -}}carrel-system{{- end -}}
{{- define "carrel.name.operator" -}}carrel-operator{{- end -}}
{{- define "carrel.name.revoker" -}}carrel-revoker{{- end -}}
{{- define "carrel.name.ingest" -}}carrel-ingest{{- end -}}
{{- define "carrel.name.mirror" -}}carrel-mirror{{- end -}}
{{- define "carrel.name.mirror-tls" -}}carrel-mirror-tls{{- end -}}
{{- define "carrel.name.gateway" -}}carrel-gateway{{- end -}}
{{- define "carrel.name.gateway-tls" -}}carrel-gateway-tls{{- end -}}
{{- define "carrel.name.front-door" -}}carrel-front-door{{- end -}}
{{- define "carrel.name.front-door-tls" -}}carrel-front-door-tls{{- end -}}
{{- define "carrel.name.hub" -}}carrel-hub{{- end -}}
{{- define "carrel.name.hub-tls" -}}carrel-hub-tls{{- end -}}
{{- define "carrel.name.identity" -}}carrel-identity{{- end -}}
{{- define "carrel.name.identity-tls" -}}carrel-identity-tls{{- end -}}
{{- define "carrel.name.identity-clients" -}}carrel-identity-clients{{- end -}}
{{- define "carrel.name.identity-people" -}}carrel-identity-people{{- end -}}
{{- define "carrel.name.identity-realm" -}}carrel-identity-realm{{- end -}}
{{- define "carrel.name.node" -}}carrel-node{{- end -}}
{{- define "carrel.name.apiaudit" -}}carrel-apiaudit{{- end -}}
{{- define "carrel.name.ledger" -}}carrel-ledger{{- end -}}
{{- define "carrel.name.ledger-tls" -}}carrel-ledger-tls{{- end -}}
{{- define "carrel.name.ledger-signing" -}}carrel-ledger-signing{{- end -}}
{{- define "carrel.name.ledger-public-key" -}}carrel-ledger-public-key{{- end -}}
{{- define "carrel.name.trust" -}}carrel-trust{{- end -}}
{{- define "carrel.name.trust-setup" -}}carrel-trust-setup{{- end -}}
{{- define "carrel.name.retirement" -}}carrel-retirement{{- end -}}
{{- define "carrel.name.staging" -}}carrel-staging{{- end -}}
{{- define "carrel.name.ca" -}}carrel-ca{{- end -}}
{{- define "carrel.name.ingest-tls" -}}carrel-ingest-tls{{- end -}}
{{- define "carrel.name.ingest-signing" -}}carrel-ingest-signing{{- end -}}
{{- define "carrel.name.ingest-public-key" -}}carrel-ingest-public-key{{- end -}}
{{- define "carrel.name.priority.platform" -}}carrel-platform{{- end -}}
{{- define "carrel.name.priority.workspace" -}}carrel-workspace{{- end -}}
{{- define "carrel.name.egress-policy" -}}nothing{{- end -}}

{{/* Name of a human role: takes the key of roleBindings, such as grantAdmin. */}}
{{- define "carrel.name.role" -}}carrel-{{ kebabcase . }}{{- end -}}

{{/* A menu entry never changes, so its name follows its content. */}}
{{- define "carrel.name.workspace-class" -}}
small-{{ include "carrel.workspace-class.spec" . | sha256sum | trunc 8 }}
{{- end -}}
