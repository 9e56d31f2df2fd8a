/** What configures one pod or one Service. Pure, of the objects of a cluster. */
import { decideEnrolment } from '../../cni/enrolment.ts';
import type { ContainerPort, Namespace, Pod, Service } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { selects, selectsLabels } from '../../istiod/model/selector.ts';

export interface World {
  readonly objects: readonly KubeObject[];
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly rootNamespace: string;
}

const waypointLabel = 'istio.io/use-waypoint';
const waypointNamespaceLabel = 'istio.io/use-waypoint-namespace';

const titleOf = ({ metadata }: KubeObject) => `${metadata.name}.${metadata.namespace}`;
const hostOf = ({ metadata }: KubeObject) => `${metadata.name}.${metadata.namespace}.svc.cluster.local`;

function ofKind<T extends KubeObject = KubeObject>({ objects }: World, kind: string): readonly T[] {
  return objects.filter((o) => o.kind === kind) as readonly KubeObject[] as readonly T[];
}

export function describePod(world: World, pod: Pod, ignoreUnmeshed: boolean): readonly string[] {
  const namespace = world.namespaces.get(pod.metadata.namespace ?? '');
  const services = ofKind<Service>(world, 'Service').filter(
    (s) =>
      s.metadata.namespace === pod.metadata.namespace &&
      Object.keys(s.spec.selector ?? {}).length > 0 &&
      selects(s.spec.selector ?? {}, pod.metadata.labels),
  );
  const containers = pod.spec.containers.map((c) => c.name).join(', ');
  const ports = pod.spec.containers.flatMap((c) =>
    (c.ports ?? []).map((p: ContainerPort) => `${p.containerPort} (${c.name})`),
  );
  return [
    `Pod: ${titleOf(pod)}`,
    `   Pod Ports: ${ports.length === 0 ? `none declared; containers: ${containers}` : ports.join(', ')}`,
    ...enrolmentOf(pod, namespace, ignoreUnmeshed),
    ...waypointOf(pod, namespace),
    '--------------------',
    ...(services.length === 0 ? ['No Service selects this pod.'] : services.flatMap((s) => describeService(world, s))),
    ...policiesOf(world, pod),
  ];
}

function enrolmentOf(pod: Pod, namespace: Namespace | undefined, ignoreUnmeshed: boolean): readonly string[] {
  const enrolment = decideEnrolment(pod, namespace, new Set(['kube-system']));
  if (enrolment.kind === 'leave-alone')
    return ignoreUnmeshed
      ? []
      : [
          `   WARNING: not in the mesh: ${enrolment.reason}; kubectl label namespace ${pod.metadata.namespace} istio.io/dataplane-mode=ambient`,
        ];
  const state = pod.metadata.annotations?.['ambient.istio.io/redirection'];
  return [
    state === 'enabled'
      ? '   In the mesh: its traffic is captured (ambient.istio.io/redirection: enabled)'
      : `   WARNING: asks for the mesh and is not captured yet (ambient.istio.io/redirection: ${state ?? 'absent'}); see the agent of node ${pod.spec.nodeName}`,
  ];
}

/** By its own label, else by its namespace's. */
function waypointOf(object: KubeObject, namespace: Namespace | undefined): readonly string[] {
  const place = [object, namespace].find((o) => o?.metadata.labels?.[waypointLabel] !== undefined);
  const name = place?.metadata.labels?.[waypointLabel];
  if (name === undefined || name === 'none') return [];
  const at = place?.metadata.labels?.[waypointNamespaceLabel] ?? object.metadata.namespace;
  const by = place === object ? `label of ${object.kind}` : `label of namespace ${object.metadata.namespace}`;
  return [`   Waypoint: ${name}.${at} (${by})`];
}

export function describeService(world: World, service: Service): readonly string[] {
  const namespace = world.namespaces.get(service.metadata.namespace ?? '');
  const ports = (service.spec.ports ?? []).map(
    (p) => `   Port: ${p.name ?? ''} ${p.port}/${protocolOf(p)} targets pod port ${p.targetPort ?? p.port}`,
  );
  const rules = ofKind(world, 'DestinationRule').filter((r) => isAbout(spec(r)['host'], r, service));
  const virtual = ofKind(world, 'VirtualService').filter((v) =>
    list(spec(v)['hosts']).some((h) => isAbout(h, v, service)),
  );
  const routes = world.objects.filter(
    (o) => /^(HTTP|GRPC|TCP|TLS)Route$/.test(o.kind) && refersTo(o, 'parentRefs', service),
  );
  return [
    `Service: ${titleOf(service)}`,
    ...ports,
    ...waypointOf(service, namespace),
    ...rules.flatMap((r) => [
      `DestinationRule: ${titleOf(r)} for "${spec(r)['host']}"`,
      ...subsetsOf(world, r, service),
    ]),
    ...virtual.map((v) => `VirtualService: ${titleOf(v)}`),
    ...routes.flatMap((r) => [`${r.kind}: ${titleOf(r)}`, ...conditionsOf(r)]),
    ...policies(world, 'AuthorizationPolicy')
      .filter((p) => refersTo(p, 'targetRefs', service))
      .flatMap(policyLines),
  ];
}

function protocolOf({
  appProtocol,
  name,
  protocol,
}: {
  readonly appProtocol?: string;
  readonly name?: string;
  readonly protocol?: string;
}): string {
  const first = appProtocol ?? name?.split('-')[0] ?? '';
  return /^(http2?|https|grpc|grpc-web|tcp|tls|mongo|mysql|redis|kubernetes\.io\/.*)$/.test(first)
    ? first.toUpperCase()
    : `auto-detect, ${protocol ?? 'TCP'}`;
}

/** Which pods each subset takes; one that takes none is a mistake. */
function subsetsOf(world: World, rule: KubeObject, service: Service): readonly string[] {
  const pods = ofKind<Pod>(world, 'Pod').filter(
    (p) =>
      p.metadata.namespace === service.metadata.namespace && selects(service.spec.selector ?? {}, p.metadata.labels),
  );
  return list(spec(rule)['subsets']).map((subset) => {
    const { name, labels = {} } = subset as {
      readonly name: string;
      readonly labels?: Readonly<Record<string, string>>;
    };
    const count = pods.filter((p) => selects(labels, p.metadata.labels)).length;
    return `   ${count === 0 ? 'WARNING: ' : ''}Subset ${name}: ${count} pods`;
  });
}

function conditionsOf(route: KubeObject): readonly string[] {
  const parents =
    (
      route['status'] as
        | {
            readonly parents?: readonly {
              readonly conditions?: readonly {
                readonly type: string;
                readonly status: string;
                readonly message?: string;
              }[];
            }[];
          }
        | undefined
    )?.parents ?? [];
  return parents.flatMap(({ conditions = [] }) =>
    conditions.filter((c) => c.status === 'False').map((c) => `   WARNING: ${c.type}: ${c.message ?? 'False'}`),
  );
}

/** Policies that hold for a pod's connections. */
function policiesOf(world: World, pod: Pod): readonly string[] {
  const here = (p: KubeObject) =>
    p.metadata.namespace === pod.metadata.namespace || p.metadata.namespace === world.rootNamespace;
  const holds = (p: KubeObject) => {
    const { selector, targetRefs, targetRef } = spec(p) as {
      readonly selector?: object;
      readonly targetRefs?: unknown;
      readonly targetRef?: unknown;
    };
    if (targetRefs !== undefined || targetRef !== undefined) return false;
    return here(p) && (selector === undefined || selectsLabels(selector, pod.metadata.labels));
  };
  const modes = policies(world, 'PeerAuthentication').filter(holds);
  const auth = policies(world, 'AuthorizationPolicy').filter(holds);
  return [
    ...modes.map(
      (p) =>
        `PeerAuthentication: ${titleOf(p)}, mtls ${(spec(p)['mtls'] as { readonly mode?: string } | undefined)?.mode ?? 'UNSET'}`,
    ),
    ...auth.flatMap(policyLines),
  ];
}

function policyLines(p: KubeObject): readonly string[] {
  return [
    `AuthorizationPolicy: ${titleOf(p)}, ${String(spec(p)['action'] ?? 'ALLOW')}, ${list(spec(p)['rules']).length} rules`,
  ];
}

function policies(world: World, kind: string): readonly KubeObject[] {
  return ofKind(world, kind);
}

function spec(object: KubeObject): Readonly<Record<string, unknown>> {
  return (object['spec'] ?? {}) as Readonly<Record<string, unknown>>;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A host as the object's namespace understands it; wildcards count. */
function isAbout(host: unknown, from: KubeObject, service: Service): boolean {
  if (typeof host !== 'string') return false;
  const full = host.includes('.') ? host : `${host}.${from.metadata.namespace}.svc.cluster.local`;
  const own = hostOf(service);
  return full.startsWith('*') ? own.endsWith(full.slice(1)) : own === full || own.startsWith(`${full}.svc`);
}

function refersTo(object: KubeObject, field: string, service: Service): boolean {
  return (
    list(spec(object)[field]) as readonly {
      readonly kind?: string;
      readonly name?: string;
      readonly namespace?: string;
    }[]
  ).some(
    (ref) =>
      ref.kind === 'Service' &&
      ref.name === service.metadata.name &&
      (ref.namespace ?? object.metadata.namespace) === service.metadata.namespace,
  );
}
