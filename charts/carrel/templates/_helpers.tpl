{{/* Labels of everything that the chart makes. Takes (dict "root" $ "component" "operator"). */}}
{{- define "carrel.labels" -}}
app.kubernetes.io/name: carrel
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{/* Labels by which pods of a component are found; never change them in a release's life. */}}
{{- define "carrel.selector" -}}
app.kubernetes.io/name: carrel
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "carrel.pull-secrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A platform pod that needs no privilege: Pod Security `restricted`. */}}
{{- define "carrel.pod-security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "carrel.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What every process is told. Takes (dict "root" $ "ledger" "/ledger"). */}}
{{- define "carrel.environment" -}}
- name: CARREL_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: CARREL_LEDGER_DIR
  value: {{ .ledger }}
{{- end -}}

{{/* The operator's view of the site. */}}
{{- define "carrel.environment.site" -}}
- name: CARREL_PLATFORM_IMAGE
  value: {{ .Values.images.platform.ref | quote }}
- name: CARREL_USER_PREFIX
  value: {{ .Values.users.prefix | quote }}
- name: CARREL_NETWORK_POLICY
  value: {{ .Values.network.policyEnforcement }}
- name: CARREL_HOMES
  value: {{ .Values.homes.backing }}
{{- with .Values.homes.storageClass }}
- name: CARREL_HOME_STORAGE_CLASS
  value: {{ . | quote }}
{{- end }}
- name: CARREL_STORE_ROOT
  value: {{ .Values.node.storeRoot }}
- name: CARREL_USER_NAMESPACES
  value: {{ .Values.workspaces.userNamespaces | quote }}
- name: CARREL_WORKSPACE_NODE_SELECTOR
  value: {{ .Values.node.selector | toJson | quote }}
- name: CARREL_WORKSPACE_TOLERATIONS
  value: {{ .Values.workspaces.tolerations | toJson | quote }}
- name: CARREL_PRIORITY_CLASS
  value: {{ include "carrel.name.priority.workspace" . }}
{{- if .Values.frontDoor.host }}
- name: CARREL_FRONT_DOOR_GATEWAY
  value: {{ include "carrel.name.gateway" . }}.{{ .Release.Namespace }}.svc
{{- end }}
{{- end -}}

{{/* Probes of a process that serves /healthz. Takes the name of the port. */}}
{{- define "carrel.probes" -}}
startupProbe:
  # Time to begin on a node that starts everything at once: a restart would only begin the slow part anew.
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 120
readinessProbe:
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 2
livenessProbe:
  # A dead watch shows here; a busy process must not be killed for being busy.
  httpGet: {path: /healthz, port: {{ . }}}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
{{- end -}}

{{/* The ledger outlives the release: claims of a StatefulSet stay when it goes. */}}
{{- define "carrel.ledger-claim" -}}
metadata:
  name: ledger
spec:
  accessModes: [ReadWriteOnce]
  {{- with .Values.persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.persistence.ledgerSize }}
{{- end -}}

{{/* Specification of the WorkspaceClass that the chart offers; its name is made from this text. */}}
{{- define "carrel.workspace-class.spec" -}}
{{- $class := .Values.defaults.workspaceClass -}}
title: {{ $class.title | quote }}
image: {{ .Values.images.workspace.ref | quote }}
cpuMillis: {{ int64 $class.cpuMillis }}
memoryMiB: {{ int64 $class.memoryMiB }}
scratchMiB: {{ int64 $class.scratchMiB }}
sharedMemoryMiB: {{ int64 $class.sharedMemoryMiB }}
homeMiB: {{ int64 $class.homeMiB }}
{{- end -}}

{{/* Subjects of a role binding. Takes an entry of roleBindings. */}}
{{- define "carrel.subjects" -}}
{{- range .users }}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: {{ . | quote }}}
{{- end }}
{{- range .groups }}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* What a container of the node agent is told. Takes (dict "root" $ "port" 8080). */}}
{{- define "carrel.environment.node" -}}
{{- $node := .root.Values.node -}}
{{- include "carrel.environment" (dict "root" .root "ledger" (printf "%s/ledger" $node.storeRoot)) }}
- name: CARREL_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: CARREL_NODE_ADDRESSES
  valueFrom: {fieldRef: {fieldPath: status.hostIPs}}
- name: CARREL_STORE_ROOT
  value: {{ $node.storeRoot }}
- name: CARREL_KUBELET_ROOT
  value: {{ $node.kubeletRoot }}
- name: CARREL_HOMES
  value: {{ .root.Values.homes.backing }}
- name: CARREL_KEYS_DIR
  value: {{ $node.storeRoot }}/keys
- name: CARREL_RECORDER_USER
  value: "64531"
- name: CARREL_METRICS_PORT
  value: {{ .port | quote }}
{{- end -}}

{{/* Tolerations of a list of taints. */}}
{{- define "carrel.tolerations" -}}
{{- range . }}
- {key: {{ .key | quote }}, operator: Equal, value: {{ .value | quote }}, effect: {{ .effect }}}
{{- end }}
{{- end -}}

{{/* Rule of a NetworkPolicy by which names are asked of the cluster; write above it why. */}}
{{- define "carrel.egress.dns" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}
