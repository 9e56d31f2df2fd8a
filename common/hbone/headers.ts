/** Headers of an HBONE CONNECT: formatted for what we send, parsed strictly from what a peer sent (ambient-wire 1.3, 1.5). */
import { randomBytes } from 'node:crypto';
import { formatSocketAddr, type Port, parsePort, parseSocketAddr, type SocketAddr } from '../core/net.ts';
import type { WorkloadType } from '../mesh/types.ts';

export type Authority =
  | { readonly kind: 'address'; readonly address: SocketAddr }
  | { readonly kind: 'hostname'; readonly hostname: string; readonly port: Port };

export interface Forwarded {
  readonly source: SocketAddr;
  readonly host: string | undefined;
}

/** Labels of a workload as its peer told them: for metrics only, never for decisions. */
export interface Baggage {
  readonly clusterId?: string;
  readonly namespace?: string;
  readonly workloadType?: WorkloadType;
  readonly workloadName?: string;
  readonly serviceName?: string;
  readonly serviceVersion?: string;
  readonly region?: string;
  readonly zone?: string;
}

const label = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const hostnameGrammar = new RegExp(`^${label}(?:\\.${label})*\\.?$`);

/** `ip:port`, `[v6]:port` or `hostname:port` with port 1 to 65,535; host names come back in lower case without a final dot. */
export function parseAuthority(text: string): Authority | undefined {
  const address = parseSocketAddr(text);
  if (address) return address.port === 0 ? undefined : { kind: 'address', address };
  const colon = text.lastIndexOf(':');
  const hostname = parseHostname(text.slice(0, colon));
  const port = parsePort(text.slice(colon + 1));
  if (colon < 0 || hostname === undefined || port === undefined || port === 0) return undefined;
  return { kind: 'hostname', hostname, port };
}

export function formatAuthority(a: Authority): string {
  return a.kind === 'address' ? formatSocketAddr(a.address) : `${a.hostname}:${a.port}`;
}

/** The value of `for` is always quoted, that of `host` never. */
export function formatForwarded(f: { readonly source: SocketAddr; readonly host?: string | undefined }): string {
  const source = `for="${formatSocketAddr(f.source)}"`;
  return f.host === undefined ? source : `${source};host=${f.host}`;
}

/** Only the form that formatForwarded writes. */
export function parseForwarded(text: string): Forwarded | undefined {
  const m = /^for="([^"]{1,64})"(?:;host=([^;,"]{1,255}))?$/.exec(text);
  if (!m) return undefined;
  const source = parseSocketAddr(m[1]!);
  const host = m[2] === undefined ? undefined : parseHostname(m[2]);
  if (source === undefined || (m[2] !== undefined && host === undefined)) return undefined;
  return { source, host };
}

const workloadTypes: readonly WorkloadType[] = ['deployment', 'cronjob', 'pod', 'job'];

/** Absent and empty members are left out; an empty string when nothing is known. */
export function formatBaggage(b: Baggage): string {
  const members: readonly (readonly [string, string | undefined])[] = [
    ['k8s.cluster.name', b.clusterId],
    ['k8s.namespace.name', b.namespace],
    [`k8s.${b.workloadType ?? 'pod'}.name`, b.workloadName],
    ['service.name', b.serviceName],
    ['service.version', b.serviceVersion],
    ['cloud.region', b.region],
    ['cloud.availability_zone', b.zone],
  ];
  return members
    .filter(([, value]) => value !== undefined && value !== '' && isBaggageValue(value))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Unknown keys and empty or malformed members are ignored; of a repeated key the last wins. Never fails. */
export function parseBaggage(text: string): Baggage {
  const found: { -readonly [K in keyof Baggage]: Baggage[K] } = {};
  for (const member of text.split(',')) {
    const eq = member.indexOf('=');
    if (eq < 0) continue;
    const key = member.slice(0, eq).trim();
    const value = member.slice(eq + 1).trim();
    if (value === '' || !isBaggageValue(value)) continue;
    const type = workloadTypes.find((t) => key === `k8s.${t}.name`);
    if (type) {
      found.workloadType = type;
      found.workloadName = value;
    } else if (key === 'k8s.cluster.name') found.clusterId = value;
    else if (key === 'k8s.namespace.name') found.namespace = value;
    else if (key === 'service.name') found.serviceName = value;
    else if (key === 'service.version') found.serviceVersion = value;
    else if (key === 'cloud.region') found.region = value;
    else if (key === 'cloud.availability_zone') found.zone = value;
  }
  return found;
}

/** Bytes of one traceparent's ids. */
const idBytes = 24;
/** Asking the generator for each connection was 1.5 % of a worker's time in new connections. */
let ids = Buffer.alloc(0);

/** `00-<32 hex>-<16 hex>-00` with fresh random ids, one for each downstream connection. */
export function newTraceparent(): string {
  if (ids.length < idBytes) ids = randomBytes(128 * idBytes);
  const hex = ids.toString('hex', 0, idBytes);
  ids = ids.subarray(idBytes);
  return `00-${hex.slice(0, 32)}-${hex.slice(32)}-00`;
}

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

/** W3C Trace Context 2.2, version 00; all-zero ids are invalid there. */
export function parseTraceparent(text: string): Traceparent | undefined {
  const m = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text);
  if (!m || /^0+$/.test(m[1]!) || /^0+$/.test(m[2]!)) return undefined;
  return { traceId: m[1]!, spanId: m[2]!, flags: Number.parseInt(m[3]!, 16) };
}

function parseHostname(text: string): string | undefined {
  if (text.length > 254 || !hostnameGrammar.test(text)) return undefined;
  const host = text.endsWith('.') ? text.slice(0, -1) : text;
  // A name whose last label is all digits is an IPv4 address to some resolvers (WHATWG URL "ends in a number").
  if (/(?:^|\.)\d+$/.test(host)) return undefined;
  return host.toLowerCase();
}

/** No separator of the list, nothing that could not stand in a header or could forge a log line. */
function isBaggageValue(value: string): boolean {
  return /^[\x21-\x2b\x2d-\x7e]{1,256}$/.test(value);
}
