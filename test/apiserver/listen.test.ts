/** A server on sockets that it is handed: who calls while it is started anew waits, and is answered. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { LogLevels } from '../../common/core/log.ts';
import type { Ip, Port } from '../../common/core/net.ts';
import { startApiServer } from '../../istiod/apiserver/apiserver.ts';
import { defaultNetworks, parseApiServerConfig } from '../../istiod/apiserver/config.ts';
import { readKubeconfig, TestClient } from '../../istiod/apiserver/testing/client.ts';
import { closeFd, dupFd, socketName, socketsHere } from '../../native/index.ts';

test('--listen fd:N', async () => {
  const parsed = parseApiServerConfig(['--listen', 'fd:3,127.0.0.1:1'], {});
  assert.deepEqual(parsed.kind === 'ok' && parsed.config.listen, [{ fd: 3 }, { ip: '127.0.0.1', port: 1 }]);
  assert.equal(parseApiServerConfig(['--listen', 'fd:1'], {}).kind, 'invalid');
});

test('calls wait in a socket that was handed over until the next server answers', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'aquifer-listen-'));
  const spec = { family: 4, type: 'stream', bind: { ip: '127.0.0.1' as Ip, port: 0 as Port }, backlog: 16 } as const;
  const [socket] = socketsHere(spec, 1);
  const start = () =>
    startApiServer(
      { dataDir, listen: [{ fd: dupFd(socket!) }], networks: defaultNetworks },
      { clock: systemClock, sink: { levels: new LogLevels('off'), format: 'plain', write: () => undefined } },
    );
  const first = await start();
  const config = await readKubeconfig(first.kubeconfig);
  assert.equal(new URL(config.server).port, String(socketName(socket!).port));
  await first.stop();
  const client = new TestClient(config);
  const answer = client.ask('/api/v1/namespaces');
  const second = await start();
  assert.equal((await answer).code, 200);
  client.close();
  await second.stop();
  closeFd(socket!);
  await rm(dataDir, { recursive: true });
});
