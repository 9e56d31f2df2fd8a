import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import fc from 'fast-check';
import { decodeEnvoy, encodeEnvoy, type Typed, typeUrl } from '../../common/envoy/codec.ts';
import { type Count, Counts } from './counts.ts';
import { openJournal } from './journal.ts';
import { Ledger } from './ledger.ts';
import { type Demand, readQuestion } from './question.ts';
import { type Unit, windowAt } from './window.ts';

const demand = (key: string, requests: number, unit: Unit = 'DAY', hits = 1): Demand => {
  return { key, rest: 'rest', name: '', requests, unit, hits };
};
const noon = Date.UTC(2024, 1, 29, 12) / 1_000;

function encoded(message: object): Buffer {
  return encodeEnvoy({ '@type': typeUrl('envoy.service.ratelimit.v3.RateLimitRequest'), ...message } as Typed);
}
const asked = (quota: string, who = 'alice') => ({
  domain: 'mesh',
  descriptors: [
    { entries: Object.entries({ limit: 'shop/daily', quota, who }).map(([key, value]) => ({ key, value })) },
  ],
});

test('windows are of the calendar, and each second is in one of each unit', () => {
  const shown = (unit: Unit) => Object.values(windowAt(unit, noon)).map((s) => new Date(s * 1_000).toISOString());
  assert.deepEqual(shown('MONTH'), ['2024-02-01T00:00:00.000Z', '2024-03-01T00:00:00.000Z']);
  assert.deepEqual(shown('YEAR'), ['2024-01-01T00:00:00.000Z', '2025-01-01T00:00:00.000Z']);
  const unit = fc.constantFrom<Unit>('SECOND', 'MINUTE', 'HOUR', 'DAY', 'MONTH', 'YEAR');
  fc.assert(
    fc.property(unit, fc.double({ min: 0, max: 4e9, noNaN: true }), (of, at) => {
      const { start, end } = windowAt(of, at);
      assert.ok(start <= at && at < end);
      assert.deepEqual(windowAt(of, end).start, end);
      assert.deepEqual(windowAt(of, start), { start, end });
    }),
  );
});

test('never more than the limit in a window, whatever comes in which order', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    hits: fc.integer({ min: 1, max: 4 }),
    later: fc.nat(30_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 3 }), (steps, most) => {
      const counts = new Counts(most, []);
      const passed = new Map<string, number>();
      let now = noon;
      for (const { key, hits, later } of steps) {
        now += later;
        const [status] = counts.take([demand(key, 9, 'DAY', hits)], now).statuses;
        const window = `${key} ${windowAt('DAY', now).start}`;
        if (status!.fits) passed.set(window, (passed.get(window) ?? 0) + hits);
      }
      for (const [window, sum] of passed) assert.ok(sum <= 9, window);
    }),
  );
});

test('a request that one limit refuses takes nothing of the others', () => {
  const counts = new Counts(10, []);
  counts.take([demand('small', 1)], noon);
  const { statuses, changed } = counts.take([demand('large', 5), demand('small', 1)], noon);
  assert.deepEqual(
    statuses.map((s) => [s.fits, s.left]),
    [
      [true, 5],
      [false, 0],
    ],
  );
  assert.deepEqual(changed, []);
});

test('two limits of one count have to fit together', () => {
  const counts = new Counts(10, []);
  const { statuses } = counts.take([demand('same', 3, 'DAY', 2), demand('same', 3, 'DAY', 2)], noon);
  assert.deepEqual(
    statuses.map((s) => s.fits),
    [true, false],
  );
});

test('keys beyond the bound share one count, and windows that are over make room', () => {
  const counts = new Counts(2, []);
  const fits = (key: string, at = noon) => counts.take([demand(key, 1)], at).statuses[0]!.fits;
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((key) => fits(key)),
    [true, true, true, false],
  );
  assert.equal(counts.overflowed, 2);
  assert.equal(fits('d', noon + 86_400), true);
  assert.equal(counts.size, 1);
});

test('a clock that is set back gives nothing back', () => {
  const counts = new Counts(2, []);
  counts.take([demand('a', 1)], noon);
  assert.equal(counts.take([demand('a', 1)], noon - 86_400).statuses[0]!.fits, false);
});

test('a question names its limits; one that does not is refused', () => {
  const read = readQuestion(encoded({ ...asked('100/MONTH'), hits_addend: 3 }));
  assert.equal(read.kind, 'question');
  const [one] = read.kind === 'question' ? read.demands : [];
  assert.deepEqual([one?.requests, one?.unit, one?.hits, one?.name], [100, 'MONTH', 3, 'shop/daily']);
  const other = readQuestion(encoded(asked('200/MONTH')));
  assert.equal(other.kind === 'question' && other.demands[0]?.key, one?.key, 'a limit that changes keeps its count');
  const own = {
    ...asked('x'),
    descriptors: [{ entries: [{ key: 'a', value: 'b' }], limit: { requests_per_unit: 7, unit: 'HOUR' } }],
  };
  const override = readQuestion(encoded(own));
  assert.deepEqual(override.kind === 'question' && override.demands.map((d) => [d.requests, d.unit]), [[7, 'HOUR']]);
  for (const bad of [asked('100/DECADE'), asked('many/DAY'), { domain: 'mesh' }]) {
    assert.equal(readQuestion(encoded(bad)).kind, 'invalid');
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => ['question', 'invalid'].includes(readQuestion(bytes).kind)));
});

test('nobody is told before the write; after one that failed nobody is told anything', async () => {
  const written: Count[][] = [];
  let fails = false;
  const journal = {
    load: () => [],
    write(counts: Iterable<Count>) {
      if (fails) throw new Error('no space');
      written.push([...counts]);
    },
    sweep: () => undefined,
    close: () => undefined,
  };
  const ledger = new Ledger({ journal, most: 10, now: () => noon });
  const ask = (unit: Unit) =>
    new Promise<string>((resolve) =>
      ledger.ask([demand(unit, 9, unit)], (t) => resolve(`${t.kind} ${written.length}`)),
    );
  assert.deepEqual(await Promise.all([ask('DAY'), ask('DAY'), ask('MINUTE')]), Array(3).fill('counted 1'));
  assert.deepEqual(
    written.map((batch) => batch.map((c) => c.used)),
    [[2]],
    'one batch, and nothing of a minute',
  );
  fails = true;
  assert.equal(await ask('DAY'), 'failed 1');
  fails = false;
  assert.equal(await ask('DAY'), 'failed 1');
  assert.match(ledger.broken ?? '', /no space/);
});

test('the program keeps what it told through kill -9, and has its folder for itself', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-quota-'));
  const running: ChildProcess[] = [];
  t.after(async () => {
    for (const child of running) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true });
  });
  const start = async () => {
    const main = join(import.meta.dirname, '../main.ts');
    const args = [main, 'quota', '--data-dir', folder, '--listen', '127.0.0.1:0', '--monitoringAddr', '127.0.0.1:0'];
    const child = spawn(process.execPath, args, { env: { LOG_FORMAT: 'json' }, stdio: ['ignore', 'pipe', 'inherit'] });
    running.push(child);
    for await (const line of createInterface({ input: child.stdout! })) {
      const port = /"port":(\d+)/.exec(line)?.[1];
      if (port !== undefined) return { child, client: new Client(`127.0.0.1:${port}`, credentials.createInsecure()) };
    }
    throw new Error('it ended before it listened');
  };
  /** What was told; `undefined`: nothing was. */
  const ask = (client: Client) =>
    new Promise<string | undefined>((resolve) => {
      const path = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';
      const same = (bytes: Buffer) => bytes;
      client.makeUnaryRequest(path, same, same, encoded(asked('300/YEAR')), (e, answer) => {
        if (e || !answer) return resolve(undefined);
        const decoded = decodeEnvoy(typeUrl('envoy.service.ratelimit.v3.RateLimitResponse'), answer);
        resolve(decoded.kind === 'ok' ? String(decoded.value['overall_code']) : decoded.reason);
      });
    });

  let passed = 0;
  let first = true;
  for (let round = 0; round < 3; round++) {
    const { child, client } = await start();
    if (first) assert.throws(() => openJournal(folder), /quota\.db.*locked.*no other one uses/);
    first = false;
    const exited = once(child, 'exit');
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; i < 20; i++) {
          const told = await ask(client);
          if (told === undefined) return;
          assert.equal(told, 'OK');
          passed++;
          // In the middle of what the others ask.
          if (i === 9) child.kill('SIGKILL');
        }
      }),
    );
    await exited;
    client.close();
  }
  assert.ok(passed >= 30, `${passed}`);
  const { client } = await start();
  while ((await ask(client)) === 'OK') passed++;
  client.close();
  assert.ok(passed <= 300, `${passed} of 300 were told that they fit`);
  // What the kills cut off was counted, perhaps, and never told: eight each.
  assert.ok(passed >= 300 - 3 * 8, `${passed} of 300 were told that they fit`);
});
