/** What of a caller's x-envoy headers reaches the server, from within the mesh and from outside, in Envoy and in ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Engines } from './engines.ts';

const asked = [
  'attempt-count decorator-operation downstream-service-cluster downstream-service-node expected-rq-timeout-ms external-address',
  'fault-delay-request force-trace hedge-on-per-try-timeout internal ip-tags is-timeout-retry max-retries not-forwarded',
  'original-dst-host original-host original-method original-path original-scheme original-url peer-metadata',
  'retriable-header-names retriable-status-codes retry-grpc-on retry-on upstream-alt-stat-name',
  'upstream-rq-per-try-timeout-ms upstream-rq-timeout-alt-response upstream-rq-timeout-ms',
].flatMap((line) => line.split(' ').map((name) => [`x-envoy-${name}`, 'abc'] as const));

const internal = { internal_address_config: { cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] } };
const sites = [
  { name: 'plain' },
  { name: 'edge', manager: { use_remote_address: true } },
  { name: 'mesh', manager: internal },
  { name: 'mesh edge', manager: { use_remote_address: true, ...internal } },
  { name: 'mesh edge behind a proxy', manager: { use_remote_address: true, xff_num_trusted_hops: 1, ...internal } },
];
const callers = [undefined, '10.1.1.1', '192.0.2.1', '10.1.1.1, 10.1.1.2', '192.0.2.1, 10.1.1.1'];

describe("a caller's x-envoy headers", { skip: skipWithoutEnvoy() }, () => {
  it('reach the server through ours as through Envoy', async (t) => {
    await using engines = await Engines.start(() => sites);
    for (const { name } of sites) {
      for (const caller of callers) {
        await t.test(`${name}, x-forwarded-for: ${caller ?? 'none'}`, async () => {
          const headers = { ...Object.fromEntries(asked), ...(caller !== undefined && { 'x-forwarded-for': caller }) };
          const [envoy, ours] = await engines.ask(name, '/200', { headers });
          assert.deepEqual(told(ours.body), told(envoy.body));
        });
      }
    }
  });
});

function told(body: string): readonly string[] {
  const raw = JSON.parse(body) as readonly string[];
  return raw
    .flatMap((name, i) => (i % 2 === 0 && name.startsWith('x-envoy-') ? [`${name}: ${raw[i + 1]}`] : []))
    .sort();
}
