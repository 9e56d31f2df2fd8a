import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
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

test('a full file is put aside: who follows misses nothing, who comes later reads the newest', async () => {
  const folderOf = join(folder, 'c');
  const file = join(folderOf, '0.log');
  const log = new ContainerLog(file, new FakeClock(), 200);
  const [out, err] = [new PassThrough(), new PassThrough()];
  log.follow(out, err);
  err.end();
  const reader = readLog(file, log, { ...all, follow: true }, never);
  const lines = Array.from({ length: 18 }, (_, i) => `line ${i}\n`);
  const [first = '', ...others] = lines;
  out.write(first);
  assert.equal(String((await reader.next()).value), first);
  const following = text(reader);
  for (const line of others) {
    const more = log.more;
    out.write(line);
    await more;
  }
  out.end();
  assert.equal(await following, others.join(''));
  const newest = await text(readLog(file, log, all, never));
  assert.ok(newest.length < 200 && lines.join('').endsWith(newest));
  assert.equal((await readdir(folderOf)).length, 4);
  const many = new ContainerLog(join(folderOf, '1.log'), new FakeClock(), 10);
  const flood = new PassThrough();
  many.follow(flood, Readable.from([]));
  for (let i = 0; i < 20; i++) {
    const more = many.more;
    flood.write(`line ${i}\n`);
    await more;
  }
  flood.end();
  await many.over;
  assert.equal((await readdir(folderOf)).length, 5);
});
