/** One line a connection, with ztunnel's keys in ztunnel's order (ambient-wire 7.2). The logger's target is `access`. */
import type { LogFields, Logger } from '../core/log.ts';
import { formatSocketAddr, type SocketAddr } from '../core/net.ts';
import type { Baggage } from '../hbone/headers.ts';
import { formatSpiffe } from '../identity/spiffe.ts';
import type { Identity, Service, Workload } from '../mesh/types.ts';

export interface AccessEnd {
  readonly address: SocketAddr;
  /** What the mesh knows of it, or its own word. */
  readonly workload?: Workload | Baggage | undefined;
  /** Only what TLS proved. */
  readonly identity?: Identity | undefined;
}

export interface AccessEntry {
  readonly direction: 'inbound' | 'outbound';
  readonly source: AccessEnd;
  /** `address` is that of the wire: port 15008 for HBONE. */
  readonly destination: AccessEnd;
  /** Authority of the CONNECT. */
  readonly hboneAddress?: string | undefined;
  readonly service?: Service | undefined;
  /** 32 hex digits, from the traceparent. */
  readonly traceId?: string | undefined;
  /** It went from pod to pod past the proxy. */
  readonly direct?: boolean | undefined;
}

export interface AccessResult {
  /** Bytes from downstream to upstream, as the metrics count them. */
  readonly received: number;
  /** Bytes from upstream to downstream. */
  readonly sent: number;
  readonly durationMs: number;
  readonly error?: string | undefined;
}

export interface AccessLog {
  /** DEBUG. */
  opened(entry: AccessEntry): void;
  /** INFO, or ERROR where the result has an error. */
  complete(entry: AccessEntry, result: AccessResult): void;
  /** WARN: given up before the ends were known. */
  dropped(direction: AccessEntry['direction'], source: SocketAddr, destination: SocketAddr, error: string): void;
}

export function accessLog(log: Logger): AccessLog {
  return {
    opened(entry) {
      if (log.enabled('debug')) log.debug('connection opened', fieldsOf(entry));
    },
    complete(entry, result) {
      const level = result.error === undefined ? 'info' : 'error';
      if (log.enabled(level)) log.log(level, 'connection complete', fieldsOf(entry, result));
    },
    dropped(direction, source, destination, error) {
      log.warn('connection failed', {
        'src.addr': formatSocketAddr(source),
        'dst.addr': formatSocketAddr(destination),
        direction,
        error,
      });
    },
  };
}

/** One literal with all keys, in the order of the line: put together of parts it took twice the time of the formatting. */
function fieldsOf(e: AccessEntry, r?: AccessResult): LogFields {
  const { source, destination } = e;
  // "Sent" is what the app beside this proxy sent: it is downstream of an outbound connection and upstream of an inbound one.
  const outbound = e.direction === 'outbound';
  return {
    'src.addr': formatSocketAddr(source.address),
    'src.workload': workloadName(source),
    'src.namespace': source.workload?.namespace,
    'src.identity': source.identity && formatSpiffe(source.identity),
    'src.cluster': source.workload?.clusterId,
    'dst.addr': formatSocketAddr(destination.address),
    'dst.hbone_addr': e.hboneAddress,
    'dst.service': e.service?.hostname,
    'dst.workload': workloadName(destination),
    'dst.namespace': destination.workload?.namespace,
    'dst.identity': destination.identity && formatSpiffe(destination.identity),
    'dst.cluster': destination.workload?.clusterId,
    direction: e.direction,
    direct: e.direct,
    id: e.traceId,
    bytes_sent: outbound ? r?.received : r?.sent,
    bytes_recv: outbound ? r?.sent : r?.received,
    duration: r && `${Math.round(r.durationMs)}ms`,
    error: r?.error,
  };
}

function workloadName({ workload }: AccessEnd): string | undefined {
  if (!workload) return undefined;
  return 'kind' in workload ? workload.name || workload.canonicalName : workload.workloadName;
}
