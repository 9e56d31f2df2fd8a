/** Open connections go from worker to worker at a SIGUSR2: every byte of them arrives, once and in order, and every new call is accepted. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { FileMeshBed, redirectByMark, vip } from './file-mesh-bed.ts';

const long = process.env['TEST_LONG'] !== undefined;
const size = { connections: long ? 1_000 : 100, rounds: long ? 10 : 3 };

/**
 * Connections that are written to and echoed all the time, a fifth of them read slowly, and new calls beside them, until the folder has the
 * file `stop`. Both ways are the same bytes, so what comes back is compared with what a generator of the connection's own says.
 */
const traffic = `
const net = require('node:net');
const { existsSync, writeFileSync } = require('node:fs');
const [, host, port, folder, count] = process.argv;
const connect = () => net.connect({ host, port: +port, allowHalfOpen: true });
const stopped = () => existsSync(folder + '/stop');
const fill = (id, at, length) => {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = ((at + i) * 31 + ((at + i) >> 8) * 7 + id) & 255;
  return bytes;
};
let wrong = 0, lost = 0, total = 0, stop = false;
setInterval(() => { stop ||= stopped(); }, 100).unref();
const stream = (id) => new Promise((resolve) => {
  const s = connect();
  const slow = id % 5 === 0;
  let sent = 0, got = 0, ended = false, head = Buffer.alloc(0), begun = false;
  const write = () => {
    if (ended) return;
    if (stop) { ended = true; s.end(); return; }
    const more = s.write(fill(id, sent, 8192));
    sent += 8192;
    if (more) setTimeout(write, 20); else s.once('drain', write);
  };
  s.on('data', (d) => {
    if (!begun) {
      head = Buffer.concat([head, d]);
      const at = head.indexOf(10);
      if (at < 0) return;
      begun = true;
      d = head.subarray(at + 1);
    }
    if (!d.equals(fill(id, got, d.length))) wrong++;
    got += d.length;
    if (slow && !stop) { s.pause(); setTimeout(() => s.resume(), 250); }
  });
  let failed = false;
  s.on('error', () => { failed = true; });
  s.on('close', () => { if (failed || got !== sent) lost++; total += got; resolve(); });
  s.once('connect', write);
});
const calls = async () => {
  let n = 0, failed = 0;
  while (!stop) {
    const text = 'call ' + n++ + ';';
    const ok = await new Promise((resolve) => {
      const s = connect();
      let got = '';
      s.on('data', (d) => { got += d; if (got.endsWith(text)) { s.end(); resolve(true); } });
      s.on('error', () => resolve(false));
      s.on('close', () => resolve(false));
      s.write(text);
    });
    if (!ok) failed++;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return { n, failed };
};
(async () => {
  const streams = Array.from({ length: +count }, (_, id) => stream(id));
  setTimeout(() => writeFileSync(folder + '/going', ''), 500);
  const called = await calls();
  await Promise.all(streams);
  const { n, failed } = called;
  console.log(JSON.stringify({ wrong, lost, moved: total > 0, calls: n > 0, failed }));
})();`;

describe('a SIGUSR2 with the native engine', {
  skip: skipUnless('root', 'addon', 'program:setpriv', 'program:nft'),
}, () => {
  let bed: FileMeshBed;
  let proxies: readonly ChildProcess[];
  let log = '';
  before(async () => {
    bed = await FileMeshBed.make({ rules: redirectByMark });
    const env = { RUST_LOG: 'info,access=error', AQUIFER_ENGINE: 'native' };
    proxies = await Promise.all([bed.sharedProxy('a', { env }), bed.sharedProxy('b', { env })]);
    for (const proxy of proxies) {
      proxy.stdout!.on('data', (text: Buffer) => {
        log += text.toString();
      });
    }
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());
  const count = (what: RegExp) => log.match(what)?.length ?? 0;

  test('resets nothing, loses and doubles no byte, and accepts every new call', async (t) => {
    const result = bed.run('a', traffic, vip, '80', bed.folder, `${size.connections}`);
    await until('the connections', () => existsSync(join(bed.folder, 'going')));
    for (let round = 1; round <= size.rounds; round++) {
      for (const proxy of proxies) proxy.kill('SIGUSR2');
      await until('both hand-overs', () => count(/went over to the successor/g) === 2 * round, 60_000);
    }
    writeFileSync(join(bed.folder, 'stop'), '');
    const moves = [...log.matchAll(/went over to the successor.*connections=(\d+)/g)].map((m) => Number(m[1]));
    const stays = [...log.matchAll(/stay with the worker that was replaced.*/g)].map((m) => m[0]);
    t.diagnostic(`moved: ${moves.join(' ')}; ${stays.join('; ')}`);
    assert.deepEqual(JSON.parse(await result), { wrong: 0, lost: 0, moved: true, calls: true, failed: 0 });
    for (const moved of moves)
      assert.ok(moved >= size.connections / 2, `${moves.join(' ')} of ${size.connections} moved`);
  });
});
