/** What HttpConnectionManager does to the headers of every request before filters and routes see them. */
import { randomUUID } from 'node:crypto';
import { matchesCidr } from '../../../common/authz/matchers.ts';
import { type Cidr, ipToBytes, parseIp } from '../../../common/core/net.ts';
import type { TlsFacts } from '../../listener/facts.ts';
import type { Headers } from '../../request/headers.ts';
import type { Address } from '../../request/view.ts';

export interface RequestHeaderOptions {
  readonly useRemoteAddress: boolean;
  readonly trustedHops: number;
  readonly skipXffAppend: boolean;
  readonly appendXForwardedPort: boolean;
  readonly generateRequestId: boolean;
  readonly preserveRequestId: boolean;
  readonly clientCert: 'SANITIZE' | 'FORWARD_ONLY' | 'APPEND_FORWARD' | 'SANITIZE_SET' | 'ALWAYS_FORWARD_ONLY';
  readonly clientCertDetails: {
    readonly subject: boolean;
    readonly dns: boolean;
    readonly uri: boolean;
  };
  readonly via: string;
  /** Callers that count as our own: only they may say x-envoy-internal. */
  readonly internalRanges: readonly Cidr[];
}

export interface Caller {
  readonly direct: Address;
  /** Of the listener. */
  readonly local: Address;
  readonly tls: TlsFacts | undefined;
}

export interface RequestOrigin {
  /** The client by x-forwarded-for, where that is believed. */
  readonly remote: Address;
  readonly scheme: 'http' | 'https';
}

/** Headers of the mesh's own programs, which others have no say in. */
const ofInternal = [
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-force-trace',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-ip-tags',
  'x-envoy-max-retries',
  'x-envoy-original-url',
  'x-envoy-retriable-header-names',
  'x-envoy-retriable-status-codes',
  'x-envoy-retry-grpc-on',
  'x-envoy-retry-on',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-rq-timeout-ms',
];
/** Besides, of requests from outside. */
const ofEdge = [
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-original-host',
  'x-envoy-original-path',
];

export function mutateRequestHeaders(
  headers: Headers,
  scheme: string | undefined,
  caller: Caller,
  options: RequestHeaderOptions,
): RequestOrigin {
  const encrypted = caller.tls !== undefined;
  const forwardedFor = headers.get('x-forwarded-for');
  const remote = options.useRemoteAddress
    ? options.trustedHops > 0
      ? (fromForwardedFor(forwardedFor, options.trustedHops - 1) ?? caller.direct)
      : caller.direct
    : (fromForwardedFor(forwardedFor, options.trustedHops) ?? caller.direct);
  const ownScheme = encrypted ? 'https' : 'http';
  if (options.useRemoteAddress) {
    if (!options.skipXffAppend && caller.direct.address !== '') {
      headers.set(
        'x-forwarded-for',
        forwardedFor === undefined ? caller.direct.address : `${forwardedFor},${caller.direct.address}`,
      );
    }
    if (options.trustedHops === 0 || !headers.has('x-forwarded-proto')) headers.set('x-forwarded-proto', ownScheme);
    if (options.appendXForwardedPort && (options.trustedHops === 0 || !headers.has('x-forwarded-port'))) {
      headers.set('x-forwarded-port', String(caller.local.port));
    }
  } else if (!headers.has('x-forwarded-proto')) headers.append('x-forwarded-proto', ownScheme);
  const told = headers.get('x-forwarded-proto')!.toLowerCase();
  if (told !== 'http' && told !== 'https') headers.set('x-forwarded-proto', ownScheme);

  // As in Envoy only the nearest caller can be one of ours.
  const isNearest = options.useRemoteAddress ? forwardedFor === undefined : forwardedFor?.includes(',') === false;
  const internal = isNearest && isInternal(remote, options.internalRanges);
  removeInternal(headers, internal, options.useRemoteAddress);
  if (internal) headers.append('x-envoy-internal', 'true');
  else if (options.useRemoteAddress) headers.set('x-envoy-external-address', remote.address);

  if (options.generateRequestId) {
    const keep = headers.has('x-request-id') && (!options.useRemoteAddress || internal || options.preserveRequestId);
    if (!keep) headers.set('x-request-id', randomUUID());
  }
  forwardClientCert(headers, caller.tls, options);
  if (options.via !== '') {
    const before = headers.get('via');
    headers.set('via', before === undefined ? options.via : `${before}, ${options.via}`);
  }
  const te = headers.get('te');
  if (te !== undefined) {
    headers.remove('te');
    if (/(^|,)\s*trailers\s*(,|$)/i.test(te)) headers.append('te', 'trailers');
  }
  const kept = scheme?.toLowerCase();
  if (kept === 'http' || kept === 'https') return { remote, scheme: kept };
  return { remote, scheme: headers.get('x-forwarded-proto') === 'https' ? 'https' : 'http' };
}

function removeInternal(headers: Headers, internal: boolean, isEdge: boolean): void {
  if (!headers.hasPrefix('x-envoy-')) return;
  headers.remove('x-envoy-internal');
  if (internal) return;
  for (const name of ofInternal) headers.remove(name);
  if (isEdge) for (const name of ofEdge) headers.remove(name);
}

/** The address that is `hops` from the last; undefined: there are fewer, or it is none. */
function fromForwardedFor(value: string | undefined, hops: number): Address | undefined {
  if (value === undefined) return undefined;
  const all = value.split(',');
  const text = all[all.length - 1 - hops]?.trim();
  const ip = text === undefined ? undefined : parseIp(text.replace(/^\[|\](?::\d+)?$|(?<=^[\d.]+):\d+$/g, ''));
  return ip === undefined ? undefined : { address: ip, port: 0 };
}

function isInternal({ address }: Address, ranges: readonly Cidr[]): boolean {
  const ip = parseIp(address);
  if (ip === undefined || ranges.length === 0) return false;
  const bytes = ipToBytes(ip);
  return ranges.some((range) => matchesCidr(range, bytes));
}

const header = 'x-forwarded-client-cert';

function forwardClientCert(headers: Headers, tls: TlsFacts | undefined, options: RequestHeaderOptions): void {
  const mode = options.clientCert;
  if (mode === 'ALWAYS_FORWARD_ONLY') return;
  if (mode === 'SANITIZE' || !tls?.hasPeer || !tls.verified) {
    headers.remove(header);
    return;
  }
  if (mode === 'FORWARD_ONLY') return;
  const { subject, dns, uri } = options.clientCertDetails;
  const parts: string[] = [];
  if (tls.localPrincipal !== undefined) parts.push(`By=${tls.localPrincipal}`);
  if (tls.fingerprint !== undefined) parts.push(`Hash=${tls.fingerprint}`);
  if (subject) parts.push(`Subject="${(tls.subject ?? '').replaceAll('"', '\\"')}"`);
  if (uri) parts.push(`URI=${tls.principal ?? ''}`);
  if (dns) for (const name of tls.dnsNames) parts.push(`DNS=${name}`);
  const own = parts.join(';');
  const before = mode === 'APPEND_FORWARD' ? headers.get(header) : undefined;
  headers.set(header, before === undefined ? own : `${before},${own}`);
}
