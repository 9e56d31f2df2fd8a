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

const byForward = "istiods are asked through the API server, as this machine's kubeconfig allows";
const byCharts = 'an installation is values of the charts: -f FILE, --set CHART.KEY=VALUE';

/** Options that commands of istioctl have and these have not, with the reason. */
export const absentOptions: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['authority', 'cert-dir', 'insecure', 'plaintext', 'xds-address', 'xds-label', 'xds-port'].map((name) => [
      name,
      byForward,
    ]),
  ),
  'auto-inject-namespaces': sidecars,
  'webhook-name': sidecars,
  'auth-plugin-config': 'remote clusters are read with a token: nothing starts a plugin in istiod',
  'auth-plugin-name': 'remote clusters are read with a token: nothing starts a plugin in istiod',
  'auth-type': 'remote clusters are read with a token: nothing starts a plugin in istiod',
  'cluster-specific': byCharts,
  'critical-errs': 'logs are not ranked: --tail and --duration bound them',
  'ignore-errs': 'logs are not ranked: --tail and --duration bound them',
  dir: 'nothing is stored on the way to the archive',
  'from-version': 'there is one version so far, and nothing that changed since another',
  'remote-contexts': 'one cluster is analyzed at a time: --context NAME',
  'rq-concurrency': 'the API server is asked one thing after the other',
  'skip-coredumps': 'none are collected',
  'skip-netstat': 'none is collected',
  vklog: 'there is no log of requests to the API server',
};
