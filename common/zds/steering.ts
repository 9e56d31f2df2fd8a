/** Packets of the steering socket (common/zds/types.ts): JSON, at most 4,096 bytes, exactly the fields of the types. What reads them reads those of the same-node socket too. */
import type { Decoded } from './codec.ts';
import type { SteerAck, SteerPod } from './types.ts';

export const maxSteeringPacket = 4096;
/** Descriptors that a SteerPod carries. */
export const steeringFds = 4;

export function encodeSteering(message: SteerPod | SteerAck): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

export function decodeSteerPod(packet: Uint8Array): Decoded<SteerPod> {
  return decode(packet, (json) => {
    const o = record(json, 'packet', ['kind', 'id', 'uid', 'outbound', 'dnsUdp', 'dnsTcp']);
    literal(o['kind'], 'steer');
    return {
      kind: 'steer',
      id: id(o['id']),
      uid: uid(o['uid']),
      outbound: ports(o['outbound'], 'outbound'),
      dnsUdp: ports(o['dnsUdp'], 'dnsUdp'),
      dnsTcp: ports(o['dnsTcp'], 'dnsTcp'),
    };
  });
}

export function decodeSteerAck(packet: Uint8Array): Decoded<SteerAck> {
  return decode(packet, (json) => {
    const o = record(json, 'packet', ['kind', 'id', 'error']);
    literal(o['kind'], 'steered');
    const error = o['error'];
    if (typeof error !== 'string') throw new Malformed('error is not a string');
    return { kind: 'steered', id: id(o['id']), error };
  });
}

export class Malformed extends Error {}

export function decode<T>(packet: Uint8Array, read: (json: unknown) => T): Decoded<T> {
  if (packet.length > maxSteeringPacket) {
    return {
      kind: 'malformed',
      reason: `packet has ${packet.length} bytes, at most ${maxSteeringPacket} are allowed`,
    };
  }
  try {
    return { kind: 'ok', value: read(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(packet))) };
  } catch (e) {
    return { kind: 'malformed', reason: e instanceof Malformed ? e.message : 'packet is not JSON' };
  }
}

export function record(value: unknown, name: string, keys: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Malformed(`${name} is not an object`);
  }
  const unknown = Object.keys(value).find((k) => !keys.includes(k));
  if (unknown !== undefined) throw new Malformed(`${name} has the unknown field ${JSON.stringify(unknown)}`);
  return value as Record<string, unknown>;
}

function literal(value: unknown, expected: string): void {
  if (value !== expected) throw new Malformed(`kind is not "${expected}"`);
}

function id(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Malformed('id is not a whole number');
  return value as number;
}

export function uid(value: unknown): string {
  if (typeof value !== 'string' || value === '') throw new Malformed('uid is not a non-empty string');
  return value;
}

function ports(value: unknown, name: string): { readonly v4: number; readonly v6: number } {
  const o = record(value, name, ['v4', 'v6']);
  return { v4: port(o['v4'], `${name}.v4`), v6: port(o['v6'], `${name}.v6`) };
}

export function port(value: unknown, name: string): number {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 65_535) {
    throw new Malformed(`${name} is not a port from 1 to 65535`);
  }
  return value as number;
}
