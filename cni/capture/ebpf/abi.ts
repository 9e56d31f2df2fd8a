/**
 * The structs of bpf/include/abi.h as bytes, in the machine's byte order (all machines that we run on are little endian).
 * abi.test.ts compares sizes, offsets and names with what the compiled object says of itself.
 */
import type { NetnsCookie } from '../../../common/core/brand.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { type Ip, ipFromBytes, ipToBytes, isIpv6, type Port, type SocketAddr } from '../../../common/core/net.ts';
import type { CaptureWishes, DirectEvent, FlowEnds } from '../types.ts';

export const layout = {
  pod: { size: 112, ip4: 4, ip6: 20, outbound: 36, dnsUdp: 40, dnsTcp: 44, uid: 48 },
  podAddress: { size: 16, flags: 8 },
  listenerKey: { size: 20 },
  flow: { size: 48 },
  verdictKey: { size: 32 },
  verdict: { size: 24 },
  directFlow: { size: 32 },
  directEvent: { size: 96 },
} as const;

/** In the order of the counters map; also the names of the metric's label. */
export const counterNames = [
  'outbound_captured',
  'outbound_dns',
  'outbound_ztunnel',
  'outbound_local',
  'outbound_refused',
  'outbound_failed_open',
  'outbound_device_unbound',
  'inbound_hbone',
  'inbound_plaintext',
  'inbound_local',
  'inbound_known_flow',
  'inbound_direct',
  'inbound_refused',
  'inbound_failed_open',
  'inbound_unknown_address',
  'probe_flows',
] as const;

/** The same, of the same-node fast path. */
export const directCounterNames = [
  'same_node_direct',
  'same_node_let_in',
  'same_node_refused',
  'same_node_events_lost',
] as const;

const flags = { failOpen: 1, dnsUdp: 2, dnsTcp: 4, plaintextDirect: 8 } as const;
const uidBytes = layout.pod.size - layout.pod.uid;

export interface PodPorts {
  readonly v4: number;
  readonly v6: number;
}

export interface PodEntry {
  readonly uid: string;
  readonly failOpen: boolean;
  readonly ips: readonly Ip[];
  readonly outbound: PodPorts;
  readonly dnsUdp: PodPorts | undefined;
  readonly dnsTcp: PodPorts | undefined;
}

/** At most one address a family. Throws on what does not fit. */
export function encodePod(pod: PodEntry): Uint8Array {
  const b = Buffer.alloc(layout.pod.size);
  b.writeUInt32LE(
    (pod.failOpen ? flags.failOpen : 0) | (pod.dnsUdp ? flags.dnsUdp : 0) | (pod.dnsTcp ? flags.dnsTcp : 0),
    0,
  );
  for (const v6 of [false, true]) {
    const ips = pod.ips.filter((ip) => isIpv6(ip) === v6);
    if (ips.length > 1) {
      throw new MeshError(
        'CONFIG',
        `pod ${pod.uid} has ${ips.length} IPv${v6 ? 6 : 4} addresses (${ips.join(', ')}); one is possible`,
      );
    }
    if (ips[0] !== undefined) b.set(encodeIp(ips[0]), v6 ? layout.pod.ip6 : layout.pod.ip4);
  }
  writePorts(b, layout.pod.outbound, pod.outbound);
  if (pod.dnsUdp) writePorts(b, layout.pod.dnsUdp, pod.dnsUdp);
  if (pod.dnsTcp) writePorts(b, layout.pod.dnsTcp, pod.dnsTcp);
  const uid = Buffer.from(pod.uid);
  if (uid.length === 0 || uid.length >= uidBytes || uid.includes(0)) {
    throw new MeshError('CONFIG', `pod uid "${pod.uid}" must have 1 to ${uidBytes - 1} bytes and no NUL`);
  }
  b.set(uid, layout.pod.uid);
  return b;
}

export function decodePod(bytes: Uint8Array): PodEntry {
  const b = Buffer.from(bytes);
  const set = b.readUInt32LE(0);
  const uid = b.subarray(layout.pod.uid);
  return {
    uid: uid.subarray(0, uid.indexOf(0)).toString(),
    failOpen: (set & flags.failOpen) !== 0,
    ips: [layout.pod.ip4, layout.pod.ip6]
      .map((at) => b.subarray(at, at + 16))
      .filter((ip) => ip.some((x) => x !== 0))
      .map((ip) => ipFromBytes(ip)!),
    outbound: readPorts(b, layout.pod.outbound),
    dnsUdp: set & flags.dnsUdp ? readPorts(b, layout.pod.dnsUdp) : undefined,
    dnsTcp: set & flags.dnsTcp ? readPorts(b, layout.pod.dnsTcp) : undefined,
  };
}

export interface AddressEntry {
  readonly cookie: NetnsCookie;
  readonly failOpen: boolean;
  readonly plaintext: CaptureWishes['plaintext'];
}

export function encodeAddress({ cookie, failOpen, plaintext }: AddressEntry): Uint8Array {
  const b = Buffer.alloc(layout.podAddress.size);
  b.writeBigUInt64LE(cookie, 0);
  const set = (failOpen ? flags.failOpen : 0) | (plaintext === 'direct' ? flags.plaintextDirect : 0);
  b.writeUInt32LE(set, layout.podAddress.flags);
  return b;
}

export function encodeListenerKey(ip: Ip, kind: 'plaintext' | 'hbone'): Uint8Array {
  const b = Buffer.alloc(layout.listenerKey.size);
  b.set(encodeIp(ip), 0);
  b.writeUInt32LE(kind === 'hbone' ? 1 : 0, 16);
  return b;
}

/** `source`: the namespace that may connect to the target. */
export function encodeVerdictKey(source: NetnsCookie, target: SocketAddr): Uint8Array {
  const b = Buffer.alloc(layout.verdictKey.size);
  b.writeBigUInt64LE(source, 0);
  b.set(encodeIp(target.ip), 8);
  b.writeUInt16LE(target.port, 24);
  return b;
}

/** `until`: ns of the monotonic clock. */
export function encodeVerdict(id: bigint, until: bigint, destination: NetnsCookie): Uint8Array {
  const b = Buffer.alloc(layout.verdict.size);
  b.writeBigUInt64LE(id, 0);
  b.writeBigUInt64LE(until, 8);
  b.writeBigUInt64LE(destination, 16);
  return b;
}

export function decodeFlow(bytes: Uint8Array): FlowEnds {
  const b = Buffer.from(bytes);
  return {
    client: { ip: decodeIp(b.subarray(8, 24)), port: b.readUInt16LE(40) as Port },
    server: { ip: decodeIp(b.subarray(24, 40)), port: b.readUInt16LE(42) as Port },
  };
}

export interface DirectFlowEntry {
  readonly verdict: bigint;
  readonly cookie: bigint;
  /** The client's namespace. */
  readonly netns: NetnsCookie;
}

export function decodeDirectFlow(bytes: Uint8Array): DirectFlowEntry {
  const b = Buffer.from(bytes);
  return {
    verdict: b.readBigUInt64LE(0),
    cookie: b.readBigUInt64LE(8),
    netns: b.readBigUInt64LE(16) as NetnsCookie,
  };
}

/** TCP states (enum bpf_tcp_state in linux/bpf.h) which no orderly end is reached from. */
const cutShort = new Set([1, 3, 4, 8]);

export function decodeDirectEvent(bytes: Uint8Array): DirectEvent {
  const b = Buffer.from(bytes);
  const kind = b.readUInt32LE(88);
  return {
    ...decodeFlow(b.subarray(0, layout.flow.size)),
    kind: kind === 0 ? 'opened' : kind === 2 ? 'failed' : cutShort.has(b.readUInt32LE(92)) ? 'reset' : 'closed',
    netns: b.readBigUInt64LE(56) as NetnsCookie,
    ms: Number(b.readBigUInt64LE(64)) / 1e6,
    sent: Number(b.readBigUInt64LE(72)),
    received: Number(b.readBigUInt64LE(80)),
  };
}

function decodeIp(bytes: Uint8Array): Ip {
  return ipFromBytes(bytes)!;
}

/** 16 bytes; IPv4 in its v4-mapped form. */
export function encodeIp(ip: Ip): Uint8Array {
  const bytes = ipToBytes(ip);
  return bytes.length === 16 ? bytes : Buffer.concat([Buffer.from('00000000000000000000ffff', 'hex'), bytes]);
}

export function encodeU64(value: bigint): Uint8Array {
  const b = Buffer.alloc(8);
  b.writeBigUInt64LE(value);
  return b;
}

export function encodeU32(value: number): Uint8Array {
  const b = Buffer.alloc(4);
  b.writeUInt32LE(value);
  return b;
}

export function decodeCookie(bytes: Uint8Array): NetnsCookie {
  return Buffer.from(bytes).readBigUInt64LE() as NetnsCookie;
}

/** Adds up the CPUs of one counter. */
export function sumCounter(bytes: Uint8Array): number {
  const b = Buffer.from(bytes);
  let sum = 0n;
  for (let at = 0; at < b.length; at += 8) sum += b.readBigUInt64LE(at);
  return Number(sum);
}

function writePorts(b: Buffer, at: number, ports: PodPorts): void {
  b.writeUInt16LE(ports.v4, at);
  b.writeUInt16LE(ports.v6, at + 2);
}

function readPorts(b: Buffer, at: number): PodPorts {
  return { v4: b.readUInt16LE(at), v6: b.readUInt16LE(at + 2) };
}
