/**
 * What the process that gives connections away and the one that takes them say to each other: `offer`, `accept`, `commit`, a unit at a
 * time. Only who gives decides. It has frozen a unit before it offers it; who takes touches no socket and seals nothing before it has read
 * `commit`, and drops everything that has none when the line ends. So a unit is never live in both, whoever dies when.
 */
import { MeshError } from '../../common/core/errors.ts';
import type { SeqpacketEnd } from '../../native/index.ts';
import { unitVersion } from './codec.ts';
import { count, object, oneOf, type Shape, words } from './shape.ts';

/** One end of a socket pair of the two processes. */
export type Line = Pick<SeqpacketEnd, 'send' | 'trySend' | 'onPacket' | 'onClose' | 'close'>;

/** What each can read; the first packet of both. */
export interface Hello {
  readonly kind: 'hello';
  readonly unit: number;
  /** Names the version of the engine's own state. */
  readonly engine: string;
}

export type ToTaker =
  | Hello
  /** The next piece of the unit's text. */
  | { readonly kind: 'part'; readonly unit: number; readonly text: string }
  /** The text is complete; with the descriptors. */
  | { readonly kind: 'offer'; readonly unit: number }
  | { readonly kind: 'commit'; readonly unit: number };

export type ToGiver =
  | Hello
  | { readonly kind: 'accept'; readonly unit: number }
  | { readonly kind: 'refuse'; readonly unit: number; readonly reason: string };

/** UTF-16 units of one `part`: at most four bytes each, six where JSON escapes them, of the 131,072 that a packet may have. */
export const partLength = 16 * 1024;
/** Of all parts of a unit. */
export const maxUnitLength = 8 * 1024 * 1024;
/** UTF-16 units of a reason. */
export const maxReason = 4_096;
/** Descriptors of one packet (SCM_MAX_FD). */
export const maxDescriptors = 253;

export function hello(engine: string): Hello {
  return { kind: 'hello', unit: unitVersion, engine };
}

/** Why the two cannot work together, for the log; undefined: they can. */
export function mismatch(giver: Hello, taker: Hello): string | undefined {
  if (giver.unit !== taker.unit) {
    return `the successor reads version ${taker.unit} of their state, this one writes ${giver.unit}`;
  }
  if (giver.engine !== taker.engine) {
    return `the successor reads version ${taker.engine} of the engine's state, this one writes ${giver.engine}`;
  }
  return undefined;
}

const number = count(2 ** 32 - 1);
const helloShape = object<Hello>({ kind: oneOf('hello'), unit: number, engine: words(256) });
const toTaker: { readonly [K in ToTaker['kind']]: Shape<Extract<ToTaker, { kind: K }>> } = {
  hello: helloShape,
  part: object({ kind: oneOf('part'), unit: number, text: words(partLength) }),
  offer: object({ kind: oneOf('offer'), unit: number }),
  commit: object({ kind: oneOf('commit'), unit: number }),
};
const toGiver: { readonly [K in ToGiver['kind']]: Shape<Extract<ToGiver, { kind: K }>> } = {
  hello: helloShape,
  accept: object({ kind: oneOf('accept'), unit: number }),
  refuse: object({ kind: oneOf('refuse'), unit: number, reason: words(maxReason) }),
};

export function encodeMessage(message: ToTaker | ToGiver): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

/** MeshError PROTOCOL. */
export const readToTaker = (data: Uint8Array): ToTaker => read<ToTaker>(toTaker, data);
/** MeshError PROTOCOL. */
export const readToGiver = (data: Uint8Array): ToGiver => read<ToGiver>(toGiver, data);

function read<T>(shapes: Readonly<Record<string, Shape<T>>>, data: Uint8Array): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(data).toString());
  } catch (cause) {
    throw new MeshError('PROTOCOL', 'a packet of the hand-over is not JSON', { cause });
  }
  const kind = String((value as { readonly kind?: unknown } | null)?.kind);
  if (!Object.hasOwn(shapes, kind)) throw new MeshError('PROTOCOL', 'message.kind of the hand-over is unknown');
  return shapes[kind]!(value, 'message');
}
