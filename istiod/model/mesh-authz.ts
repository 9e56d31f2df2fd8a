/** What MeshConfig says of services that decide about requests: extensionProviders of types envoyExtAuthzHttp and envoyExtAuthzGrpc. */
import { envoyProtos } from '../../common/envoy/protos.ts';
import type { AuthzProvider, UnusableProvider } from '../envoy/inputs.ts';
import type { Reader } from './mesh-config.ts';

type Plain = Readonly<Record<string, unknown>>;

/** undefined: it is of another type. What Envoy would not take makes this provider unusable, and nothing else. */
export function authzProvider(
  read: Reader,
  path: string,
  name: string,
  entry: Plain,
): AuthzProvider | UnusableProvider | undefined {
  const kind = (['envoyExtAuthzHttp', 'envoyExtAuthzGrpc'] as const).find((k) => entry[k] !== undefined);
  if (kind === undefined) return undefined;
  const at = `${path}.${kind}`;
  const of = read.objectAt(at, entry[kind]);
  const status = of['statusOnError'];
  const provider: AuthzProvider = {
    kind: 'authz',
    name,
    service: read.textAt(`${at}.service`, of['service']),
    port: read.numberAt(`${at}.port`, of['port'], 65_535) ?? 0,
    timeout: read.durationAt(`${at}.timeout`, of['timeout']),
    failsOpen: read.flagAt(`${at}.failOpen`, of['failOpen']) ?? false,
    clearsRoute: read.flagAt(`${at}.clearRouteCache`, of['clearRouteCache']) ?? false,
    statusOnError: status === undefined || status === null || status === '' ? undefined : Number(status),
    body: bodyOf(read, `${at}.includeRequestBodyInCheck`, of['includeRequestBodyInCheck']),
    by: kind === 'envoyExtAuthzHttp' ? httpOf(read, at, of) : { kind: 'grpc' },
  };
  const reason = flawOf(provider);
  return reason === undefined ? provider : { kind: 'unusable', name, reason: `${at}.${reason}` };
}

function httpOf(read: Reader, at: string, of: Plain): Extract<AuthzProvider['by'], { readonly kind: 'http' }> {
  const list = (key: string) => read.textsAt(`${at}.${key}`, of[key]) ?? [];
  const asked = list('includeRequestHeadersInCheck');
  const added = read.objectAt(`${at}.includeAdditionalHeadersInCheck`, of['includeAdditionalHeadersInCheck']);
  return {
    kind: 'http',
    pathPrefix: read.optionalText(`${at}.pathPrefix`, of['pathPrefix']) ?? '',
    // The second is the first's older name.
    requestHeaders: asked.length > 0 ? asked : list('includeHeadersInCheck'),
    addedHeaders: Object.entries(added)
      .map(([name, value]) => ({
        name,
        value: read.textAt(`${at}.includeAdditionalHeadersInCheck.${name}`, value),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    toUpstream: list('headersToUpstreamOnAllow'),
    toClientOnDeny: list('headersToDownstreamOnDeny'),
    toClientOnAllow: list('headersToDownstreamOnAllow'),
  };
}

function bodyOf(read: Reader, at: string, value: unknown): AuthzProvider['body'] {
  if (value === undefined || value === null) return undefined;
  const of = read.objectAt(at, value);
  return {
    most: read.numberAt(`${at}.maxRequestBytes`, of['maxRequestBytes'], 0xffff_ffff) ?? 0,
    partial: read.flagAt(`${at}.allowPartialMessage`, of['allowPartialMessage']) ?? false,
    asBytes: read.flagAt(`${at}.packAsBytes`, of['packAsBytes']) ?? false,
  };
}

/** The field and what is wrong with it. */
function flawOf({ name, port, statusOnError, body, by, timeout }: AuthzProvider): string | undefined {
  // Rules of filters begin with the name, and are told apart by it.
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name))
    return `name: ${JSON.stringify(name)} is not of lower-case letters, digits and hyphens, 63 at most`;
  if (port === 0 || !Number.isInteger(port)) return 'port: expected 1 to 65535';
  if (statusOnError !== undefined && !isStatus(statusOnError))
    return `statusOnError: expected a status of HTTP that Envoy knows, "403" or "503"`;
  if (timeout !== undefined && /^[0.hmsun]+$/.test(timeout)) return 'timeout: expected more than 0';
  if (body !== undefined && (body.most === 0 || !Number.isInteger(body.most)))
    return 'includeRequestBodyInCheck.maxRequestBytes: expected more than 0';
  if (by.kind === 'grpc') return undefined;
  if (by.pathPrefix !== '' && !by.pathPrefix.startsWith('/')) return 'pathPrefix: does not begin with a slash';
  const lists = [by.requestHeaders, by.toUpstream, by.toClientOnDeny, by.toClientOnAllow];
  if (lists.some((list) => list.includes('*'))) return 'headers: * alone is no name, part of one or its end';
  const unfit = by.addedHeaders.find(({ name: header }) => !/^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/.test(header));
  return unfit && `includeAdditionalHeadersInCheck: ${JSON.stringify(unfit.name)} is no name of a header`;
}

function isStatus(code: number): boolean {
  return code !== 0 && Object.values(envoyProtos().lookupEnum('envoy.type.v3.StatusCode').values).includes(code);
}
