/** Proxies of pods whose mesh comes from a file and whose certificates come from a folder: no istiod at all. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { call } from './bed.ts';
import { address, FileMeshBed, redirectByMark, vip } from './file-mesh-bed.ts';

const write = (path: string) => writeFileSync(path, '');

/** One connection that stays, and new calls without a pause until all files are in the folder; tells of both. */
const callsUntil = `
const net = require('node:net');
const { existsSync, writeFileSync } = require('node:fs');
const [, host, port, folder, ...files] = process.argv;
const echoed = (s, text) => new Promise((resolve) => {
  let got = '';
  s.on('data', (d) => { got += d; if (got.includes(text)) resolve(true); });
  for (const e of ['error', 'close']) s.on(e, () => resolve(false));
  s.write(text);
});
const connect = () => net.connect({ host, port: +port });
(async () => {
  const open = connect();
  if (!(await echoed(open, 'first'))) return console.log('the open one never stood');
  writeFileSync(folder + '/open', '');
  let calls = 0;
  let lost = 0;
  // Some more behind the last file, which come to the successors alone.
  for (let more = 100; more > 0; calls++) {
    if (files.every((f) => existsSync(folder + '/' + f))) more--;
    const s = connect();
    if (!(await echoed(s, 'call ' + calls + ';'))) lost++;
    s.end();
  }
  const ok = await echoed(open, 'last');
  open.end();
  console.log(calls + ' calls, ' + lost + ' lost; the open one: ' + (ok ? 'ok' : 'lost'));
})();`;

describe('proxies of pods without istiod', {
  skip: skipUnless('root', 'addon', 'program:setpriv', 'program:nft'),
}, () => {
  let bed: FileMeshBed;
  let proxies: readonly ChildProcess[];
  before(async () => {
    bed = await FileMeshBed.make({ rules: redirectByMark });
    const env = { RUST_LOG: 'info' };
    proxies = await Promise.all([bed.sharedProxy('a', { env }), bed.sharedProxy('b', { env })]);
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());

  test('calls of a service and of a pod arrive, from the address of the client', async () => {
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
    assert.equal(await bed.run('a', call, address.b, '8080'), `peer ${address.a} hello\n`);
  });

  test('a SIGUSR2 replaces workers: no call is lost, what is open goes on, and the old workers end with it', async () => {
    const logs = proxies.map(
      (proxy) =>
        new Promise<string>((resolve) => {
          let log = '';
          proxy.stdout!.on('data', (text: Buffer) => {
            log += text.toString();
            if (/a worker was replaced/.test(log)) write(join(bed.folder, `replaced-${proxy.pid}`));
            if (/took nothing new any more has ended/.test(log)) resolve(log);
          });
        }),
    );
    const calls = bed.run('a', callsUntil, vip, '80', bed.folder, ...proxies.map((p) => `replaced-${p.pid}`));
    await until('the connection that stays', () => existsSync(join(bed.folder, 'open')));
    for (const proxy of proxies) proxy.kill('SIGUSR2');
    assert.match(await calls, /^[1-9]\d* calls, 0 lost; the open one: ok\n$/);
    for (const log of await Promise.all(logs)) {
      assert.match(
        log,
        /open connections stay .*connections=[1-9].*this engine cannot|open connections went over.*connections=[1-9]/,
      );
      assert.doesNotMatch(log, /SIGKILL/);
    }
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
