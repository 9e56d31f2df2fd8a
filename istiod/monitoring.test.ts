import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { Registry } from 'prom-client';
import { createMonitoring } from './monitoring.ts';

/** Answers of the port to a client at this address, by path. */
async function statuses(remoteAddress: string | undefined, headers = {}): Promise<Readonly<Record<string, number>>> {
  const server = createMonitoring({
    registry: new Registry(),
    notReady: () => undefined,
    debug: { syncz: () => ['secret'] },
    admits: async (authorization) => authorization === 'Bearer good',
    profile: async () => ({ kind: 'refused', code: 404, reason: 'none' }),
    version: '1',
  });
  server.on('connection', (socket) => Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const found: Record<string, number> = {};
    for (const path of ['/metrics', '/ready', '/debug/syncz', '/debug/none', '/none']) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
      const text = await answer.text();
      assert.equal(text.includes('secret'), answer.status === 200 && path === '/debug/syncz', path);
      if (answer.status === 403) assert.match(text, /to this machine/);
      found[path] = answer.status;
    }
    return found;
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe('who may read what of the monitoring port', () => {
  for (const address of ['127.0.0.1', '127.8.8.8', '::1', '::ffff:127.0.0.1']) {
    test(`${address}, on this machine: everything`, async () => {
      assert.deepEqual(Object.values(await statuses(address)), [200, 200, 200, 404, 404]);
    });
  }
  for (const address of ['10.0.0.5', '::ffff:10.0.0.5', 'fd00::1', '1.127.0.0', '::ffff:1.127.0.1', undefined]) {
    test(`${address}: nothing below /debug`, async () => {
      assert.deepEqual(Object.values(await statuses(address)), [200, 200, 403, 403, 404]);
    });
  }
  test('10.0.0.5 with a token: everything', async () => {
    assert.deepEqual(
      Object.values(await statuses('10.0.0.5', { authorization: 'Bearer good' })),
      [200, 200, 200, 404, 404],
    );
    assert.deepEqual(
      Object.values(await statuses('10.0.0.5', { authorization: 'Bearer bad' })),
      [200, 200, 403, 403, 404],
    );
  });
});
