import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { duplexPair } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { forwardPort } from './forward.ts';

test('each connection is one to the pod, both ways', async (t) => {
  let dials = 0;
  const server = await forwardPort(
    async () => {
      dials++;
      const [ours, pod] = duplexPair();
      pod.on('data', (chunk) => pod.write(String(chunk).toUpperCase())).on('end', () => pod.end());
      return ours;
    },
    '127.0.0.1',
    0,
  );
  t.after(() => server.close());
  for (const word of ['abc', 'def']) {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    socket.end(word);
    assert.equal(await text(socket), word.toUpperCase());
  }
  assert.equal(dials, 2);
});

test('a port that is taken, and a pod that is gone', async (t) => {
  const server = await forwardPort(async () => Promise.reject(new Error('gone')), '127.0.0.1', 0);
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await assert.rejects(
    forwardPort(async () => Promise.reject(new Error('x')), '127.0.0.1', port),
    MeshError,
  );
  const socket = connect(port, '127.0.0.1');
  const [e] = await Promise.race([once(socket, 'close'), once(socket, 'error')]);
  assert.ok(e !== undefined);
});
