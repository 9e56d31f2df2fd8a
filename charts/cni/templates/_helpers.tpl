{{- /* Labels of every object. */ -}}
{{- define "cni.labels" -}}
app.kubernetes.io/name: istio-cni
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* What its objects are called. */ -}}
{{- define "cni.name" -}}
istio-cni{{ with .revision }}{{ if ne . "default" }}-{{ . }}{{ end }}{{ end }}
{{- end -}}

{{- /* The values, with those under the chart's own name over them: one file may be for all charts. YAML. */ -}}
{{- define "cni.values" -}}
{{- mergeOverwrite (deepCopy .Values) (.Values.cni | default dict) | toYaml -}}
{{- end -}}

{{- /* "true" where objects of this scope are made; argument: (list VALUES "cluster"). */ -}}
{{- define "cni.makes" -}}
{{- $scope := (index . 0).global.resourceScope -}}
{{- if or (eq $scope "all") (eq $scope (index . 1)) }}true{{ end -}}
{{- end -}}

{{- /* Argument: (list . VALUES). */ -}}
{{- define "cni.image" -}}
{{- $v := index . 1 -}}
{{- if contains "/" $v.image }}{{ $v.image }}{{ else -}}
{{ $v.hub | default $v.global.hub }}/aquifer:{{ $v.tag | default $v.global.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Where the platform keeps CNI; argument: VALUES. YAML with bin, conf and netns. */ -}}
{{- define "cni.folders" -}}
{{- $platforms := dict
  "gke" (dict "bin" "/home/kubernetes/bin")
  "k3d" (dict "bin" "/bin" "conf" "/var/lib/rancher/k3s/agent/etc/cni/net.d")
  "k3s" (dict "bin" "/var/lib/rancher/k3s/data/cni" "conf" "/var/lib/rancher/k3s/agent/etc/cni/net.d")
  "microk8s" (dict "bin" "/var/snap/microk8s/current/opt/cni/bin" "conf" "/var/snap/microk8s/current/args/cni-network")
  "minikube" (dict "netns" "/var/run/docker/netns")
  "openshift" (dict "bin" "/var/lib/cni/bin" "conf" "/etc/cni/multus/net.d")
-}}
{{- $own := get $platforms (.platform | default .global.platform) | default dict -}}
bin: {{ .cniBinDir | default $own.bin | default "/opt/cni/bin" }}
conf: {{ .cniConfDir | default $own.conf | default "/etc/cni/net.d" }}
netns: {{ .cniNetnsDir | default $own.netns | default "/var/run/netns" }}
{{- end -}}

{{- /* RUST_LOG of a level as Istio's components take it: the scope default of `default:info,cni:debug`. */ -}}
{{- define "cni.level" -}}
{{- regexReplaceAll "^(?:.*,)?(?:default|all):([a-z]+).*$" . "$1" -}}
{{- end -}}
