{{- /* Labels of every object. */ -}}
{{- define "ztunnel.labels" -}}
app.kubernetes.io/name: ztunnel
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The values, with those under the chart's own name over them: one file may be for all charts. YAML. */ -}}
{{- define "ztunnel.values" -}}
{{- mergeOverwrite (deepCopy .Values) (.Values.ztunnel | default dict) | toYaml -}}
{{- end -}}

{{- /* "true" where objects of this scope are made; argument: (list VALUES "cluster"). */ -}}
{{- define "ztunnel.makes" -}}
{{- $v := index . 0 -}}
{{- $scope := $v.resourceScope | default $v.global.resourceScope -}}
{{- if or (eq $scope "all") (eq $scope (index . 1)) }}true{{ end -}}
{{- end -}}

{{- /* Argument: (list . VALUES). */ -}}
{{- define "ztunnel.image" -}}
{{- $v := index . 1 -}}
{{- if contains "/" $v.image }}{{ $v.image }}{{ else -}}
{{ $v.hub | default $v.global.hub }}/aquifer:{{ $v.tag | default $v.global.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* An address that is given, or that of istiod; argument: (list VALUES ADDRESS). */ -}}
{{- define "ztunnel.address" -}}
{{- $v := index . 0 -}}
{{- $address := index . 1 -}}
{{- if contains "://" $address }}{{ $address }}
{{- else if $address }}https://{{ $address }}
{{- else }}https://istiod{{ with $v.revision }}{{ if ne . "default" }}-{{ . }}{{ end }}{{ end }}.{{ $v.istioNamespace }}.svc:15012
{{- end -}}
{{- end -}}
