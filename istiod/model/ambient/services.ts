/** The services of the mesh: of each host name in each namespace one (ambient-wire 3.9). */
import { namespaceOf } from '../../../common/kube/names.ts';
import { waypointBound } from '../condition.ts';
import type { Derived } from '../graph/graph.ts';
import { type Place, selecting, selectorKey } from '../graph/labelled.ts';
import { servicesOf } from '../service.ts';
import { entryConditions, entryServices } from '../service-entry.ts';
import type { ServiceInfo } from '../service-info.ts';
import { bindService, namespaceDiffers } from '../waypoint.ts';
import type { Conditions, Context } from './context.ts';
import { type Waypoints, waypointDiffers } from './waypoints.ts';

/** What one Service or ServiceEntry says. */
export interface Offer {
  readonly services: readonly ServiceInfo[];
  readonly conditions: Conditions;
}

export interface Services {
  /** By `Service/namespace/name` and `ServiceEntry/namespace/name`. */
  readonly offers: Derived<Offer>;
  /** Those that count, by `namespace/hostname`. */
  readonly table: Derived<ServiceInfo>;
  /** Those whose selector matches; an empty selector matches nothing. */
  selecting(place: Place): readonly ServiceInfo[];
  /** Those of the object with that `namespace/name` that count. */
  ofObject(kind: ServiceInfo['kind'], key: string): readonly ServiceInfo[];
}

export function deriveServices(c: Context, waypoints: Waypoints): Services {
  const { graph, inputs, settings } = c;
  const users = {
    services: waypoints.users(inputs.services, c.services),
    entries: waypoints.users(inputs.serviceEntries, c.serviceEntries),
  };
  const offers = graph
    .derive('service', (key): Offer | undefined => (key.startsWith('Service/') ? offerOf(key) : entryOffer(key)))
    .after(inputs.services, (_, key) => [`Service/${key}`])
    .after(inputs.serviceEntries, (_, key) => [`ServiceEntry/${key}`])
    .after(
      inputs.namespaces,
      (_, name) => [
        ...c.services.inNamespace(name).map((k) => `Service/${k}`),
        ...c.serviceEntries.inNamespace(name).map((k) => `ServiceEntry/${k}`),
      ],
      namespaceDiffers,
    )
    .after(
      waypoints.table,
      (w) => [
        // Its own, where it has its name.
        `Service/${w.id}`,
        ...users.services(w).map((k) => `Service/${k}`),
        ...users.entries(w).map((k) => `ServiceEntry/${k}`),
      ],
      waypointDiffers,
    );
  const byHost = offers.index((o) => o.services.map((s) => s.service.hostname));
  const table = graph
    .derive('service of a namespace', (key) => {
      const chosen = choose(key, hostOf(key));
      return settings().audience === undefined || chosen?.isGlobal ? chosen : undefined;
    })
    .after(offers, (o) => o.services.flatMap((s) => keysOf(s.service.hostname, s)));
  const bySelector = table.index((s) =>
    Object.keys(s.selector).length === 0 ? [] : [selectorKey(namespaceOf(s.object), s.selector)],
  );
  const byObject = table.index((s) => [`${s.kind}/${namespaceOf(s.object)}/${s.object.metadata.name}`]);

  function offerOf(key: string): Offer | undefined {
    const object = inputs.services.get(key.slice('Service/'.length));
    if (!object) return undefined;
    const services = servicesOf(object, waypoints.scopeOf(namespaceOf(object)));
    return { services, conditions: new Map([[waypointBound, services[0]?.binding.condition]]) };
  }

  function entryOffer(key: string): Offer | undefined {
    const entry = inputs.serviceEntries.get(key.slice('ServiceEntry/'.length));
    if (!entry) return undefined;
    const scope = waypoints.scopeOf(namespaceOf(entry));
    const services = entryServices(entry, scope);
    const binding = services[0]?.binding ?? bindService(entry, scope);
    const more = entryConditions(entry, scope.namespace, binding.condition?.status === 'True', scope.settings);
    return { services, conditions: new Map([[waypointBound, binding.condition], ...more]) };
  }

  function all(hostname: string): readonly ServiceInfo[] {
    return byHost.values(hostname).flatMap((o) => o.services.filter((s) => s.service.hostname === hostname));
  }

  /** Whether one is canonical depends on the others of its host name. */
  function keysOf(hostname: string, changed: ServiceInfo): readonly string[] {
    return [changed.key, ...all(hostname).map((s) => s.key)];
  }

  function choose(key: string, hostname: string): ServiceInfo | undefined {
    const candidates = all(hostname);
    const own = best(candidates.filter((s) => s.key === key));
    if (own === undefined || own.kind === 'Service') return own;
    const perNamespace = [...Map.groupBy(candidates, (s) => s.key).values()].map((some) => best(some)!);
    const open = perNamespace.filter((s) => s.kind === 'Service' || s.service.visibility === 'PUBLIC');
    const canonical = best(open) === own;
    return canonical ? { ...own, service: { ...own.service, canonical } } : own;
  }

  return {
    offers,
    table,
    selecting: (place) => selecting(bySelector, place, (s) => s.selector),
    ofObject: (kind, key) => [...byObject.values(`${kind}/${key}`)].sort((a, b) => (a.key < b.key ? -1 : 1)),
  };
}

function hostOf(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

/** One of the namespace itself, of them a Service, else the oldest; by name where the ages are equal, so that all istiods choose alike. */
function best(candidates: readonly ServiceInfo[]): ServiceInfo | undefined {
  const order = ({ kind, service, object: { metadata: m } }: ServiceInfo) =>
    `${service.namespace === m.namespace ? 0 : 1}${kind === 'Service' ? 0 : 1} ${m.creationTimestamp ?? ''} ${m.namespace}/${m.name}`;
  let found: ServiceInfo | undefined;
  for (const s of candidates) if (found === undefined || order(s) < order(found)) found = s;
  return found;
}
