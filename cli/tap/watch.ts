/** What changed between two looks at a node's proxy. Pure. */
import type { Connection, ZtunnelDump } from '../ztunnel-config/dump.ts';
import { namesOf } from '../ztunnel-config/tables.ts';

export interface TapEvent {
  readonly event: 'open' | 'close';
  readonly node: string;
  readonly direction: 'inbound' | 'outbound';
  /** NAME.NAMESPACE of the pod whose connection it is. */
  readonly workload: string;
  readonly source: TapEnd;
  readonly destination: TapEnd;
  /** HBONE or TCP. */
  readonly protocol: string;
}

export interface TapEnd {
  readonly address: string;
  /** NAME.NAMESPACE:PORT of a workload, HOST:PORT of a service; the address where the mesh knows neither. */
  readonly name: string;
  /** SPIFFE id of the workload, where mutual TLS proved it. */
  readonly identity?: string;
}

/** undefined: all. Case counts. */
export interface TapFilter {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly namespace?: string | undefined;
  readonly direction?: 'inbound' | 'outbound' | undefined;
}

/** Connections of a dump by what tells them apart. */
export function connectionsOf(node: string, dump: ZtunnelDump): ReadonlyMap<string, Omit<TapEvent, 'event'>> {
  const nameOf = namesOf(dump);
  const identities = new Map<string, string>();
  for (const w of dump.workloads) {
    const identity = `spiffe://${w.trustDomain ?? 'cluster.local'}/ns/${w.namespace}/sa/${w.serviceAccount ?? 'default'}`;
    for (const ip of w.workloadIps ?? []) identities.set(ip, identity);
  }
  /** Only a tunnel proves who is at its ends. */
  const end = (c: Connection, address: string, shown = address): TapEnd => {
    const ip = address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
    const identity = c.protocol === 'HBONE' ? identities.get(ip) : undefined;
    return { address, name: nameOf(shown), ...(identity !== undefined && { identity }) };
  };
  const found = new Map<string, Omit<TapEvent, 'event'>>();
  for (const { info, connections = {} } of dump.workloadState) {
    const workload = `${info.name}.${info.namespace}`;
    const add = (direction: TapEvent['direction'], c: Connection) => {
      // What was asked for says more than where it went: outbound an address, inbound the name of a service.
      const destination =
        direction === 'outbound' ? end(c, c.actualDst, c.originalDst ?? c.actualDst) : end(c, c.actualDst);
      const key = [node, direction, workload, c.src, c.actualDst, c.originalDst].join(' ');
      found.set(key, { node, direction, workload, source: end(c, c.src), destination, protocol: c.protocol });
    };
    for (const c of connections.inbound ?? []) add('inbound', c);
    for (const c of connections.outbound ?? []) add('outbound', c);
  }
  return found;
}

type Seen = ReturnType<typeof connectionsOf>;

export function changes(before: Seen, now: Seen): readonly TapEvent[] {
  const closed = [...before].filter(([key]) => !now.has(key)).map(([, c]) => ({ event: 'close' as const, ...c }));
  const opened = [...now].filter(([key]) => !before.has(key)).map(([, c]) => ({ event: 'open' as const, ...c }));
  return [...closed, ...opened];
}

export function isWanted(e: TapEvent, { from, to, namespace, direction }: TapFilter): boolean {
  const has = (wanted: string | undefined, { name, address, identity = '' }: TapEnd) =>
    wanted === undefined || [name, address, identity].some((text) => text.includes(wanted));
  return (
    has(from, e.source) &&
    has(to, e.destination) &&
    (direction === undefined || e.direction === direction) &&
    (namespace === undefined || e.workload.endsWith(`.${namespace}`))
  );
}

/** `+ inbound  client.shop:41234 -> web.shop:8080  HBONE  spiffe://... -> spiffe://...` */
export function lineOf({ event, direction, source, destination, protocol }: TapEvent): string {
  const who = `${source.identity ?? '-'} -> ${destination.identity ?? '-'}`;
  return `${event === 'open' ? '+' : '-'} ${direction.padEnd(8)}  ${source.name} -> ${destination.name}  ${protocol}  ${who}`;
}
