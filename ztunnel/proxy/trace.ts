/** AQUIFER_TRACE: follows the connections that fit a filter, a line a stage with its reason. */
import type { Logger } from '../../common/core/log.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import type { TraceEndpoint, TraceFilter } from '../config.ts';

export type Stage = 'accept' | 'identify' | 'decide' | 'connect' | 'relay' | 'account';
export type Trace = (stage: Stage, what: string) => void;

export interface Traced {
  readonly source: SocketAddr;
  readonly destination: SocketAddr | undefined;
  readonly traceId: string | undefined;
}

/** undefined for a connection that nobody asked to follow: the usual case costs one comparison. */
export function tracer(filter: TraceFilter | undefined, log: Logger): (connection: Traced) => Trace | undefined {
  if (!filter) return () => undefined;
  return (connection) => {
    if (!fits(filter, connection)) return undefined;
    const id = connection.traceId?.slice(0, 8) ?? `${connection.source.port}`;
    return (stage, what) => log.info(what, { id, stage });
  };
}

/** Every part that the filter has must fit. */
export function fits(filter: TraceFilter, c: Traced): boolean {
  if (filter.source && !endpointFits(filter.source, c.source)) return false;
  if (filter.destination && !(c.destination && endpointFits(filter.destination, c.destination))) return false;
  return filter.idPrefix === undefined || (c.traceId?.startsWith(filter.idPrefix) ?? false);
}

function endpointFits(wanted: TraceEndpoint, address: SocketAddr): boolean {
  if (wanted.ip !== undefined && wanted.ip !== address.ip) return false;
  return wanted.port === undefined || wanted.port === address.port;
}
