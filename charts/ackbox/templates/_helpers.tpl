{{- /* Refuses what can't work, before anything is installed. */ -}}
{{- define "ackbox.checks" -}}
{{- if ne .Release.Namespace "ackbox-system" -}}
{{- fail (printf "ackbox keeps its own objects in the namespace ackbox-system, not in %s: add `--namespace ackbox-system --create-namespace`" .Release.Namespace) -}}
{{- end -}}
{{- if and .Values.slb.loadBalancerClass (ne .Values.slb.serviceType "LoadBalancer") -}}
{{- fail (printf "slb.loadBalancerClass is %s, but slb.serviceType is %s: only Services of type LoadBalancer have a class" .Values.slb.loadBalancerClass .Values.slb.serviceType) -}}
{{- end -}}
{{- $own := include "ackbox.labels" (dict "root" . "component" "") | fromYaml -}}
{{- range $value, $labels := dict "podLabels" .Values.podLabels "serviceMonitor.labels" .Values.serviceMonitor.labels -}}
{{- range $label, $_ := $labels -}}
{{- if hasKey $own $label -}}
{{- fail (printf "%s: the chart itself sets the label %s: leave it out, or choose another name" $value $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ackbox.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Takes (dict "root" $ "component" NAME). */ -}}
{{- define "ackbox.selector" -}}
app.kubernetes.io/name: ackbox
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "ackbox.labels" -}}
{{ include "ackbox.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- /* What Pod Security's `restricted` asks of a Pod, and a little more. */ -}}
{{- define "ackbox.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "ackbox.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What a process of ackbox is told in a Pod: `ackbox.kube.settings`. */ -}}
{{- define "ackbox.environment" -}}
- {name: ACKBOX_IN_CLUSTER, value: "true"}
- {name: ACKBOX_HOME, value: /var/lib/ackbox}
- {name: ACKBOX_RUN, value: /run/ackbox}
- {name: ACKBOX_LOOPBACK, value: 127.16.0.0/16}
- {name: ACKBOX_IMAGE, value: {{ include "ackbox.image" . | quote }}}
- {name: ACKBOX_IMAGE_PULL_POLICY, value: {{ .Values.image.pullPolicy }}}
- name: ACKBOX_POD_NAME
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}
- name: ACKBOX_POD_NAMESPACE
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}
- name: ACKBOX_SERVICE_ACCOUNT
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: spec.serviceAccountName}}
{{- end -}}

{{- /* All that a container may write to. */ -}}
{{- define "ackbox.mounts" -}}
- {name: home, mountPath: /var/lib/ackbox}
- {name: run, mountPath: /run/ackbox}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "ackbox.volumes" -}}
- {name: home, emptyDir: {}}
- {name: run, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- end -}}

{{- define "ackbox.probes" -}}
ports:
- {name: status, containerPort: 8086}
startupProbe:
  httpGet: {path: /healthz, port: status}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: status}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: status}
  periodSeconds: 3
  timeoutSeconds: 5
{{- end -}}

{{- /* Where the Pods of a Deployment run; takes (dict "root" $ "component" NAME "values" SECTION). */ -}}
{{- define "ackbox.placement" -}}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "ackbox.selector" $ | nindent 6 }}
{{- end }}
{{ include "ackbox.nodes" . }}
{{- end -}}

{{- /* Which nodes take a Pod, and how they get its image; takes (dict "root" $ "values" SECTION). */ -}}
{{- define "ackbox.nodes" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "ackbox.podLabels" -}}
{{ include "ackbox.labels" . }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Metadata of a Pod template; takes what ackbox.placement takes. */ -}}
{{- define "ackbox.podMetadata" -}}
labels: {{- include "ackbox.podLabels" . | nindent 2 }}
annotations:
  {{- merge (dict) .values.podAnnotations (dict "kubectl.kubernetes.io/default-container" .component) | toYaml | nindent 2 }}
{{- end -}}
