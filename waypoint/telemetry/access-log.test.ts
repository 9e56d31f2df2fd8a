import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { Rig } from '../testing/rig.ts';

const routes = [{ match: { prefix: '/' }, direct_response: { status: 200 } }];
const logTo = (path: string) => ({
  name: 'file',
  typed_config: { '@type': typeUrl('envoy.extensions.access_loggers.file.v3.FileAccessLog'), path },
});

describe('what is told of a request', () => {
  it('holds up neither its end nor other logs when a log throws', async () => {
    await using rig = new Rig();
    const lines: string[] = [];
    const write = (path: string, line: string) => {
      if (path === '/broken') throw new Error('no line can be made');
      lines.push(line);
    };
    Object.assign(rig.runtime.env, { write });
    const port = await rig.http('web', routes, { access_log: [logTo('/broken'), logTo('/whole')] });
    for (let i = 0; i < 2; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
    assert.equal(lines.length, 2);
    assert.equal(rig.runtime.stats.counter('access_logs.failed').value, 2);
    assert.equal(rig.runtime.stats.gauge('http.test.downstream_rq_active').value, 0);
  });

  it('holds up neither its end nor its logs when its span throws', async () => {
    await using rig = new Rig();
    const lines: string[] = [];
    const add = () => {
      throw new Error('no span can be made');
    };
    Object.assign(rig.runtime.env, {
      write: (_: string, line: string) => void lines.push(line),
      exporters: { get: () => ({ add }), flush: () => Promise.resolve() },
    });
    const config = {
      '@type': typeUrl('envoy.config.trace.v3.OpenTelemetryConfig'),
      http_service: { http_uri: { uri: '/v1/traces', cluster: 'collector', timeout: '1s' } },
    };
    const tracing = { provider: { name: 'otlp', typed_config: config } };
    const port = await rig.http('web', routes, { tracing, access_log: [logTo('/whole')] });
    for (let i = 0; i < 2; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
    assert.equal(lines.length, 2);
    assert.equal(rig.runtime.stats.counter('http.test.telemetry_failed').value, 2);
    assert.equal(rig.runtime.stats.gauge('http.test.downstream_rq_active').value, 0);
  });
});
