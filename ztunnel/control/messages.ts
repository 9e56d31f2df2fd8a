/**
 * What supervisor and workers tell each other on a SOCK_SEQPACKET pair: one JSON object a packet, descriptors beside it.
 * A worker parses the network's bytes and is trusted with nothing: the supervisor checks every field of what it says.
 */
import { MeshError } from '../../common/core/errors.ts';
import { type SameNodeNews, type SameNodeOrder, sameNodeOrder } from '../../common/zds/same-node.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';

/** Sockets that only the supervisor can make, because they live in a pod's network namespace. */
export const socketKinds = ['outbound4', 'outbound6', 'inbound4', 'inbound6', 'dns4', 'dns6'] as const;
export type SocketKind = (typeof socketKinds)[number];

/** Descriptors of one `sockets` packet; the kernel allows 253 (SCM_MAX_FD). */
export const maxSocketsPerPacket = 128;

export type ListenerRole = 'outbound' | 'plaintext' | 'hbone' | 'dnsUdp' | 'dnsTcp' | 'socks5';

export interface ListenerSlot {
  readonly role: ListenerRole;
  readonly port: number;
}

/** A pod instance: a uid in one network namespace. A namespace that is replaced makes a new instance with a new number. */
export interface PodMessage {
  readonly kind: 'pod';
  readonly pod: number;
  readonly uid: string;
  /** Names its network namespace on this machine. */
  readonly netns: string;
  readonly info: WorkloadInfo;
  /** One descriptor for each, in this order. */
  readonly listeners: readonly ListenerSlot[];
  /** The app sees the proxy's address instead of its clients': nothing routes answers to them back to the proxy. */
  readonly hidesClients: boolean;
}

/** What an operator may want to know of a worker. Answers are JSON. */
export type Question =
  /** prom-client's metrics. */
  | { readonly kind: 'metrics' }
  /** `WorkerState`. */
  | { readonly kind: 'state' }
  /** V8's CPU profile of the next `seconds`, sampled `frequency` times a second. */
  | { readonly kind: 'cpu'; readonly seconds: number; readonly frequency: number }
  /** V8's sampling heap profile, or null while sampling is off. */
  | { readonly kind: 'heap' }
  /** Switches the sampling of allocations; undefined leaves it. Whether it is on now. */
  | { readonly kind: 'heapSampling'; readonly active: boolean | undefined };

/** What the worker that takes over accepts from: this one's own listeners, or others of the same pods, which get what is new. */
export type SuccessorListeners = 'same' | 'others';

export type ToWorker =
  | PodMessage
  /** Serve what waits in the backlog, then stop accepting; open connections end within the deadline. */
  | { readonly kind: 'dropPod'; readonly pod: number; readonly deadline: number }
  /** Answers `need`; fewer descriptors than asked for, and why, when the kernel refused. */
  | {
      readonly kind: 'sockets';
      readonly pod: number;
      readonly socket: SocketKind;
      readonly asked: number;
      readonly error: string;
    }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  /** null: back to the levels of the environment. */
  | { readonly kind: 'logging'; readonly directives: string | null }
  | { readonly kind: 'drain'; readonly deadline: number }
  /** With one end of a socket pair, at whose other end the worker that this one replaces gives its open connections away. */
  | { readonly kind: 'predecessor' }
  /** As `drain`, of a worker whose successor accepts by now; with the other end, where there is one. */
  | { readonly kind: 'replaced'; readonly deadline: number; readonly listeners: SuccessorListeners }
  /** From the node agent, of pairs of pods that connect past the proxy; `gone`: it is, and so is all that it said. */
  | { readonly kind: 'sameNode'; readonly news: SameNodeNews | { readonly kind: 'gone' } };

export type ToSupervisor =
  | { readonly kind: 'hello' }
  /** The mesh is known: what is in the listeners' backlogs is served from now on. */
  | { readonly kind: 'warm' }
  /** What this worker waits for before it is ready; empty: ready. */
  | { readonly kind: 'pending'; readonly items: readonly string[] }
  /** The pod's listeners are being accepted from. */
  | { readonly kind: 'serving'; readonly pod: number; readonly error: string }
  | { readonly kind: 'dropped'; readonly pod: number }
  | { readonly kind: 'need'; readonly pod: number; readonly socket: SocketKind; readonly count: number }
  /** Answers `ask`, cut into packets. */
  | { readonly kind: 'answer'; readonly id: number; readonly last: boolean; readonly text: string }
  | { readonly kind: 'noAnswer'; readonly id: number; readonly error: string }
  /** To the node agent. */
  | { readonly kind: 'sameNode'; readonly order: SameNodeOrder };

/** Characters of text in one `answer` packet; packets share the socket's send buffer (212,992 bytes by default). */
export const answerChunk = 32_768;

export function encode(message: ToWorker | ToSupervisor): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

/** The supervisor is trusted: its packets are only parsed. */
export function decodeFromSupervisor(data: Uint8Array): ToWorker {
  return JSON.parse(Buffer.from(data).toString()) as ToWorker;
}

/** MeshError PROTOCOL for anything but a well-formed message; the worker that sent it must be stopped. */
export function decodeFromWorker(data: Uint8Array): ToSupervisor {
  const m = parseObject(data);
  switch (m['kind']) {
    case 'hello':
      return { kind: 'hello' };
    case 'warm':
      return { kind: 'warm' };
    case 'pending': {
      const items = m['items'];
      if (!Array.isArray(items) || items.length > 16 || !items.every((i) => isText(i, 100))) break;
      return { kind: 'pending', items };
    }
    case 'serving':
      if (!isCount(m['pod']) || !isText(m['error'], 4096)) break;
      return { kind: 'serving', pod: m['pod'], error: m['error'] };
    case 'dropped':
      if (!isCount(m['pod'])) break;
      return { kind: 'dropped', pod: m['pod'] };
    case 'need': {
      const socket = socketKinds.find((k) => k === m['socket']);
      const count = m['count'];
      if (!isCount(m['pod']) || !socket || !isCount(count) || count < 1 || count > maxSocketsPerPacket) break;
      return { kind: 'need', pod: m['pod'], socket, count };
    }
    case 'noAnswer':
      if (!isCount(m['id']) || !isText(m['error'], 4096)) break;
      return { kind: 'noAnswer', id: m['id'], error: m['error'] };
    case 'answer':
      if (!isCount(m['id']) || typeof m['last'] !== 'boolean' || !isText(m['text'], answerChunk)) break;
      return { kind: 'answer', id: m['id'], last: m['last'], text: m['text'] };
    case 'sameNode': {
      const order = readOrder(m['order']);
      if (!order) break;
      return { kind: 'sameNode', order };
    }
    default:
  }
  throw new MeshError('PROTOCOL', `a worker sent a malformed "${String(m['kind']).slice(0, 40)}" message`);
}

function parseObject(data: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(data).toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new MeshError('PROTOCOL', 'a worker sent a packet that is not JSON', { cause });
  }
  throw new MeshError('PROTOCOL', 'a worker sent a packet that is not an object');
}

function readOrder(value: unknown): SameNodeOrder | undefined {
  try {
    return sameNodeOrder(value);
  } catch {
    // Told as any other message that is not as it must be.
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length <= max;
}
