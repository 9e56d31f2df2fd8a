/** VirtualService. */
import type { StringMatch, VirtualService } from '../../../common/kube/kinds/istio/virtual-service.ts';
import type { Field } from '../finding.ts';
import { checkFormat, checkLine, checkRetryOn } from './envoy-values.ts';
import {
  checkAddressesOrCidrs,
  checkExportTo,
  checkPercent,
  checkPort,
  checkRegex,
  checkWildcardName,
  forRepeated,
  isAddress,
  isDnsLabel,
  isFqdn,
  isWildcardName,
  quote,
} from './values.ts';

type Spec = VirtualService['spec'];
type HttpRoute = NonNullable<Spec['http']>[number];
type HttpMatch = NonNullable<HttpRoute['match']>[number];
type Route = NonNullable<HttpRoute['route']>[number];
type Headers = NonNullable<HttpRoute['headers']>;

export function checkVirtualService({ spec, metadata }: VirtualService, root: Field): void {
  if (spec === undefined) return;
  const field = root.at('spec');
  const { hosts = [], gateways = [], http = [], tls = [], tcp = [] } = spec;
  const isDelegate = hosts.length === 0;
  if (isDelegate) {
    for (const name of ['gateways', 'tls', 'tcp'] as const) {
      if ((spec[name]?.length ?? 0) > 0)
        field
          .at(name)
          .error('without hosts this is a delegate, which has HTTP routes alone', 'name hosts, or remove it');
    }
  }
  const ofMesh = gateways.length === 0 || gateways.includes('mesh');
  field.each('hosts', hosts, (host, at) => {
    if (host === '*' && ofMesh) at.error('"*" cannot be the host of all workloads', 'name gateways, or hosts');
    else if (!isAddress(host)) checkWildcardName(host, at);
  });
  forRepeated(
    hosts,
    (h) => h.toLowerCase(),
    (host, i) => field.at('hosts', i).error(`${quote(host)} is in the list already`, 'remove it'),
  );
  field.each('gateways', gateways, checkGatewayName);
  if (http.length + tls.length + tcp.length === 0)
    field.error('says where nothing goes: a route is expected in http, tls or tcp');
  field.each('http', http, (route, at) => checkHttpRoute(route, isDelegate, at));
  findUnreachable(http, field);
  field.each('tls', tls, ({ match, route }, at) => {
    if (match.length === 0) at.at('match').error('a match is expected: TLS is told apart by names');
    at.each('match', match, ({ sniHosts, destinationSubnets, port, gateways: own }, m) => {
      if (sniHosts.length === 0) m.at('sniHosts').error('a name is expected');
      m.each('sniHosts', sniHosts, (name, n) => checkSni(name, hosts, n));
      checkAddressesOrCidrs(destinationSubnets ?? [], m.at('destinationSubnets'));
      checkPort(port, m.at('port'));
      m.each('gateways', own, checkGatewayName);
    });
    checkStream(route, at);
  });
  field.each('tcp', tcp, ({ match, route }, at) => {
    at.each('match', match, ({ destinationSubnets, port, gateways: own, sourceSubnet }, m) => {
      checkAddressesOrCidrs(destinationSubnets ?? [], m.at('destinationSubnets'));
      if (sourceSubnet !== undefined) m.at('sourceSubnet').warn('is not read', 'remove it');
      checkPort(port, m.at('port'));
      m.each('gateways', own, checkGatewayName);
    });
    checkStream(route, at);
  });
  checkExportTo(spec.exportTo, metadata.namespace ?? 'default', false, field.at('exportTo'));
}

/** `mesh`, `gateway` or `namespace/gateway`. */
function checkGatewayName(name: string, field: Field): void {
  const parts = name.split('/');
  if (parts.length === 1) {
    if (name.includes('.') && isFqdn(name)) field.warn(`${quote(name)} is the older form`, 'write <namespace>/<name>');
    else if (!isDnsLabel(name) && !isFqdn(name))
      field.error(`${quote(name)} is no name of a gateway`, 'write <name> or <namespace>/<name>');
  } else if (parts.length !== 2 || !isDnsLabel(parts[0]!) || !isFqdn(parts[1]!)) {
    field.error(`${quote(name)} is no name of a gateway`, 'write <name> or <namespace>/<name>');
  }
}

function checkSni(name: string, hosts: readonly string[], field: Field): void {
  if (isAddress(name)) field.warn(`clients never ask for an address such as ${quote(name)} by name`, 'name a host');
  else if (!isWildcardName(name)) {
    field.error(`${quote(name)} is no DNS name`, 'expected a name, or "*" and a name behind it');
    return;
  }
  const within = hosts.some(
    (host) =>
      host === '*' || host === name || (host.startsWith('*') && name.replace(/^\*/, '').endsWith(host.slice(1))),
  );
  if (!within) field.error(`${quote(name)} is within none of the hosts ${hosts.join(', ')}`, 'add it to spec.hosts');
}

function checkStream(
  routes: readonly { readonly destination: Route['destination']; readonly weight?: number }[] | undefined,
  field: Field,
): void {
  if (routes === undefined || routes.length === 0) field.at('route').error('a destination is expected');
  field.each('route', routes, ({ destination }, at) => checkDestination(destination, at.at('destination')));
  checkWeights(routes ?? [], field.at('route'));
}

/** Proxies add weights up in 32 bits. */
const mostWeight = 4_294_967_295;

function checkWeights(routes: readonly { readonly weight?: number }[], field: Field): void {
  routes.forEach(({ weight = 0 }, i) => {
    if (weight < 0) field.at(i, 'weight').error(`${weight} is less than nothing: expected 0 or more`);
  });
  if (routes.length < 2) return;
  const sum = routes.reduce((all, { weight = 0 }) => all + weight, 0);
  if (sum > mostWeight) field.error(`the weights add up to ${sum}; at most ${mostWeight} is possible`);
  if (sum === 0) field.error('the weights add up to 0, so nothing would go anywhere', 'give one of them a weight');
}

function checkDestination({ host, subset, port }: Route['destination'], field: Field): void {
  if (host === '*' || !isWildcardName(host))
    field
      .at('host')
      .error(`${quote(host)} is no DNS name of a service`, 'write <name>, or <name>.<namespace>.svc.cluster.local');
  if (subset !== undefined && !/^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$/.test(subset))
    field.at('subset').error(`${quote(subset)} is no name of a subset`);
  checkPort(port?.number, field.at('port', 'number'));
}

function checkHttpRoute(route: HttpRoute, isDelegate: boolean, field: Field): void {
  checkActions(route, isDelegate, field);
  field.each('match', route.match, checkMatch);
  field.each('route', route.route, ({ destination, headers }, at) => {
    checkDestination(destination, at.at('destination'));
    checkHeaders(headers, at.at('headers'));
  });
  checkWeights(route.route ?? [], field.at('route'));
  checkHeaders(route.headers, field.at('headers'));
  checkRewriteAndRedirect(route, field);
  checkFault(route, field);
  if (route.mirror !== undefined) checkDestination(route.mirror, field.at('mirror'));
  field.each('mirrors', route.mirrors, ({ destination, percentage }, at) => {
    checkDestination(destination, at.at('destination'));
    checkPercent(percentage?.value, at.at('percentage', 'value'));
  });
  checkPercent(route.mirrorPercentage?.value, field.at('mirrorPercentage', 'value'));
  for (const name of ['mirrorPercent', 'mirror_percent'] as const) {
    const value = route[name];
    if (value === undefined || value === null) continue;
    field.at(name).warn('is the older form', 'use mirrorPercentage');
    checkPercent(value, field.at(name));
  }
  checkCors(route, field.at('corsPolicy'));
  const { retries } = route;
  if (retries !== undefined) {
    const { attempts = 0 } = retries;
    checkRetryOn(retries.retryOn, field.at('retries', 'retryOn'));
    if (attempts < 0) field.at('retries', 'attempts').error(`${attempts} is less than nothing: expected 0 or more`);
    if (retries.attempts === 0 && (retries.perTryTimeout !== undefined || retries.retryOn !== undefined)) {
      field
        .at('retries')
        .error('0 attempts never try again, so the rest of it says nothing', 'set attempts, or remove the rest');
    }
  }
  const status = route.directResponse?.status;
  if (status !== undefined && (status < 200 || status > 599))
    field.at('directResponse', 'status').error(`${status} is no status of an answer: expected 200 to 599`);
  const size = (route.directResponse?.body?.string ?? route.directResponse?.body?.bytes ?? '').length;
  if (size > 1_000_000) field.at('directResponse', 'body').error(`is ${size} bytes long; at most 1000000 are allowed`);
  else if (size > 100_000) field.at('directResponse', 'body').warn(`is ${size} bytes long, which every proxy keeps`);
}

function checkActions(route: HttpRoute, isDelegate: boolean, field: Field): void {
  const has = {
    route: (route.route?.length ?? 0) > 0,
    redirect: route.redirect !== undefined,
    directResponse: route.directResponse !== undefined,
    delegate: route.delegate !== undefined,
    fault: route.fault !== undefined,
    rewrite: route.rewrite !== undefined,
  };
  if (has.delegate) {
    if (isDelegate) field.at('delegate').error('a delegate does not delegate on');
    if (has.redirect || has.route) field.error('the delegate says where requests go', 'remove route and redirect');
    return;
  }
  const answers = (['route', 'redirect', 'directResponse'] as const).filter((name) => has[name]);
  if (answers.length === 0)
    field.error('says not where requests go', 'set route, redirect, directResponse or delegate');
  if (answers.length > 1) field.error(`${answers.join(' and ')} exclude each other`, 'keep one');
  for (const name of ['fault', 'rewrite'] as const) {
    if (!has[name]) continue;
    const other = has.redirect ? 'redirect' : has.directResponse ? 'directResponse' : undefined;
    if (other !== undefined)
      field.at(name).error(`${name} and ${other} exclude each other: such requests go nowhere`, 'keep one');
  }
  if (route.mirror !== undefined && (route.mirrors?.length ?? 0) > 0)
    field.error('mirror and mirrors exclude each other', 'keep mirrors');
}

function checkMatch(match: HttpMatch, field: Field): void {
  for (const name of ['uri', 'scheme', 'method', 'authority'] as const) checkStringMatch(match[name], field.at(name));
  for (const name of ['headers', 'withoutHeaders', 'queryParams'] as const) {
    for (const [key, value] of Object.entries(match[name] ?? {})) {
      const at = field.at(name, key);
      if (key === '') at.error('a name is expected');
      else if (
        name !== 'queryParams' &&
        !key.startsWith('@request.auth.claims') &&
        !/^:?[-!#$%&'*+.^_`|~A-Za-z0-9]+$/.test(key)
      )
        at.error(`${quote(key)} is no name of a header`);
      checkStringMatch(value, at);
      if (name === 'queryParams' && Object.keys(value).length === 0)
        at.error('an exact value, a prefix or a regex is expected');
    }
  }
  checkPort(match.port, field.at('port'));
  for (const key of Object.keys(match.sourceLabels ?? {}))
    if (key === '') field.at('sourceLabels').error('a label has no name');
  if (match.sourceNamespace !== undefined && !isDnsLabel(match.sourceNamespace))
    field.at('sourceNamespace').error(`${quote(match.sourceNamespace)} is no namespace`);
  field.each('gateways', match.gateways, checkGatewayName);
}

function checkStringMatch(match: StringMatch | undefined, field: Field): void {
  if (match === undefined) return;
  if (match.regex !== undefined) checkRegex(match.regex, field.at('regex'));
  if (match.prefix === '') field.at('prefix').error('an empty prefix matches everything', 'remove the match');
}

function checkHeaders(headers: Headers | undefined, field: Field): void {
  for (const direction of ['request', 'response'] as const) {
    const changes = headers?.[direction];
    for (const name of ['set', 'add'] as const) {
      for (const [header, value] of Object.entries(changes?.[name] ?? {}))
        checkHeader(header, name === 'set', field.at(direction, name, header), value);
    }
    field.at(direction).each('remove', changes?.remove, (header, at) => checkHeader(header, false, at));
  }
}

/** Host, also as `:authority`, can be set, but neither added nor taken away. */
function checkHeader(header: string, mayBeHost: boolean, field: Field, value = ''): void {
  if (header === '') field.error('a name is expected');
  else if (/^(host|:authority)$/i.test(header)) {
    if (!mayBeHost) field.error('a request has one host', 'use set, or rewrite.authority');
  } else if (header.startsWith(':')) field.error(`${quote(header)} belongs to HTTP/2 itself`, 'remove it');
  else if (!/^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/.test(header)) field.error(`${quote(header)} is no name of a header`);
  checkFormat(value, field);
}

function checkRewriteAndRedirect({ rewrite, redirect, match = [], headers }: HttpRoute, field: Field): void {
  if (rewrite !== undefined) {
    const at = field.at('rewrite');
    const { uri, authority, uriRegexRewrite } = rewrite;
    checkLine(uri, at.at('uri'));
    checkLine(authority, at.at('authority'));
    if (!uri && !authority && uriRegexRewrite === undefined)
      at.error('changes nothing', 'set uri, authority or uriRegexRewrite');
    if (uri && uriRegexRewrite !== undefined) at.error('uri and uriRegexRewrite exclude each other', 'keep one');
    if (uriRegexRewrite !== undefined) {
      if (!uriRegexRewrite.rewrite) at.at('uriRegexRewrite', 'rewrite').error('required field is missing');
      checkRegex(uriRegexRewrite.match ?? '', at.at('uriRegexRewrite', 'match'));
    }
    const sets = Object.keys(headers?.request?.set ?? {}).find((h) => /^(host|:authority)$/i.test(h));
    if (authority && sets !== undefined)
      at.at('authority').error(`the host is set by headers.request.set[${sets}] too`, 'keep one');
  }
  if (redirect === undefined) return;
  const at = field.at('redirect');
  const { uri, authority, scheme, port, derivePort, prefixRewrite, redirectCode } = redirect;
  for (const name of ['uri', 'authority', 'prefixRewrite'] as const) checkLine(redirect[name], at.at(name));
  if (!uri && !authority && !scheme && !prefixRewrite && port === undefined && derivePort === undefined)
    at.error('leads back to where the request came from', 'set uri, authority, scheme or port');
  if (uri && prefixRewrite) at.error('uri and prefixRewrite exclude each other', 'keep one');
  if (prefixRewrite && match.some((m) => m.uri?.prefix === undefined))
    at.at('prefixRewrite').error('needs to know the prefix: each match has to have uri.prefix');
  if (redirectCode !== undefined && redirectCode !== 0 && ![301, 302, 303, 307, 308].includes(redirectCode))
    at.at('redirectCode').error(`${redirectCode} is no redirect`, 'expected 301, 302, 303, 307 or 308');
  if (scheme && scheme !== 'http' && scheme !== 'https')
    at.at('scheme').error(`${quote(scheme)} is no scheme of a redirect`, 'expected http or https');
  checkPort(port, at.at('port'));
}

const grpcStatuses =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  );

function checkFault({ fault }: HttpRoute, field: Field): void {
  if (fault === undefined) return;
  const at = field.at('fault');
  const { abort, delay } = fault;
  if (abort === undefined && delay === undefined) at.error('an abort or a delay is expected');
  checkPercent(abort?.percentage?.value, at.at('abort', 'percentage', 'value'));
  checkPercent(delay?.percentage?.value, at.at('delay', 'percentage', 'value'));
  if (delay?.percent !== undefined) {
    at.at('delay', 'percent').warn('is the older form', 'use percentage');
    checkPercent(delay.percent, at.at('delay', 'percent'));
  }
  if (delay?.exponentialDelay !== undefined)
    at.at('delay', 'exponentialDelay').error('no proxy does this', 'use fixedDelay');
  if (delay !== undefined && delay.fixedDelay === undefined && delay.exponentialDelay === undefined)
    at.at('delay').error('says not how long', 'set fixedDelay');
  if (abort?.http2Error !== undefined)
    at.at('abort', 'http2Error').error('no proxy does this', 'use httpStatus or grpcStatus');
  if (abort?.httpStatus !== undefined && (abort.httpStatus < 200 || abort.httpStatus > 599))
    at.at('abort', 'httpStatus').error(`${abort.httpStatus} is no status of an answer: expected 200 to 599`);
  if (abort?.grpcStatus !== undefined && !grpcStatuses.includes(abort.grpcStatus))
    at.at('abort', 'grpcStatus').error(
      `${quote(abort.grpcStatus)} is no status of gRPC`,
      `expected one of ${grpcStatuses.join(', ')}`,
    );
  if (
    abort !== undefined &&
    abort.httpStatus === undefined &&
    abort.grpcStatus === undefined &&
    abort.http2Error === undefined
  )
    at.at('abort').warn('says not how', 'set httpStatus or grpcStatus');
}

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*'];

function checkCors({ corsPolicy }: HttpRoute, field: Field): void {
  if (corsPolicy === undefined) return;
  if (corsPolicy.allowOrigin !== undefined) field.at('allowOrigin').warn('is the older form', 'use allowOrigins');
  field.each('allowOrigins', corsPolicy.allowOrigins, checkStringMatch);
  field.each('allowMethods', corsPolicy.allowMethods, (method, at) => {
    if (!methods.includes(method)) at.error(`${quote(method)} is no method`, `expected one of ${methods.join(', ')}`);
  });
  for (const name of ['allowHeaders', 'exposeHeaders'] as const) {
    field.each(name, corsPolicy[name], (header, at) => {
      if (!/^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/.test(header)) at.error(`${quote(header)} is no name of a header`);
    });
  }
}

/** Routes behind one that matches everything; and matches that stand there twice. */
function findUnreachable(routes: readonly HttpRoute[], field: Field): void {
  const seen = new Map<string, number>();
  let all: number | undefined;
  routes.forEach(({ match = [] }, i) => {
    const at = field.at('http', i);
    if (all !== undefined) {
      at.warn(`is never reached: route ${all} before it matches everything`, 'move it to the front');
      return;
    }
    if (match.length === 0 || match.some((m) => matchesAll(m))) all = i;
    const repeated = match.filter((m) => seen.has(JSON.stringify(m)));
    if (match.length > 0 && repeated.length === match.length)
      at.warn('is never reached: routes before it have the same matches', 'remove it');
    else {
      for (const m of repeated)
        at.at('match', match.indexOf(m)).warn(
          `route ${seen.get(JSON.stringify(m))} before it has the same match`,
          'remove it',
        );
    }
    for (const m of match) if (!seen.has(JSON.stringify(m))) seen.set(JSON.stringify(m), i);
  });
}

function matchesAll({ name: _name, statPrefix: _prefix, ignoreUriCase: _case, ...rest }: HttpMatch): boolean {
  const { uri, ...others } = rest;
  if (Object.keys(others).length > 0) return false;
  return uri === undefined || uri.prefix === '/' || uri.regex === '.*' || uri.regex === '*';
}
