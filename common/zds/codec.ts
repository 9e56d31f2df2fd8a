/**
 * Bytes of ZDS (package `istio.workload.zds`, ambient-wire 6.4): one protobuf message is one packet, without a length
 * prefix, of at most 1,024 bytes. Messages are this small and the peer may be Istio's, so fields are read and written by
 * number; unknown fields are skipped as protobuf demands, everything else that is wrong makes the packet malformed.
 */
import protobuf from 'protobufjs/minimal.js';
import { MeshError } from '../core/errors.ts';
import type { WorkloadInfo, ZdsAck, ZdsRequest } from './types.ts';

/** Bytes; Istio's agent and proxy read into buffers of this size. */
export const maxZdsPacket = 1024;

export type Decoded<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'malformed'; readonly reason: string };

/** ztunnel's first packet: ZdsHello { version: V1 }. */
export function encodeHello(): Uint8Array {
  return protobuf.Writer.create().uint32(tag(1, varint)).uint32(1).finish();
}

/** Malformed unless the version is V1, the only one there is. */
export function decodeHello(packet: Uint8Array): Decoded<{ readonly version: 1 }> {
  return decode(packet, (fields) => {
    const version = fields.number(1);
    if (version !== 1) throw new Malformed(`hello has version ${version}, expected 1`);
    return { version };
  });
}

/** Throws MeshError PROTOCOL when the names are so long that the packet would exceed 1,024 bytes. */
export function encodeRequest(request: ZdsRequest): Uint8Array {
  const w = protobuf.Writer.create();
  switch (request.kind) {
    case 'add':
      w.uint32(tag(1, bytes)).fork();
      text(w, 1, request.uid);
      w.uint32(tag(2, bytes)).fork();
      text(w, 1, request.info.name);
      text(w, 2, request.info.namespace);
      text(w, 3, request.info.serviceAccount);
      w.ldelim().ldelim();
      break;
    case 'del':
      w.uint32(tag(2, bytes)).fork();
      text(w, 2, request.uid); // Field 2: Istio's DelWorkload has no field 1.
      w.ldelim();
      break;
    case 'snapshotSent':
      w.uint32(tag(3, bytes)).uint32(0);
      break;
    case 'keep':
      w.uint32(tag(5, bytes)).fork();
      text(w, 1, request.uid);
      w.ldelim();
      break;
  }
  const packet = w.finish();
  if (packet.length > maxZdsPacket) {
    throw new MeshError('PROTOCOL', `ZDS ${request.kind} is ${packet.length} bytes long, at most ${maxZdsPacket} fit`);
  }
  return packet;
}

export function decodeRequest(packet: Uint8Array): Decoded<ZdsRequest> {
  return decode(packet, (fields) => {
    const last = fields.lastOf([1, 2, 3, 5]);
    switch (last?.number) {
      case 1: {
        const info = last.message.message(2);
        if (info === undefined) throw new Malformed('add has no workload_info');
        return { kind: 'add', uid: uid(last.message, 1), info: workloadInfo(info) };
      }
      case 2:
        return { kind: 'del', uid: uid(last.message, 2) };
      case 3:
        return { kind: 'snapshotSent' };
      case 5:
        return { kind: 'keep', uid: uid(last.message, 1) };
      default:
        throw new Malformed('request holds none of add, del, snapshot_sent and keep');
    }
  });
}

/** An error that does not fit is cut at a character. */
export function encodeAck(ack: ZdsAck): Uint8Array {
  const w = protobuf.Writer.create().uint32(tag(1, bytes)).fork();
  text(w, 1, cut(ack.error, maxZdsPacket - 8)); // Two tags and two lengths of up to three bytes.
  return w.ldelim().finish();
}

export function decodeAck(packet: Uint8Array): Decoded<ZdsAck> {
  return decode(packet, (fields) => {
    const ack = fields.message(1);
    if (ack === undefined) throw new Malformed('response holds no ack');
    return { error: ack.text(1) };
  });
}

function workloadInfo(fields: Fields): WorkloadInfo {
  return { name: fields.text(1), namespace: fields.text(2), serviceAccount: fields.text(3) };
}

function uid(fields: Fields, number: number): string {
  const value = fields.text(number);
  if (value === '') throw new Malformed('uid is empty');
  return value;
}

const varint = 0;
const bytes = 2;
type Wire = typeof varint | typeof bytes;

function tag(field: number, wire: Wire): number {
  return (field << 3) | wire;
}

/** proto3 leaves a default value out. */
function text(w: protobuf.Writer, field: number, value: string): void {
  if (value !== '') w.uint32(tag(field, bytes)).string(value);
}

/** The longest start of `value` of at most `limit` bytes of UTF-8. */
function cut(value: string, limit: number): string {
  const room = new Uint8Array(limit);
  const { read } = new TextEncoder().encodeInto(value, room);
  return value.slice(0, read);
}

class Malformed extends Error {}

function decode<T>(packet: Uint8Array, read: (fields: Fields) => T): Decoded<T> {
  if (packet.length > maxZdsPacket) {
    return { kind: 'malformed', reason: `packet has ${packet.length} bytes, at most ${maxZdsPacket} are allowed` };
  }
  try {
    return { kind: 'ok', value: read(new Fields(packet)) };
  } catch (e) {
    // protobufjs reports truncation as RangeError and a bad wire type or group as Error; neither is our bug.
    return { kind: 'malformed', reason: e instanceof Malformed ? e.message : `not a protobuf message: ${String(e)}` };
  }
}

/** The fields of one message; for a field that is repeated the last one counts, as protobuf says for singular fields. */
class Fields {
  readonly #values = new Map<number, number | Uint8Array>();

  constructor(message: Uint8Array) {
    const reader = protobuf.Reader.create(message);
    while (reader.pos < reader.len) {
      const key = reader.uint32();
      const number = key >>> 3;
      if (number === 0) throw new Malformed('field number 0');
      // Deleting first makes the map's order the order of last occurrence, which decides a oneof.
      this.#values.delete(number);
      if ((key & 7) === varint) this.#values.set(number, Number(reader.uint32()));
      else if ((key & 7) === bytes) this.#values.set(number, reader.bytes());
      else reader.skipType(key & 7);
    }
  }

  number(field: number): number {
    const value = this.#values.get(field) ?? 0;
    if (typeof value !== 'number') throw new Malformed(`field ${field} is not a number`);
    return value;
  }

  text(field: number): string {
    const value = this.#bytes(field);
    if (value === undefined) return '';
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
    } catch {
      throw new Malformed(`field ${field} is not UTF-8`);
    }
  }

  message(field: number): Fields | undefined {
    const value = this.#bytes(field);
    return value && new Fields(value);
  }

  lastOf(candidates: readonly number[]): { readonly number: number; readonly message: Fields } | undefined {
    const number = [...this.#values.keys()].findLast((n) => candidates.includes(n));
    return number === undefined ? undefined : { number, message: this.message(number)! };
  }

  #bytes(field: number): Uint8Array | undefined {
    const value = this.#values.get(field);
    if (typeof value === 'number') throw new Malformed(`field ${field} is a number`);
    return value;
  }
}
