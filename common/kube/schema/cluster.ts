/** Kinds that only a whole cluster needs: Event, Endpoints, Lease, rbac. */
import type { Kind } from '../types.ts';
import { labelSelector } from './apps.ts';
import { integer, type KindEntry, list, object, oneOf, port, string, withDefault } from './types.ts';

const core = { group: '', version: 'v1' } as const;
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' } as const;

export const eventKind: Kind = { ...core, kind: 'Event', plural: 'events', namespaced: true };
export const endpointsKind: Kind = { ...core, kind: 'Endpoints', plural: 'endpoints', namespaced: true };
export const leaseKind: Kind = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};
export const roleKind: Kind = { ...rbac, kind: 'Role', plural: 'roles', namespaced: true };
export const roleBindingKind: Kind = { ...rbac, kind: 'RoleBinding', plural: 'rolebindings', namespaced: true };
export const clusterRoleKind: Kind = { ...rbac, kind: 'ClusterRole', plural: 'clusterroles', namespaced: false };
export const clusterRoleBindingKind: Kind = {
  ...rbac,
  kind: 'ClusterRoleBinding',
  plural: 'clusterrolebindings',
  namespaced: false,
};

export const objectReference = object({
  apiVersion: string(),
  kind: string(),
  namespace: string(),
  name: string(),
  uid: string(),
  resourceVersion: string(),
  fieldPath: string(),
});

const address = object({ 'ip!': string(), hostname: string(), nodeName: string(), targetRef: objectReference });

const policyRules = list(
  object({
    'verbs!': list(string()),
    apiGroups: list(string()),
    resources: list(string()),
    resourceNames: list(string()),
    nonResourceURLs: list(string()),
  }),
);

const subjects = list(
  object({
    'kind!': oneOf('User', 'Group', 'ServiceAccount'),
    apiGroup: string(),
    'name!': string(),
    namespace: string(),
  }),
);
const roleRef = object({
  apiGroup: string(),
  'kind!': oneOf('Role', 'ClusterRole'),
  'name!': string({ minLength: 1 }),
});

export const clusterKinds: readonly KindEntry[] = [
  {
    kind: eventKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'involvedObject!': objectReference,
      reason: string(),
      message: string(),
      source: withDefault(object({ component: string(), host: string() }), {}),
      firstTimestamp: string({ nullable: true }),
      lastTimestamp: string({ nullable: true }),
      count: integer(),
      type: string(),
      eventTime: string({ nullable: true }),
      series: object({ count: integer(), lastObservedTime: string() }),
      action: string(),
      related: objectReference,
      reportingComponent: string(),
      reportingInstance: string(),
    }),
  },
  {
    kind: endpointsKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      subsets: list(
        object({
          addresses: list(address),
          notReadyAddresses: list(address),
          ports: list(
            object({
              name: string(),
              'port!': port,
              protocol: withDefault(oneOf('TCP', 'UDP', 'SCTP'), 'TCP'),
              appProtocol: string(),
            }),
          ),
        }),
      ),
    }),
  },
  {
    kind: leaseKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      spec: object({
        holderIdentity: string(),
        leaseDurationSeconds: integer(1),
        acquireTime: string(),
        renewTime: string(),
        leaseTransitions: integer(0),
        strategy: string(),
        preferredHolder: string(),
      }),
    }),
  },
  { kind: roleKind, versions: ['v1'], nameRule: 'path', fields: object({ rules: policyRules }) },
  {
    kind: clusterRoleKind,
    versions: ['v1'],
    nameRule: 'path',
    fields: object({ rules: policyRules, aggregationRule: object({ clusterRoleSelectors: list(labelSelector) }) }),
  },
  { kind: roleBindingKind, versions: ['v1'], nameRule: 'path', fields: object({ subjects, 'roleRef!': roleRef }) },
  {
    kind: clusterRoleBindingKind,
    versions: ['v1'],
    nameRule: 'path',
    fields: object({ subjects, 'roleRef!': roleRef }),
  },
];
