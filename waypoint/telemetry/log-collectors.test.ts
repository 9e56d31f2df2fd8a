import assert from 'node:assert/strict';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { until } from '../../common/testing/until.ts';
import { receivedRecords } from '../testing/otlp.ts';
import { Rig } from '../testing/rig.ts';

type Json = Readonly<Record<string, unknown>>;

const http2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const loggers = 'envoy.extensions.access_loggers.';
const common = (more: Json = {}) => ({
  common_config: {
    log_name: 'test',
    grpc_service: { envoy_grpc: { cluster_name: 'collector' }, timeout: '0.5s' },
    transport_api_version: 'V3',
    buffer_flush_interval: '0.05s',
    ...more,
  },
});
const logTo = (type: string, config: Json) => ({
  access_log: [{ name: 'log', typed_config: { '@type': typeUrl(`${loggers}${type}`), ...config } }],
});
const otlp = (config: Json) => logTo('open_telemetry.v3.OpenTelemetryAccessLogConfig', config);
const routes = [{ match: { prefix: '/' }, direct_response: { status: 200 } }];

describe('access logs for collectors', () => {
  let rig: Rig;
  let messages: Buffer[];
  let answer: (stream: ServerHttp2Stream) => void;
  const server = createServer();
  before(async () => {
    rig = new Rig();
    server.on('stream', (stream: ServerHttp2Stream) => {
      const chunks: Buffer[] = [];
      stream.on('error', () => undefined);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        messages.push(Buffer.concat(chunks).subarray(5));
        // One whose call has run out of time is gone.
        if (!stream.destroyed) answer(stream);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    rig.cluster('collector', [(server.address() as AddressInfo).port], { typed_extension_protocol_options: http2 });
  });
  after(async () => {
    await rig[Symbol.asyncDispose]();
    server.close();
  });

  const silent = (stream: ServerHttp2Stream) =>
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
  const empty = (stream: ServerHttp2Stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => {
      if (!stream.destroyed) stream.sendTrailers({ 'grpc-status': '0' });
    });
    stream.end(Buffer.alloc(5));
  };
  const counted = (name: string) =>
    ['written', 'dropped'].map((n) => rig.runtime.stats.counter(`access_logs.${name}.logs_${n}`).value);

  async function log(name: string, manager: Json, reply: typeof answer, requests = 1): Promise<void> {
    messages = [];
    answer = reply;
    const port = await rig.http(name, routes, manager);
    for (let i = 0; i < requests; i++) await fetch(`http://127.0.0.1:${port}/${name}`);
  }

  it('carry tags and states', async () => {
    const more = {
      custom_tags: [{ tag: 'own', literal: { value: 'x' } }],
      filter_state_objects_to_log: ['none'],
    };
    await log('tags', otlp(common(more)), empty);
    const [record] = await until('a record', () => (messages[0] ? receivedRecords(messages[0]) : undefined));
    assert.deepEqual(record!.attributes, { own: 'x' });
  });

  it('that do not arrive are counted as dropped, and nothing waits for them', async () => {
    const stat = 'open_telemetry_access_log.lost';
    await log('lost', otlp({ ...common(), stat_prefix: 'lost' }), (stream) => stream.close(8), 3);
    await until('three are dropped', () => (counted(stat)[1] === 3 ? true : undefined));
    assert.deepEqual(counted(stat), [0, 3]);
  });

  it('beyond what may wait are dropped, and counted', async () => {
    const stat = 'open_telemetry_access_log.slow';
    // Each record is a batch, a call lasts for half a second, and one is too large for what may wait with it.
    const body = { string_value: 'x'.repeat(6 * 1_048_576) };
    await log('slow', otlp({ ...common({ buffer_size_bytes: 0 }), body, stat_prefix: 'slow' }), () => undefined, 4);
    assert.deepEqual(counted(stat), [0, 2]);
    await rig.runtime.env.exporters.flush();
    assert.deepEqual(counted(stat), [0, 4]);
  });

  it('arrive at a service that says nothing', async () => {
    await log('als', logTo('grpc.v3.HttpGrpcAccessLogConfig', common()), silent, 2);
    await rig.runtime.env.exporters.flush();
    assert.deepEqual(counted('grpc_access_log'), [2, 0]);
  });

  const refused: readonly (readonly [name: string, config: Json, reason: RegExp])[] = [
    ['no service', otlp({ common_config: { log_name: 'x', transport_api_version: 'V3' } }), /grpc_service: is missing/],
    ['no name', otlp(common({ log_name: '' })), /log_name: is empty/],
    ['an operator that is none', otlp({ ...common(), body: { string_value: '%NO_SUCH%' } }), /%NO_SUCH% is not/],
    ['a body of numbers', otlp({ ...common(), body: { int_value: 1 } }), /neither a text nor/],
    ['an older version', logTo('grpc.v3.TcpGrpcAccessLogConfig', common({ transport_api_version: 'V2' })), /V2/],
  ];
  for (const [name, config, reason] of refused) {
    it(`are refused by name: ${name}`, async () => {
      await assert.rejects(rig.http('refused', routes, config), reason);
    });
  }
});
