/**
 * What a waypoint's Gateway becomes (ambient-wire 9.2): a ServiceAccount whose identity it has, a Deployment, and a Service before it.
 * Istio's own proxy image runs by these as well as ours. Pure.
 */
import type { JsonValue } from '../../common/api/index.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { revisionLabel, serviceOf } from '../../common/kube/revisions.ts';
import type { NewObject, OwnerReference } from '../../common/kube/types.ts';
import { accountName, accountOverride, gatewayNameLabel, waypointController } from '../model/waypoint.ts';

export interface DeploySettings {
  readonly image: string;
  /** Of that image; undefined: what it starts by itself. */
  readonly command: string | undefined;
  readonly clusterId: string;
  readonly trustDomain: string;
  /** Suffix of service names. */
  readonly domain: string;
  readonly network: string;
  readonly revision: string;
  /** Where istiod runs. */
  readonly systemNamespace: string;
}

/** Whose objects they are: on all of them. */
export const managedLabel = 'gateway.istio.io/managed';
export const managedValue = waypointController.replace('/', '-');
export const statusPort = 15_021;

const classLabel = 'gateway.networking.k8s.io/gateway-class-name';
const nameOverride = 'gateway.istio.io/name-override';
/** What a Gateway's annotations say to istiod, and none of its objects. */
const ownAnnotations = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  'gateway.istio.io/controller-version',
  nameOverride,
  accountOverride,
]);
/** uid and gid of Istio's proxies. */
const proxyUser = 1337;

type Texts = Readonly<Record<string, string>>;

/** What its Deployment and its Service are called. */
export function deploymentName({ metadata }: Gateway): string {
  return metadata.annotations?.[nameOverride] ?? metadata.name;
}

/** Account, Deployment and Service, in this order. */
export function waypointObjects(gateway: Gateway, settings: DeploySettings): readonly NewObject[] {
  const { name, namespace = 'default', uid } = gateway.metadata;
  const { labels, annotations } = infrastructure(gateway, settings);
  const owner: OwnerReference = { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', name, uid };
  const identifying = {
    [gatewayNameLabel]: name,
    [classLabel]: gateway.spec.gatewayClassName,
    [managedLabel]: managedValue,
  };
  const metadata = (of: string, more: Texts = {}) => ({
    name: of,
    namespace,
    labels: { ...labels, ...identifying },
    ...optional('annotations', { ...more, ...annotations }),
    ownerReferences: [owner],
  });
  const deployment = deploymentName(gateway);
  const account = accountName(gateway);
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: metadata(account) },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata(deployment),
      spec: {
        selector: { matchLabels: { [gatewayNameLabel]: name } },
        template: {
          metadata: {
            labels: {
              'sidecar.istio.io/inject': 'false',
              // It is reached by HBONE of its own, and calls by HBONE of its own.
              'istio.io/dataplane-mode': 'none',
              'service.istio.io/canonical-name': deployment,
              'service.istio.io/canonical-revision': 'latest',
              ...labels,
              ...identifying,
            },
            annotations: {
              'prometheus.io/path': '/stats/prometheus',
              'prometheus.io/port': '15020',
              'prometheus.io/scrape': 'true',
              ...annotations,
              [revisionLabel]: settings.revision,
            },
          },
          spec: podSpec(gateway, settings, account, deployment),
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(deployment, { 'networking.istio.io/traffic-distribution': 'PreferClose' }),
      spec: {
        type: gateway.metadata.annotations?.['networking.istio.io/service-type'] ?? 'ClusterIP',
        ipFamilyPolicy: 'PreferDualStack',
        selector: { [gatewayNameLabel]: name },
        ports: servicePorts(gateway),
      },
    },
  ];
}

/** Where the Gateway says nothing of it, its own labels and annotations are those of what is made for it. */
function infrastructure({ spec, metadata }: Gateway, { network }: DeploySettings) {
  const own = (texts: Texts = {}) =>
    Object.fromEntries(Object.entries(texts).filter(([key]) => !ownAnnotations.has(key)));
  const asked = (texts: Texts) =>
    Object.fromEntries(Object.entries(texts).filter(([key]) => !key.startsWith('gateway.networking.k8s.io/')));
  const { labels, annotations } = spec.infrastructure ?? {};
  const ofNetwork = 'topology.istio.io/network';
  return {
    labels: {
      ...(network !== '' && metadata.labels?.[ofNetwork] === undefined && { [ofNetwork]: network }),
      ...(labels === undefined ? own(metadata.labels) : asked(labels as Texts)),
    } as Texts,
    annotations: annotations === undefined ? own(metadata.annotations) : own(asked(annotations as Texts)),
  };
}

interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP';
  readonly appProtocol: string;
}

/** One a port, named as the first listener on it; names of Services' ports are shorter and have no dots. */
function servicePorts({ spec }: Gateway): readonly ServicePort[] {
  const ports: ServicePort[] = [{ name: 'status-port', port: statusPort, protocol: 'TCP', appProtocol: 'tcp' }];
  for (const { name, port, protocol } of spec.listeners) {
    if (ports.some((p) => p.port === port)) continue;
    const wanted = name.replaceAll('.', '-').slice(0, 63);
    const suffix = `-${port}`;
    const taken = ports.some((p) => p.name === wanted);
    ports.push({
      name: taken ? `${wanted.slice(0, 63 - suffix.length)}${suffix}` : wanted,
      port,
      protocol: 'TCP',
      appProtocol: protocol.toLowerCase(),
    });
  }
  return ports;
}

/** An image that the Gateway names starts what it has. */
function optionalCommand(annotations: Texts, { command }: DeploySettings): { readonly command?: readonly string[] } {
  return command === undefined || annotations['sidecar.istio.io/proxyImage'] !== undefined
    ? {}
    : { command: [command] };
}

function podSpec(gateway: Gateway, settings: DeploySettings, account: string, deployment: string): JsonValue {
  const { namespace = 'default' } = gateway.metadata;
  const annotations: Texts = gateway.metadata.annotations ?? {};
  const of = (name: string, fallback: string) => annotations[`sidecar.istio.io/${name}`] ?? fallback;
  const istiod = `${serviceOf(settings.revision)}.${settings.systemNamespace}.svc`;
  const field = (fieldPath: string) => ({ fieldRef: { fieldPath } });
  const env: Readonly<Record<string, string | { readonly fieldRef: { readonly fieldPath: string } }>> = {
    ISTIO_META_SERVICE_ACCOUNT: field('spec.serviceAccountName'),
    ISTIO_META_NODE_NAME: field('spec.nodeName'),
    PILOT_CERT_PROVIDER: 'istiod',
    CA_ADDR: `${istiod}:15012`,
    POD_NAME: field('metadata.name'),
    POD_NAMESPACE: field('metadata.namespace'),
    INSTANCE_IP: field('status.podIP'),
    SERVICE_ACCOUNT: field('spec.serviceAccountName'),
    HOST_IP: field('status.hostIP'),
    PROXY_CONFIG: JSON.stringify({ discoveryAddress: `${istiod}:15012` }),
    ISTIO_META_CLUSTER_ID: settings.clusterId,
    ...(settings.network !== '' && { ISTIO_META_NETWORK: settings.network }),
    ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
    ISTIO_META_WORKLOAD_NAME: deployment,
    ISTIO_META_OWNER: `kubernetes://apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`,
    ISTIO_META_MESH_ID: settings.trustDomain,
    TRUST_DOMAIN: settings.trustDomain,
  };
  const ready = { httpGet: { path: '/healthz/ready', port: statusPort }, timeoutSeconds: 1 };
  return {
    serviceAccountName: account,
    containers: [
      {
        name: 'istio-proxy',
        image: of('proxyImage', settings.image),
        ...optionalCommand(annotations, settings),
        args: [
          ...['proxy', 'waypoint', '--domain', `$(POD_NAMESPACE).svc.${settings.domain}`],
          ...['--serviceCluster', `${account}.$(POD_NAMESPACE)`],
          ...['--proxyLogLevel', of('logLevel', 'warning')],
          ...['--proxyComponentLogLevel', of('componentLogLevel', 'misc:error')],
          ...['--log_output_level', of('agentLogLevel', 'default:info')],
        ],
        ports: [
          { name: 'metrics', containerPort: 15_020, protocol: 'TCP' },
          { name: 'status-port', containerPort: statusPort, protocol: 'TCP' },
          { name: 'http-envoy-prom', containerPort: 15_090, protocol: 'TCP' },
        ],
        env: Object.entries(env).map(([name, value]) =>
          typeof value === 'string' ? { name, value } : { name, valueFrom: value },
        ),
        resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { cpu: '2', memory: '1Gi' } },
        startupProbe: { ...ready, initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 30 },
        readinessProbe: { ...ready, periodSeconds: 15, failureThreshold: 4 },
        securityContext: {
          privileged: false,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          runAsUser: proxyUser,
          runAsGroup: proxyUser,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        },
        volumeMounts: [
          { name: 'workload-socket', mountPath: '/var/run/secrets/workload-spiffe-uds' },
          { name: 'istiod-ca-cert', mountPath: '/var/run/secrets/istio' },
          { name: 'istio-data', mountPath: '/var/lib/istio/data' },
          { name: 'istio-envoy', mountPath: '/etc/istio/proxy' },
          { name: 'istio-token', mountPath: '/var/run/secrets/tokens' },
          { name: 'istio-podinfo', mountPath: '/etc/istio/pod' },
        ],
      },
    ],
    volumes: [
      { name: 'workload-socket', emptyDir: {} },
      { name: 'istio-envoy', emptyDir: { medium: 'Memory' } },
      { name: 'istio-data', emptyDir: {} },
      {
        name: 'istio-podinfo',
        downwardAPI: {
          items: [
            { path: 'labels', ...field('metadata.labels') },
            { path: 'annotations', ...field('metadata.annotations') },
          ],
        },
      },
      {
        name: 'istio-token',
        projected: {
          sources: [{ serviceAccountToken: { audience: 'istio-ca', expirationSeconds: 43_200, path: 'istio-token' } }],
        },
      },
      { name: 'istiod-ca-cert', configMap: { name: 'istio-ca-root-cert' } },
    ],
  };
}

function optional(name: string, texts: Texts): Readonly<Record<string, Texts>> {
  return Object.keys(texts).length === 0 ? {} : { [name]: texts };
}
