import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { createHttpServer, listen, type Routes } from '../../common/http/small-server.ts';
import { adminRoutes, type EndpointSources, metricsRoutes, readinessRoutes } from './endpoints.ts';

function sources(over: Partial<EndpointSources> = {}): EndpointSources {
  return {
    pending: () => [],
    metrics: async () => ({ body: 'm 1\n', type: 'text/plain' }),
    logLevels: () => 'info',
    setLogLevels: () => undefined,
    configDump: async () => ({ workloads: [] }),
    cpuProfile: async () => Buffer.from('profile'),
    heapProfile: async () => undefined,
    heapSampling: async (active) => active ?? false,
    drain: () => undefined,
    quit: () => undefined,
    ...over,
  };
}

async function ask(routes: Routes, method: string, path: string): Promise<readonly [number, string]> {
  const server = createHttpServer(routes, 'ztunnel-x', silentLogger);
  await listen(server, '127.0.0.1', 0);
  try {
    const { port } = server.address() as AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return [response.status, await response.text()];
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test('readiness names what it waits for, in the words that Istio uses', async () => {
  assert.deepEqual(await ask(readinessRoutes(sources()), 'GET', '/healthz/ready'), [200, 'ready\n']);
  const waiting = sources({ pending: () => ['state manager', 'workload proxy manager'] });
  assert.deepEqual(await ask(readinessRoutes(waiting), 'GET', '/healthz/ready'), [
    500,
    'not ready, pending: state manager, workload proxy manager\n',
  ]);
});

test('metrics have two paths; others do not exist, other methods are not allowed', async () => {
  const routes = metricsRoutes(sources());
  assert.deepEqual(await ask(routes, 'GET', '/metrics'), [200, 'm 1\n']);
  assert.deepEqual(await ask(routes, 'GET', '/stats/prometheus'), [200, 'm 1\n']);
  assert.equal((await ask(routes, 'POST', '/metrics'))[0], 405);
  assert.equal((await ask(routes, 'GET', '/nothing'))[0], 404);
});

test('log levels are shown, changed, refused with the reason, and reset', async () => {
  const set: (string | undefined)[] = [];
  const routes = adminRoutes(
    sources({
      setLogLevels(d) {
        if (d === 'loud') throw new Error('log level "loud" does not exist');
        set.push(d);
      },
    }),
  );
  assert.match((await ask(routes, 'GET', '/logging'))[1], /info/);
  assert.equal((await ask(routes, 'POST', '/logging?level=debug,access=off'))[0], 200);
  assert.equal((await ask(routes, 'POST', '/logging?reset'))[0], 200);
  assert.deepEqual(await ask(routes, 'POST', '/logging?level=loud'), [400, 'log level "loud" does not exist\n']);
  assert.deepEqual(set, ['debug,access=off', undefined]);
});

test('quitting and draining are asked for by POST only', async () => {
  const asked: string[] = [];
  const routes = adminRoutes(sources({ quit: () => asked.push('quit'), drain: () => asked.push('drain') }));
  for (const path of ['/quitquitquit', '/drain']) {
    assert.equal((await ask(routes, 'GET', path))[0], 405);
    assert.equal((await ask(routes, 'POST', path))[0], 200);
  }
  assert.deepEqual(asked, ['quit', 'drain']);
});

test('the dump is JSON, and the index names every path', async () => {
  const routes = adminRoutes(sources());
  assert.deepEqual(await ask(routes, 'GET', '/config_dump'), [200, '{\n  "workloads": []\n}\n']);
  assert.equal((await ask(routes, 'POST', '/config_dump'))[0], 405);
  const [, page] = await ask(routes, 'GET', '/');
  for (const path of Object.keys(routes).map((key) => key.split(' ')[1]!)) {
    assert.ok(path === '/' || page.includes(path), path);
  }
});

test('profiles have bounds, and a heap profile must be switched on first', async () => {
  const asked: unknown[] = [];
  const routes = adminRoutes(
    sources({
      async cpuProfile(...bounds) {
        asked.push(bounds);
        return Buffer.from('profile');
      },
    }),
  );
  const cpu = (query: string) => ask(routes, 'GET', `/debug/pprof/profile${query}`);
  assert.deepEqual(await cpu(''), [200, 'profile']);
  assert.deepEqual(await cpu('?seconds=300&frequency=1000'), [200, 'profile']);
  assert.deepEqual(asked, [
    [10, 100],
    [300, 1000],
  ]);
  for (const wrong of ['?seconds=0', '?seconds=301', '?seconds=x', '?frequency=0', '?frequency=1001']) {
    assert.equal((await cpu(wrong))[0], 400, wrong);
  }
  assert.deepEqual((await ask(routes, 'GET', '/debug/pprof/heap'))[0], 500);
  const toggle = '/debug/pprof/heap/profiling';
  assert.deepEqual(await ask(routes, 'GET', toggle), [200, 'heap profiling active: false\n']);
  assert.deepEqual(await ask(routes, 'POST', `${toggle}?activate=true`), [200, 'heap profiling active: true\n']);
  assert.equal((await ask(routes, 'POST', `${toggle}?activate=maybe`))[0], 400);
  const active = adminRoutes(sources({ heapProfile: async () => Buffer.from('heap') }));
  assert.deepEqual(await ask(active, 'GET', '/debug/pprof/heap'), [200, 'heap']);
});

test('a failing answer is a 500 without a stack', async () => {
  const routes = metricsRoutes(sources({ metrics: () => Promise.reject(new Error('no worker')) }));
  assert.deepEqual(await ask(routes, 'GET', '/metrics'), [500, 'no worker\n']);
});
