/** Access logs as MeshConfig asks for them: lines of Envoy and of ours for the same requests. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import type { MeshSettings } from '../../istiod/model/settings.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Pair, type Side, sides } from './pair/pair.ts';

const formats: readonly (readonly [string, Partial<MeshSettings['envoy']>])[] = [
  ['text as Istio writes it', {}],
  [
    'text of an own format',
    { accessLogFormat: '%REQ(:path)% %RESPONSE_CODE% %PROTOCOL% [%REQ(x-none)%] %RESPONSE_FLAGS%' },
  ],
  ['text of an own format that ends its lines', { accessLogFormat: '%REQ(:path)%\n' }],
  ['JSON as Istio writes it', { accessLogEncoding: 'JSON' }],
  [
    'JSON of an own format',
    {
      accessLogEncoding: 'JSON',
      accessLogFormat:
        '{"path":"%REQ(:path)%","none":"%REQ(x-none)%","code":"%RESPONSE_CODE%","both":"%PROTOCOL% %RESPONSE_CODE%","number":1}',
    },
  ],
  [
    'text of gRPC statuses, long flags, parameters and expressions',
    {
      accessLogFormat:
        '%REQ(:path)% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER% %RESPONSE_FLAGS_LONG% ' +
        '%QUERY_PARAM(x)% %QUERY_PARAM(y):1% %CEL(request.method)% %CEL(response.code)% %CEL(size(request.path) > 9)% %CEL(request.headers["x-none"])%',
    },
  ],
  [
    'JSON of gRPC statuses',
    {
      accessLogEncoding: 'JSON',
      accessLogFormat: '{"p":"%REQ(:path)%","n":"%GRPC_STATUS_NUMBER%","s":"%GRPC_STATUS%"}',
    },
  ],
  ['text of a format that no Envoy takes', { accessLogFormat: '%REQ(:path)% %NO_SUCH%' }],
  ['text without queries', { accessLogFormat: '%REQ_WITHOUT_QUERY(:path)% %PATH(NQ)% %UPSTREAM_PROTOCOL%' }],
  ['JSON of a format that is no object', { accessLogEncoding: 'JSON', accessLogFormat: '["%REQ(:path)%"]' }],
  ['JSON of a number', { accessLogEncoding: 'JSON', accessLogFormat: '1' }],
  ['JSON of a format that is none', { accessLogEncoding: 'JSON', accessLogFormat: '%REQ(:path)%' }],
];

describe('access logs', { skip: skipWithoutEnvoy() }, () => {
  let pair: Pair;
  const folder = mkdtempSync(join(tmpdir(), 'aq-logs-'));
  before(async () => {
    pair = await Pair.start();
  });
  after(async () => {
    await pair?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const [i, [name, mesh]] of formats.entries()) {
    test(name, async () => {
      const accessLogFile = join(folder, `${i}`);
      await pair.apply('', { ...mesh, accessLogFile });
      const of = async (side: Side) => {
        const mine = () => pair.logged(side, accessLogFile).filter((line) => line.includes(`/asked-${i}`));
        await pair.ask(side, { host: 'web', path: `/asked-${i}?x`, headers: { 'user-agent': 'me "quoted"' } });
        await pair.ask(side, { host: 'web', path: `/asked-${i}`, by: 'http2', method: 'POST', body: 'four' });
        const grpc = { 'content-type': 'application/grpc' };
        await pair.ask(side, {
          host: 'web',
          path: `/asked-${i}?y=2&x=%20a`,
          by: 'http2',
          method: 'POST',
          headers: grpc,
        });
        await pair.ask(side, { host: 'nobody', path: `/asked-${i}?x`, by: 'http2', method: 'POST', headers: grpc });
        await until(`${side} has logged all`, () => mine().length === 4);
        return mine().map(settled);
      };
      const [envoy, ours] = [await of(sides[0]), await of(sides[1])];
      assert.deepEqual(ours, envoy);
    });
  }
});

/** Without times, ids and ports, which are of one request alone. */
function settled(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '(time)')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '(id)')
    .replaceAll(/(127\.\d+\.\d+\.\d+):\d{4,5}/g, '$1:(port)')
    .replaceAll(/"(duration|upstream_service_time)":("?)\d+\2/g, '"$1":(ms)')
    .replaceAll(/( \d+ \d+) \d+ \d+ "/g, '$1 (ms) (ms) "');
}
