/** What hostile clients of HTTP/2 send (RFC 9113 10.5, reliability 1.4), by raw frames. */
import {
  flag,
  frame,
  frameType,
  headerBlock,
  headersFrame,
  rstStream,
  settingsFrame,
  uint32,
  windowUpdate,
} from '../../../common/testing/h2-frames.ts';

/** HEADERS of a request that is not answered, or of a tunnel; its END_STREAM as asked. */
export type Opener = (stream: number, end: boolean) => Buffer;

export const openers: Readonly<Record<'plain' | 'hbone', Opener>> = {
  plain: (stream, end) => headersFrame(stream, get('/hold'), flag.endHeaders | (end ? flag.endStream : 0)),
  hbone: (stream, end) => headersFrame(stream, [...connect], flag.endHeaders | (end ? flag.endStream : 0)),
};

export function get(path: string): (readonly [string, string])[] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':authority', 'a.test'],
    [':path', path],
  ];
}

const connect = [
  [':method', 'CONNECT'],
  [':authority', '10.9.8.7:80'],
] as const;

export interface Flood {
  readonly name: string;
  /** Sent once before. */
  readonly begin?: (open: Opener) => Buffer;
  /** The n-th part, from 0. */
  part(n: number, open: Opener): Buffer;
  /** Default 20,000. */
  readonly parts?: number;
  /** The peer reads nothing meanwhile. */
  readonly deaf?: true;
  /** MB that the waypoint may take meanwhile. Default 48: what the heap of a busy Node comes and goes by. */
  readonly most?: number;
  /** Costs the peer as much as us, and the connection may go on. Default: we end it. */
  readonly harmless?: true;
}

export const defaultMost = 48;

const nothing = Buffer.alloc(0);
const stream = (n: number) => 2 * n + 1;
const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));
const priority = (of: number, on: number) =>
  frame(frameType.priority, 0, of, Buffer.concat([uint32(on), Buffer.of(0)]));
const data = (of: number, bytes: Uint8Array = nothing, flags = 0) => frame(frameType.data, flags, of, bytes);

const request = headerBlock(get('/bomb'));
/** A dynamic table of 4,096 bytes (RFC 7541 6.3), where `request` begins by having none. */
const table = Buffer.of(0x3f, 0xe1, 0x1f);
/** Name and value in the dynamic table: literal with incremental indexing, a new name (RFC 7541 6.2.1). */
const long = headerBlock([['x', 'y'.repeat(4_000)]]);
long[1] = 0x40;
/** It over and over: the newest entry of the dynamic table. */
const bomb = Buffer.concat([table, request.subarray(1), long.subarray(1), Buffer.alloc(12_000, 0xbe)]);
/** `cookie` of the static table with an empty value. */
const crumbs = Buffer.concat([request, ...Array.from({ length: 5_000 }, () => Buffer.of(0x0f, 0x11, 0))]);
/** 70,000 bytes of what is never said twice, so that no table helps. */
const tooLong = (of: number) =>
  Buffer.concat([
    headersFrame(of, get('/bomb'), flag.endStream),
    ...Array.from({ length: 7 }, (_, n) => {
      const field = headerBlock([[`x-${of}-${n}`, 'y'.repeat(10_000)]]).subarray(1);
      return frame(frameType.continuation, n === 6 ? flag.endHeaders : 0, of, field);
    }),
  ]);
const block = (of: number, bytes: Buffer) => frame(frameType.headers, flag.endHeaders | flag.endStream, of, bytes);

const oneStream = (open: Opener) => open(1, false);
const held = Array.from({ length: 50 }, (_, n) => stream(n));

export const floods: readonly Flood[] = [
  { name: 'PING', part: () => ping },
  { name: 'PING, never reading', part: () => ping, deaf: true },
  { name: 'SETTINGS', part: () => settingsFrame([[4, 65_535]]) },
  { name: 'SETTINGS, never reading', part: () => settingsFrame(), deaf: true },
  {
    name: 'SETTINGS of 2,000 entries',
    part: () => settingsFrame(Array.from({ length: 2_000 }, () => [0x99, 1] as const)),
    parts: 200,
  },
  { name: 'answers to SETTINGS that were never sent', part: () => frame(frameType.settings, flag.ack, 0) },
  { name: 'empty DATA', begin: oneStream, part: () => data(1) },
  { name: 'DATA of padding only', begin: oneStream, part: () => data(1, Buffer.of(0), 8) },
  { name: 'empty HEADERS', part: (n) => frame(frameType.headers, 5, stream(n)) },
  { name: 'HEADERS without END_HEADERS, then another frame', part: () => Buffer.concat([frame(1, 0, 1), ping]) },
  { name: 'empty CONTINUATION', begin: () => frame(1, 0, 1), part: () => frame(frameType.continuation, 0, 1) },
  {
    name: 'CONTINUATION with headers, without end',
    begin: () => headersFrame(1, get('/hold'), 0),
    part: () => frame(frameType.continuation, 0, 1, headerBlock([['x', 'y'.repeat(8_000)]])),
    parts: 5_000,
  },
  { name: 'WINDOW_UPDATE', part: () => windowUpdate(0, 1), harmless: true },
  { name: 'WINDOW_UPDATE of zero', part: () => windowUpdate(0, 0) },
  { name: 'WINDOW_UPDATE beyond 2^31-1', part: () => windowUpdate(0, 0x7fffffff) },
  { name: 'PRIORITY on idle streams', part: (n) => priority(stream(n), 0) },
  { name: 'PRIORITY of an open stream', begin: oneStream, part: () => priority(1, 0) },
  { name: 'RST_STREAM of idle streams', part: (n) => rstStream(stream(n), 8) },
  { name: 'PUSH_PROMISE', part: () => frame(frameType.pushPromise, 4, 1, uint32(2)) },
  { name: 'frames of unknown types', part: () => frame(0xfa, 0xff, 0, Buffer.alloc(100)) },
  { name: 'frames larger than allowed', part: () => frame(frameType.data, 0, 1, Buffer.alloc(70_000)), parts: 200 },
  { name: 'rapid reset', part: (n, open) => Buffer.concat([open(stream(n), true), rstStream(stream(n), 8)]) },
  {
    name: 'rapid reset in bursts that end with NO_ERROR',
    part: (n, open) => Buffer.concat([open(stream(n), false), rstStream(stream(n), 0)]),
  },
  {
    name: 'MadeYouReset by WINDOW_UPDATE of zero',
    part: (n, open) => Buffer.concat([open(stream(n), true), windowUpdate(stream(n), 0)]),
  },
  {
    name: 'MadeYouReset by a window beyond 2^31-1',
    part: (n, open) => Buffer.concat([open(stream(n), true), windowUpdate(stream(n), 0x7fffffff)]),
  },
  {
    name: 'MadeYouReset by DATA after END_STREAM',
    part: (n, open) => Buffer.concat([open(stream(n), true), data(stream(n), Buffer.alloc(1))]),
  },
  {
    name: 'MadeYouReset by HEADERS after END_STREAM',
    part: (n, open) => Buffer.concat([open(stream(n), true), open(stream(n), true)]),
  },
  {
    name: 'MadeYouReset by PRIORITY of a wrong length',
    part: (n, open) => Buffer.concat([open(stream(n), true), frame(frameType.priority, 0, stream(n), Buffer.alloc(4))]),
  },
  {
    name: 'MadeYouReset by PRIORITY on itself',
    part: (n, open) => Buffer.concat([open(stream(n), true), priority(stream(n), stream(n))]),
  },
  {
    name: 'MadeYouReset by trailers with a pseudo-header',
    part: (n, open) =>
      Buffer.concat([
        open(stream(n), false),
        headersFrame(stream(n), [[':path', '/']], flag.endHeaders | flag.endStream),
      ]),
  },
  { name: 'more streams than allowed', part: (n, open) => open(stream(n), true) },
  {
    name: 'bodies in drops',
    begin: (open) => Buffer.concat(held.map((of) => open(of, false))),
    part: (n) => data(held[n % held.length]!, Buffer.of(120)),
    harmless: true,
  },
  { name: 'heads larger than allowed', part: (n) => tooLong(stream(n)), parts: 1_000, most: 96 },
  { name: 'HPACK bombs', part: (n) => block(stream(n), bomb), parts: 500 },
  { name: 'bombs of cookies', part: (n) => block(stream(n), crumbs), parts: 500 },
];
