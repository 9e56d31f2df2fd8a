/**
 * What a container writes, kept as container runtimes do (CRI): each line behind its time, its stream and `F`, or `P` where it goes
 * on in the next. One file a run of the container.
 */
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { Clock } from '../../common/core/clock.ts';
import type { LogOptions } from '../../common/kube/kubelet/requests.ts';

export type OutputStream = 'stdout' | 'stderr';

/** Files of a container that stay, of its last runs. */
const keptRuns = 5;
/** Bytes of a file, which is then put aside: as with kubelet, the logs of a run are those of its newest file. */
const fullFile = 10 * 1024 * 1024;
/** Bytes of a line that is written in one piece. */
const longestLine = 16 * 1024;
const readSize = 64 * 1024;

/** The log of one run, while it is written. */
export class ContainerLog {
  readonly file: string;
  readonly #clock: Clock;
  readonly #full: number;
  readonly #listeners = new Set<(stream: OutputStream, bytes: Buffer) => void>();
  readonly #over = Promise.withResolvers<void>();
  #waiting = Promise.withResolvers<void>();
  #open = true;
  #fd: number;
  #size = 0;
  #rotations = 0;

  constructor(file: string, clock: Clock, full = fullFile) {
    mkdirSync(dirname(file), { recursive: true });
    this.file = file;
    this.#clock = clock;
    this.#full = full;
    this.#fd = this.#begin();
  }

  /** Reads both until they end: some process may have them open for longer than the first one lives. */
  follow(stdout: Readable, stderr: Readable): void {
    const streams = [this.#take('stdout', stdout), this.#take('stderr', stderr)];
    void Promise.allSettled(streams).then(() => {
      this.#open = false;
      closeSync(this.#fd);
      this.#waiting.resolve();
      this.#over.resolve();
    });
  }

  get open(): boolean {
    return this.#open;
  }

  /** Resolves when all is written. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Resolves when something was written, or the log is over. */
  get more(): Promise<void> {
    return this.#waiting.promise;
  }

  /** How often a full file was put aside. */
  get rotations(): number {
    return this.#rotations;
  }

  /** The end of what was written, once all is. */
  async lastLines(lines: number, bytes: number): Promise<string> {
    await this.#over.promise;
    const options = {
      follow: false,
      timestamps: false,
      tail: lines,
      limit: undefined,
      since: undefined,
      stream: 'All',
    } as const;
    const parts: Buffer[] = [];
    for await (const part of readLog(this.file, undefined, options, new AbortController().signal)) parts.push(part);
    return Buffer.concat(parts).subarray(-bytes).toString();
  }

  /** What comes from now on, as it comes. Returns what ends it. */
  listen(listener: (stream: OutputStream, bytes: Buffer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #take(stream: OutputStream, from: Readable): Promise<void> {
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for await (const chunk of from) {
      for (const listener of this.#listeners) listener(stream, chunk as Buffer);
      const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
      rest = lines.pop() ?? '';
      const records = lines.map((line) => this.#record(stream, 'F', line));
      if (rest.length >= longestLine) {
        records.push(this.#record(stream, 'P', rest));
        rest = '';
      }
      this.#write(records.join(''));
    }
    rest += decoder.end();
    if (rest !== '') this.#write(this.#record(stream, 'P', rest));
  }

  #record(stream: OutputStream, tag: 'F' | 'P', text: string): string {
    return `${new Date(this.#clock.wall()).toISOString().replace('Z', '000000Z')} ${stream} ${tag} ${text}\n`;
  }

  /** A file of its own; the oldest of others go. */
  #begin(): number {
    for (const old of runs(dirname(this.file)).slice(0, 1 - keptRuns)) rmSync(old, { force: true });
    this.#size = 0;
    return openSync(this.file, 'a');
  }

  #write(text: string): void {
    if (text === '') return;
    this.#size += writeSync(this.#fd, text);
    if (this.#size >= this.#full) {
      closeSync(this.#fd);
      this.#rotations += 1;
      renameSync(this.file, `${this.file}.${this.#rotations}`);
      this.#fd = this.#begin();
    }
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers();
  }
}

/** Files of a container's runs, oldest first. */
function runs(folder: string): string[] {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .map((file) => ({ file, time: statSync(file).mtimeMs }))
    .sort((a, b) => a.time - b.time)
    .map((r) => r.file);
}

/** What all runs of a container wrote, without times; empty before the first line. */
export async function readRuns(folder: string): Promise<string> {
  let files: string[];
  try {
    files = runs(folder);
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw e;
  }
  const texts = await Promise.all(files.map((f) => readFile(f, 'utf8')));
  return texts
    .flatMap((text) => text.split('\n').filter((line) => line !== ''))
    .map((line) => output(parseRecord(line), false))
    .join('');
}

export interface LogRecord {
  readonly time: string;
  readonly stream: OutputStream;
  readonly whole: boolean;
  readonly text: string;
}

export function parseRecord(line: string): LogRecord {
  const [time = '', stream, tag] = line.split(' ', 3);
  const text = line.slice(time.length + (stream?.length ?? 0) + (tag?.length ?? 0) + 3);
  return { time, stream: stream === 'stderr' ? 'stderr' : 'stdout', whole: tag !== 'P', text };
}

function output({ time, whole, text }: LogRecord, timestamps: boolean): string {
  return `${timestamps ? `${time} ` : ''}${text}${whole ? '\n' : ''}`;
}

/** The file after the one with that number, or the newest when others are gone. */
async function openAfter(live: ContainerLog, number: number): Promise<[FileHandle, number]> {
  for (let next = number + 1; next < live.rotations; next++) {
    const aside = await open(`${live.file}.${next + 1}`, 'r').catch(() => undefined);
    if (aside !== undefined) return [aside, next];
  }
  for (;;) {
    const newest = live.rotations;
    const [result] = await Promise.allSettled([open(live.file, 'r')]);
    if (newest === live.rotations) {
      if (result.status === 'rejected') throw result.reason;
      return [result.value, newest];
    }
    // It was put aside at this moment.
    if (result.status === 'fulfilled') await result.value.close();
  }
}

/** `live`: the same log while it is written; it is followed to its end. */
export async function* readLog(
  file: string,
  live: ContainerLog | undefined,
  options: Pick<LogOptions, 'follow' | 'timestamps' | 'tail' | 'limit' | 'since' | 'stream'>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  let left = options.limit ?? Number.POSITIVE_INFINITY;
  const cut = (text: string): Buffer => {
    const bytes = Buffer.from(text).subarray(0, left);
    left -= bytes.length;
    return bytes;
  };
  const wanted = (record: LogRecord) =>
    (options.stream === 'All' || options.stream.toLowerCase() === record.stream) &&
    (options.since === undefined || Date.parse(record.time) >= options.since);
  let [handle, rotations] = live === undefined ? [await open(file, 'r'), 0] : await openAfter(live, live.rotations);
  try {
    const decoder = new StringDecoder('utf8');
    const buffer = Buffer.alloc(readSize);
    let rest = '';
    /** The last lines, until the present end of the file is reached. */
    let tail: string[] | undefined = options.tail === undefined ? undefined : [];
    while (left > 0 && !signal.aborted) {
      const more = live?.more;
      const wasOpen = live?.open ?? false;
      const turned = live?.rotations;
      const { bytesRead } = await handle.read(buffer, 0, readSize);
      const lines = (rest + decoder.write(buffer.subarray(0, bytesRead))).split('\n');
      rest = lines.pop() ?? '';
      const texts = lines
        .map(parseRecord)
        .filter(wanted)
        .map((r) => output(r, options.timestamps));
      if (tail !== undefined)
        tail = [...tail, ...texts].slice(options.tail === 0 ? Number.POSITIVE_INFINITY : -options.tail!);
      else if (texts.length > 0) yield cut(texts.join(''));
      if (bytesRead > 0) continue;
      if (live !== undefined && turned !== rotations) {
        // This file was full before it was read to its end.
        await handle.close();
        [handle, rotations] = await openAfter(live, rotations);
        continue;
      }
      if (tail !== undefined && tail.length > 0) yield cut(tail.join(''));
      tail = undefined;
      if (!options.follow || !wasOpen) return;
      await Promise.race([more, aborted]);
    }
  } finally {
    await handle.close();
  }
}
