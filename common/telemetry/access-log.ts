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
      if (log.enabled('debug')) log.debug('connection opened', entryFields(entry));
    },
    complete(entry, result) {
      const level = result.error === undefined ? 'info' : 'error';
      if (log.enabled(level))
        log.log(level, 'connection complete', { ...entryFields(entry), ...resultFields(entry, result) });
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

function entryFields(e: AccessEntry): LogFields {
  return {
    'src.addr': formatSocketAddr(e.source.address),
    ...endFields('src', e.source),
    'dst.addr': formatSocketAddr(e.destination.address),
    'dst.hbone_addr': e.hboneAddress,
    'dst.service': e.service?.hostname,
    ...endFields('dst', e.destination),
    direction: e.direction,
    id: e.traceId,
  };
}

function endFields(side: 'src' | 'dst', { workload, identity }: AccessEnd): LogFields {
  const isKnown = workload && 'kind' in workload;
  return {
    [`${side}.workload`]: isKnown ? workload.name || workload.canonicalName : workload?.workloadName,
    [`${side}.namespace`]: workload?.namespace,
    [`${side}.identity`]: identity && formatSpiffe(identity),
    [`${side}.cluster`]: workload?.clusterId,
  };
}

/** "Sent" is what the app beside this proxy sent: it is downstream of an outbound connection and upstream of an inbound one. */
function resultFields(e: AccessEntry, r: AccessResult): LogFields {
  const outbound = e.direction === 'outbound';
  return {
    bytes_sent: outbound ? r.received : r.sent,
    bytes_recv: outbound ? r.sent : r.received,
    duration: `${Math.round(r.durationMs)}ms`,
    error: r.error,
  };
}
