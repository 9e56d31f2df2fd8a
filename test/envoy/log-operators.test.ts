/** Every operator of access logs that Envoy documents, in text and in JSON: what Envoy and ours write of the same requests and connections. */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { operators } from '../../common/envoy/operators.ts';
import { operatorExamples } from '../../waypoint/testing/operator-examples.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type EngineSite, Engines, named } from './engines.ts';

type Json = Readonly<Record<string, unknown>>;

/** Of one proxy, connection or moment: that both write something of the same kind is all that can be said. */
const ofItsOwn =
  /TIME|DURATION|^UNIQUE_ID$|^STREAM_ID$|CONNECTION_ID|PORT$|ADDRESS$|UPSTREAM_HOST$|HOSTS_ATTEMPTED$|WIRE_BYTES|HEADER_BYTES|^HOSTNAME$|^CONNECTION_ID$/;

const formatters = [
  named('envoy.formatter.req_without_query', 'envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery'),
];
const file = (path: string, format: Json) =>
  named('log', 'envoy.extensions.access_loggers.file.v3.FileAccessLog', {
    path,
    log_format: { ...format, formatters },
  });
const names = Object.keys(operators);
const line = names.map((name) => `${name}=${operatorExamples[name]}`).join('\t');
const logs = (path: string, kind: string) => [
  file(path, { text_format_source: { inline_string: `kind=${kind} text\t${line}\n` } }),
  file(path, { json_format: { kind: `${kind} json`, ...operatorExamples } }),
];
const metadata = { filter_metadata: { n: { k: { deep: [1, true, 'x'] } } } };

describe('operators of access logs, in Envoy and in ours', { skip: skipWithoutEnvoy() }, () => {
  let engines: Engines;
  let told: readonly (readonly string[])[];
  before(async () => {
    engines = await Engines.start((log): readonly EngineSite[] => [
      {
        name: 'http',
        // Its digits would count in the length of heads: a host answers one proxy in 9 ms and the other in 10.
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'http' },
            response_headers_to_remove: ['x-envoy-upstream-service-time'],
          },
        ],
        manager: { access_log: logs(log, 'http') },
        cluster: { metadata },
      },
      {
        name: 'local',
        routes: [
          {
            name: 'the-route',
            match: { prefix: '/' },
            direct_response: { status: 404, body: { inline_string: 'no' } },
          },
        ],
        manager: { access_log: logs(log, 'local') },
      },
      {
        name: 'tcp',
        cluster: { metadata },
        listener: {
          access_log: logs(log, 'listener'),
          filter_chains: [
            {
              name: 'the-chain',
              filters: [
                named('tcp', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
                  stat_prefix: 'tcp',
                  cluster: 'tcp',
                  access_log: logs(log, 'tcp'),
                }),
              ],
            },
          ],
        },
      },
    ]);
    // Who wants the connection closed gets one header more from Envoy.
    const agent = new Agent({ keepAlive: true });
    const headers = { host: 'web.test', 'x-request-id': 'b5bb0ac4-8a61-4b5d-8ff1-6ff7b4dd9b0e' };
    await engines.ask('http', '/200?a=b%20c', { headers, agent, method: 'POST' });
    await engines.ask('local', '/x', { headers, agent });
    await engines.ask('tcp', '/200', { headers });
    agent.destroy();
    told = await engines.lines();
  });
  after(async () => engines?.[Symbol.asyncDispose]());

  for (const kind of ['http', 'local', 'tcp', 'listener']) {
    it(`are written alike in text: ${kind}`, () => compare(kind, textOf));
    it(`are written alike in JSON: ${kind}`, () => compare(kind, jsonOf));
  }

  function compare(kind: string, read: (lines: readonly string[], kind: string) => Json): void {
    const [envoy, ours] = told.map((lines) => read(lines, kind));
    const differences = names.flatMap((name) => {
      const without = operators[name]!.without !== undefined;
      const form = (value: unknown) => (ofItsOwn.test(name) ? formOf(value) : JSON.stringify(value));
      const [theirs, own] = [form(envoy![name]), form(ours![name])];
      // What is never here may be there.
      return theirs === own || (without && ['"-"', 'null', '-', '0'].includes(own ?? 'null'))
        ? []
        : [`${name}: ${own} (${JSON.stringify(ours![name])}) and not ${theirs} (${JSON.stringify(envoy![name])})`];
    });
    assert.deepEqual(differences, [], differences.join('\n'));
  }
});

/** Whether it is there, and as what. */
function formOf(value: unknown): string {
  if (typeof value === 'number') return 'number';
  if (value === null || value === undefined || value === '-' || value === '') return JSON.stringify(value ?? null);
  return String(value)
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'id')
    .replaceAll(/\d+/g, '0');
}

function textOf(lines: readonly string[], kind: string): Json {
  const found = lines.find((text) => text.startsWith(`kind=${kind} text\t`));
  assert.ok(found, `${kind} in ${lines.join('\n')}`);
  return Object.fromEntries(
    found.split('\t').map((pair) => [pair.split('=', 1)[0]!, pair.slice(pair.indexOf('=') + 1)]),
  );
}

function jsonOf(lines: readonly string[], kind: string): Json {
  const found = lines.find((text) => text.startsWith('{') && text.includes(`"${kind} json"`));
  assert.ok(found, `${kind} in ${lines.join('\n')}`);
  return JSON.parse(found) as Json;
}
