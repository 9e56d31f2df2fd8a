/** What `aquifer tap` shows, and whether it is wanted. Pure. */
import { assertNever } from '../../common/core/errors.ts';

export type TapEvent = ConnectionEvent | RequestEvent;

export interface ConnectionEvent {
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

/** A request that a waypoint has answered. */
export interface RequestEvent {
  readonly event: 'request';
  /** NAME.NAMESPACE of the waypoint's pod. */
  readonly workload: string;
  readonly source: TapEnd;
  readonly destination: TapEnd;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly status: number;
  /** Ms. */
  readonly duration: number;
  /** For `aquifer why --request-id`; empty: it had none. */
  readonly id: string;
  /** Why it was not simply answered by the service. */
  readonly reason?: string;
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
  /** Of connections: requests have none. */
  readonly direction?: 'inbound' | 'outbound' | undefined;
}

export function isWanted(e: TapEvent, { from, to, namespace, direction }: TapFilter): boolean {
  const has = (wanted: string | undefined, { name, address, identity = '' }: TapEnd) =>
    wanted === undefined || [name, address, identity].some((text) => text.includes(wanted));
  return (
    has(from, e.source) &&
    has(to, e.destination) &&
    (direction === undefined || (e.event !== 'request' && e.direction === direction)) &&
    (namespace === undefined || e.workload.endsWith(`.${namespace}`))
  );
}

/**
 * `+ inbound  client.shop:41234 -> web.shop:8080  HBONE  spiffe://... -> spiffe://...`, and
 * `= request  client.shop:41234 -> web.shop.svc.cluster.local:80  GET /books 200 3ms  spiffe://...  ID (why)`
 */
export function lineOf(e: TapEvent): string {
  const ends = `${e.source.name} -> ${e.destination.name}`;
  switch (e.event) {
    case 'open':
    case 'close': {
      const who = `${e.source.identity ?? '-'} -> ${e.destination.identity ?? '-'}`;
      return `${e.event === 'open' ? '+' : '-'} ${e.direction.padEnd(8)}  ${ends}  ${e.protocol}  ${who}`;
    }
    case 'request': {
      const what = `${e.method} ${e.path} ${e.status} ${e.duration}ms`;
      const why = e.reason === undefined ? '' : ` (${e.reason})`;
      return `= request   ${ends}  ${what}  ${e.source.identity ?? '-'}  ${e.id === '' ? '-' : e.id}${why}`;
    }
    default:
      return assertNever(e);
  }
}
