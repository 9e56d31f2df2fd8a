/** Proxies of pods whose mesh comes from a file and whose certificates come from a folder: no istiod at all. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { skipUnless } from '../harness/require.ts';
import { call } from './bed.ts';
import { address, FileMeshBed, redirectByMark, vip } from './file-mesh-bed.ts';

describe('proxies of pods without istiod', {
  skip: skipUnless('root', 'addon', 'program:setpriv', 'program:nft'),
}, () => {
  let bed: FileMeshBed;
  let proxy: ChildProcess;
  before(async () => {
    bed = await FileMeshBed.make({ rules: redirectByMark });
    [proxy] = await Promise.all([bed.sharedProxy('a'), bed.sharedProxy('b')]);
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());

  test('calls of a service and of a pod arrive, from the address of the client', async () => {
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
    assert.equal(await bed.run('a', call, address.b, '8080'), `peer ${address.a} hello\n`);
  });

  test('a SIGUSR2 ends nothing, and the log says what to do instead', async () => {
    const said = new Promise<void>((resolve) => {
      let log = '';
      proxy.stdout!.on('data', (text: Buffer) => {
        log += text.toString();
        if (/SIGUSR2 does nothing.*SIGTERM/.test(log)) resolve();
      });
    });
    proxy.kill('SIGUSR2');
    await said;
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
  });

  test("the file's policies hold", async () => {
    assert.doesNotMatch(await bed.run('b', call, vip, '80'), /hello/);
  });
});

describe("the proxy's own pod", { skip: skipUnless('root', 'addon', 'program:setpriv', 'program:nft') }, () => {
  let bed: FileMeshBed;
  before(async () => {
    bed = await FileMeshBed.make({ rules: redirectByMark });
    await Promise.all([bed.sharedProxy('a'), bed.ownPodProxy('b')]);
  });
  after(() => bed.remove());

  test('gives its metrics over HBONE to whom policies allow it, and knows who asked', async () => {
    const scrape = `fetch('http://${address.b}:15020/metrics').then((r) => r.text()).then(console.log, () => console.log('refused'));`;
    await bed.run('a', scrape);
    const metrics = await bed.run('a', scrape);
    assert.match(metrics, /istio_build\{/);
    assert.match(metrics, /reporter="destination"[^}]*source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/a"/);
    assert.match(metrics, /workload_manager_active_proxy_count 0/);
  });
});
