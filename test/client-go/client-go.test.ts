/** Kubernetes' own Go client, as controllers use it: test/client-go/*.go has the scenarios. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { type Json, startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { type CutProxy, kubeconfigThrough, startCutProxy } from '../harness/cut-proxy.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';

const wait = 30_000;

/** A scenario that runs on. */
class Running implements AsyncDisposable {
  readonly lines: Json[] = [];
  readonly #child: ChildProcess;

  constructor(args: readonly string[], kubeconfig: string) {
    const program = new ClientProgram(goProgramPath('client-go'), kubeconfig);
    this.#child = spawn(goProgramPath('client-go'), args, { env: program.env, stdio: ['pipe', 'pipe', 'ignore'] });
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.lines.push(JSON.parse(line)));
  }

  events(name: string): Json[] {
    return this.lines.filter((l) => l.event === name);
  }

  /** What its cache holds now: name -> resourceVersion. */
  async cache(): Promise<Readonly<Record<string, string>>> {
    const before = this.events('cache').length;
    this.#child.stdin!.write('\n');
    await until('the cache is told', () => this.events('cache').length > before, wait);
    return this.events('cache').at(-1).held;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill(signal);
    await once(this.#child, 'exit');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill('SIGKILL');
  }
}

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'boxes.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'boxes', kind: 'Box' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { size: { type: 'integer', default: 1 } } } },
          },
        },
      },
    ],
  },
};

describe('client-go', { skip: skipWithoutGoPrograms('client-go') }, () => {
  let server: TestServer;
  let proxy: CutProxy;
  let through: string;
  let program: ClientProgram;
  before(async () => {
    server = await startTestServer();
    proxy = await startCutProxy(portOf(server));
    through = await kubeconfigThrough(proxy.port, server.server.kubeconfig);
    program = new ClientProgram(goProgramPath('client-go'), server.server.kubeconfig);
    await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition);
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boxes.example.com';
    await until('the definition is served', async () => {
      const { json } = await server.client.ask(path);
      return json.status?.conditions?.some((c: Json) => c.type === 'Established' && c.status === 'True');
    });
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  async function make(path: string, body: object, method = 'POST'): Promise<Json> {
    const { code, json } = await server.client.ask(path, { method, body });
    assert.ok(code < 300, JSON.stringify(json));
    return json;
  }

  async function namespace(name: string): Promise<string> {
    await make('/api/v1/namespaces', { metadata: { name } });
    return name;
  }

  for (const scenario of ['built-in', 'refusals', 'apply', 'events']) {
    test(scenario, async () => {
      await program.ok([scenario, await namespace(scenario)]);
    });
  }

  test('discovery, aggregated and not; OpenAPI v2 in protobuf and v3', async () => {
    await program.ok(['discovery']);
  });

  test('custom resources, found by the RESTMapper', async () => {
    await program.ok(['custom', await namespace('boxes'), 'example.com', 'v1', 'Box']);
  });

  test('pages', async () => {
    const name = await namespace('pages');
    const body = (n: number) => ({ metadata: { name: `m${n}`, labels: { pages: 'yes' } } });
    for (let n = 0; n < 20; n++) await make(`/api/v1/namespaces/${name}/configmaps`, body(n));
    await program.ok(['pages', name, '20']);
  });

  test('all objects are the same in JSON and in protobuf', async () => {
    const { objects } = JSON.parse(await program.ok(['formats', 'all']));
    assert.ok(objects > 50, `${objects} objects`);
  });

  for (const [form, resource] of [
    ['typed', '/v1/configmaps'],
    ['dynamic', 'example.com/v1/boxes'],
    ['metadata', '/v1/configmaps'],
  ] as const) {
    test(`a shared informer, ${form}: changes, in order and once, also over connections that break`, async () => {
      const space = await namespace(`informer-${form}`);
      const path =
        resource === '/v1/configmaps'
          ? `/api/v1/namespaces/${space}/configmaps`
          : `/apis/example.com/v1/namespaces/${space}/boxes`;
      const object = (n: number) => ({
        ...(form === 'dynamic' ? { apiVersion: 'example.com/v1', kind: 'Box' } : {}),
        metadata: { name: 'a', annotations: { n: String(n) } },
      });
      await make(path, object(0));
      await using informer = new Running(['informer', space, form, resource], through);
      await until('synced', () => informer.events('synced').length > 0, wait);
      const seen = () => informer.lines.filter((l) => l.name === 'a').map((l) => `${l.event} ${l.n}`);
      assert.deepEqual(seen(), ['added 0']);
      for (let n = 1; n <= 10; n++) {
        if (n % 3 === 0) proxy.cut();
        await make(`${path}/a`, object(n), 'PUT');
        await until(`change ${n}`, () => informer.lines.some((l) => l.name === 'a' && l.n === String(n)), wait);
      }
      await make(`${path}/a`, {}, 'DELETE');
      await until('the deletion', () => seen().at(-1) === 'deleted 10', wait);
      const updates = Array.from({ length: 10 }, (_, n) => `updated ${n + 1}`);
      assert.deepEqual(seen(), ['added 0', ...updates, 'deleted 10']);
    });
  }

  test('leader election: one leads; the other follows one that is killed, and one that steps down', async () => {
    const space = await namespace('election');
    const candidate = (name: string) => new Running(['elect', space, 'lock', name], server.server.kubeconfig);
    const leads = (c: Running) => c.events('leads').length > 0;
    await using one = candidate('one');
    await until('one leads', () => leads(one), wait);
    await using two = candidate('two');
    await until('two knows', () => two.events('leader').at(-1)?.identity === 'one', wait);
    assert.equal(leads(two), false);
    await one.kill('SIGKILL');
    await until('two leads', () => leads(two), wait);
    await using three = candidate('three');
    await until('three knows', () => three.events('leader').at(-1)?.identity === 'two', wait);
    await two.kill('SIGTERM');
    await until('three leads', () => leads(three), wait);
    const { json } = await server.client.ask(`/apis/coordination.k8s.io/v1/namespaces/${space}/leases/lock`);
    assert.equal(json.spec.holderIdentity, 'three');
    assert.equal(json.spec.leaseTransitions, 2);
  });

  test('an informer whose version the server forgot lists again: nothing is missing, nothing stays', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'aquifer-forgot-'));
    const first = await startTestServer(folder);
    await using front = await startCutProxy(portOf(first));
    const maps = '/api/v1/namespaces/default/configmaps';
    for (const name of ['kept', 'changed', 'deleted'])
      await first.client.ask(maps, { method: 'POST', body: { metadata: { name } } });
    const kubeconfig = await kubeconfigThrough(front.port, first.server.kubeconfig);
    await using informer = new Running(['informer', 'default', 'typed', '/v1/configmaps'], kubeconfig);
    await until('synced', () => informer.events('synced').length > 0, wait);
    const { json: list } = await first.client.ask(maps);
    front.to = undefined;
    front.cut();
    await first.client.ask(`${maps}/deleted`, { method: 'DELETE' });
    await first.client.ask(`${maps}/changed`, {
      method: 'PUT',
      body: { metadata: { name: 'changed' }, data: { a: 'b' } },
    });
    await first.client.ask(maps, { method: 'POST', body: { metadata: { name: 'new' } } });
    // More than the log of changes keeps.
    for (let n = 0; n < 40; n++) {
      const body = { metadata: { name: 'large' }, data: { large: String(n % 10).repeat(900_000) } };
      await first.client.ask(n === 0 ? maps : `${maps}/large`, { method: n === 0 ? 'POST' : 'PUT', body });
    }
    await first[Symbol.asyncDispose]();
    const second = await startTestServer(folder);
    front.to = portOf(second);
    try {
      const old = `${maps}?watch=1&timeoutSeconds=1&resourceVersion=${list.metadata.resourceVersion}`;
      const late = await second.client.ask(old);
      assert.match(late.body.toString(), /"code":410/);
      const { json } = await second.client.ask(maps);
      const wanted = Object.fromEntries(
        json.items.map(({ metadata }: Json) => [metadata.name, metadata.resourceVersion]),
      );
      await until('the same objects', async () => isSame(await informer.cache(), wanted), wait);
      assert.ok(informer.events('deleted').some((l) => l.name === 'deleted'));
      assert.ok(informer.events('updated').some((l) => l.name === 'changed'));
    } finally {
      await second[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    }
  });
});

function portOf(server: TestServer): number {
  return Number(new URL(server.client.config.server).port);
}

function isSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const text = (o: object) => JSON.stringify(Object.entries(o).sort());
  return text(a) === text(b);
}
