/** Streams through compressors: nothing waits, nothing is lost, whoever reads slowly holds the host back. What is compressed: test/envoy. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it } from 'node:test';
import { createGunzip } from 'node:zlib';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { Rig } from '../../testing/rig.ts';
import { chooseEncoding } from './encoding.ts';

const gzip = {
  name: 'gzip',
  typed_config: {
    '@type': typeUrl('envoy.extensions.filters.http.compressor.v3.Compressor'),
    compressor_library: {
      name: 'lib',
      typed_config: { '@type': typeUrl('envoy.extensions.compression.gzip.compressor.v3.Gzip') },
    },
  },
};
const router = {
  name: 'router',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router') },
};
const routes = [{ match: { prefix: '/' }, route: { cluster: 'up' } }];

describe('a compressor', () => {
  it('gives on each chunk before the next one comes', async () => {
    await using rig = new Rig();
    let more: (() => void) | undefined;
    const up = await rig.upstream((_asked, answer) => {
      answer.writeHead(200, { 'content-type': 'text/plain' });
      answer.write('first ');
      more = () => answer.end('second');
    });
    rig.cluster('up', [up]);
    const port = await rig.http('l', routes, { http_filters: [gzip, router] });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const asked = request({ port, headers: { host: 'a', 'accept-encoding': 'gzip' }, agent: false }, (answer) => {
      let text = '';
      answer.pipe(createGunzip()).on('data', (chunk: Buffer) => {
        text += String(chunk);
        // Would never come, were the first one held back.
        if (text === 'first ') more!();
        if (text === 'first second') resolve(text);
      });
    });
    asked.on('error', reject);
    asked.end();
    assert.equal(await promise, 'first second');
  });

  it('loses nothing of much that is read slowly', async () => {
    await using rig = new Rig();
    const chunk = Buffer.from(Array.from({ length: 65_536 }, (_, i) => (i * 7_919) % 251));
    const chunks = 64;
    const up = await rig.upstream((_asked, answer) => {
      answer.writeHead(200, { 'content-type': 'text/plain' });
      for (let i = 0; i < chunks; i++) answer.write(chunk);
      answer.end();
    });
    rig.cluster('up', [up]);
    const port = await rig.http('l', routes, { http_filters: [gzip, router] });
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const asked = request({ port, headers: { host: 'a', 'accept-encoding': 'gzip' }, agent: false }, (answer) => {
      let bytes = 0;
      const read = answer.pipe(createGunzip({ chunkSize: 1_024 }));
      read.on('data', (data: Buffer) => {
        bytes += data.length;
        read.pause();
        setImmediate(() => read.resume());
      });
      read.on('end', () => resolve(bytes));
      read.on('error', reject);
    });
    asked.on('error', reject);
    asked.end();
    assert.equal(await promise, chunks * chunk.length);
  });

  it('names what it does not honour', async () => {
    await using rig = new Rig();
    rig.cluster('up', [1]);
    const { typed_config: config } = gzip;
    const refused = await rig
      .http('l', routes, { http_filters: [{ name: 'x', typed_config: { ...config, choose_first: true } }, router] })
      .catch((e: Error) => e.message);
    assert.match(String(refused), /choose_first/);
  });

  it('reads hostile headers in no time', () => {
    const long = `${'gzip;q=0.1,'.repeat(20_000)}${'a;'.repeat(20_000)}`;
    assert.deepEqual(chooseEncoding(long, ['gzip']), { encoding: 'gzip', why: 'compressor' });
  });
});
