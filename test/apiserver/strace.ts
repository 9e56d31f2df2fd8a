/** What a traced process did to files of a folder and to its standard output, in order. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';

export type FileEvent =
  | { readonly kind: 'created'; readonly file: string }
  | { readonly kind: 'write'; readonly file: string; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly file: string; readonly length: number }
  | { readonly kind: 'unlink'; readonly file: string }
  /** Completed, of the file or, where it is empty, of the folder. */
  | { readonly kind: 'sync'; readonly file: string }
  /** Began to be written to standard output. */
  | { readonly kind: 'said'; readonly text: string }
  /** Bytes to a TCP connection. */
  | { readonly kind: 'answered' };

const calls = 'pwrite64,fsync,fdatasync,ftruncate,unlink,unlinkat,openat,write,writev,sendmsg,sendto,rename,renameat2';

/** Arguments for strace in front of a command; `output` is read by `eventsIn`. */
export function straceArguments(output: string): readonly string[] {
  return ['-f', '-yy', '-xx', '-s', '100000', '-e', `trace=${calls}`, '-e', 'signal=none', '-o', output];
}

/** Runs to its end. Rejects where it fails. */
export async function traced(output: string, command: readonly string[]): Promise<void> {
  const child = spawn('strace', [...straceArguments(output), ...command], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`);
}

/** Of files directly in `folder`. */
export async function eventsIn(output: string, folder: string): Promise<readonly FileEvent[]> {
  const events: FileEvent[] = [];
  /** What threads began and have not finished. */
  const begun = new Map<string, string>();
  const known = new Set<string>();
  const add = (event: FileEvent | undefined) => {
    if (event === undefined || (event.kind === 'created' && known.has(event.file))) return;
    if (event.kind === 'created') known.add(event.file);
    if (event.kind === 'unlink') known.delete(event.file);
    events.push(event);
  };
  for await (const line of createInterface({ input: createReadStream(output) })) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (resumed !== null) {
      const whole = `${begun.get(thread) ?? ''}${resumed[1]}`;
      begun.delete(thread);
      add(atEnd(whole, folder));
    } else if (rest.endsWith('<unfinished ...>')) {
      const start = rest.slice(0, -'<unfinished ...>'.length);
      begun.set(thread, start);
      add(atStart(start, folder));
    } else {
      add(atStart(rest, folder));
      add(atEnd(rest, folder));
    }
  }
  return events;
}

/** Bytes may be anywhere from the moment that a call begins. */
function atStart(call: string, folder: string): FileEvent | undefined {
  const [, name = '', fd = '', target = '', rest = ''] = /^(\w+)\((\d+)<([^>]*)>(.*)$/s.exec(call) ?? [];
  if (target.startsWith('TCP')) return { kind: 'answered' };
  if (name === 'write' && fd === '1') return { kind: 'said', text: bytesIn(rest).toString() };
  const file = inFolder(textOf(target), folder);
  if (file === undefined || file === '') return undefined;
  if (name === 'pwrite64') {
    const offset = Number(/, (\d+)(?:\)| *$)/.exec(rest.slice(rest.lastIndexOf('"')).replace(/^", \d+/, ''))?.[1]);
    return { kind: 'write', file, offset, bytes: bytesIn(rest) };
  }
  if (name === 'ftruncate') return { kind: 'truncate', file, length: Number(/, (\d+)/.exec(rest)?.[1]) };
  return undefined;
}

/** A sync counts from its end. */
function atEnd(call: string, folder: string): FileEvent | undefined {
  // Where another thread's call came in between, a blank is left before the bracket.
  const sync = /^f(?:data)?sync\(\d+<([^>]*)> ?\) += 0/.exec(call);
  if (sync !== null) {
    const file = inFolder(textOf(sync[1]!), folder);
    return file === undefined ? undefined : { kind: 'sync', file };
  }
  const path = /"((?:\\x[0-9a-f]{2})*)"/.exec(call)?.[1] ?? '';
  const file = inFolder(textOf(path), folder);
  if (file === undefined || file === '' || !/\) += \d+/.test(call)) return undefined;
  if (/^unlink/.test(call)) return { kind: 'unlink', file };
  return /^openat\(.*O_CREAT/.test(call) ? { kind: 'created', file } : undefined;
}

/** Empty: the folder itself. */
function inFolder(path: string, folder: string): string | undefined {
  if (path === folder) return '';
  return dirname(path) === folder ? basename(path) : undefined;
}

function bytesIn(call: string): Buffer {
  return bytesOf(/"((?:\\x[0-9a-f]{2})*)"/.exec(call)?.[1] ?? '');
}

function bytesOf(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll('\\x', ''), 'hex');
}

function textOf(escaped: string): string {
  return bytesOf(escaped).toString();
}
