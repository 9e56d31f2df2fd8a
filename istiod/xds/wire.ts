/**
 * Responses of xDS as bytes, written once for all clients that get the same. By hand, because protobufjs would first build an
 * object a resource; ambient-wire 3.5 has the numbers.
 */
import { messageInFrame } from '../ports/frame.ts';

export interface WireResource {
  readonly name: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly value: Uint8Array;
}

export interface WireDelta {
  readonly typeUrl: string;
  readonly nonce: string;
  /** As `encodeResource` gives them. */
  readonly resources: readonly Uint8Array[];
  readonly removed: readonly string[];
}

/** A DeltaDiscoveryResponse. */
export function encodeDelta({ typeUrl, nonce, resources, removed }: WireDelta): Buffer {
  let size = stringSize(typeUrl) + stringSize(nonce);
  for (const r of resources) size += bytesSize(r.length);
  for (const name of removed) size += stringSize(name);
  const out = new Out(messageInFrame(size));
  for (const r of resources) out.raw(2, r);
  out.string(4, typeUrl);
  out.string(5, nonce);
  for (const name of removed) out.string(6, name);
  return out.bytes;
}

export interface WireState {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly versionInfo: string;
  readonly values: readonly Uint8Array[];
  /** Who answers, as JSON: istioctl reads it. */
  readonly controlPlane: string;
  /** Of the values, where it differs from the response's. */
  readonly valueType?: string;
}

/** A DiscoveryResponse. */
export function encodeState({ typeUrl, nonce, versionInfo, values, controlPlane, valueType }: WireState): Buffer {
  const type = Buffer.from(valueType ?? typeUrl);
  const bodies = values.map((v) => bytesSize(type.length) + bytesSize(v.length));
  const plane = stringSize(controlPlane);
  let size = stringSize(typeUrl) + stringSize(nonce) + stringSize(versionInfo) + 1 + lengthSize(plane) + plane;
  for (const body of bodies) size += 1 + lengthSize(body) + body;
  const out = new Out(messageInFrame(size));
  out.string(1, versionInfo);
  for (let i = 0; i < values.length; i++) {
    out.head(2, bodies[i]!);
    out.raw(1, type);
    out.raw(2, values[i]!);
  }
  out.string(4, typeUrl);
  out.string(5, nonce);
  out.head(6, plane);
  out.string(1, controlPlane);
  return out.bytes;
}

/** A Resource inside of a DeltaDiscoveryResponse, with its value as an Any of that type. */
export function encodeResource({ name, version, aliases, value }: WireResource, type: string): Uint8Array {
  const any = stringSize(type) + bytesSize(value.length);
  let size = stringSize(version) + 1 + lengthSize(any) + any + stringSize(name);
  for (const alias of aliases) size += stringSize(alias);
  const out = new Out(Buffer.allocUnsafe(size));
  out.string(1, version);
  out.head(2, any);
  out.string(1, type);
  out.raw(2, value);
  out.string(3, name);
  for (const alias of aliases) out.string(4, alias);
  return out.bytes;
}

function stringSize(text: string): number {
  return bytesSize(Buffer.byteLength(text));
}

/** Of a field with one byte of tag. */
function bytesSize(length: number): number {
  return 1 + lengthSize(length) + length;
}

function lengthSize(length: number): number {
  let size = 1;
  for (let rest = length >>> 7; rest > 0; rest >>>= 7) size++;
  return size;
}

/** Length-delimited fields of a message whose size is known. */
class Out {
  readonly bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  head(field: number, length: number): void {
    this.bytes[this.#at++] = (field << 3) | 2;
    let rest = length;
    for (; rest > 127; rest >>>= 7) this.bytes[this.#at++] = (rest & 127) | 128;
    this.bytes[this.#at++] = rest;
  }

  raw(field: number, value: Uint8Array): void {
    this.head(field, value.length);
    this.bytes.set(value, this.#at);
    this.#at += value.length;
  }

  string(field: number, text: string): void {
    this.head(field, Buffer.byteLength(text));
    this.#at += this.bytes.write(text, this.#at);
  }
}

/**
 * The Workload inside an Address, without a copy; undefined where it is a Service. Both are the oneof's only field, so the bytes
 * begin with its tag.
 */
export function workloadOf(address: Uint8Array): Uint8Array | undefined {
  if (address[0] !== ((1 << 3) | 2)) return undefined;
  let at = 1;
  while (address[at]! & 128) at++;
  return address.subarray(at + 1);
}
