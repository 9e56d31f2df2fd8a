/**
 * Bytes of ZDS (package `istio.workload.zds`, ambient-wire 6.4): one protobuf message is one packet, without a length
 * prefix, of at most 1,024 bytes. The other side may be Istio's.
 */
import { type PbMessage, workloadRequestMessage, workloadResponseMessage, zdsHelloMessage } from '../api/messages.ts';
import { MeshError } from '../core/errors.ts';
import type { ZdsAck, ZdsRequest } from './types.ts';

/** Bytes; Istio's agent and proxy read into buffers of this size. */
export const maxZdsPacket = 1024;

export type Decoded<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'malformed'; readonly reason: string };

/** ztunnel's first packet. */
export function encodeHello(): Uint8Array {
  return zdsHelloMessage.encode({ version: 1 });
}

/** Malformed unless the version is V1, the only one there is. */
export function decodeHello(packet: Uint8Array): Decoded<{ readonly version: 1 }> {
  return decode(zdsHelloMessage, packet, ({ version }) => {
    if (version !== 1) throw new Malformed(`hello has version ${version}, expected 1`);
    return { version };
  });
}

/** Throws MeshError PROTOCOL when the names are so long that the packet would exceed 1,024 bytes. */
export function encodeRequest(request: ZdsRequest): Uint8Array {
  const packet = workloadRequestMessage.encode(wire(request));
  if (packet.length > maxZdsPacket) {
    throw new MeshError('PROTOCOL', `ZDS ${request.kind} is ${packet.length} bytes long, at most ${maxZdsPacket} fit`);
  }
  return packet;
}

export function decodeRequest(packet: Uint8Array): Decoded<ZdsRequest> {
  return decode(workloadRequestMessage, packet, (message): ZdsRequest => {
    switch (message.payload) {
      case 'add': {
        const { uid, workloadInfo } = message.add!;
        if (workloadInfo === null) throw new Malformed('add has no workload_info');
        const { name, namespace, serviceAccount } = workloadInfo;
        return { kind: 'add', uid: checkUid(uid), info: { name, namespace, serviceAccount } };
      }
      case 'keep':
        return { kind: 'keep', uid: checkUid(message.keep!.uid) };
      case 'del':
        return { kind: 'del', uid: checkUid(message.del!.uid) };
      case 'snapshotSent':
        return { kind: 'snapshotSent' };
      default:
        throw new Malformed('request holds none of add, keep, del and snapshot_sent');
    }
  });
}

/** An error that does not fit is cut at a character. */
export function encodeAck(ack: ZdsAck): Uint8Array {
  // Two tags and two lengths of up to two bytes go around it.
  return workloadResponseMessage.encode({ ack: { error: cut(ack.error, maxZdsPacket - 6) } });
}

export function decodeAck(packet: Uint8Array): Decoded<ZdsAck> {
  return decode(workloadResponseMessage, packet, ({ ack }) => {
    if (ack === null) throw new Malformed('response holds no ack');
    return { error: ack.error };
  });
}

function wire(request: ZdsRequest): Parameters<typeof workloadRequestMessage.encode>[0] {
  switch (request.kind) {
    case 'add':
      return { add: { uid: request.uid, workloadInfo: request.info } };
    case 'keep':
      return { keep: { uid: request.uid } };
    case 'del':
      return { del: { uid: request.uid } };
    case 'snapshotSent':
      return { snapshotSent: {} };
  }
}

class Malformed extends Error {}

function decode<P, T>(message: PbMessage<P>, packet: Uint8Array, check: (decoded: P) => T): Decoded<T> {
  if (packet.length > maxZdsPacket) {
    return { kind: 'malformed', reason: `packet has ${packet.length} bytes, at most ${maxZdsPacket} are allowed` };
  }
  let decoded: P;
  try {
    decoded = message.decode(packet);
  } catch (e) {
    return { kind: 'malformed', reason: `packet is not the expected message: ${(e as Error).message}` };
  }
  try {
    return { kind: 'ok', value: check(decoded) };
  } catch (e) {
    if (e instanceof Malformed) return { kind: 'malformed', reason: e.message };
    throw e;
  }
}

function checkUid(uid: string): string {
  if (uid === '') throw new Malformed('uid is empty');
  return uid;
}

/** The longest start of `value` of at most `limit` bytes of UTF-8. */
function cut(value: string, limit: number): string {
  const { read } = new TextEncoder().encodeInto(value, new Uint8Array(limit));
  return value.slice(0, read);
}
