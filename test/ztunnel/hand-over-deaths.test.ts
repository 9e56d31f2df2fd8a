/** A hand-over between two node proxies of which one is killed at a named point, or cannot read what the other writes. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { encodeMessage, hello } from '../../ztunnel/handover/protocol.ts';
import { skipUnless } from '../harness/require.ts';
import { BetweenProxies, type Heard, type Word } from './between-proxies.ts';
import { FileMeshBed, type Machine, redirectByMark, vip } from './file-mesh-bed.ts';
import { steadyTraffic } from './steady-traffic.ts';

const connections = 60;
const unitSize = 10;
const env = {
  RUST_LOG: 'info,access=error',
  AQUIFER_ENGINE: 'native',
  // So that they move in several units.
  POOL_MAX_STREAMS_PER_CONNECTION: `${unitSize}`,
  CONNECTION_TERMINATION_DEADLINE: '120s',
};

interface Proxy {
  readonly child: ChildProcess;
  log(): string;
}

const workerPid = ({ log }: Proxy) => Number(log().match(/worker started worker=0 pid=(\d+)/)![1]);

/** Returns when nothing of it is left but its parent's memory. */
function killNow(pid: number): void {
  process.kill(pid, 'SIGKILL');
  const stat = `/proc/${pid}/stat`;
  while (existsSync(stat) && !/^\d+ \(.*\) Z/.test(readFileSync(stat, 'utf8')));
}

describe('a hand-over in which one dies', {
  skip: skipUnless('root', 'addon', 'program:setpriv', 'program:nft'),
}, () => {
  let bed: FileMeshBed;
  let between: BetweenProxies;
  let old: Proxy;
  let next: Proxy;
  let traffic: Promise<string>;
  let oldSocket: string;

  const start = async (machine: Machine): Promise<Proxy> => {
    let log = '';
    const onLog = (text: string) => {
      log += text;
    };
    const child = await bed.sharedProxy(machine, { env, onLog });
    return { child, log: () => log };
  };
  const logged = (proxy: Proxy, what: RegExp) =>
    until(`"${what.source}" in a log`, () => what.exec(proxy.log()) ?? undefined, 60_000);
  /** What the clients saw. */
  const result = async () => {
    writeFileSync(join(bed.folder, 'stop'), '');
    return JSON.parse(await traffic) as { readonly wrong: number; readonly lost: number };
  };

  beforeEach(async () => {
    bed = await FileMeshBed.make({ rules: redirectByMark });
    await bed.echo('b', 8080);
    await start('a');
    old = await start('b');
    between = new BetweenProxies(bed.zdsPath('b'));
    [oldSocket] = between.sockets as [string];
    traffic = bed.run('a', steadyTraffic, vip, '80', bed.folder, `${connections}`, 'none');
    await until('the connections', () => existsSync(join(bed.folder, 'going')));
    next = await start('b');
    await between.called();
  });
  afterEach(async () => {
    between.close();
    await bed.remove();
  });

  /** The third time that a word is said, so that some are decided by then, and others not. */
  const at = (word: Word, act: (heard: Heard) => void) => (heard: Heard) => {
    if (heard.word === word && heard.times === 3) act(heard);
    else heard.pass();
  };
  /** The proxy of machine b is asked to end; the other, at whom `onWord` looks, takes over. */
  const handOver = async (onWord: (heard: Heard) => void) => {
    between.callAt(oldSocket, between.passOn(onWord));
    await until('both calls at the proxy that drains', () => old.log().match(/serves its pods/g)?.length === 2);
    old.child.kill('SIGTERM');
  };
  const wentOver = /went over to the successor connections=(\d+)/;
  const cameHere = /came from the predecessor connections=(\d+)/;

  /** `most`: units that can be its own by then. */
  const receiverDies: readonly (readonly [when: string, most: number, (kill: () => void) => (heard: Heard) => void])[] =
    [
      ['before it has accepted', 2, (kill) => at('offer', kill)],
      [
        'after it has accepted',
        2,
        (kill) => {
          let third: Heard | undefined;
          let committed = 0;
          return (heard) => {
            if (heard.word === 'accept' && heard.times === 3) third = heard;
            else if (heard.word !== 'accept' || heard.times < 3) heard.pass();
            if (heard.word === 'commit') committed = heard.times;
            // The word for the others has come here by then, so that none of it is lost between the two.
            if (!third || committed !== 2) return;
            kill();
            third.pass();
            third.hangUp();
          };
        },
      ],
      [
        'after the word that they are its own',
        3,
        (kill) => (heard) => {
          if (heard.word === 'commit' && heard.times === 3) kill();
          // Else all would have been committed by then.
          else if (heard.word !== 'accept' || heard.times <= 3) heard.pass();
        },
      ],
    ];
  for (const [when, most, point] of receiverDies) {
    test(`who takes over is killed ${when}: lost is what was its own, and nothing else`, async (t) => {
      await handOver(point(() => killNow(workerPid(next))));
      const moved = Number((await logged(old, wentOver))[1]);
      await logged(old, /stay with the worker that was replaced.*the successor is gone/);
      const { wrong, lost } = await result();
      t.diagnostic(`${moved} of ${connections} moved, ${lost} lost`);
      assert.deepEqual({ wrong, lost }, { wrong: 0, lost: moved });
      assert.ok(moved <= most * unitSize && (most < 3 || moved > 0), `${moved} moved`);
    });
  }

  const giverDies: Readonly<Record<string, (kill: () => void) => (heard: Heard) => void>> = {
    'with an offer on its way': (kill) => at('offer', kill),
    'before it has read that it is accepted': (kill) => at('accept', kill),
    "after the word that they are the other's": (kill) =>
      at('commit', (heard) => {
        kill();
        heard.pass();
      }),
  };
  for (const [when, point] of Object.entries(giverDies)) {
    test(`who drains is killed ${when}: what was the other's goes on there`, async (t) => {
      await handOver(point(() => killNow(workerPid(old))));
      const moved = Number((await logged(next, cameHere))[1]);
      const { wrong, lost } = await result();
      t.diagnostic(`${moved} of ${connections} moved, ${lost} lost`);
      assert.deepEqual({ wrong, lost }, { wrong: 0, lost: connections - moved });
      if (when.startsWith('after the word')) assert.ok(moved > 0);
    });
  }

  test('one that cannot read the state gets nothing: connections drain, and the log says why', async () => {
    between.callAt(oldSocket, (line) => {
      line.onPacket(({ fds }) => {
        assert.deepEqual(fds, []);
        line.send(encodeMessage({ ...hello('another'), unit: 999 }));
      });
      line.onClose(() => undefined);
    });
    await until('both calls at the proxy that drains', () => old.log().match(/serves its pods/g)?.length === 2);
    old.child.kill('SIGTERM');
    const reason =
      /stay with the worker that was replaced.* connections=60 reason="the successor reads version 999 of their state, this one writes \d+"/;
    await logged(old, reason);
    const { wrong, lost } = await result();
    assert.deepEqual({ wrong, lost }, { wrong: 0, lost: 0 });
  });
});
