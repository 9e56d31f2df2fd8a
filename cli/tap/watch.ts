/** What changed between two looks at a node's proxy. Pure. */
import type { Connection, ZtunnelDump } from '../ztunnel-config/dump.ts';
import type { ConnectionEvent } from './events.ts';
import type { Names } from './names.ts';

export type Seen = ReadonlyMap<string, Omit<ConnectionEvent, 'event'>>;

/** Connections of a dump by what tells them apart. */
export function connectionsOf(node: string, dump: ZtunnelDump, names: Names): Seen {
  const found = new Map<string, Omit<ConnectionEvent, 'event'>>();
  for (const { info, connections = {} } of dump.workloadState) {
    const workload = `${info.name}.${info.namespace}`;
    const add = (direction: ConnectionEvent['direction'], c: Connection) => {
      const proved = c.protocol === 'HBONE';
      // What was asked for says more than where it went: outbound an address, inbound the name of a service.
      const shown = direction === 'outbound' ? (c.originalDst ?? undefined) : undefined;
      const source = names.end(c.src, { proved });
      const destination = names.end(c.actualDst, { proved, shown });
      const key = [node, direction, workload, c.src, c.actualDst, c.originalDst].join(' ');
      found.set(key, { node, direction, workload, source, destination, protocol: c.protocol });
    };
    for (const c of connections.inbound ?? []) add('inbound', c);
    for (const c of connections.outbound ?? []) add('outbound', c);
  }
  return found;
}

export function changes(before: Seen, now: Seen): readonly ConnectionEvent[] {
  const closed = [...before].filter(([key]) => !now.has(key)).map(([, c]) => ({ event: 'close' as const, ...c }));
  const opened = [...now].filter(([key]) => !before.has(key)).map(([, c]) => ({ event: 'open' as const, ...c }));
  return [...closed, ...opened];
}
