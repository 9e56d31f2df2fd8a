{{- define "quota.labels" -}}
app: quota
app.kubernetes.io/name: quota
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "quota.image" -}}
{{- if contains "/" .Values.image }}{{ .Values.image }}{{ else -}}
{{ .Values.hub }}/aquifer:{{ .Values.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
