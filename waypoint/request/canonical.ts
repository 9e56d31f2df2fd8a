/**
 * The one place where a request is made canonical: once, before routing and policy, which then cannot disagree about it. The order
 * of steps is that of Envoy's HttpConnectionManager.
 */
import { assertNever } from '../../common/core/errors.ts';
import { isGrpcRequest } from './grpc.ts';
import type { Headers } from './headers.ts';
import { portOf, withoutPort, withoutTrailingDot } from './host.ts';
import { mergeSlashes, normalizePath, unescapeSlashes } from './path.ts';
import type { ConnectionView, Metadata, RequestView } from './view.ts';

/** What a codec read: HTTP/1.1's absolute form already taken apart. */
export interface RawRequest {
  readonly method: string;
  readonly scheme: string;
  /** undefined: no host. */
  readonly authority: string | undefined;
  /** undefined: a CONNECT without. */
  readonly path: string | undefined;
  /** Without pseudo-headers and host; taken over. */
  readonly headers: Headers;
  readonly protocol: 'http1' | 'http2';
  readonly upgrade?: string;
  readonly connection: ConnectionView;
}

/** HttpConnectionManager's options of these names. */
export interface CanonicalOptions {
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: 'keep' | 'reject' | 'redirect' | 'forward';
  /** `matching`: only the listener's own port. */
  readonly stripPort: 'no' | 'matching' | 'any';
  readonly stripTrailingDot: boolean;
}

export type Canonised =
  | { readonly kind: 'ok'; readonly view: RequestView }
  /** `reason` as Envoy's response code details. */
  | { readonly kind: 'refused'; readonly status: 400 | 404; readonly reason: string; readonly body: string }
  | { readonly kind: 'redirect'; readonly status: 307; readonly location: string };

/** What a host may consist of: RFC 3986's authority, which may be empty (RFC 9112 3.2). */
const authorityForm = /^[A-Za-z0-9\-._~%!$&'()*+,;=:@[\]]*$/;

export function canonise(raw: RawRequest, options: CanonicalOptions, metadata: Metadata = new Map()): Canonised {
  const { authority, path } = raw;
  if (authority === undefined) return refused(400, 'missing_host_header');
  if (!authorityForm.test(authority)) return refused(400, 'invalid_authority', 'Bad Request');
  if (path === undefined || path === '') {
    if (raw.method !== 'CONNECT') return refused(404, 'missing_path_rejected');
  } else if (path[0] !== '/') return refused(404, 'absolute_path_rejected');

  const made = path === undefined || path === '' ? { kind: 'path' as const, path: '' } : canonicalPath(path, options);
  if (made.kind === 'refused') return refused(400, 'path_normalization_failed');
  if (made.kind === 'redirect') {
    if (isGrpcRequest(raw.headers)) return refused(400, 'path_normalization_failed');
    return { kind: 'redirect', status: 307, location: made.path };
  }
  const view: RequestView = {
    method: raw.method,
    scheme: raw.scheme,
    authority: canonicalHost(authority, options, raw.connection.local.port),
    path: made.path,
    headers: raw.headers,
    protocol: raw.protocol,
    ...(raw.upgrade === undefined ? {} : { upgrade: raw.upgrade }),
    connection: raw.connection,
    metadata,
  };
  return { kind: 'ok', view };
}

function canonicalPath(
  target: string,
  options: CanonicalOptions,
): { kind: 'path' | 'redirect' | 'refused'; path: string } {
  const nothing = { kind: 'refused' as const, path: '' };
  if (target.includes('#')) return nothing;
  const mark = target.indexOf('?');
  const query = mark < 0 ? '' : target.slice(mark);
  let path = mark < 0 ? target : target.slice(0, mark);
  let kind: 'path' | 'redirect' = 'path';
  if (options.escapedSlashes !== 'keep') {
    const unescaped = unescapeSlashes(path);
    if (unescaped !== path) {
      if (options.escapedSlashes === 'reject') return nothing;
      if (options.escapedSlashes === 'redirect') kind = 'redirect';
      else if (options.escapedSlashes !== 'forward') assertNever(options.escapedSlashes);
      path = unescaped;
    }
  }
  if (options.normalizePath) {
    const normal = normalizePath(path);
    if (normal === undefined) return nothing;
    path = normal;
  }
  if (options.mergeSlashes) path = mergeSlashes(path);
  return { kind, path: path + query };
}

function canonicalHost(authority: string, options: CanonicalOptions, listenerPort: number): string {
  const host = options.stripTrailingDot ? withoutTrailingDot(authority) : authority;
  if (options.stripPort === 'no') return host;
  const port = portOf(host);
  const strips = port !== undefined && (options.stripPort === 'any' || port === listenerPort);
  return strips ? withoutPort(host) : host;
}

function refused(status: 400 | 404, reason: string, body = ''): Canonised {
  return { kind: 'refused', status, reason, body };
}
