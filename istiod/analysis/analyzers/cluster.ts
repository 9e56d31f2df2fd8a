/** Namespaces, labels and annotations of the mesh, waypoints, routes of the Gateway API, conditions. */
import { namespaceKind, podKind, serviceKind } from '../../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../../common/kube/kinds/gateway-api/gateway.ts';
import { grpcRouteKind } from '../../../common/kube/kinds/gateway-api/grpc-route.ts';
import { httpRouteKind } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import { referenceGrantKind } from '../../../common/kube/kinds/gateway-api/reference-grant.ts';
import { tcpRouteKind, tlsRouteKind } from '../../../common/kube/kinds/gateway-api/stream-routes.ts';
import { serviceEntryKind } from '../../../common/kube/kinds/istio/service-entry.ts';
import { type AuthorizationPolicy, authorizationPolicyKind } from '../../../common/kube/kinds/security.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import { didYouMean } from '../../../common/kube/schema/nearest.ts';
import { customKinds } from '../../../common/kube/schema/table.ts';
import type { Kind, KubeObject } from '../../../common/kube/types.ts';
import { waypointClassName } from '../../model/waypoint.ts';
import type { Analyzer, Message, World } from '../world.ts';

const system = /^(kube-.*|istio-system|local-path-storage)$/;

export const analyzeNamespaces: Analyzer = (world) =>
  world.all(namespaceKind).flatMap((object): readonly Message[] => {
    const { name, labels = {} } = object.metadata;
    const said = labels['istio.io/dataplane-mode'] ?? labels['istio-injection'] ?? labels['istio.io/rev'];
    if (said !== undefined || system.test(name)) return [];
    if (!world.workloads.some((w) => w.namespace === name)) return [];
    const text = `the namespace is not in the mesh; kubectl label namespace ${name} istio.io/dataplane-mode=ambient brings it in, =none says that it stays out`;
    return [{ sort: 'NamespaceNotInjected', object, text }];
  });

/** Where a waypoint is named, it has to be there: without it connections are refused. */
export const analyzeWaypoints: Analyzer = (world) =>
  [
    ...world.all(namespaceKind),
    ...world.all(serviceKind),
    ...world.all(serviceEntryKind),
    ...world.all(podKind),
  ].flatMap((object: KubeObject): readonly Message[] => {
    const { labels = {} } = object.metadata;
    const named = labels['istio.io/use-waypoint'];
    if (named === undefined || named === 'none' || named === '') return [];
    if (!world.knowsAll(gatewayKind) && world.all(gatewayKind).length === 0) return [];
    const own = object.kind === 'Namespace' ? object.metadata.name : namespaceOf(object);
    const namespace = labels['istio.io/use-waypoint-namespace'] ?? own;
    if (world.get(gatewayKind, namespace, named) !== undefined) return [];
    const text = `the waypoint ${namespace}/${named} is not there, so connections to it are refused; create the Gateway, or take the label away`;
    return [{ sort: 'ReferencedResourceNotFound', object, field: 'metadata.labels["istio.io/use-waypoint"]', text }];
  });

/** Policies that hold at a waypoint say nothing of what reaches the pods past it (DESIGN 12, `waypoint-bypass`). */
export const analyzeBypass: Analyzer = (world) => {
  const byGateway = Map.groupBy(
    world
      .all(authorizationPolicyKind)
      .flatMap((policy) => gatewaysOf(world, policy).map((gateway) => ({ gateway, policy }))),
    ({ gateway }) => gateway,
  );
  return [...byGateway].flatMap(([object, held]): readonly Message[] => {
    const { name } = object.metadata;
    const marked = [object, world.all(namespaceKind).find((n) => n.metadata.name === namespaceOf(object))];
    if (marked.some((o) => o?.metadata.annotations?.[bypassAnnotation] === 'refuse')) return [];
    const policies = [...new Set(held.map(({ policy }) => `${namespaceOf(policy)}/${policy.metadata.name}`))].join(
      ', ',
    );
    const text = `what reaches pods past the waypoint ${name} is let in, whatever ${policies} says of requests: annotate it (or its namespace) ${bypassAnnotation}: refuse`;
    return [{ sort: 'WaypointMayBePassedBy', object, field: 'metadata.annotations', text }];
  });
};

const bypassAnnotation = 'aquifer.dev/waypoint-bypass';

/** Waypoints that hold a policy, by its targets. */
function gatewaysOf(world: World, policy: AuthorizationPolicy): readonly Gateway[] {
  const { targetRef, targetRefs = targetRef ? [targetRef] : [] } = policy.spec ?? {};
  const namespace = namespaceOf(policy);
  return targetRefs.flatMap(({ kind, name }) => {
    const target =
      kind === 'Service'
        ? world.get(serviceKind, namespace, name)
        : kind === 'ServiceEntry'
          ? world.get(serviceEntryKind, namespace, name)
          : undefined;
    const own = target?.metadata.labels ?? {};
    const ofNamespace = world.all(namespaceKind).find((n) => n.metadata.name === namespace)?.metadata.labels ?? {};
    const labels = own['istio.io/use-waypoint'] === undefined ? ofNamespace : own;
    const [at, called] =
      kind === 'Gateway'
        ? [namespace, name]
        : [labels['istio.io/use-waypoint-namespace'] ?? namespace, target && labels['istio.io/use-waypoint']];
    const found = called === undefined ? undefined : world.get(gatewayKind, at, called);
    return found?.spec?.gatewayClassName === waypointClassName ? [found] : [];
  });
}

interface Route extends KubeObject {
  readonly spec: {
    readonly parentRefs?: readonly Ref[];
    readonly rules?: readonly { readonly backendRefs?: readonly Ref[] }[];
  };
}
interface Ref {
  readonly group?: string;
  readonly kind?: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
}

export const analyzeRoutes: Analyzer = (world) => {
  const routes: readonly Route[] = [
    ...world.all(httpRouteKind),
    ...world.all(grpcRouteKind),
    ...world.all(tcpRouteKind),
    ...world.all(tlsRouteKind),
  ];
  return routes.flatMap((object) => [
    ...(object.spec.parentRefs ?? []).flatMap((ref, i) => checkParent(world, object, ref, `spec.parentRefs[${i}]`)),
    ...(object.spec.rules ?? []).flatMap(({ backendRefs = [] }, i) =>
      backendRefs.flatMap((ref, j) => checkBackend(world, object, ref, `spec.rules[${i}].backendRefs[${j}]`)),
    ),
  ]);
};

function checkParent(world: World, object: Route, ref: Ref, field: string): readonly Message[] {
  const { kind = 'Gateway', namespace = namespaceOf(object), name } = ref;
  const of: Kind | undefined = kind === 'Gateway' ? gatewayKind : kind === 'Service' ? serviceKind : undefined;
  if (of === undefined || world.get(of, namespace, name) !== undefined) return [];
  if (!world.knowsAll(of) && world.all(of).length === 0) return [];
  const text = `the ${kind} ${namespace}/${name} is not there, so no traffic comes by it`;
  return [{ sort: 'ReferencedResourceNotFound', object, field, text }];
}

function checkBackend(world: World, object: Route, ref: Ref, field: string): readonly Message[] {
  const { kind = 'Service', group = '', namespace = namespaceOf(object), name, port } = ref;
  if (kind !== 'Service' || group !== '') return [];
  const service = world.get(serviceKind, namespace, name);
  if (service === undefined) {
    if (!world.knowsAll(serviceKind) && world.all(serviceKind).length === 0) return [];
    const text = `the Service ${namespace}/${name} is not there; requests to it are answered with 500`;
    return [{ sort: 'ReferencedResourceNotFound', object, field, text }];
  }
  const messages: Message[] = [];
  const ports = (service.spec.ports ?? []).map((p) => p.port);
  if (port !== undefined && !ports.includes(port)) {
    const text = `the Service ${namespace}/${name} has no port ${port}; it has ${ports.join(', ')}`;
    messages.push({ sort: 'ReferencedResourceNotFound', object, field: `${field}.port`, text });
  }
  if (namespace !== namespaceOf(object) && !isGranted(world, object, namespace, name)) {
    const text = `the namespace ${namespace} has no ReferenceGrant for it; requests to it are answered with 500`;
    messages.push({ sort: 'ReferencedResourceNotFound', object, field: `${field}.namespace`, text });
  }
  return messages;
}

function isGranted(world: World, { kind, metadata }: Route, namespace: string, name: string): boolean {
  return world
    .all(referenceGrantKind)
    .some(
      (grant) =>
        namespaceOf(grant) === namespace &&
        grant.spec.from.some((f) => f.kind === kind && f.namespace === (metadata.namespace ?? 'default')) &&
        grant.spec.to.some((t) => t.kind === 'Service' && (t.name === undefined || t.name === name)),
    );
}

type Place = 'Namespace' | 'Service' | 'Pod' | 'Gateway' | 'any';

/** Annotations of Istio's and ours that are read somewhere, and on which kinds. */
const annotations: Readonly<Record<string, readonly Place[]>> = {
  'ambient.istio.io/redirection': ['Pod'],
  'ambient.istio.io/bypass-inbound-capture': ['Pod'],
  'ambient.istio.io/dns-capture': ['Pod'],
  'sidecar.istio.io/status': ['Pod'],
  'sidecar.istio.io/inject': ['Pod'],
  'istio.io/dry-run': ['any'],
  'istio.io/rev': ['any'],
  'networking.istio.io/exportTo': ['Service'],
  'networking.istio.io/service-type': ['Gateway'],
  'networking.istio.io/address-type': ['Gateway'],
  'networking.istio.io/traffic-distribution': ['Service', 'Namespace'],
  'networking.istio.io/tunnel': ['Pod'],
  'gateway.istio.io/controller-version': ['Gateway'],
  'gateway.istio.io/service-account': ['Gateway'],
  'gateway.istio.io/name-override': ['Gateway'],
  'prometheus.istio.io/merge-metrics': ['Pod'],
  'proxy.istio.io/config': ['Pod', 'Gateway'],
  'proxy.istio.io/overrides': ['Pod'],
  'topology.istio.io/controlPlaneClusters': ['Namespace'],
  'traffic.sidecar.istio.io/includeInboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/excludeInboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/excludeOutboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/includeOutboundIPRanges': ['Pod'],
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': ['Pod'],
};
const older: Readonly<Record<string, string>> = {
  'networking.istio.io/exportto': 'networking.istio.io/exportTo',
  'sidecar.istio.io/interceptionMode': '',
};

export const analyzeAnnotations: Analyzer = (world) =>
  [...world.all(namespaceKind), ...world.all(serviceKind), ...world.all(podKind), ...world.all(gatewayKind)].flatMap(
    (object: KubeObject) =>
      Object.entries(object.metadata.annotations ?? {}).flatMap(([name, value]): readonly Message[] => {
        if (!/(^|\.)istio\.io\//.test(name)) return [];
        const field = `metadata.annotations[${JSON.stringify(name)}]`;
        if (Object.hasOwn(older, name)) {
          const instead = older[name] === '' ? 'remove it' : `use ${older[name]}`;
          return [{ sort: 'DeprecatedAnnotation', object, field, text: `is the older form; ${instead}` }];
        }
        const places = Object.hasOwn(annotations, name) ? annotations[name]! : undefined;
        // Sidecars have a lot of them, which nothing of ours reads.
        if (
          places === undefined &&
          /^(sidecar|traffic\.sidecar|readiness\.status\.sidecar|status\.sidecar|inject)\.istio\.io\//.test(name)
        )
          return [];
        if (places === undefined) {
          const text = `nobody reads it${didYouMean(name, Object.keys(annotations)) || '; remove it'}`;
          return [{ sort: 'UnknownAnnotation', object, field, text }];
        }
        if (!places.includes('any') && !places.includes(object.kind as Place)) {
          return [
            {
              sort: 'MisplacedAnnotation',
              object,
              field,
              text: `is read of a ${places.join(' or ')}, not of a ${object.kind}`,
            },
          ];
        }
        if (name === 'istio.io/dry-run' && value !== 'true' && value !== 'false') {
          return [{ sort: 'InvalidAnnotation', object, field, text: `"${value}" is neither "true" nor "false"` }];
        }
        return [];
      }),
  );

const expected = new Set([
  'Accepted',
  'Programmed',
  'ResolvedRefs',
  'Reconciled',
  'ZtunnelAccepted',
  'WaypointAccepted',
  'istio.io/WaypointBound',
]);

/** What controllers said of objects of a cluster. */
export const analyzeConditions: Analyzer = (world) =>
  [...customKinds.map((c) => c.kind), serviceKind].flatMap((kind) =>
    world.all<KubeObject>(kind).flatMap((object) => {
      const status = object['status'] as
        | {
            readonly conditions?: readonly {
              readonly type: string;
              readonly status: string;
              readonly reason?: string;
              readonly message?: string;
            }[];
          }
        | undefined;
      return (status?.conditions ?? [])
        .filter((c) => c.status === 'False' && expected.has(c.type))
        .map(
          (c): Message => ({
            sort: 'NegativeConditionStatus',
            object,
            field: 'status.conditions',
            text: `${c.type} is False: ${c.reason ?? 'no reason'}: ${c.message ?? ''}`,
          }),
        );
    }),
  );
