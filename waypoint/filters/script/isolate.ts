/**
 * The process that runs one module of a user's. Started by process.ts without rights, environment and files (Node's permissions), with
 * bounds of the kernel's on memory; here the module gets a realm of its own without Node's globals, imports and code from texts. Reads
 * calls from descriptor 0 and writes outcomes to 1, without an event loop: whatever the module starts ends when its call does.
 */
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { constants, createContext, runInContext, SourceTextModule } from 'node:vm';
import { type Inside, type Outside, type PreludeOptions, prelude } from './prelude.ts';

/** The first message. */
export interface IsolateInit {
  /** JavaScript. */
  readonly source: string;
  readonly options: PreludeOptions;
}

/** As of frames.ts: this program may read no file but its own. */
const lengthBytes = 4;

/** Ms after which outcomes are told though more calls wait: whoever watches sees that it goes on. */
const progress = 5;

let buffer = Buffer.alloc(65_536);

function fill(from: number, to: number): void {
  for (let at = from; at < to; ) {
    const n = readSync(0, buffer, at, to - at, null);
    if (n === 0) process.exit(0);
    at += n;
  }
}

function read(): string {
  fill(0, lengthBytes);
  const length = buffer.readUInt32LE();
  if (length > buffer.length) buffer = Buffer.alloc(length);
  fill(0, length);
  return buffer.toString('utf8', 0, length);
}

function write(text: string): void {
  const bytes = Buffer.allocUnsafe(lengthBytes + Buffer.byteLength(text));
  bytes.writeUInt32LE(bytes.length - lengthBytes);
  bytes.write(text, lengthBytes);
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

const outside: Outside = {
  hmac: (key, text) => createHmac('sha256', key).update(text).digest('hex'),
  digest: (text) => createHash('sha256').update(text).digest('hex'),
  uuid: () => randomUUID(),
};

interface Taken {
  readonly wrong?: string;
}

interface Loaded {
  readonly inside: Inside;
  /** JSON. */
  readonly handles: string;
}

async function load({ source, options }: IsolateInit): Promise<Loaded> {
  const context = createContext(constants.DONT_CONTEXTIFY, { codeGeneration: { strings: false, wasm: false } });
  const start = runInContext(`(${prelude.toString()})`, context) as typeof prelude;
  const inside = start(outside, options);
  const refuse = () => {
    throw new Error('a filter module has no imports; import types only (`import type`)');
  };
  const module = new SourceTextModule(source, { context, identifier: 'filter.ts', importModuleDynamically: refuse });
  await module.link(refuse);
  await module.evaluate();
  const taken = JSON.parse(inside.take((module.namespace as { readonly default?: unknown }).default)) as Taken;
  if (taken.wrong !== undefined) throw new Error(taken.wrong);
  return { inside, handles: JSON.stringify(taken) };
}

function serve(inside: Inside): never {
  for (;;) {
    // Numbers of calls and calls by turns; `counters` alone asks for those, and with some sets them.
    const calls = JSON.parse(read()) as readonly (number | string)[];
    if (calls[0] === 'counters') {
      if (typeof calls[1] === 'string') inside.setCounters(calls[1]);
      else write(inside.counters());
      continue;
    }
    let reply = '';
    let last = performance.now();
    for (let i = 0; i < calls.length; i += 2) {
      reply += `${reply === '' ? '[' : ','}${calls[i]},${inside.call(calls[i + 1] as string)}`;
      const now = performance.now();
      if (now - last < progress && reply.length < 1_000_000 && i + 2 < calls.length) continue;
      write(`${reply}]`);
      reply = '';
      last = now;
    }
  }
}

function describe(e: unknown): string {
  try {
    const { message } = e as { readonly message?: unknown };
    return typeof message === 'string' ? message.slice(0, 500) : String(e).slice(0, 500);
  } catch {
    return 'something that has no text';
  }
}

// Its own code was all that it had to read.
process.permission.drop('fs.read');
let loaded: Loaded;
try {
  loaded = await load(JSON.parse(read()) as IsolateInit);
} catch (e) {
  write(JSON.stringify({ failed: describe(e) }));
  process.exit(0);
}
write(loaded.handles);
serve(loaded.inside);
