/** Commands that istioctl has and this program has not, each with the reason and what to use instead. */

const sidecars =
  'there are no sidecars here: a node proxy serves pods that are labelled istio.io/dataplane-mode=ambient';
const external = (name: string) =>
  `${name} is not part of the mesh: kubectl port-forward reaches it where it is installed`;

/** Command, without aliases -> why it is not there. */
export const absent: Readonly<Record<string, string>> = {
  admin: "levels of istiod's log are set at its start: --log_output_level, global.logging.level of the chart istiod",
  'dashboard grafana': external('Grafana'),
  'dashboard jaeger': external('Jaeger'),
  'dashboard kiali': 'aquifer dashboard console shows the graph of the mesh',
  'dashboard prometheus': external('Prometheus'),
  'dashboard skywalking': external('SkyWalking'),
  'dashboard zipkin': external('Zipkin'),
  'experimental check-inject': sidecars,
  'experimental config': 'options are given with each command, and the cluster by KUBECONFIG',
  'experimental envoy-stats': 'aquifer dashboard proxy shows its metrics',
  'experimental injector': sidecars,
  'experimental metrics': 'the dashboards in dashboards/grafana show them, and aquifer dashboard console',
  'experimental workload': 'docs/reference/resources.md says how machines join by a WorkloadGroup',
  'kube-inject': sidecars,
  'proxy-config ecds':
    'waypoints are told no extensions by themselves: they come with their listeners; aquifer proxy-config listener',
  upgrade: 'aquifer install upgrades what is there; aquifer migrate leads here from Istio',
};
