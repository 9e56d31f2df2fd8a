/** Retries and timeouts, by configuration and by what callers ask for, in Envoy and in ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type EngineSite, Engines } from './engines.ts';

const soon = { base_interval: '0.001s' };
const site = (name: string, action: object = {}, more: object = {}): EngineSite => ({
  name,
  // All ask at once.
  cluster: { circuit_breakers: { thresholds: [{ max_retries: 1_000 }] }, ...more },
  manager: { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } },
  routes: [{ match: { prefix: '/' }, route: { cluster: name, ...action } }],
});

const sites = [
  site('plain', { timeout: '2s' }),
  site('never', { retry_policy: { num_retries: 3 } }),
  site('5xx', { retry_policy: { retry_on: '5xx', num_retries: 2, retry_back_off: soon } }),
  site('by-header', {
    retry_policy: {
      retry_on: '5xx',
      retry_back_off: soon,
      retriable_request_headers: [{ name: 'x-may', string_match: { exact: 'yes' } }],
    },
  }),
  site('limited', {
    retry_policy: {
      retry_on: '5xx',
      retry_back_off: { base_interval: '100000s', max_interval: '100000s' },
      rate_limited_retry_back_off: { reset_headers: [{ name: 'x-reset' }], max_interval: '3s' },
    },
    timeout: '4s',
  }),
  site('idle-try', {
    retry_policy: { retry_on: '5xx', num_retries: 1, retry_back_off: soon, per_try_idle_timeout: '1s' },
  }),
  site('idle-route', { idle_timeout: '1s' }),
  site('max-stream', {}, { common_http_protocol_options: { max_stream_duration: '1s' } }),
  site('grpc', { retry_policy: { retry_on: 'unavailable', retry_back_off: soon } }),
  site('alt', { timeout: '1s' }),
  site('per-try', { retry_policy: { retry_on: '5xx', num_retries: 1, retry_back_off: soon, per_try_timeout: '1s' } }),
];

const asked: readonly (readonly [site: string, path: string, headers?: Readonly<Record<string, string>>])[] = [
  ['plain', '/503,200', { 'x-envoy-retry-on': '5xx' }],
  ['plain', '/503,503,503,200', { 'x-envoy-retry-on': '5xx' }],
  ['plain', '/503,503,503,200', { 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': '3' }],
  ['plain', '/503,200', { 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': '0' }],
  ['plain', '/503,503,200', { 'x-envoy-retry-on': '5xx', 'x-envoy-max-retries': 'many' }],
  ['plain', '/503,200', { 'x-envoy-retry-on': 'nonsense' }],
  ['plain', '/503,200', { 'x-envoy-max-retries': '3' }],
  ['plain', '/418,200', { 'x-envoy-retry-on': 'retriable-status-codes', 'x-envoy-retriable-status-codes': '418, 7' }],
  [
    'plain',
    '/200;x-again=1,204',
    { 'x-envoy-retry-on': 'retriable-headers', 'x-envoy-retriable-header-names': 'X-Again' },
  ],
  ['plain', '/200;grpc-status=14,204', { 'x-envoy-retry-grpc-on': 'unavailable' }],
  ['plain', '/200;grpc-status=14,204', { 'x-envoy-retry-on': 'unavailable' }],
  ['plain', '/503,200', { 'x-envoy-retry-grpc-on': '5xx' }],
  [
    'plain',
    '/200;grpc-status=14;content-type=application%2Fgrpc,204',
    { 'x-envoy-retry-grpc-on': 'unavailable', 'content-type': 'application/grpc' },
  ],
  ['grpc', '/200;grpc-status=14,204'],
  ['grpc', '/200;grpc-status=14,204', { 'content-type': 'application/grpc' }],
  ['plain', '/stall', { 'x-envoy-upstream-rq-timeout-ms': '1000' }],
  ['plain', '/stall', { 'x-envoy-upstream-rq-timeout-ms': '1000', 'x-envoy-upstream-rq-timeout-alt-response': '1' }],
  ['never', '/503,200'],
  ['never', '/503,503,503,200', { 'x-envoy-retry-on': '5xx' }],
  ['5xx', '/503,503,200'],
  ['5xx', '/503,503,200', { 'x-envoy-max-retries': '1' }],
  ['5xx', '/409,200', { 'x-envoy-retry-on': 'retriable-4xx' }],
  ['by-header', '/503,200'],
  ['by-header', '/503,200', { 'x-may': 'yes' }],
  ['by-header', '/503,200', { 'x-envoy-retry-on': '5xx' }],
  ['limited', '/503;x-reset=1,200'],
  ['limited', '/503;x-reset=30,200'],
  ['limited', '/503;x-reset=soon,200'],
  ['idle-try', '/stall,200'],
  ['idle-try', '/stall'],
  ['idle-try', '/head'],
  ['idle-route', '/stall'],
  ['idle-route', '/head'],
  ['max-stream', '/stall'],
  ['max-stream', '/head'],
  ['alt', '/stall', { 'x-envoy-upstream-rq-timeout-alt-response': '1' }],
  ['per-try', '/stall,200'],
  ['per-try', '/stall'],
];

describe('retries and timeouts', { skip: skipWithoutEnvoy() }, () => {
  it('are in ours as in Envoy', async (t) => {
    await using engines = await Engines.start(() => sites);
    // Both engines are warm: what is timed is no start.
    for (const { name } of sites) await engines.ask(name, '/200');
    // Callers within the mesh may ask, others may not.
    const both = asked.flatMap(([name, path, headers]) => [
      ...(headers ? [[name, path, headers] as const] : []),
      [name, path, { ...headers, 'x-forwarded-for': '10.1.1.1' }] as const,
    ]);
    await Promise.all(
      both.map(async ([name, path, headers]) => {
        const answers = await engines.ask(name, path, { headers }).catch((e) => {
          console.log(e.message);
          return [] as never;
        });
        const [envoy, ours] = answers.map(({ status, body, tries }) => ({
          status,
          tries,
          body: body.startsWith('[') ? headersOf(body, tries) : body,
        }));
        await t.test(`${name} ${path} ${JSON.stringify(headers)}: ${envoy!.status}`, () => {
          assert.deepEqual(ours, envoy);
        });
      }),
    );
  });
});

/** Of those that came to the server the ones that are about retries and timeouts. */
function headersOf(body: string, tries: number): readonly string[] {
  const raw = JSON.parse(body) as readonly string[];
  return raw
    .flatMap((name, i) => (i % 2 === 0 && name.startsWith('x-envoy') ? [`${name}: ${raw[i + 1]}`] : []))
    .map((text) => (tries > 1 ? text.replace(/(?<=expected-rq-timeout-ms: ).*/, 'what the tries before left') : text))
    .sort();
}
