/** VirtualServices: destinations, subsets, gateways, hosts that two of them claim. */
import type { Service } from '../../../common/kube/kinds/core.ts';
import { destinationRuleKind } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { istioGatewayKind } from '../../../common/kube/kinds/istio/istio-gateway.ts';
import type { ServiceEntry } from '../../../common/kube/kinds/istio/service-entry.ts';
import { type VirtualService, virtualServiceKind } from '../../../common/kube/kinds/istio/virtual-service.ts';
import { requestAuthenticationKind } from '../../../common/kube/kinds/security.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import { type Analyzer, covers, type Message, sees, type World } from '../world.ts';

interface Target {
  readonly host: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

/** Every destination with its field. */
function targetsOf({ spec }: VirtualService): readonly (readonly [string, Target])[] {
  const targets: [string, Target][] = [];
  spec?.http?.forEach((route, i) => {
    const at = `spec.http[${i}]`;
    route.route?.forEach((r, j) => {
      targets.push([`${at}.route[${j}].destination`, r.destination]);
    });
    if (route.mirror !== undefined) targets.push([`${at}.mirror`, route.mirror]);
    route.mirrors?.forEach((m, j) => {
      targets.push([`${at}.mirrors[${j}].destination`, m.destination]);
    });
  });
  for (const kind of ['tls', 'tcp'] as const) {
    spec?.[kind]?.forEach((route, i) => {
      route.route?.forEach((r, j) => {
        targets.push([`spec.${kind}[${i}].route[${j}].destination`, r.destination]);
      });
    });
  }
  return targets;
}

export const analyzeDestinations: Analyzer = (world) =>
  world
    .all(virtualServiceKind)
    .flatMap((object) => targetsOf(object).flatMap(([field, target]) => checkTarget(world, object, field, target)));

function checkTarget(world: World, object: VirtualService, field: string, target: Target): readonly Message[] {
  const namespace = namespaceOf(object);
  const name = world.fullName(target.host, namespace);
  const service = world.serviceOf(name, namespace);
  if (service === undefined) {
    if (!world.canTell(name)) return [];
    const text = `the host ${target.host} (${name}) is no Service and no ServiceEntry that this namespace sees; requests to it are answered with 503`;
    return [{ sort: 'ReferencedResourceNotFound', object, field: `${field}.host`, text }];
  }
  const messages: Message[] = [];
  if (target.subset !== undefined && !hasSubset(world, name, target.subset, namespace)) {
    const text = `no DestinationRule of ${name} has a subset ${target.subset}; requests to it are answered with 503`;
    messages.push({ sort: 'ReferencedResourceNotFound', object, field: `${field}.subset`, text });
  }
  const ports = portsOf(service);
  if (target.port?.number === undefined && ports.length > 1) {
    const text = `${name} has the ports ${ports.join(', ')}; say which one`;
    messages.push({ sort: 'VirtualServiceDestinationPortSelectorRequired', object, field, text });
  } else if (target.port?.number !== undefined && ports.length > 0 && !ports.includes(target.port.number)) {
    const text = `${name} has no port ${target.port.number}; it has ${ports.join(', ')}`;
    messages.push({ sort: 'ReferencedResourceNotFound', object, field: `${field}.port`, text });
  }
  return messages;
}

function portsOf(service: Service | ServiceEntry): readonly number[] {
  const ports = (service.spec as { readonly ports?: readonly { readonly port?: number; readonly number?: number }[] })
    .ports;
  return (ports ?? []).flatMap((p) => p.port ?? p.number ?? []);
}

function hasSubset(world: World, name: string, subset: string, namespace: string): boolean {
  return world
    .all(destinationRuleKind)
    .some(
      (rule) =>
        rule.spec !== undefined &&
        sees(rule.spec.exportTo, namespaceOf(rule), namespace) &&
        covers(world.fullName(rule.spec.host, namespaceOf(rule)), name) &&
        rule.spec.subsets?.some((s) => s.name === subset),
    );
}

/** Gateways that are named have to be there, and to serve one of the hosts. */
export const analyzeGatewaysOfRoutes: Analyzer = (world) =>
  world.all(virtualServiceKind).flatMap((object) => {
    const namespace = namespaceOf(object);
    const named = (object.spec?.gateways ?? []).map((name, i) => [name, `spec.gateways[${i}]`] as const);
    return named.flatMap(([name, field]): readonly Message[] => {
      if (name === 'mesh') return [];
      const [first = '', second] = name.split('/');
      const [ns, gatewayName] = second === undefined ? [namespace, first] : [first, second];
      const gateway = world.get(istioGatewayKind, ns, gatewayName);
      if (gateway === undefined) {
        const text = `the Gateway ${ns}/${gatewayName} is not there, so no request comes by it`;
        return [{ sort: 'ReferencedResourceNotFound', object, field, text }];
      }
      const served = (gateway.spec?.servers ?? []).flatMap((s) => s.hosts);
      const isServed = (host: string) =>
        served.some((h) => {
          const [of, pattern] = h.includes('/') ? h.split('/') : ['*', h];
          const here = of === '*' || of === namespace || (of === '.' && ns === namespace);
          return here && (covers(pattern!, host) || covers(host, pattern!));
        });
      return (object.spec.hosts ?? [])
        .filter((host) => !isServed(host))
        .map((host) => ({
          sort: 'VirtualServiceHostNotFoundInGateway',
          object,
          field,
          text: `the Gateway ${ns}/${gatewayName} does not serve ${host}; it serves ${served.join(', ') || 'nothing'}`,
        }));
    });
  });

/** Of two VirtualServices for all workloads that claim one host, one is ignored. */
export const analyzeClaims: Analyzer = (world) => {
  const claims = new Map<string, VirtualService[]>();
  for (const object of world.all(virtualServiceKind)) {
    const { gateways = [], hosts = [], exportTo } = object.spec ?? {};
    if (gateways.length > 0 && !gateways.includes('mesh')) continue;
    for (const host of new Set(hosts.map((h) => world.fullName(h, namespaceOf(object))))) {
      // Those that only their own namespace sees, meet only there.
      const own = exportTo?.every((e) => e === '.' || e === namespaceOf(object));
      const key = own ? `${namespaceOf(object)} ${host}` : host;
      claims.set(key, [...(claims.get(key) ?? []), object]);
    }
  }
  return [...claims].flatMap(([key, objects]) => {
    if (objects.length < 2) return [];
    const names = objects.map((o) => `${namespaceOf(o)}/${o.metadata.name}`).join(', ');
    const text = `${key.split(' ').at(-1)} is claimed by the VirtualServices ${names}; the oldest is used and the others are not`;
    return objects.map(
      (object) => ({ sort: 'ConflictingMeshGatewayVirtualServiceHosts', object, field: 'spec.hosts', text }) as const,
    );
  });
};

/** Claims are known only where a RequestAuthentication reads them. */
export const analyzeClaimRoutes: Analyzer = (world) =>
  world.all(virtualServiceKind).flatMap((object) =>
    (object.spec?.http ?? []).flatMap((route, i) =>
      (route.match ?? []).flatMap(({ headers = {}, withoutHeaders = {} }, j): readonly Message[] => {
        const claim = Object.keys({ ...headers, ...withoutHeaders }).find((h) => h.startsWith('@request.auth.claims'));
        if (claim === undefined || world.all(requestAuthenticationKind).length > 0) return [];
        const text = `${claim} is known only where a RequestAuthentication reads tokens, and there is none`;
        return [
          {
            sort: 'JwtClaimBasedRoutingWithoutRequestAuthN',
            object,
            field: `spec.http[${i}].match[${j}].headers`,
            text,
          },
        ];
      }),
    ),
  );
