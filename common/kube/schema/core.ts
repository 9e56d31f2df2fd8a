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
import { conditions, label } from './meta.ts';
import { podSpec, podStatus } from './pod.ts';
import {
  boolean,
  integer,
  intOrString,
  type KindEntry,
  list,
  map,
  mergeList,
  object,
  oneOf,
  open,
  port,
  string,
  withDefault,
} from './types.ts';

const base64 = string({
  pattern: '^[A-Za-z0-9+/\\s]*={0,2}\\s*$',
  expects: 'base64',
});

const servicePort = object({
  name: label,
  protocol: withDefault(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
  appProtocol: string(),
  'port!': port,
  targetPort: intOrString,
  nodePort: integer(0, 65_535),
});

const serviceSpec = object({
  type: withDefault(oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'), 'ClusterIP'),
  clusterIP: string(),
  clusterIPs: list(string(), { maxItems: 2 }),
  ipFamilies: list(oneOf('IPv4', 'IPv6'), { maxItems: 2 }),
  ipFamilyPolicy: oneOf('SingleStack', 'PreferDualStack', 'RequireDualStack'),
  selector: map(string()),
  ports: mergeList(servicePort, 'port', ['port', 'protocol']),
  externalName: string(),
  externalIPs: list(string()),
  publishNotReadyAddresses: boolean,
  internalTrafficPolicy: oneOf('Cluster', 'Local'),
  externalTrafficPolicy: oneOf('Cluster', 'Local'),
  trafficDistribution: string(),
  sessionAffinity: withDefault(oneOf('None', 'ClientIP'), 'None'),
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
      status: object({ phase: string(), conditions }),
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
          addresses: mergeList(object({ 'type!': string(), 'address!': string() }), 'type', ['type', 'address']),
          conditions,
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
      secrets: mergeList(open, 'name'),
      imagePullSecrets: list(open),
    }),
  },
  {
    kind: serviceKind,
    versions: ['v1'],
    nameRule: 'service',
    fields: object({
      'spec!': serviceSpec,
      status: object({ conditions, loadBalancer: open }),
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
    fields: object({
      type: withDefault(string(), 'Opaque'),
      data: map(base64),
      stringData: map(string()),
      immutable: boolean,
    }),
  },
];
