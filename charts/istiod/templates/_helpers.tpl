{{- /* Labels of every object; argument: (list . VALUES). */ -}}
{{- define "istiod.labels" -}}
{{- $ := index . 0 -}}
app: istiod
istio.io/rev: {{ (index . 1).revision | default "default" }}
app.kubernetes.io/name: istiod
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version }}
{{- end -}}

{{- /* What its objects are called; argument: VALUES. */ -}}
{{- define "istiod.name" -}}
istiod{{ include "istiod.suffix" . }}
{{- end -}}

{{- define "istiod.suffix" -}}
{{ with .revision }}{{ if ne . "default" }}-{{ . }}{{ end }}{{ end }}
{{- end -}}

{{- /* The values, with those under `pilot` over them: one file may be for all charts. YAML. */ -}}
{{- define "istiod.values" -}}
{{- mergeOverwrite (deepCopy .Values) (.Values.pilot | default dict) | toYaml -}}
{{- end -}}

{{- /* "true" where objects of this scope are made; argument: (list VALUES "cluster"). */ -}}
{{- define "istiod.makes" -}}
{{- $scope := (index . 0).global.resourceScope -}}
{{- if or (eq $scope "all") (eq $scope (index . 1)) }}true{{ end -}}
{{- end -}}

{{- /* Argument: (list . VALUES). */ -}}
{{- define "istiod.image" -}}
{{- $v := index . 1 -}}
{{- if contains "/" $v.image }}{{ $v.image }}{{ else -}}
{{ $v.hub | default $v.global.hub }}/aquifer:{{ $v.tag | default $v.global.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}
