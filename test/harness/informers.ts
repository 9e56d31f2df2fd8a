/** What informers of all client libraries see of the API server. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { type Json, startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { kubeconfigThrough, portOf, startCutProxy } from './cut-proxy.ts';
import { Running, wait } from './running.ts';

export interface InformerKind {
  readonly title: string;
  /** What it watches, in namespace `default`. */
  readonly path: string;
  /** The program and its arguments. */
  readonly command: readonly string[];
  readonly apiVersion: string;
  readonly kind: string;
  /** Before it starts. */
  readonly prepare?: (server: TestServer) => Promise<void>;
}

export function testInformer({ title, path, command, apiVersion, kind, prepare }: InformerKind): void {
  const object = (name: string, more: object = {}) => ({ apiVersion, kind, metadata: { name, ...more } });

  test(`${title}: changes, in order and once, also over connections that break`, async () => {
    await using server = await startTestServer();
    await prepare?.(server);
    const send = async (method: string, to: string, body: object) => {
      const { code, json } = await server.client.ask(to, { method, body });
      assert.ok(code < 300, JSON.stringify(json));
    };
    await using proxy = await startCutProxy(portOf(server));
    await send('POST', path, object('a', { annotations: { n: '0' } }));
    await using informer = new Running(command, await kubeconfigThrough(proxy.port, server.server.kubeconfig));
    await until('synced', () => informer.events('synced').length > 0, wait);
    const seen = () => informer.lines.filter((l) => l.name === 'a').map((l) => `${l.event} ${l.n}`);
    assert.deepEqual(seen(), ['added 0']);
    for (let n = 1; n <= 10; n++) {
      if (n % 3 === 0) proxy.cut();
      await send('PUT', `${path}/a`, object('a', { annotations: { n: String(n) } }));
      await until(`change ${n}`, () => informer.lines.some((l) => l.name === 'a' && l.n === String(n)), wait);
    }
    await send('DELETE', `${path}/a`, {});
    await until('the deletion', () => seen().at(-1) === 'deleted 10', wait);
    const updates = Array.from({ length: 10 }, (_, n) => `updated ${n + 1}`);
    assert.deepEqual(seen(), ['added 0', ...updates, 'deleted 10']);
  });

  test(`${title}: after 410, a server that started anew and one that was away, nothing is missing, nothing stays`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'aquifer-forgot-'));
    const first = await startTestServer(folder);
    await prepare?.(first);
    await using front = await startCutProxy(portOf(first));
    for (const name of ['kept', 'changed', 'deleted'])
      await first.client.ask(path, { method: 'POST', body: object(name) });
    await using informer = new Running(command, await kubeconfigThrough(front.port, first.server.kubeconfig));
    await until('synced', () => informer.events('synced').length > 0, wait);
    const { json: list } = await first.client.ask(path);
    front.to = undefined;
    front.cut();
    await first.client.ask(`${path}/deleted`, { method: 'DELETE' });
    await first.client.ask(`${path}/changed`, { method: 'PUT', body: object('changed', { labels: { a: 'b' } }) });
    await first.client.ask(path, { method: 'POST', body: object('new') });
    await forget(first);
    await first[Symbol.asyncDispose]();
    const second = await startTestServer(folder);
    front.to = portOf(second);
    try {
      const old = `${path}?watch=1&timeoutSeconds=1&resourceVersion=${list.metadata.resourceVersion}`;
      assert.match((await second.client.ask(old)).body.toString(), /"code":410/);
      const { json } = await second.client.ask(path);
      const wanted = json.items.map(({ metadata }: Json) => [metadata.name, metadata.resourceVersion]);
      const text = (entries: readonly unknown[]) => JSON.stringify([...entries].sort());
      const same = async () => text(Object.entries(await informer.cache())) === text(wanted);
      await until('the same objects', same, wait);
      assert.ok(informer.events('deleted').some((l) => l.name === 'deleted'));
      assert.ok(informer.events('updated').some((l) => l.name === 'changed'));
    } finally {
      await second[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    }
  });
}

/** Writes more than the log of changes keeps. */
async function forget({ client }: TestServer): Promise<void> {
  const secrets = '/api/v1/namespaces/default/secrets';
  for (let n = 0; n < 40; n++) {
    const body = { metadata: { name: 'large' }, stringData: { large: String(n % 10).repeat(700_000) } };
    const { code } = await client.ask(n === 0 ? secrets : `${secrets}/large`, {
      method: n === 0 ? 'POST' : 'PUT',
      body,
    });
    assert.ok(code < 300);
  }
}
