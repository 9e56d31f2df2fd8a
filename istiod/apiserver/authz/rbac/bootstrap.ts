/**
 * The roles and bindings that every cluster has under Kubernetes' names. They are made at the first start, and what someone took
 * away from them comes back at the next one, unless the object says rbac.authorization.kubernetes.io/autoupdate=false.
 */
import { MeshError } from '../../../../common/core/errors.ts';
import { clusterRoleBindingKind, clusterRoleKind } from '../../../../common/kube/schema/cluster.ts';
import type { Kind, KubeObject, KubeSource, NewObject } from '../../../../common/kube/types.ts';
import { administrators } from '../authorizer.ts';
import { missingFrom } from './rules.ts';
import { group, type PolicyRule, type Subject } from './types.ts';

interface BootstrapRole {
  readonly name: string;
  readonly rules?: readonly PolicyRule[];
  /** Which of admin, edit and view gets these rules; or that this role gets them. */
  readonly addsTo?: string;
  readonly gathers?: string;
}

const read = ['get', 'list', 'watch'];
const write = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const on = (apiGroup: string, resources: readonly string[], verbs: readonly string[]): PolicyRule => ({
  verbs,
  apiGroups: [apiGroup],
  resources,
});

/** What belongs to the users of a namespace. Custom resources join by labelled roles of their own. */
const workloads: readonly (readonly [group: string, resources: readonly string[]])[] = [
  [
    '',
    [
      'configmaps',
      'endpoints',
      'persistentvolumeclaims',
      'pods',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'serviceaccounts',
      'services',
    ],
  ],
  [
    'apps',
    [
      'daemonsets',
      'deployments',
      'deployments/scale',
      'replicasets',
      'replicasets/scale',
      'statefulsets',
      'statefulsets/scale',
    ],
  ],
  ['autoscaling', ['horizontalpodautoscalers']],
  ['batch', ['cronjobs', 'jobs']],
  ['networking.k8s.io', ['ingresses', 'networkpolicies']],
  ['policy', ['poddisruptionbudgets']],
];
const shown: readonly PolicyRule[] = [
  ...workloads.map(([apiGroup, resources]) => on(apiGroup, resources, read)),
  on(
    '',
    [
      'bindings',
      'events',
      'limitranges',
      'namespaces',
      'namespaces/status',
      'persistentvolumeclaims/status',
      'pods/log',
      'pods/status',
      'replicationcontrollers/status',
      'resourcequotas',
      'resourcequotas/status',
      'services/status',
    ],
    read,
  ),
  on(
    'apps',
    ['controllerrevisions', 'daemonsets/status', 'deployments/status', 'replicasets/status', 'statefulsets/status'],
    read,
  ),
  on('autoscaling', ['horizontalpodautoscalers/status'], read),
  on('batch', ['cronjobs/status', 'jobs/status'], read),
  on('discovery.k8s.io', ['endpointslices'], read),
  on('networking.k8s.io', ['ingresses/status'], read),
  on('policy', ['poddisruptionbudgets/status'], read),
];
const changed: readonly PolicyRule[] = [
  // Whoever may make pods can read what pods can: secrets, and other accounts' tokens.
  on('', ['secrets', 'services/proxy', 'pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy'], read),
  on('', ['pods', 'pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'secrets', 'services/proxy'], write),
  on('', ['pods/eviction', 'serviceaccounts/token'], ['create']),
  on('', ['serviceaccounts'], ['impersonate']),
  on('', ['events'], write),
  ...workloads.map(([apiGroup, resources]) => on(apiGroup, resources, write)),
  on('apps', ['deployments/rollback'], write),
  on('coordination.k8s.io', ['leases'], [...read, ...write]),
];

const discoveryPaths = [
  '/api',
  '/api/*',
  '/apis',
  '/apis/*',
  '/healthz',
  '/livez',
  '/openapi',
  '/openapi/*',
  '/readyz',
  '/version',
  '/version/',
];
const signer = (name: string): PolicyRule => ({
  verbs: ['approve'],
  apiGroups: ['certificates.k8s.io'],
  resources: ['signers'],
  resourceNames: [`kubernetes.io/${name}`],
});

export const roles: readonly BootstrapRole[] = [
  {
    name: 'cluster-admin',
    rules: [on('*', ['*'], ['*']), { verbs: ['*'], nonResourceURLs: ['*'] }],
  },
  { name: 'admin', gathers: 'admin' },
  { name: 'edit', gathers: 'edit', addsTo: 'admin' },
  { name: 'view', gathers: 'view', addsTo: 'edit' },
  {
    name: 'system:aggregate-to-admin',
    addsTo: 'admin',
    rules: [
      on('authorization.k8s.io', ['localsubjectaccessreviews'], ['create']),
      on(group, ['rolebindings', 'roles'], [...read, ...write]),
    ],
  },
  { name: 'system:aggregate-to-edit', addsTo: 'edit', rules: changed },
  { name: 'system:aggregate-to-view', addsTo: 'view', rules: shown },
  { name: 'system:discovery', rules: [{ verbs: ['get'], nonResourceURLs: discoveryPaths }] },
  {
    name: 'system:public-info-viewer',
    rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'] }],
  },
  {
    name: 'system:basic-user',
    rules: [
      on('authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
      on('authentication.k8s.io', ['selfsubjectreviews'], ['create']),
    ],
  },
  {
    name: 'system:auth-delegator',
    rules: [
      on('authentication.k8s.io', ['tokenreviews'], ['create']),
      on('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
    ],
  },
  {
    name: 'system:service-account-issuer-discovery',
    rules: [
      {
        verbs: ['get'],
        nonResourceURLs: [
          '/.well-known/openid-configuration',
          '/.well-known/openid-configuration/',
          '/openid/v1/jwks',
          '/openid/v1/jwks/',
        ],
      },
    ],
  },
  {
    name: 'system:monitoring',
    rules: [
      {
        verbs: ['get'],
        nonResourceURLs: [
          '/healthz',
          '/healthz/*',
          '/livez',
          '/livez/*',
          '/metrics',
          '/metrics/*',
          '/readyz',
          '/readyz/*',
        ],
      },
    ],
  },
  {
    // Without a binding: which of a node's objects a kubelet may see is not told apart here, so that somebody must want it.
    name: 'system:node',
    rules: [
      on('authentication.k8s.io', ['tokenreviews'], ['create']),
      on('authorization.k8s.io', ['localsubjectaccessreviews', 'subjectaccessreviews'], ['create']),
      on('', ['services'], read),
      on('', ['nodes'], ['create', ...read, 'patch', 'update']),
      on('', ['nodes/status', 'pods/status'], ['patch', 'update']),
      on('', ['events'], ['create', 'patch', 'update']),
      on('', ['pods'], ['create', 'delete', ...read]),
      on('', ['pods/eviction', 'serviceaccounts/token'], ['create']),
      on('', ['configmaps', 'persistentvolumeclaims', 'persistentvolumes', 'secrets', 'serviceaccounts'], read),
      on('certificates.k8s.io', ['certificatesigningrequests'], ['create', ...read]),
      on('coordination.k8s.io', ['leases'], ['create', 'delete', 'get', 'patch', 'update']),
      on('node.k8s.io', ['runtimeclasses'], read),
    ],
  },
  {
    name: 'system:node-proxier',
    rules: [
      on('', ['endpoints', 'nodes', 'services'], read),
      on('discovery.k8s.io', ['endpointslices'], read),
      on('', ['events'], ['create', 'patch', 'update']),
    ],
  },
  ...['kube-apiserver-client', 'kube-apiserver-client-kubelet', 'kubelet-serving', 'legacy-unknown'].map((name) => ({
    name: `system:certificates.k8s.io:${name}-approver`,
    rules: [signer(name)],
  })),
];

export const bindings: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': [administrators],
  'system:discovery': ['system:authenticated'],
  'system:public-info-viewer': ['system:authenticated', 'system:unauthenticated'],
  'system:basic-user': ['system:authenticated'],
  'system:service-account-issuer-discovery': ['system:serviceaccounts'],
  'system:monitoring': ['system:monitoring'],
};

const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate';
const aggregateLabel = (to: string) => `rbac.authorization.k8s.io/aggregate-to-${to}`;

interface RoleObject extends KubeObject {
  readonly rules?: readonly PolicyRule[] | null;
}
interface BindingObject extends KubeObject {
  readonly subjects?: readonly Subject[] | null;
}

export async function writeBootstrapObjects(source: KubeSource): Promise<void> {
  // All at once: they share their way to the disk.
  await Promise.all([
    ...roles.map((role) => {
      const rules = role.rules ?? [];
      return ensure<RoleObject>(source, clusterRoleKind as Kind<RoleObject>, roleObject(role), (found) => {
        const missing = missingFrom(found.rules ?? [], rules);
        return missing.length === 0 ? undefined : { rules: [...(found.rules ?? []), ...missing] };
      });
    }),
    ...Object.entries(bindings).map(([name, groups]) => {
      const subjects: readonly Subject[] = groups.map((g) => ({ kind: 'Group', apiGroup: group, name: g }));
      const object = {
        ...header('ClusterRoleBinding', name, {}),
        subjects,
        roleRef: { apiGroup: group, kind: 'ClusterRole', name },
      };
      return ensure<BindingObject>(source, clusterRoleBindingKind as Kind<BindingObject>, object, (found) => {
        const present = found.subjects ?? [];
        const missing = subjects.filter((s) => !present.some((p) => p.kind === s.kind && p.name === s.name));
        return missing.length === 0 ? undefined : { subjects: [...present, ...missing] };
      });
    }),
  ]);
}

function header(kind: string, name: string, labels: Readonly<Record<string, string>>): NewObject {
  return {
    apiVersion: `${group}/v1`,
    kind,
    metadata: {
      name,
      labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
      annotations: { [autoUpdate]: 'true' },
    },
  };
}

function roleObject({ name, rules = [], addsTo, gathers }: BootstrapRole): NewObject {
  const object = {
    ...header('ClusterRole', name, addsTo === undefined ? {} : { [aggregateLabel(addsTo)]: 'true' }),
    rules,
  };
  if (gathers === undefined) return object;
  const clusterRoleSelectors = [{ matchLabels: { [aggregateLabel(gathers)]: 'true' } }];
  return { ...object, aggregationRule: { clusterRoleSelectors } };
}

/** `repair` gives what the present object lacks. */
async function ensure<T extends KubeObject>(
  source: KubeSource,
  kind: Kind<T>,
  object: NewObject,
  repair: (found: T) => object | undefined,
): Promise<void> {
  const { name } = object.metadata;
  const found = await source.get(kind, { name });
  if (found === undefined) {
    await source.create(kind, object).catch((e: unknown) => {
      // A client was quicker.
      if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
    });
    return;
  }
  const patch = found.metadata.annotations?.[autoUpdate] === 'false' ? undefined : repair(found);
  if (patch !== undefined) await source.patch(kind, { name }, patch);
}
