/** Labels and annotations that are read or written. What they mean stands here; that none is missing, the code says. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { code, table } from './pages.ts';

type Row = readonly [name: string, on: string, meaning: string];

const read: readonly Row[] = [
  [
    'istio.io/dataplane-mode',
    'label of Namespaces and Pods',
    '`ambient`: in the mesh; `none`: not, whatever the namespace says',
  ],
  [
    'istio.io/use-waypoint',
    'label of Namespaces, Services, ServiceEntries, Pods, WorkloadEntries',
    'name of the waypoint before it; `none`: none',
  ],
  ['istio.io/use-waypoint-namespace', 'beside it', 'namespace of that waypoint; default: the own one'],
  ['istio.io/use-waypoint-canary', 'beside it', 'another waypoint, which a part of the connections goes through'],
  ['istio.io/use-waypoint-canary-weight', 'beside it', 'that part, in percent'],
  [
    'istio.io/ingress-use-waypoint',
    'label of Services and Namespaces',
    '`true`: gateways at the edge send through the waypoint',
  ],
  ['istio.io/waypoint-for', 'label of Gateways', '`service`, `workload`, `all` or `none`: what the waypoint is for'],
  ['istio.io/rev', 'label of anything', 'the revision or tag of istiod that serves it; others leave it alone'],
  [
    'istio.io/tag',
    'label of Services and webhooks, beside `istio.io/rev`',
    'another name for that revision (`aquifer tag`)',
  ],
  ['istio.io/global', 'label of Services', '`true`: reached from every cluster, where MeshConfig has no other scopes'],
  [
    'istio.io/dry-run',
    'annotation of AuthorizationPolicies',
    '`true`: waypoints count what it would do and do nothing',
  ],
  ['ambient.istio.io/bypass-inbound-capture', 'annotation of Pods', '`true`: what comes in is not captured'],
  [
    'aquifer.dev/same-node',
    'label of Pods and Namespaces',
    '`direct`: pairs of such pods on one node connect past the proxy, in plain text, where no policy needs it and the node agent has `AQUIFER_SAME_NODE=direct`',
  ],
  ['ambient.istio.io/dns-capture', 'annotation of Pods', '`false`: their DNS is not captured'],
  [
    'istio.io/reroute-virtual-interfaces',
    'annotation of Pods',
    'interfaces whose traffic is captured as that of the pod, with commas between them',
  ],
  [
    'ambient.istio.io/waypoint-inbound-binding',
    'annotation of GatewayClasses',
    'how a waypoint of that class is told the address that was called, such as `PROXY/15088`',
  ],
  [
    'networking.istio.io/exportTo',
    'annotation of Services',
    'namespaces that see it: `.`, `*`, `~` or names, with commas between them',
  ],
  [
    'networking.istio.io/traffic-distribution',
    'annotation of Services and Namespaces',
    '`PreferClose` and its kin: which endpoints come first',
  ],
  ['networking.istio.io/service-type', 'annotation of Gateways', 'type of the Service that is made for it'],
  ['networking.istio.io/enable-autoallocate-ip', 'label of ServiceEntries', '`false`: no address of its own is given'],
  ['networking.istio.io/tunnel', 'label of WorkloadEntries and Pods', '`http`: takes HBONE by itself'],
  [
    'topology.istio.io/network',
    "label of Pods, Gateways, istiod's Namespace",
    'the network that it is in; a Gateway with it leads there',
  ],
  ['topology.istio.io/subzone', 'label of Nodes', 'the third part of a locality, below region and zone'],
  ['service.istio.io/canonical-name', 'label of Pods', 'what metrics call the service'],
  ['service.istio.io/canonical-revision', 'label of Pods', 'what metrics call its version'],
  ['service.istio.io/workload-name', 'label of WorkloadEntries', 'what metrics call the workload'],
  ['sidecar.istio.io/status', 'annotation of Pods', 'a pod that has a sidecar of Istio stays outside'],
  [
    'gateway.istio.io/name-override',
    'annotation of Gateways',
    'name of the Deployment and Service that are made for it',
  ],
  ['gateway.istio.io/service-account', 'annotation of Gateways', 'account of its pods, which exists already'],
  ['gateway.istio.io/trust-domain', 'annotation of Gateways to other networks', 'first part of their identity'],
  [
    'istio.io/connect-strategy',
    'annotation of ServiceEntries',
    'for waypoints alone, and without effect: its status says so',
  ],
  [
    'aquifer.dev/retire',
    'annotation of the DaemonSet of the agent',
    '`true`: takes all pods out of the mesh, before the chart is uninstalled',
  ],
  [
    'gateway.istio.io/defaults-for-class',
    'label of ConfigMaps',
    'what is made for Gateways of that class is changed by it',
  ],
  [
    'aquifer.dev/module-configmap',
    'annotation of WasmPlugins and TrafficExtensions',
    'ConfigMap of its namespace that has the filter module, under the last part of its url',
  ],
  [
    'aquifer.dev/denial-details',
    'annotation of Gateways',
    '`true`: answers 401 and 403 of the waypoint itself say in `x-aquifer-denied-by` who refused, as the access log does; default: they tell clients nothing',
  ],
  [
    'aquifer.dev/waypoint-bypass',
    'annotation of Gateways and Namespaces',
    '`refuse`: calls that come past the waypoint are refused, not only counted',
  ],
];

const written: readonly Row[] = [
  ['ambient.istio.io/redirection', 'annotation of Pods', '`enabled`: captured; by the node agent'],
  [
    'aquifer.dev/kubelet-certificate',
    'annotation of Nodes of a lab',
    'hash of the certificate that its kubelet serves with',
  ],
  ['gateway.istio.io/managed', 'label of what istiod makes for Gateways', 'which controller made it'],
  ['gateway.networking.k8s.io/gateway-name', 'the same', 'the Gateway'],
  ['gateway.networking.k8s.io/gateway-class-name', 'the same', 'its class'],
  ['gateway.istio.io/controller-version', 'annotation of Gateways', 'who has made it last'],
  [
    'istio.io/autoRegistrationGroup',
    'annotation of WorkloadEntries',
    'the WorkloadGroup by which a machine has joined',
  ],
  ['istio.io/workloadController', 'the same', 'the istiod that it is connected to'],
  ['istio.io/connectedAt', 'the same', 'since when'],
  ['istio.io/disconnectedAt', 'the same', 'when it went'],
];

export function labelsPage(checkout: string): string {
  const names = new Set([...read, ...written].map(([name]) => name));
  const unknown = namesIn(checkout).filter((name) => !names.has(name) && !isOther(name));
  if (unknown.length > 0)
    throw new Error(`scripts/reference/labels.ts: neither described nor something else: ${unknown.join(', ')}`);
  const rows = (all: readonly Row[]) =>
    table(
      ['name', 'on', 'meaning'],
      all.map(([n, on, text]) => [code(n), on, text]),
    );
  return `${['# Labels and annotations', '## That are read', rows(read), '## That are written', rows(written)].join('\n\n')}\n`;
}

/** Names of that form that the code of programs has; the tables of what Istio knows do not count. */
function namesIn(checkout: string): readonly string[] {
  const paths = globSync('{cni,istiod/model,istiod/deploy,istiod/machines,common/mesh,common/kube}/**/*.ts', {
    cwd: checkout,
  });
  const texts = paths.filter((p) => !p.includes('test')).map((p) => readFileSync(join(checkout, p), 'utf8'));
  const name = /'((?:[a-z]+\.)*(?:istio\.io|aquifer\.dev|gateway\.networking\.k8s\.io)\/[A-Za-z][\w.-]+)'/g;
  return [...new Set(texts.flatMap((text) => [...text.matchAll(name)].map((m) => m[1]!)))].toSorted();
}

/** Versions of APIs, types of conditions, controllers, and what pods of waypoints are made with. */
function isOther(name: string): boolean {
  return (
    /\/v\d/.test(name) ||
    /\/[A-Z]/.test(name) ||
    /-controller$|\/(?:channel|bundle-version|ca-root|debug)$/.test(name) ||
    /^(?:proxy|prometheus|sidecar)\.istio\.io\//.test(name)
  );
}
