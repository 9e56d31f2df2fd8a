/** The core group. */
import {
  configMapKind,
  namespaceKind,
  nodeKind,
  podKind,
  secretKind,
  serviceAccountKind,
  serviceKind,
} from '../kinds/core.ts';
import { condition, label } from './meta.ts';
import { podSpec, podStatus } from './pod.ts';
import {
  boolean,
  integer,
  intOrString,
  type KindEntry,
  list,
  map,
  object,
  oneOf,
  open,
  port,
  string,
} from './types.ts';

const base64 = string({
  pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$',
  expects: 'base64',
});

const servicePort = object({
  name: label,
  protocol: oneOf('TCP', 'UDP', 'SCTP'),
  appProtocol: string(),
  'port!': port,
  targetPort: intOrString,
  nodePort: integer(0, 65_535),
});

const serviceSpec = object({
  type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
  clusterIP: string(),
  clusterIPs: list(string(), { maxItems: 2 }),
  ipFamilies: list(oneOf('IPv4', 'IPv6'), { maxItems: 2 }),
  ipFamilyPolicy: oneOf('SingleStack', 'PreferDualStack', 'RequireDualStack'),
  selector: map(string()),
  ports: list(servicePort, { 'x-kubernetes-list-map-keys': ['port', 'protocol'] }),
  externalName: string(),
  externalIPs: list(string()),
  publishNotReadyAddresses: boolean,
  internalTrafficPolicy: oneOf('Cluster', 'Local'),
  externalTrafficPolicy: oneOf('Cluster', 'Local'),
  trafficDistribution: string(),
  sessionAffinity: oneOf('None', 'ClientIP'),
  sessionAffinityConfig: open,
  healthCheckNodePort: integer(0, 65_535),
  allocateLoadBalancerNodePorts: boolean,
  loadBalancerClass: string(),
  loadBalancerIP: string(),
  loadBalancerSourceRanges: list(string()),
});

export const coreKinds: readonly KindEntry[] = [
  {
    kind: namespaceKind,
    versions: ['v1'],
    nameRule: 'label',
    fields: object({
      spec: object({ finalizers: list(string()) }),
      status: object({ phase: string(), conditions: list(condition) }),
    }),
  },
  {
    kind: nodeKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      spec: object({
        podCIDR: string(),
        podCIDRs: list(string(), { maxItems: 2 }),
        providerID: string(),
        unschedulable: boolean,
        taints: list(open),
        configSource: open,
        externalID: string(),
      }),
      status: object(
        {
          addresses: list(object({ 'type!': string(), 'address!': string() })),
          conditions: list(condition),
        },
        { 'x-kubernetes-preserve-unknown-fields': true },
      ),
    }),
  },
  {
    kind: podKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({ 'spec!': podSpec, status: podStatus }),
  },
  {
    kind: serviceAccountKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      automountServiceAccountToken: boolean,
      secrets: list(open),
      imagePullSecrets: list(open),
    }),
  },
  {
    kind: serviceKind,
    versions: ['v1'],
    nameRule: 'service',
    fields: object({
      'spec!': serviceSpec,
      status: object({ conditions: list(condition), loadBalancer: open }),
    }),
  },
  {
    kind: configMapKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({ data: map(string()), binaryData: map(base64), immutable: boolean }),
  },
  {
    kind: secretKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({ type: string(), data: map(base64), stringData: map(string()), immutable: boolean }),
  },
];
