import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { adminRoutes, type EndpointSources, metricsRoutes, readinessRoutes } from './endpoints.ts';
import { createHttpServer, listen, type Routes } from './http.ts';

function sources(over: Partial<EndpointSources> = {}): EndpointSources {
  return {
    pending: () => [],
    metrics: async () => ({ body: 'm 1\n', type: 'text/plain' }),
    logLevels: () => 'info',
    setLogLevels: () => undefined,
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

test('quitting is asked for by POST only; a dump is promised, not faked', async () => {
  let quits = 0;
  const routes = adminRoutes(sources({ quit: () => quits++ }));
  assert.equal((await ask(routes, 'GET', '/quitquitquit'))[0], 405);
  assert.equal((await ask(routes, 'POST', '/quitquitquit'))[0], 200);
  assert.equal(quits, 1);
  assert.deepEqual(await ask(routes, 'GET', '/config_dump'), [404, 'config_dump comes with the next release\n']);
});

test('a failing answer is a 500 without a stack', async () => {
  const routes = metricsRoutes(sources({ metrics: () => Promise.reject(new Error('no worker')) }));
  assert.deepEqual(await ask(routes, 'GET', '/metrics'), [500, 'no worker\n']);
});
