/** Which connections AQUIFER_TRACE follows. */
import { type Ip, type Port, parseIp, parsePort, type SocketAddr } from '../../common/core/net.ts';

/** Every given part must fit. */
export interface TraceFilter {
  readonly source?: TraceEndpoint;
  readonly destination?: TraceEndpoint;
  /** First hex digits of the trace id of a CONNECT. */
  readonly idPrefix?: string;
}

interface TraceEndpoint {
  readonly ip?: Ip;
  readonly port?: Port;
}

/** What is known of a connection. */
export interface Traced {
  readonly source: SocketAddr;
  readonly destination: SocketAddr | undefined;
  readonly traceId: string | undefined;
}

/** `src=10.0.0.1,dst=10.0.0.2:80`, `dst=:80`, `id=4bf9` or bare hex digits of a trace id; undefined when it is none. */
export function parseTraceFilter(text: string): TraceFilter | undefined {
  const filter: { source?: TraceEndpoint; destination?: TraceEndpoint; idPrefix?: string } = {};
  for (const part of text.split(',')) {
    const eq = part.indexOf('=');
    const key = eq < 0 ? 'id' : part.slice(0, eq).trim();
    const value = part.slice(eq + 1).trim();
    if (key === 'id') {
      if (!/^[0-9a-f]{1,32}$/.test(value)) return undefined;
      filter.idPrefix = value;
    } else if (key === 'src' || key === 'dst') {
      const endpoint = parseTraceEndpoint(value);
      if (!endpoint) return undefined;
      filter[key === 'src' ? 'source' : 'destination'] = endpoint;
    } else {
      return undefined;
    }
  }
  return filter;
}

function parseTraceEndpoint(text: string): TraceEndpoint | undefined {
  const whole = parseIp(text);
  if (whole !== undefined) return { ip: whole };
  const m = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = m ? parsePort(m[3]!) : undefined;
  if (!m || port === undefined) return undefined;
  const host = m[1] ?? m[2]!;
  if (host === '') return { port };
  const ip = parseIp(host);
  return ip === undefined ? undefined : { ip, port };
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
