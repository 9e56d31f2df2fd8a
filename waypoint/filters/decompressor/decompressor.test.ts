/** What decompressors do with bodies that lie; what they take off: test/envoy. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { Rig } from '../../testing/rig.ts';

const libraries = {
  gzip: 'gzip.decompressor.v3.Gzip',
  br: 'brotli.decompressor.v3.Brotli',
  zstd: 'zstd.decompressor.v3.Zstd',
};
type Coding = keyof typeof libraries;
const codings: readonly Coding[] = ['gzip', 'br', 'zstd'];
const encode = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync };
const filter = (coding: Coding, more: object = {}) => ({
  name: coding,
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.decompressor.v3.Decompressor'),
    decompressor_library: {
      name: 'lib',
      typed_config: { '@type': typeUrl(`envoy.extensions.compression.${libraries[coding]}`) },
    },
    ...more,
  },
});
const router = {
  name: 'router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};
const routes = [{ match: { prefix: '/' }, route: { cluster: 'up' } }];

interface Told {
  readonly status: number;
  readonly bytes: number;
  /** The message ended as it should. */
  readonly complete: boolean;
}

/** `slowly`: a chunk in a turn. */
async function post(port: number, coding: Coding, body: Buffer, slowly = false): Promise<Told> {
  const { promise, resolve } = Promise.withResolvers<Told>();
  const headers = { host: 'a', 'content-encoding': coding };
  const asked = request({ port, method: 'POST', headers, agent: false }, (answer) => {
    let bytes = 0;
    answer.on('data', (data: Buffer) => {
      bytes += data.length;
      if (!slowly) return;
      answer.pause();
      setImmediate(() => answer.resume());
    });
    answer.on('error', () => undefined);
    answer.on('close', () => resolve({ status: answer.statusCode ?? 0, bytes, complete: answer.complete }));
  });
  asked.on('error', () => resolve({ status: 0, bytes: 0, complete: false }));
  asked.end(body);
  return promise;
}

describe('a decompressor', () => {
  it('refuses a body of a request that is damaged, cut off or swells, and never passes a part of it as all', async () => {
    for (const coding of codings) {
      await using rig = new Rig();
      let whole = 0;
      const up = await rig.upstream((asked, answer) => {
        asked.on('error', () => undefined);
        asked.on('end', () => whole++);
        asked.resume().on('end', () => answer.end());
      });
      rig.cluster('up', [up]);
      const port = await rig.http('l', routes, { http_filters: [filter(coding), router] });
      const good = encode[coding]('hello world, hello world');
      const bad = [Buffer.from('no such thing'), good.subarray(0, -9), encode[coding](Buffer.alloc(20_000_000))];
      for (const body of bad) assert.deepEqual((await post(port, coding, body)).status, 400, coding);
      assert.equal(whole, 0);
      assert.equal((await post(port, coding, good)).status, 200);
      assert.equal(whole, 1);
      const text = rig.runtime.stats.text((name) => name.endsWith('request.failed'));
      assert.match(text, /: 3\b/);
    }
  });

  it('breaks off an answer that is damaged or swells', async () => {
    for (const coding of codings) {
      await using rig = new Rig();
      const bodies = [Buffer.from('no such thing'), encode[coding](Buffer.alloc(20_000_000))];
      const up = await rig.upstream((_asked, answer) => {
        answer.writeHead(200, { 'content-encoding': coding });
        answer.end(bodies.shift());
      });
      rig.cluster('up', [up]);
      const off = { common_config: { enabled: { default_value: false } } };
      const config = filter(coding, { request_direction_config: off });
      const port = await rig.http('l', routes, { http_filters: [config, router] });
      for (let i = 0; i < 2; i++) {
        const told = await post(port, coding, Buffer.alloc(0));
        assert.equal(told.complete && told.status === 200, false, coding);
        assert.ok(told.bytes < 10_000_000);
      }
    }
  });

  it('loses nothing of much that is read slowly', async () => {
    await using rig = new Rig();
    // Compresses a little.
    const data = randomBytes(4_000_000).map((byte) => byte & 63);
    const up = await rig.upstream((asked, answer) => {
      answer.writeHead(200, { 'content-encoding': 'gzip' });
      asked.resume();
      answer.end(gzipSync(data));
    });
    rig.cluster('up', [up]);
    const port = await rig.http('l', routes, { http_filters: [filter('gzip'), router] });
    const told = await post(port, 'gzip', gzipSync('x'), true);
    assert.deepEqual(told, { status: 200, bytes: data.length, complete: true });
  });

  it('names what it does not honour', async () => {
    await using rig = new Rig();
    rig.cluster('up', [1]);
    const zstd = filter('zstd').typed_config;
    const { decompressor_library: library } = zstd;
    const dictionaries = [{ inline_string: 'x' }];
    const config = {
      ...zstd,
      decompressor_library: { ...library, typed_config: { ...library.typed_config, dictionaries } },
    };
    const refused = await rig
      .http('l', routes, { http_filters: [{ name: 'x', typed_config: config }, router] })
      .catch((e: Error) => e.message);
    assert.match(String(refused), /dictionaries/);
  });
});
