import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { ContainerLog, readLog, readRuns } from './log.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aquifer-log-'));
});
after(() => rm(folder, { recursive: true }));

const all = {
  follow: false,
  timestamps: false,
  tail: undefined,
  limit: undefined,
  since: undefined,
  stream: 'All',
} as const;
const never = new AbortController().signal;

async function text(chunks: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

test('lines of both streams, the last ones, a part of them, those since a time, and a line that never ended', async () => {
  const clock = new FakeClock();
  const file = join(folder, 'a', '0.log');
  const log = new ContainerLog(file, clock);
  const [out, err] = [new PassThrough(), new PassThrough()];
  log.follow(out, err);
  for (const chunk of ['one\ntw', 'o\n', 'ü\n']) {
    out.write(chunk);
    await log.more;
  }
  await clock.advance(5_000);
  const since = clock.wall();
  err.end('bad\n');
  await log.more;
  out.end('no end');
  await log.over;
  assert.equal(await text(readLog(file, undefined, all, never)), 'one\ntwo\nü\nbad\nno end');
  assert.equal(await text(readLog(file, undefined, { ...all, tail: 2 }, never)), 'bad\nno end');
  assert.equal(await text(readLog(file, undefined, { ...all, tail: 0 }, never)), '');
  assert.equal(await text(readLog(file, undefined, { ...all, limit: 5 }, never)), 'one\nt');
  assert.equal(await text(readLog(file, undefined, { ...all, since }, never)), 'bad\nno end');
  assert.equal(await text(readLog(file, undefined, { ...all, stream: 'Stderr' }, never)), 'bad\n');
  const time = new Date(since).toISOString().replace('Z', '000000Z');
  assert.equal(
    await text(readLog(file, undefined, { ...all, stream: 'Stderr', timestamps: true }, never)),
    `${time} bad\n`,
  );
  assert.equal(await readRuns(join(folder, 'a')), 'one\ntwo\nü\nbad\nno end');
});

test('following shows what comes, from the tail on, and ends with the container or the reader', async () => {
  const file = join(folder, 'b', '0.log');
  const log = new ContainerLog(file, new FakeClock());
  const [out, err] = [new PassThrough(), new PassThrough()];
  log.follow(out, err);
  out.write('old\nolder\n');
  await log.more;
  const reader = readLog(file, log, { ...all, follow: true, tail: 1 }, never);
  assert.equal(String((await reader.next()).value), 'older\n');
  const next = reader.next();
  out.write('new\n');
  assert.equal(String((await next).value), 'new\n');
  const last = reader.next();
  out.end();
  err.end();
  assert.equal((await last).done, true);
  const gone = new AbortController();
  const other = new ContainerLog(join(folder, 'b', '1.log'), new FakeClock());
  other.follow(new PassThrough(), new PassThrough());
  const waiting = readLog(other.file, other, { ...all, follow: true }, gone.signal).next();
  gone.abort();
  assert.equal((await waiting).done, true);
});
