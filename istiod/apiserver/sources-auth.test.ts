import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind } from '../../common/kube/kinds/core.ts';
import { startTestServer, type TestServer } from './testing/client.ts';

interface World extends AsyncDisposable {
  readonly server: TestServer;
  readonly dir: string;
  /** A client of a kubeconfig that `change` has made of the administrator's. */
  client(
    change: (config: { cluster: Record<string, unknown>; user: Record<string, unknown> }) => void,
  ): Promise<KubeClient>;
  /** What the plugin was told, once for each time that it was asked. */
  asked(): Promise<readonly Record<string, unknown>[]>;
  /** The plugin's next answers, as ExecCredential's status. */
  answer(status: object | string): Promise<void>;
}

async function world(): Promise<World> {
  const server = await startTestServer();
  const dir = await mkdtemp(join(tmpdir(), 'aq-exec-'));
  await writeFile(join(dir, 'log'), '');
  // It notes what it is told, and gives what lies there.
  const plugin = `#!/bin/sh\nprintf '%s\\n' "$KUBERNETES_EXEC_INFO" >> ${dir}/log\necho "$SAYS $1" >&2\ncat ${dir}/answer\n`;
  await writeFile(join(dir, 'plugin'), plugin, { mode: 0o755 });
  const clients: KubeClient[] = [];
  return {
    server,
    dir,
    async client(change) {
      const config = parse(await readFile(server.server.kubeconfig, 'utf8'));
      change({ cluster: config.clusters[0].cluster, user: config.users[0].user });
      const path = join(dir, `config-${clients.length}`);
      await writeFile(path, stringify(config));
      const client = createKubeClient({ access: loadKubeconfig(path) });
      clients.push(client);
      return client;
    },
    async asked() {
      const lines = (await readFile(join(dir, 'log'), 'utf8')).split('\n').filter((l) => l !== '');
      return lines.map((l) => JSON.parse(l) as Record<string, unknown>);
    },
    async answer(status) {
      const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status };
      await writeFile(join(dir, 'answer'), typeof status === 'string' ? status : JSON.stringify(credential));
    },
    async [Symbol.asyncDispose]() {
      for (const c of clients) c.close();
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true });
    },
  };
}

const exec = (more: object = {}) => ({
  apiVersion: 'client.authentication.k8s.io/v1',
  command: './plugin',
  args: ['get'],
  env: [{ name: 'SAYS', value: 'hello' }],
  ...more,
});
const look = (c: KubeClient) => c.get(namespaceKind, { name: 'default' });

test("a plugin's token is used until it is refused, and asked for once by many", async () => {
  await using w = await world();
  const { token } = w.server.client.config;
  const client = await w.client(({ user }) => {
    delete user['token'];
    user['exec'] = exec({ provideClusterInfo: true });
  });
  await w.answer({ token });
  const found = await Promise.all([look(client), look(client), look(client)]);
  assert.ok(found.every((n) => n?.metadata.name === 'default'));
  const [told, ...more] = await w.asked();
  assert.equal(more.length, 0);
  const spec = told?.['spec'] as { interactive: boolean; cluster: Record<string, string> };
  assert.deepEqual(
    [told?.['kind'], spec.interactive, spec.cluster['server']],
    ['ExecCredential', false, w.server.client.config.server],
  );

  const other = await w.client(({ user }) => {
    delete user['token'];
    user['exec'] = exec();
  });
  await w.answer({ token: 'stale' });
  await assert.rejects(look(other), { code: 'API_UNAVAILABLE' });
  await w.answer({ token });
  assert.ok(await look(other), 'asked for anew');
});

test('what a plugin gives is asked for again before it ends; what it does wrong is told', async () => {
  await using w = await world();
  const { token } = w.server.client.config;
  const client = await w.client(({ user }) => {
    delete user['token'];
    user['exec'] = exec({ installHint: 'install it' });
  });
  await w.answer({ token, expirationTimestamp: new Date(Date.now() + 5_000).toISOString() });
  await look(client);
  await look(client);
  assert.ok((await w.asked()).length >= 2, 'its end is near');
  for (const [answer, reason] of [
    ['not json', /plugin .*: what it wrote is not JSON/],
    ['{"kind":"Status"}', /no ExecCredential of client\.authentication/],
    [{}, /neither a token nor a certificate/],
    [{ clientCertificateData: 'x' }, /belong together/],
    [{ token, expirationTimestamp: 'soon' }, /"soon" is no time/],
  ] as const) {
    await w.answer(answer);
    const fresh = await w.client(({ user }) => {
      delete user['token'];
      user['exec'] = exec();
    });
    await assert.rejects(look(fresh), (e: Error) => reason.test(e.message) && !e.message.includes(token));
  }
  await rm(join(w.dir, 'answer'));
  const failing = await w.client(({ user }) => {
    delete user['token'];
    user['exec'] = exec();
  });
  await assert.rejects(look(failing), /No such file/);
  const missing = await w.client(({ user }) => {
    delete user['token'];
    user['exec'] = exec({ command: './absent', installHint: 'install it' });
  });
  await assert.rejects(look(missing), /absent: not found; install it/);
});

/** Passes CONNECT on, and counts. */
async function startProxy(): Promise<{ readonly server: Server; readonly tunnels: string[] }> {
  const tunnels: string[] = [];
  const server = createServer((_, response) => response.writeHead(400).end());
  server.on('connect', (request, socket) => {
    tunnels.push(request.url ?? '');
    const [host, port] = (request.url ?? '').split(':');
    const to = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      to.pipe(socket).pipe(to);
    });
    to.on('error', () => socket.destroy());
    socket.on('error', () => to.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, tunnels };
}

test('a server behind a proxy is reached through it, and its certificate still counts', async () => {
  await using w = await world();
  const proxy = await startProxy();
  const url = `http://127.0.0.1:${(proxy.server.address() as AddressInfo).port}`;
  const client = await w.client(({ cluster }) => {
    cluster['proxy-url'] = url;
  });
  assert.ok(await look(client));
  assert.deepEqual(proxy.tunnels, [new URL(w.server.client.config.server).host]);
  const distrustful = await w.client(({ cluster }) => {
    cluster['proxy-url'] = url;
    delete cluster['certificate-authority-data'];
  });
  await assert.rejects(look(distrustful), { code: 'API_UNAVAILABLE' });
  client.close();
  distrustful.close();
  proxy.server.closeAllConnections();
  proxy.server.close();
});
