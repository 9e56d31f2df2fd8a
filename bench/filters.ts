/** `npm run bench -- filters`: what filters of waypoints cost a request, in this process, in CPU time and without sockets. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { checkFields } from '../common/envoy/fields.ts';
import { type Caller, silentStream } from '../waypoint/filters/caller.ts';
import { extAuthzFilter } from '../waypoint/filters/ext-authz/filter.ts';
import type { FilterContext } from '../waypoint/filters/filter.ts';
import { jwtFilter } from '../waypoint/filters/jwt/filter.ts';
import { Headers } from '../waypoint/request/headers.ts';
import type { RequestView } from '../waypoint/request/view.ts';
import { filterEnvironment } from '../waypoint/testing/filter-environment.ts';
import { median } from './statistics.ts';

const requests = 5_000;
const rounds = 21;
/** Microseconds (issue 10). */
const goal = 25;

const issuer = 'https://a.test';
const claims = {
  iss: issuer,
  sub: 'alice',
  aud: 'web',
  exp: Math.floor(Date.now() / 1_000) + 3_600,
  groups: ['a', 'b'],
  scope: 'read write',
};

export function benchFilters(): void {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = (i: number) => {
    const text = `${part({ alg: 'RS256', kid: 'a' })}.${part({ ...claims, jti: String(i) })}`;
    return `${text}.${sign('sha256', Buffer.from(text), privateKey).toString('base64url')}`;
  };
  const jwks = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'a' }] });
  const known = Array.from({ length: 20 }, (_, i) => signed(i));
  report('a token that was seen before, of 20', jwks, (k) => known[k % known.length]!, requests, true);
  const fresh = Array.from({ length: 200 }, (_, i) => signed(1_000 + i));
  report('a token that is new (RS256)', jwks, (k) => fresh[k]!, fresh.length, false);
  for (const protocol of ['http', 'grpc'] as const) reportAuthz(protocol);
}

/** Microseconds beside the round trip (issue 10). */
const authzGoal = 50;

/** A service that answers at once: what the filter does before it asks and after, without the request to the service. */
function reportAuthz(protocol: 'http' | 'grpc'): void {
  const answered: Caller = {
    http(_, done) {
      const headers = new Headers(['x-user', 'alice']);
      done({ kind: 'answered', status: 200, headers, body: Buffer.alloc(0), trailers: new Headers() });
      return () => undefined;
    },
    grpc(_, done) {
      done({ kind: 'answered', message: grpcOk });
      return () => undefined;
    },
    stream: () => silentStream,
  };
  const uri = { uri: 'http://x', cluster: 'authz', timeout: { seconds: 1 } };
  const toUpstream = { allowed_upstream_headers: { patterns: [{ exact: 'x-user' }] } };
  const service =
    protocol === 'http'
      ? { http_service: { server_uri: uri, authorization_response: toUpstream } }
      : { grpc_service: { envoy_grpc: { cluster_name: 'authz' } } };
  const made = checkFields(service, 'ExtAuthz', (f) => extAuthzFilter.read(f, filterEnvironment(answered)));
  if (made.kind !== 'ok') throw new Error(made.reason);
  const times = Array.from({ length: rounds }, () => {
    const asked = Array.from({ length: requests }, () => request('x'));
    let passed = 0;
    const from = process.cpuUsage();
    for (const view of asked) {
      const verdict = made.value.onRequest(view, context);
      if (verdict.kind === 'ask') verdict.ask(({ kind }) => (passed += kind === 'continue' ? 1 : 0));
    }
    const { user, system } = process.cpuUsage(from);
    if (passed !== requests) throw new Error('a request was refused');
    return (user + system) / requests;
  });
  const mid = median(times);
  const verdict = `${authzGoal}${mid <= authzGoal ? '' : ': missed'}`;
  process.stdout.write(
    `ext_authz by ${protocol}, beside the request: ${mid.toFixed(1)} us of CPU a request (${verdict})\n`,
  );
}

/** An envoy.service.auth.v3.CheckResponse with an empty status, which is OK. */
const grpcOk = Buffer.from('0a00', 'hex');

function report(name: string, jwks: string, tokenOf: (k: number) => string, count: number, isJudged: boolean): void {
  const times = Array.from({ length: rounds }, () => {
    // As istiod makes it; new keys know no token.
    const made = checkFields(
      {
        providers: {
          a: {
            issuer,
            local_jwks: { inline_string: jwks },
            payload_in_metadata: 'payload',
            normalize_payload_in_metadata: { space_delimited_claims: ['permission', 'scope'] },
            clear_route_cache: true,
          },
        },
        rules: [
          {
            match: { prefix: '/' },
            requires: { requires_any: { requirements: [{ provider_name: 'a' }, { allow_missing: {} }] } },
          },
        ],
        bypass_cors_preflight: true,
      },
      'JwtAuthentication',
      (fields) => jwtFilter.read(fields, filterEnvironment()),
    );
    if (made.kind !== 'ok') throw new Error(made.reason);
    const asked = Array.from({ length: count }, (_, k) => request(tokenOf(k)));
    const from = process.cpuUsage();
    for (const view of asked)
      if (made.value.onRequest(view, context).kind !== 'continue') throw new Error('a token was refused');
    const { user, system } = process.cpuUsage(from);
    return (user + system) / count;
  });
  const mid = median(times);
  const verdict = isJudged ? ` (${goal}${mid <= goal ? '' : ': missed'})` : '';
  process.stdout.write(`jwt_authn, ${name}: ${mid.toFixed(1)} us of CPU a request${verdict}\n`);
}

const context = {
  bodyless: true,
  format: { request: undefined, facts: { startTime: Date.now() } },
  countOfCluster: () => undefined,
  chargeCluster: () => undefined,
  remember: () => undefined,
  perRoute: [],
  dice: { random: () => 0.5 },
  now: () => Date.now(),
  count: () => undefined,
  setMetadata: () => undefined,
  clearRoute: () => undefined,
} as unknown as FilterContext;

function request(token: string): RequestView {
  const peer = { address: '127.0.0.1', port: 1 };
  return {
    method: 'GET',
    scheme: 'http',
    authority: 'web',
    path: '/a/b?c=d',
    headers: new Headers([
      'user-agent',
      'bench',
      'accept',
      '*/*',
      'authorization',
      `Bearer ${token}`,
      'x-request-id',
      'x',
    ]),
    protocol: 'http1',
    connection: { remote: peer, source: peer, directRemote: peer, local: peer, tls: false, filterState: new Map() },
    metadata: new Map(),
  };
}
