/**
 * Open connections go from worker to worker at a SIGUSR2, and to the proxy of another pod when theirs is replaced: every byte of them arrives,
 * once and in order, and every new call is accepted.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { FileMeshBed, type Machine, redirectByMark, vip } from './file-mesh-bed.ts';
import { steadyTraffic } from './steady-traffic.ts';

const long = process.env['TEST_LONG'] !== undefined;
const size = { connections: long ? 1_000 : 100, rounds: long ? 10 : 3 };

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
    const result = bed.run('a', steadyTraffic, vip, '80', bed.folder, `${size.connections}`);
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

describe('a rolling restart with the native engine', {
  skip: skipUnless('root', 'addon', 'program:setpriv', 'program:nft'),
}, () => {
  const env = { RUST_LOG: 'info,access=error', AQUIFER_ENGINE: 'native', CONNECTION_TERMINATION_DEADLINE: '30s' };
  let bed: FileMeshBed;
  let log = '';
  const start = (machine: Machine) => {
    const onLog = (text: string) => {
      log += text;
    };
    return bed.sharedProxy(machine, { env, onLog });
  };
  before(async () => {
    bed = await FileMeshBed.make({ rules: redirectByMark });
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());

  test('resets nothing, loses and doubles no byte, and accepts every new call', async (t) => {
    const proxies = { a: await start('a'), b: await start('b') };
    const result = bed.run('a', steadyTraffic, vip, '80', bed.folder, `${size.connections}`);
    await until('the connections', () => existsSync(join(bed.folder, 'going')));
    for (let round = 1; round <= size.rounds; round++) {
      for (const machine of ['a', 'b'] as const) {
        const next = await start(machine);
        await bed.stop(proxies[machine]);
        proxies[machine] = next;
      }
    }
    writeFileSync(join(bed.folder, 'stop'), '');
    const moves = [...log.matchAll(/went over to the successor.*connections=(\d+)/g)].map((m) => Number(m[1]));
    const stays = [...log.matchAll(/stay with the worker that was replaced.*/g)].map((m) => m[0]);
    t.diagnostic(`moved: ${moves.join(' ')}; ${stays.join('; ')}`);
    assert.deepEqual(JSON.parse(await result), { wrong: 0, lost: 0, moved: true, calls: true, failed: 0 });
    assert.equal(moves.length, 2 * size.rounds);
    for (const moved of moves)
      assert.ok(moved >= size.connections / 2, `${moves.join(' ')} of ${size.connections} moved`);
  });
});
