/** Everything that an Envoy is told which asks for all listeners and clusters: of the services that it sees. */
import type { Typed } from '../../../common/envoy/codec.ts';
import type { ClientProxy } from '../proxy.ts';
import type { MadeResource, Remember } from '../remember.ts';
import { clusterTypeUrl, type EnvoyType, listenerTypeUrl, routeTypeUrl } from '../types.ts';
import { type Message, typed } from '../values.ts';
import { type Door, doorsOf, nameOf, type Part, type Seen } from './doors.ts';
import { type ClientHost, clientFront, clientHost } from './front.ts';
import { captureListener, doorListener, virtualOutbound } from './listeners.ts';
import { clientLogs } from './logs.ts';
import { unknownClusters, unknownTraffic } from './unknown.ts';

export interface Outbound {
  readonly resources: readonly MadeResource[];
  /** Names of clusters of services, which go with them. */
  readonly clusters: ReadonlySet<string>;
}

/** Says all of it, anew only where something changed since it was asked last. */
export function outboundOf(proxy: ClientProxy, remember: Remember): () => Outbound {
  /** By type and name: what was made last, of which parts. */
  let kept = new Map<string, { readonly parts: readonly unknown[]; readonly message: Typed }>();
  return () => {
    const { id, value: common } = remember('unknown traffic', (view) => {
      const { logs, clusters } = clientLogs(view, proxy);
      const unknown = unknownTraffic(view, proxy, logs);
      const capture = captureListener(proxy, unknown, logs);
      return { unknown, facts: view.facts, capture, logs, collectors: clusters };
    });
    if (common === undefined) return { resources: [], clusters: new Set() };
    const { unknown, facts, capture, logs, collectors } = common;
    const before = kept;
    kept = new Map();
    const made = (
      type: EnvoyType,
      name: string,
      from: readonly string[],
      parts: readonly unknown[],
      make: () => Typed,
    ) => {
      const key = `${type} ${name}`;
      const known = before.get(key);
      const isSame = known?.parts.length === parts.length && parts.every((p, i) => p === known.parts[i]);
      const now = isSame ? known : { parts, message: make() };
      kept.set(key, now);
      return { type, name, message: now.message, from: [id, ...from] };
    };
    const seen = seenBy(proxy, remember);
    const resources = doorsOf(proxy, seen).flatMap((door): readonly MadeResource[] => {
      const { routes, hosts, from } = door;
      const ports = [...door.streams, ...door.ranges.map((r) => r.port)];
      const listener = made(listenerTypeUrl, nameOf(door), from, [common, routes, door.isDynamic, ...ports], () =>
        doorListener(proxy, facts, door, unknown, logs),
      );
      if (routes === undefined) return [listener];
      const values = hosts.map((h) => h.value);
      return [listener, made(routeTypeUrl, routes, from, [common, ...values], () => table(door, values, unknown.host))];
    });
    const byItself = (type: EnvoyType, name: string, message: Typed) => ({ type, name, message, from: [id] });
    return {
      resources: [
        ...(proxy.interception === 'NONE' ? [] : [byItself(listenerTypeUrl, virtualOutbound, capture)]),
        ...resources,
        ...unknownClusters.map((c) => byItself(clusterTypeUrl, c.name, c)),
      ],
      clusters: new Set([
        ...seen.flatMap(({ front }) => front.value.ports.flatMap((p) => p.clusters)),
        ...seen.flatMap(({ hosts }) => [...hosts.values()].flatMap((h) => h.value.clusters)),
        unknown.cluster,
        ...collectors,
      ]),
    };
  };
}

function seenBy(proxy: ClientProxy, remember: Remember): readonly Seen[] {
  const keys = remember('visible', (view) => view.visible(proxy.namespace)).value ?? [];
  return keys.flatMap((key) => {
    const { id, value } = remember(`front of ${key}`, (view) => {
      const service = view.service(key);
      return service && clientFront(view, proxy, service);
    });
    if (value === undefined) return [];
    const read = value.ports.filter((p) => p.speaks === 'http' || p.speaks === 'unknown');
    const hosts = read.flatMap(({ number }): readonly [number, Part<ClientHost>][] => {
      const host = remember(`host of ${key} ${number}`, (view) => {
        const service = view.service(key);
        const port = service?.ports.find((p) => p.number === number);
        return service && port && clientHost(view, proxy, service, port);
      });
      return host.value === undefined ? [] : [[number, { id: host.id, value: host.value }]];
    });
    return [{ front: { id, value }, hosts: new Map(hosts) }];
  });
}

function table({ port, routes: name }: Door, hosts: readonly ClientHost[], unknown: Message): Typed {
  const isShared = name === String(port);
  const taken = new Set(hosts.map((h) => h.hostname));
  const mine = (alias: string) => !taken.has(alias) && taken.add(alias);
  const all = hosts.map(({ hostname, aliases, routes }) => ({
    name: `${hostname}:${port}`,
    domains: [hostname, ...aliases.filter(mine)],
    routes,
  }));
  const shared = taken.has('*') ? all : [...all, unknown];
  return typed('envoy.config.route.v3.RouteConfiguration', {
    name,
    virtual_hosts: isShared ? shared : [{ ...all[0]!, domains: ['*'] }],
    validate_clusters: { value: false },
    ignore_port_in_host_matching: true,
    max_direct_response_body_size_bytes: { value: 1 << 20 },
  });
}
