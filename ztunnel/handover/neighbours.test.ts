import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Fd } from '../../common/core/brand.ts';
import { createLogger, LogLevels } from '../../common/core/log.ts';
import { until } from '../../common/testing/until.ts';
import { closeFd, seqpacketConnect, seqpacketFromFd, seqpacketListen, seqpacketPair } from '../../native/index.ts';
import { Neighbours, serves } from './neighbours.ts';

const base = mkdtempSync(join(tmpdir(), 'aq-neighbours-'));
after(() => rmSync(base, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(base, `${folders++}`, 'handover');

function proxy(folder: string) {
  const logged: string[] = [];
  const taken: (readonly [place: number, line: Fd])[] = [];
  const sink = { levels: new LogLevels(), format: 'plain', write: (line: string) => void logged.push(line) } as const;
  const neighbours = new Neighbours({
    folder,
    takeOver: (place, line) => taken.push([place, line]),
    closeFd,
    log: createLogger(sink, 'test'),
  });
  const calls = (n: number) =>
    until('a call', () => logged.filter((line) => line.includes('serves its pods')).length === n);
  return { neighbours, logged, taken, calls };
}

const socketsIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.sock'));

test('the proxy that called last gets a line for each worker, whose other end is of who drains', async () => {
  const folder = newFolder();
  const [old, middle, newest] = [proxy(folder), proxy(folder), proxy(folder)];
  middle.neighbours.call();
  await Promise.all([old.calls(1), newest.calls(1)]);
  newest.neighbours.call();
  // Again, as after each snapshot of the agent.
  newest.neighbours.call();
  await Promise.all([old.calls(2), middle.calls(1)]);
  const heir = old.neighbours.retire()!;
  const [giving, taking] = seqpacketPair();
  heir(3, taking);
  closeFd(taking);
  await until('the line', () => newest.taken.length === 1);
  assert.deepEqual(middle.taken, []);
  const [[place, line]] = newest.taken as [readonly [number, Fd]];
  assert.equal(place, 3);
  const ends = [seqpacketFromFd(giving), seqpacketFromFd(line)] as const;
  const heard = Promise.withResolvers<string>();
  ends[1].onPacket(({ data }) => heard.resolve(Buffer.from(data).toString()));
  ends[0].send(Buffer.from('hello'));
  assert.equal(await heard.promise, 'hello');
  for (const end of ends) end.close();
  for (const { neighbours } of [old, middle, newest]) {
    neighbours.retire();
    neighbours.close();
  }
  assert.ok(!existsSync(folder), 'who leaves last removes it');
});

test('one that drains is nobody to count on, nor one that has ended', async () => {
  const folder = newFolder();
  const [a, b] = [proxy(folder), proxy(folder)];
  a.neighbours.call();
  await b.calls(1);
  assert.equal(a.neighbours.retire(), undefined, 'the other serves nothing yet');
  a.neighbours.close();
  await until('the end of the line', () => b.neighbours.retire() === undefined);
  b.neighbours.close();
});

test("the folder is its owner's alone, and a socket that a dead proxy left is removed", async () => {
  const folder = newFolder();
  const { neighbours, logged } = proxy(folder);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  const left = join(folder, '0123456789abcdef.sock');
  seqpacketListen(left).close();
  assert.ok(existsSync(left));
  neighbours.call();
  assert.ok(!existsSync(left));
  assert.deepEqual(logged, []);
  neighbours.retire();
});

test('a proxy of another version cannot take over, which the log says; nonsense ends the line alone', async () => {
  const folder = newFolder();
  const { neighbours, logged } = proxy(folder);
  const socket = join(folder, socketsIn(folder)[0]!);
  for (const call of [serves(2), Buffer.from('{"kind":"serves"}'), Buffer.from('nonsense')]) {
    const caller = seqpacketConnect(socket);
    const closed = Promise.withResolvers<void>();
    caller.onPacket(() => undefined);
    caller.onClose(() => closed.resolve());
    caller.send(call);
    await closed.promise;
  }
  assert.match(logged.join('\n'), /drain.*it speaks version 2 of the hand-over, this one 1/);
  assert.equal(neighbours.retire(), undefined);
});

test('a folder that cannot be made throws', () => {
  const folder = newFolder();
  assert.throws(() => proxy(join(process.execPath, folder)), /ENOTDIR/);
});
