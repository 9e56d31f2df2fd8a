/** The HTTP side under clients that mean harm: each limit refuses or cuts one, and others are served. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { parseListenAddress } from '../../../common/config/listen-address.ts';
import { systemClock } from '../../../common/core/clock.ts';
import { createLogger, LogLevels } from '../../../common/core/log.ts';
import { until } from '../../../common/testing/until.ts';
import { builtInResources } from '../kinds/table.ts';
import { toJson } from '../objects.ts';
import { loadCredentials } from '../pki/credentials.ts';
import type { Stored } from '../storage/types.ts';
import { TestClient } from '../testing/client.ts';
import type { Reply, Watch, WatchItem } from './api-request.ts';
import { defaultLimits } from './limits.ts';
import { type HttpServer, startHttpServer } from './server.ts';

const limits = { ...defaultLimits, body: 100_000, bodyTime: 200, reads: 3, watches: 3, stalled: 300 };
const configMaps = '/api/v1/namespaces/default/configmaps';

let dir: string;
let server: HttpServer;
let client: TestClient;
/** Requests of `/api/v1/nodes/slow` wait for it. */
let release = Promise.withResolvers<void>();
const watches = new Set<Watch>();

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aquifer-http-'));
  const log = createLogger({ levels: new LogLevels('off'), format: 'plain', write: () => undefined }, 'test');
  const credentials = await loadCredentials({ dataDir: dir, addresses: ['127.0.0.1'], clock: systemClock, log });
  server = await startHttpServer({
    key: credentials.key,
    certificate: credentials.certificate,
    clientCa: credentials.certificateAuthority.pem,
    listen: [parseListenAddress('127.0.0.1:0')!],
    authenticator: {
      authenticate: async () => ({ kind: 'user', user: { name: 'u', uid: '', groups: [], extra: {} } }),
    },
    authorizer: { authorize: () => ({ kind: 'allowed', reason: '' }) },
    handler: async (request): Promise<Reply> => {
      if (request.info.kind === 'resource' && request.info.verb === 'watch') {
        return { kind: 'watch', resource: builtInResources[0]!, watch: endless() };
      }
      if (request.info.kind === 'resource' && request.info.name === 'slow') await release.promise;
      const body = await request.body();
      return { kind: 'value', code: 200, value: { kind: 'Size', size: body.length } };
    },
    limits,
    observe: () => undefined,
    clock: systemClock,
    log,
  });
  const config = { server: `https://127.0.0.1:${server.addresses[0]!.port}`, ca: credentials.certificateAuthority.pem };
  client = new TestClient({ ...config, token: 't' });
});
after(async () => {
  client.close();
  await server.stop();
  await rm(dir, { recursive: true });
});

/** Has always more. */
function endless(): Watch {
  const object: Stored = {
    key: { resource: 'x', namespace: '', name: 'n' },
    revision: 1,
    json: toJson({ apiVersion: 'v1', kind: 'X', metadata: {}, padding: 'x'.repeat(50_000) }),
    made: undefined,
    labels: undefined,
  };
  const items: WatchItem[] = [{ type: 'ADDED', object }];
  const watch: Watch = {
    take: () => items,
    onMore: undefined,
    bookmark: () => undefined,
    timeout: undefined,
    close: () => void watches.delete(watch),
  };
  watches.add(watch);
  return watch;
}

const works = async () => assert.equal((await client.ask('/api/v1/nodes/x')).code, 200);

function rawConnection(text: string) {
  const { port } = server.addresses[0]!;
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  socket.on('error', () => undefined);
  socket.write(text);
  return socket;
}

describe('limits', () => {
  test('a huge body: 413, with its rest dropped', async () => {
    const answer = await client.ask(configMaps, { method: 'POST', body: 'x'.repeat(1_000_000) });
    assert.deepEqual([answer.code, answer.json.kind, answer.json.reason], [413, 'Status', 'RequestEntityTooLarge']);
    await works();
  });

  test('a small body that unpacks to a huge one: 413', async () => {
    const headers = { 'content-encoding': 'gzip' };
    const answer = await client.ask(configMaps, { method: 'POST', body: gzipSync(Buffer.alloc(10_000_000)), headers });
    assert.equal(answer.code, 413);
    const small = gzipSync(Buffer.alloc(90_000));
    for (let i = 0; i < 20; i++) {
      assert.equal((await client.ask(configMaps, { method: 'POST', body: small, headers })).json.size, 90_000);
    }
  });

  test('a body that never ends: 408, others are served meanwhile', async () => {
    const socket = rawConnection(`POST ${configMaps} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{`);
    await works();
    const answer = await new Promise<string>((resolve) => socket.once('data', (d) => resolve(String(d))));
    assert.match(answer, /^HTTP\/1\.1 408 /);
    assert.match(answer, /"reason":"Timeout"/);
    socket.destroy();
  });

  test('too many at once: 429 with when to come again; the next ones are served', async () => {
    release = Promise.withResolvers();
    const slow = Array.from({ length: limits.reads }, () => client.ask('/api/v1/nodes/slow'));
    let refused = await client.ask('/api/v1/nodes/x');
    await until('the limit is reached', async () => {
      refused = await client.ask('/api/v1/nodes/x');
      return refused.code === 429;
    });
    assert.deepEqual([refused.json.reason, refused.headers['retry-after']], ['TooManyRequests', '1']);
    // Writes have a limit of their own.
    assert.equal((await client.ask(configMaps, { method: 'POST', body: {} })).code, 200);
    release.resolve();
    for (const answer of await Promise.all(slow)) assert.equal(answer.code, 200);
    await works();
  });

  test('watchers that never read are cut, over HTTP/1.1 and HTTP/2; others read on', async () => {
    const mute = rawConnection(`GET ${configMaps}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    mute.pause();
    const { server: url, ca } = client.config;
    const session = connect(url, { ca });
    session.on('error', () => undefined);
    const stream = session.request({ ':path': `${configMaps}?watch=1` });
    stream.on('error', () => undefined);
    stream.pause();
    let read = 0;
    const reader = await client.open(`${configMaps}?watch=1`);
    reader.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    await until('three watches', () => watches.size === 3);
    await until('two are cut', () => watches.size === 1);
    const then = read;
    await until('the third reads on', () => read > then);
    reader.destroy();
    await until('the third is over', () => watches.size === 0);
    session.destroy();
    mute.destroy();
    await works();
  });
});

test('a client over HTTP/1.1 is told for how many seconds it may keep an idle connection', async () => {
  const socket = rawConnection('GET /api/v1/nodes/x HTTP/1.1\r\nHost: x\r\n\r\n');
  const answer = await new Promise<string>((resolve) => socket.once('data', (d) => resolve(String(d))));
  assert.match(answer, /\r\nKeep-Alive: timeout=90\r\n/);
  socket.destroy();
});

test('whatever is sent as a request, it is answered with a Status or cut, and others are served', async () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.webPath().map((p) => `GET ${p} HTTP/1.1\r\nHost: x\r\n\r\n`),
    fc.constantFrom(
      'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET /api/v1/namespaces/%00/pods HTTP/1.1\r\nHost: x\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    ),
  );
  await fc.assert(
    fc.asyncProperty(line, async (text) => {
      const socket = rawConnection(text);
      socket.end();
      const chunks: Buffer[] = [];
      await new Promise<void>((resolve) => {
        socket.on('data', (d: Buffer) => chunks.push(d));
        socket.on('close', () => resolve());
        // A text without an end of line may wait for more.
        socket.setTimeout(100, () => socket.destroy());
      });
      const answer = Buffer.concat(chunks).toString();
      const code = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 400);
      assert.ok(code === 200 || (code >= 400 && code < 500), answer.slice(0, 200));
    }),
    { numRuns: 60 },
  );
  await works();
});
