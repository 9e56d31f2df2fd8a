import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { typeUrl } from '../../common/envoy/codec.ts';
import { encodeExport, encodeSpan } from '../export/otlp.ts';
import { Headers } from '../request/headers.ts';
import { receivedSpans } from '../testing/otlp.ts';
import { Rig } from '../testing/rig.ts';
import { b3 } from './b3.ts';
import { decideTrace } from './sampling.ts';
import { w3c } from './w3c.ts';

const anyText = fc.string({ unit: fc.constantFrom(...'0123456789abcdefABCDEF-xyz '.split('')), maxLength: 70 });

describe('contexts of traces', () => {
  it('go on as they came, by W3C and by B3 in one header or several', () => {
    const formats = [w3c, b3({ longIds: true, withW3c: false, sharesSpans: false })];
    for (const format of formats) {
      for (const single of [true, false]) {
        const headers = new Headers(single ? ['b3', '1'] : []);
        const first = format.begin(undefined, true);
        format.inject(headers, first);
        const found = format.extract(headers, false);
        assert.equal(found.kind, 'found');
        const next = format.begin(found.of, true);
        assert.deepEqual([next.traceId, next.parentId, next.sampled], [first.traceId, first.spanId, true]);
        assert.notEqual(next.spanId, first.spanId);
      }
    }
  });

  it('are taken from strangers or not, and what goes on is well-formed', () => {
    const formats = [w3c, b3({ longIds: false, withW3c: true, sharesSpans: true })];
    const names = [
      'traceparent',
      'tracestate',
      'b3',
      'x-b3-traceid',
      'x-b3-spanid',
      'x-b3-parentspanid',
      'x-b3-sampled',
    ];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...names), anyText)), fc.boolean(), (fields, decided) => {
        for (const format of formats) {
          const found = format.extract(Headers.of(fields), decided);
          if (found.kind === 'malformed') continue;
          const context = format.begin(found.kind === 'found' ? found.of : undefined, decided);
          assert.match(context.traceId, /^([0-9a-f]{16}|[0-9a-f]{32})$/);
          assert.match(context.spanId, /^[0-9a-f]{16}$/);
        }
      }),
    );
  });
});

describe('sampling', () => {
  const decide = (id: string, more: object = {}, dice = 0.5) => {
    const headers = new Headers(['x-request-id', id]);
    const sampling = { client: 100, random: 100, overall: 100, byRequestId: true, packs: true, ...more };
    return [decideTrace({ headers, sampling, dice: { random: () => dice } }), headers.get('x-request-id')];
  };
  const id = (digit: string) => `00001000-0000-${digit}000-8000-000000000000`;

  it('marks the id, heeds marks of others, and takes them away where nothing is traced', () => {
    assert.deepEqual(decide(id('4')), ['sampled', id('9')]);
    assert.deepEqual(decide(id('4'), { random: 0 }), ['none', id('4')]);
    assert.deepEqual(decide(id('a'), { random: 0 }), ['forced', id('a')]);
    assert.deepEqual(decide(id('a'), { overall: 0 }), ['none', id('4')]);
    assert.deepEqual(decide(id('4'), { packs: false }), ['sampled', id('4')]);
    assert.deepEqual(decide('no uuid'), ['none', 'no uuid']);
  });

  it('takes the share that is asked for', () => {
    // 0x1000 is 4096 of 10,000.
    assert.equal(decide(id('4'), { random: 40.96 })[0], 'none');
    assert.equal(decide(id('4'), { random: 40.97 })[0], 'sampled');
  });
});

describe('a span', () => {
  it('is an OTLP message that others read', () => {
    const context = {
      traceId: 'ab'.repeat(8),
      spanId: 'cd'.repeat(8),
      parentId: 'ef'.repeat(8),
      sampled: true,
      state: 's=1',
    };
    const tags = [
      { name: 'a', value: 'x'.repeat(300) },
      { name: 'empty', value: '' },
    ];
    const made = {
      context,
      name: 'op',
      kind: 'server',
      start: 1_700_000_000_000,
      duration: 1.5,
      tags,
      isError: true,
    } as const;
    const scope = { resource: [{ name: 'service.name', value: 'w' }], scope: { name: 'aquifer', version: '1' } };
    const [span, ...more] = receivedSpans(
      encodeExport(scope, Buffer.concat([made, made].map((m) => Buffer.from(encodeSpan(m))))),
    );
    assert.equal(more.length, 1);
    assert.deepEqual(span, {
      resource: { 'service.name': 'w' },
      traceId: 'ab'.repeat(8).padStart(32, '0'),
      spanId: 'cd'.repeat(8),
      parentId: 'ef'.repeat(8),
      state: 's=1',
      name: 'op',
      kind: 'SERVER',
      start: 1_700_000_000_000_000_000n,
      end: 1_700_000_000_001_500_000n,
      attributes: { a: 'x'.repeat(300), empty: '' },
      status: 'ERROR',
    });
  });

  it('is told of each request, and a collector that is away holds nothing up', async () => {
    await using rig = new Rig();
    const bodies: Buffer[] = [];
    const collector = await rig.upstream((asked, answer) => {
      const chunks: Buffer[] = [];
      asked.on('data', (chunk: Buffer) => chunks.push(chunk));
      asked.on('end', () => {
        bodies.push(Buffer.concat(chunks));
        answer.end();
      });
    });
    const web = await rig.upstream((_, answer) => answer.end('hello'));
    rig.cluster('web', [web]);
    rig.cluster('collector', [collector]);
    rig.cluster('away', [1]);
    const routes = [{ match: { prefix: '/' }, route: { cluster: 'web' }, decorator: { operation: 'op' } }];
    const tracing = (cluster: string) => ({
      tracing: {
        provider: {
          name: 'otlp',
          typed_config: {
            '@type': typeUrl('envoy.config.trace.v3.OpenTelemetryConfig'),
            http_service: { http_uri: { uri: '/v1/traces', cluster, timeout: '1s' } },
          },
        },
      },
    });
    const ports = [
      await rig.http('told', routes, tracing('collector')),
      await rig.http('lost', routes, tracing('away')),
    ];
    for (const port of ports) for (let i = 0; i < 3; i++) assert.equal(await statusOf(port), 200);
    await rig.runtime.env.exporters.flush();
    const spans = bodies.flatMap(receivedSpans);
    assert.deepEqual(
      spans.map(({ name, attributes }) => [name, attributes['http.status_code']]),
      [0, 1, 2].map(() => ['op', '200']),
    );
    const counted = (name: string) => rig.runtime.stats.counter(`tracing.opentelemetry.${name}`).value;
    assert.deepEqual([counted('spans_sent'), counted('spans_dropped')], [3, 3]);
  });
});

function statusOf(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, agent: false }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
    });
    asked.on('error', reject);
    asked.end();
  });
}
