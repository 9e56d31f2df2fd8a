/** The policies that node proxies get (ambient-wire 5.3, 5.4), and which of them a workload lists. */
import type { AuthorizationPolicy, PeerAuthentication } from '../../../common/kube/kinds/security.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import { keyLookups, keyProblems } from '../../envoy/authentication.ts';
import { lookupOf } from '../../jwks/resolver.ts';
import { convertPolicy } from '../authorization.ts';
import { waypointAccepted, ztunnelAccepted } from '../condition.ts';
import type { Derived } from '../graph/graph.ts';
import { type Place, selecting, selectorKey } from '../graph/labelled.ts';
import type { Changing } from '../graph/table.ts';
import { counterOf, limitAcceptance } from '../limit-policy.ts';
import { hasSelector, type PeerScope, peerRequirement, portPolicy, staticStrict } from '../peer-authentication.ts';
import { resourceOfPolicy } from '../resource.ts';
import { byAge, parentsOf } from '../route-parents.ts';
import type { Labels } from '../selector.ts';
import type { Waypoint } from '../waypoint.ts';
import { allowWaypoint, authenticationAcceptance, targetKeys, waypointAcceptance } from '../waypoint-policy.ts';
import { type Conditions, type Context, type Output, placeOf } from './context.ts';
import type { Services } from './services.ts';
import type { Waypoints } from './waypoints.ts';

export interface Policies {
  /** By what they are made of. */
  readonly tables: readonly Changing<Output>[];
  readonly authorization: Derived<PolicyOutput>;
  readonly authentication: Derived<JudgedOutput>;
  readonly limits: Derived<JudgedOutput>;
  /** What a workload lists, and what said so. */
  of(place: Place): Listed;
  /** The ones for waypoints alone, by the waypoint's id; none unless settings ask for them. */
  allowing(waypointIds: readonly (string | undefined)[]): readonly string[];
  /** Marks those workloads in `derived` that a change of policies may touch. */
  watch(derived: Derived<Output>, objects: Selectable): void;
}

/** Objects that selectors of policies may mean. */
export interface Selectable {
  readonly all: () => Iterable<string>;
  matching(namespace: string | undefined, selector: Labels): readonly string[];
}

export interface Listed {
  readonly names: readonly string[];
  readonly from: readonly KubeObject[];
}

interface PolicyOutput extends Output {
  readonly object: AuthorizationPolicy;
  /** Of the workloads that have to list it; undefined where none has to, or it is not sent. */
  readonly selector: Labels | undefined;
  readonly conditions: Conditions;
}

interface JudgedOutput extends Output {
  readonly conditions: Conditions;
}

/** On a waypoint's Gateway or its namespace: `refuse` (DESIGN 12, `waypoint-bypass`). */
const bypassAnnotation = 'aquifer.dev/waypoint-bypass';

/** The one policy that all PeerAuthentications share. */
const strictKey = 'strict';

export function derivePolicies(c: Context, waypoints: Waypoints, services: Services): Policies {
  const { graph, inputs, settings } = c;
  const byTarget = inputs.policies.index((p) => targetKeys(p));
  const authorization = graph
    .derive('AuthorizationPolicy', authorizationOf)
    // What one asks counts for others with its target.
    .after(inputs.policies, (p, key) => [key, ...targetKeys(p).flatMap((target) => [...byTarget.keys(target)])])
    .after(waypoints.table, (w) => byTarget.keys(`Gateway/${w.id}`))
    .after(services.offers, (_, key) => byTarget.keys(key))
    .after(inputs.gatewayClasses, (_, name) => byTarget.keys(`GatewayClass/${name}`));
  const byAuthenticated = inputs.requestAuthentications.index((a) => targetKeys(a));
  const byIssuer = inputs.requestAuthentications.index((a) => keyLookups(a));
  const authentication = graph
    .derive('RequestAuthentication', authenticationOf)
    .after(inputs.requestAuthentications, (_, key) => [key])
    .after(waypoints.table, (w) => byAuthenticated.keys(`Gateway/${w.id}`))
    .after(services.offers, (_, key) => byAuthenticated.keys(key))
    .after(inputs.gatewayClasses, (_, name) => byAuthenticated.keys(`GatewayClass/${name}`))
    .after(inputs.issuerKeys, (_, key) => byIssuer.keys(key));
  const byLimited = inputs.rateLimits.index((l) => {
    const counter = counterOf(l);
    return [...targetKeys(l), ...(counter === undefined ? [] : [`Service/${counter}`])];
  });
  const byParent = inputs.httpRoutes.index(parentsOf);
  const routesAt = (parent: string) => [...byParent.keys(parent)].map((key) => `HTTPRoute/${key}`);
  const limits = graph
    .derive('RateLimitPolicy', limitOf)
    // How many services a waypoint asks is by all that have a target in common.
    .after(inputs.rateLimits, (l, key) => [key, ...targetKeys(l).flatMap((target) => [...byLimited.keys(target)])])
    .after(waypoints.table, (w) => byLimited.keys(`Gateway/${w.id}`))
    .after(services.offers, (_, key) => [key, ...routesAt(key)].flatMap((target) => [...byLimited.keys(target)]))
    .after(inputs.httpRoutes, (_, key) => byLimited.keys(`HTTPRoute/${key}`))
    .after(inputs.gatewayClasses, (_, name) => byLimited.keys(`GatewayClass/${name}`));
  const bySelector = authorization.index((p) =>
    p.selector === undefined ? [] : [selectorKey(namespaceOf(p.object), p.selector)],
  );

  const peersByNamespace = inputs.peers.index((p) => [namespaceOf(p)]);
  const peerPolicies = graph
    .derive('PeerAuthentication', peerOf)
    .after(inputs.peers, (p, key) => [key, strictKey, ...(hasSelector(p) ? [] : inheritors(namespaceOf(p)))]);

  const byNamespace = inputs.gateways.index((g) => [namespaceOf(g)]);
  const allowed = graph
    .derive('policy of a waypoint', allowOf)
    .after(waypoints.table, (_, key) => [key])
    .after(inputs.pods, (pod) => {
      const { namespace, labels } = placeOf(pod);
      const name = labels['gateway.networking.k8s.io/gateway-name'];
      return name === undefined || !isStrict(waypoints.table.get(`${namespace}/${name}`))
        ? []
        : [`${namespace}/${name}`];
    })
    .after(
      inputs.namespaces,
      (_, name) => byNamespace.keys(name),
      (a, b) => a.metadata.annotations?.[bypassAnnotation] !== b.metadata.annotations?.[bypassAnnotation],
    );

  function authorizationOf(key: string): PolicyOutput | undefined {
    const object = inputs.policies.get(key);
    if (!object) return undefined;
    const { policy, accepted } = convertPolicy(object, settings());
    const neighbours = targetKeys(object).flatMap((target) => [...byTarget.values(target)]);
    const conditions: Conditions = new Map([
      [ztunnelAccepted, accepted],
      [waypointAccepted, waypointAcceptance(object, neighbours, lookup, settings())],
    ]);
    const selector = policy && object.spec?.selector && (object.spec.selector.matchLabels ?? {});
    return { object, selector, conditions, resources: policy ? [resourceOfPolicy(policy, [object])] : [], far: [] };
  }

  function authenticationOf(key: string): JudgedOutput | undefined {
    const object = inputs.requestAuthentications.get(key);
    if (!object) return undefined;
    const problems = keyProblems(object, ({ issuer, uri }) => {
      return inputs.issuerKeys.get(lookupOf({ issuer, uri })) ?? { keys: undefined, problem: undefined };
    });
    const accepted = authenticationAcceptance(object, lookup, settings(), problems);
    return { conditions: new Map([[waypointAccepted, accepted]]), resources: [], far: [] };
  }

  function limitOf(key: string): JudgedOutput | undefined {
    const object = inputs.rateLimits.get(key);
    if (!object) return undefined;
    const found = targetKeys(object).flatMap((target) => [...byLimited.values(target)]);
    const neighbours = [...new Set(found)].sort(byAge);
    const accepted = limitAcceptance(object, neighbours, { ...lookup, ...limited }, settings());
    return { conditions: new Map([['Accepted', accepted]]), resources: [], far: [] };
  }

  const lookup = {
    waypoint: (id: string) => waypoints.table.get(id),
    waypointOf: (kind: 'Service' | 'ServiceEntry', id: string) => {
      const offer = services.offers.get(`${kind}/${id}`);
      const [service] = offer?.services ?? [];
      return offer && { waypointId: service?.binding.waypointId, ports: service?.ports ?? [] };
    },
    gatewayClass: (name: string) => inputs.gatewayClasses.get(name),
  };

  const limited = {
    httpRoute: (id: string) => inputs.httpRoutes.get(id),
    service: (kind: 'Service' | 'ServiceEntry', id: string) => services.offers.get(`${kind}/${id}`)?.services[0],
  };

  function peersFor(namespace: string): PeerScope {
    const { rootNamespace } = settings();
    return {
      inNamespace: peersByNamespace.values(namespace),
      inRoot: peersByNamespace.values(rootNamespace),
      rootNamespace,
    };
  }

  /** PeerAuthentications that inherit from those of the namespace: its own, or all from the root's. */
  function inheritors(namespace: string): Iterable<string> {
    return namespace === settings().rootNamespace ? inputs.peers.values.keys() : peersByNamespace.keys(namespace);
  }

  function peerOf(key: string): Output | undefined {
    if (key === strictKey) {
      if (inputs.peers.values.size === 0) return undefined;
      return { resources: [resourceOfPolicy(staticStrict(settings().rootNamespace), [])], far: [] };
    }
    const peer = inputs.peers.get(key);
    const policy = peer && portPolicy(peer, peersFor(namespaceOf(peer)));
    return policy && { resources: [resourceOfPolicy(policy, [peer])], far: [] };
  }

  function allowOf(id: string): Output | undefined {
    const waypoint = waypoints.table.get(id);
    const policy = waypoint && isStrict(waypoint) && allowWaypoint(waypoint, accountsOf(waypoint), settings());
    return policy ? { resources: [resourceOfPolicy(policy, [waypoint.gateway])], far: [] } : undefined;
  }

  /** What is behind it takes connections from it alone. */
  function isStrict(waypoint: Waypoint | undefined): boolean {
    const { allowOnlyWaypoints, compat } = settings();
    if (allowOnlyWaypoints || waypoint === undefined || compat.has('waypoint-bypass')) return allowOnlyWaypoints;
    const marked = [waypoint.gateway, inputs.namespaces.get(waypoint.namespace)];
    return marked.some((o) => o?.metadata.annotations?.[bypassAnnotation] === 'refuse');
  }

  function accountsOf(waypoint: Waypoint): readonly string[] {
    const keys = waypoints.instances(c.pods)(waypoint);
    return keys.map((key) => inputs.pods.get(key)!.spec.serviceAccountName ?? 'default');
  }

  return {
    tables: [authorization, peerPolicies, allowed],
    authorization,
    authentication,
    limits,
    of(place) {
      const { rootNamespace } = settings();
      const namespaces = [...new Set([place.namespace, rootNamespace])];
      const policies = namespaces.flatMap((namespace) =>
        selecting(bySelector, { ...place, namespace }, (p) => p.selector ?? {}),
      );
      const peers = peerRequirement(place.labels, peersFor(place.namespace));
      const names = policies.map((p) => `${namespaceOf(p.object)}/${p.object.metadata.name}`).sort();
      if (peers.policy !== undefined) names.push(peers.policy);
      return { names, from: [...policies.map((p) => p.object), ...peers.from] };
    },
    allowing: (ids) => [...new Set(ids)].flatMap((id) => (id && allowed.get(id)?.resources.map((r) => r.name)) || []),
    watch(derived, objects) {
      derived
        .after(
          authorization,
          ({ object, selector }) => {
            const namespace = namespaceOf(object);
            const reach = namespace === settings().rootNamespace ? undefined : namespace;
            return selector === undefined ? [] : objects.matching(reach, selector);
          },
          // Also of another generation: who asks how far a policy has got looks at what lists it.
          (a, b) =>
            a.object.metadata.generation !== b.object.metadata.generation ||
            JSON.stringify(a.selector) !== JSON.stringify(b.selector),
        )
        .after(
          inputs.peers,
          (p) => {
            const namespace = namespaceOf(p);
            if (!hasSelector(p) && namespace === settings().rootNamespace) return objects.all();
            return objects.matching(namespace, p.spec?.selector?.matchLabels ?? {});
          },
          peerDiffers,
        )
        // Waypoints come and go seldom.
        .after(
          allowed,
          () => objects.all(),
          () => false,
        );
    },
  };
}

function peerDiffers(a: PeerAuthentication, b: PeerAuthentication): boolean {
  const view = ({ spec, metadata: m }: PeerAuthentication) => JSON.stringify([spec, m.generation, m.creationTimestamp]);
  return view(a) !== view(b);
}
