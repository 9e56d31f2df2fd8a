/** One quota of two proxies, a stock Envoy and ours: both ask `istiod quota`, as istiod tells them for a RateLimitPolicy with a counter. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseListenAddress } from '../../common/config/listen-address.ts';
import { stdoutSink } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { type QuotaService, startQuotaService } from '../../istiod/quota/service.ts';
import { podYaml } from '../../istiod/testing/manifests.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { textOf } from './pair/lines.ts';
import { Pair, type Side } from './pair/pair.ts';

const ip = `127.${64 + (process.pid % 128)}.${process.pid % 251}.200`;
const at = (port: number) => parseListenAddress(`${ip}:${port}`)!;
const counter = `
kind: Service
metadata: { name: counter, namespace: pay }
spec: { clusterIP: 10.96.0.200, selector: { app: counter }, ports: [{ name: grpc, port: 8081, targetPort: 8081 }] }
---
${podYaml({ name: 'counter-0', namespace: 'pay', app: 'counter', version: 'v1', ip, node: 'node-1', ready: true })}
---`;
const policy = (name: string, service: string, more = '', limit = '') => `
apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: ${name} }
spec:
  targetRefs: [{ kind: Service, group: '', name: web }]
  counter: { service: { name: ${service}, namespace: pay }, port: 8081, ${more} }
  limits: [{ name: each, requests: 3, unit: Year, by: [{ type: Header, name: who }], ${limit} }]
---`;

describe('a quota that an Envoy and our waypoint share', { skip: skipWithoutEnvoy() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'aq-quota-'));
  let pair: Pair;
  let service: QuotaService | undefined;
  const start = async () => {
    service = await startQuotaService(
      { dataDir: folder, listen: at(8081), monitoring: at(0), keys: 100 },
      { clock: new FakeClock(), sink: { ...stdoutSink(), write: () => undefined } },
    );
  };
  before(async () => {
    await start();
    pair = await Pair.start();
  });
  after(async () => {
    await pair?.[Symbol.asyncDispose]();
    service?.stop();
    rmSync(folder, { recursive: true });
  });

  async function ask(side: Side, who: string, path = '/'): Promise<string> {
    const headers = { who };
    const { answer } = await pair.ask(side, { host: 'web', path, headers }, 0);
    const of = (name: string) => textOf(answer.headers, `x-ratelimit-${name}`);
    return [answer.status, of('limit'), of('remaining')].filter((part) => part !== undefined).join(' ');
  }

  it('is one for both, tells what is left, and outlives a restart of the service', async () => {
    const objects = counter + policy('quota', 'counter');
    await pair.apply(objects);
    const limit = '3, 3;w=31536000;name="shop/quota/each"';
    assert.equal(await ask('envoy', 'a'), `200 ${limit} 2`);
    assert.equal(await ask('ours', 'a'), `200 ${limit} 1`);
    assert.equal(await ask('envoy', 'a'), `200 ${limit} 0`);
    for (const side of ['ours', 'envoy'] as const) assert.equal(await ask(side, 'a'), `429 ${limit} 0`);
    assert.equal(await ask('ours', 'b'), `200 ${limit} 2`);
    service?.stop();
    for (const side of ['ours', 'envoy'] as const) assert.equal(await ask(side, 'b'), '500', 'nobody counts: refused');
    await start();
    for (const side of ['ours', 'envoy'] as const) {
      await until('the proxy to be connected anew', async () => {
        const told = await ask(side, 'a');
        assert.doesNotMatch(told, /^200/);
        return told.startsWith('429');
      });
    }
    await pair.remove(objects);
  });

  it('is of the requests of one HTTPRoute alone where that is its target', async () => {
    const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route }
spec:
  parentRefs: [{ group: '', kind: Service, name: web }]
  rules: [{ matches: [{ path: { value: /paid } }], backendRefs: [{ name: web, port: 80 }] }, { name: free, backendRefs: [{ name: web, port: 80 }] }]
---`;
    const target = 'kind: HTTPRoute, group: gateway.networking.k8s.io, name: route';
    const [all, free] = ['', ', sectionName: free'].map((section, i) =>
      policy(`of-${i}`, 'counter').replace("kind: Service, group: '', name: web", `${target}${section}`),
    );
    await pair.apply(counter + route + all);
    const paid = (name: string) => `3, 3;w=31536000;name="shop/${name}/each"`;
    assert.equal(await ask('envoy', 'c', '/paid'), `200 ${paid('of-0')} 2`);
    assert.equal(await ask('ours', 'c', '/paid'), `200 ${paid('of-0')} 1`);
    await pair.remove(all!);
    await pair.apply(free!);
    for (const side of ['ours', 'envoy'] as const) assert.equal(await ask(side, 'c', '/paid'), '200');
    assert.equal(await ask('ours', 'c', '/else'), `200 ${paid('of-1')} 2`);
    assert.equal(await ask('envoy', 'c', '/else'), `200 ${paid('of-1')} 1`);
    await pair.remove(counter + route + free);
  });

  it('a service that is not there refuses what the limits mean, or lets it pass as declared', async () => {
    const closed = policy('closed', 'nobody', '', 'match: { paths: [/paid] }');
    await pair.apply(closed);
    for (const side of ['ours', 'envoy'] as const) {
      assert.equal(await ask(side, 'a', '/paid'), '403');
      assert.equal(await ask(side, 'a', '/free'), '200');
    }
    await pair.remove(closed);
    const open = policy('open', 'nobody', 'failure: Pass');
    await pair.apply(open);
    for (const side of ['ours', 'envoy'] as const) assert.equal(await ask(side, 'a'), '200');
    await pair.remove(open);
  });
});
