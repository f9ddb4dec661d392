{{/* The spec of a canary's Job. Takes (dict "root" $ "arm" "canary" or "canary-control"). */}}
{{- define "carrel.canary.job" -}}
backoffLimit: 0
activeDeadlineSeconds: 240
{{- if eq .arm "canary" }}
podFailurePolicy:
  # 3 is the one end that says "it got through"; every other failure says nothing.
  rules: [{action: FailJob, onExitCodes: {operator: In, values: [3]}}]
{{- end }}
template:
  metadata:
    labels:
      {{- include "carrel.labels" (dict "root" .root "component" .arm) | nindent 6 }}
  spec:
    serviceAccountName: carrel-canary
    automountServiceAccountToken: false
    # The address of the door: these pods look no name up.
    enableServiceLinks: true
    restartPolicy: Never
    {{- include "carrel.pull-secrets" .root | nindent 4 }}
    {{- with .root.Values.node.selector }}
    # Where workspaces run.
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .root.Values.node.tolerations }}
    tolerations:
      {{- include "carrel.tolerations" . | nindent 6 }}
    {{- end }}
    securityContext:
      {{- include "carrel.pod-security" .root | nindent 6 }}
    containers:
      - name: canary
        image: {{ .root.Values.images.platform.ref | quote }}
        command: [python, -m, carrel.node.policy_canary]
        args: [{{ ternary "denied" "control" (eq .arm "canary") }}, $(CARREL_INGEST_SERVICE_HOST), "8443"]
        resources:
          requests: {cpu: 10m, memory: 32Mi}
          limits: {memory: 64Mi}
        securityContext:
          {{- include "carrel.container-security" .root | nindent 10 }}
{{- end -}}
