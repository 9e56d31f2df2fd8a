/**
 * Reads captures of tcpdump (pcap file format, draft-ietf-opsawg-pcap): Ethernet and Linux cooked frames with IPv4, IPv6 and TCP.
 */
import { Buffer } from 'node:buffer';
import { formatSocketAddr, type Ip, ipFromBytes, type Port, type SocketAddr } from '../common/core/net.ts';

export interface TcpSegment {
  readonly source: SocketAddr;
  readonly destination: SocketAddr;
  readonly sequence: number;
  /** May be empty. */
  readonly payload: Uint8Array;
}

interface File {
  readonly linkType: number;
  readonly packets: readonly Buffer[];
}

const microseconds = 0xa1b2c3d4;
const nanoseconds = 0xa1b23c4d;

/** Bytes of every packet, link header included, in the order of the capture. Throws on a file that is no pcap. */
export function readPackets(pcap: Uint8Array): readonly Uint8Array[] {
  return parseFile(pcap).packets;
}

/** TCP segments in the order of the capture; what is not TCP is left out. Throws on a file that is no pcap. */
export function readTcp(pcap: Uint8Array): readonly TcpSegment[] {
  const { linkType, packets } = parseFile(pcap);
  return packets.flatMap((packet) => tcpOf(linkType, packet) ?? []);
}

/** How often the bytes occur: in packets that are not TCP, and in each direction of each TCP connection put together. */
export function countBytes(pcap: Uint8Array, needle: Uint8Array): number {
  if (needle.length === 0) return 0;
  const { linkType, packets } = parseFile(pcap);
  const others = packets.filter((packet) => tcpOf(linkType, packet) === undefined);
  return [...others, ...streams(readTcp(pcap)).flatMap((s) => s.runs.map((r) => Buffer.concat(r)))].reduce(
    (sum, bytes) => sum + occurrences(bytes, needle),
    0,
  );
}

/** TLS application data records (RFC 8446 section 5.1) in streams from or to this TCP port. */
export function countTlsRecords(pcap: Uint8Array, port: number): number {
  return streams(readTcp(pcap))
    .filter((s) => s.source.port === port || s.destination.port === port)
    .reduce((sum, s) => sum + s.runs.reduce((n, run) => n + applicationRecords(run), 0), 0);
}

interface Stream {
  readonly source: SocketAddr;
  readonly destination: SocketAddr;
  /** Segments without a gap between them; the capture of a connection may lack its beginning, or a packet. */
  readonly runs: readonly (readonly Uint8Array[])[];
}

function streams(segments: readonly TcpSegment[]): readonly Stream[] {
  const withPayload = segments.filter((s) => s.payload.length > 0);
  const byDirection = Map.groupBy(
    withPayload,
    (s) => `${formatSocketAddr(s.source)} ${formatSocketAddr(s.destination)}`,
  );
  return [...byDirection.values()].map((all) => ({
    source: all[0]!.source,
    destination: all[0]!.destination,
    runs: reassemble(all),
  }));
}

/** Retransmissions are dropped, and what came in the wrong order is put right. */
function reassemble(segments: readonly TcpSegment[]): Uint8Array[][] {
  const first = segments[0]!.sequence;
  // Signed distance modulo 2^32, so that numbers may wrap (RFC 9293 section 3.4).
  const placed = segments.map((s) => ({ at: (s.sequence - first) | 0, payload: s.payload }));
  placed.sort((a, b) => a.at - b.at);
  const runs: Uint8Array[][] = [];
  let end = Number.NaN;
  for (const { at, payload } of placed) {
    if (at > end || Number.isNaN(end)) {
      runs.push([payload]);
      end = at + payload.length;
      continue;
    }
    const fresh = payload.subarray(end - at);
    if (fresh.length === 0) continue;
    runs.at(-1)!.push(fresh);
    end += fresh.length;
  }
  return runs;
}

const recordHeader = 5;
const applicationData = 23;

/** Where a run does not begin with a record, or loses its place, the next segment that does is waited for. */
function applicationRecords(run: readonly Uint8Array[]): number {
  const bytes = Buffer.concat(run);
  const boundaries = run.map((_, i) => run.slice(0, i).reduce((sum, s) => sum + s.length, 0));
  let records = 0;
  let at = 0;
  for (;;) {
    while (at + recordHeader <= bytes.length && isRecord(bytes, at)) {
      if (bytes[at] === applicationData) records += 1;
      at += recordHeader + bytes.readUInt16BE(at + 3);
    }
    const next = boundaries.find((b) => b > at && b + recordHeader <= bytes.length && isRecord(bytes, b));
    if (at >= bytes.length || next === undefined) return records;
    at = next;
  }
}

/** Content types 20 to 23, version 3.1 or 3.3, at most 2^14 + 256 bytes. */
function isRecord(bytes: Buffer, at: number): boolean {
  const type = bytes[at]!;
  const version = bytes.readUInt16BE(at + 1);
  const length = bytes.readUInt16BE(at + 3);
  return type >= 20 && type <= 23 && (version === 0x0301 || version === 0x0303) && length > 0 && length <= 16_640;
}

function occurrences(bytes: Buffer, needle: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) count += 1;
  return count;
}

function parseFile(pcap: Uint8Array): File {
  const file = Buffer.from(pcap.buffer, pcap.byteOffset, pcap.byteLength);
  if (file.length < 24) throw new Error('not a pcap file: shorter than its header');
  const little = [microseconds, nanoseconds].includes(file.readUInt32LE(0));
  if (!little && ![microseconds, nanoseconds].includes(file.readUInt32BE(0))) {
    throw new Error('not a pcap file: unknown magic number');
  }
  const u32 = (at: number) => (little ? file.readUInt32LE(at) : file.readUInt32BE(at));
  const packets: Buffer[] = [];
  // tcpdump that was killed leaves part of a packet at the end.
  for (let at = 24; at + 16 <= file.length; ) {
    const length = u32(at + 8);
    if (at + 16 + length > file.length) break;
    packets.push(file.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  // The upper bits hold the length of a frame check sequence.
  return { linkType: u32(20) & 0x0fff_ffff, packets };
}

/** https://www.tcpdump.org/linktypes.html: number -> where the EtherType is, and where what it names begins. */
const linkTypes: Readonly<Record<number, { readonly type: number; readonly payload: number }>> = {
  1: { type: 12, payload: 14 },
  113: { type: 14, payload: 16 },
  276: { type: 0, payload: 20 },
};

function tcpOf(linkType: number, packet: Buffer): TcpSegment | undefined {
  const link = linkTypes[linkType];
  if (link === undefined) throw new Error(`link type ${linkType} is not read; capture Ethernet or Linux cooked frames`);
  if (packet.length < link.payload) return undefined;
  const body = packet.subarray(link.payload);
  const etherType = packet.readUInt16BE(link.type);
  if (etherType === 0x0800) return ipv4(body);
  if (etherType === 0x86dd) return ipv6(body);
  return undefined;
}

const tcpProtocol = 6;

function ipv4(packet: Buffer): TcpSegment | undefined {
  if (packet.length < 20 || packet[0]! >> 4 !== 4 || packet[9] !== tcpProtocol) return undefined;
  const header = (packet[0]! & 0x0f) * 4;
  // Short frames are padded: the header says where the packet ends. 0 stands for segmentation offload.
  const total = packet.readUInt16BE(2) || packet.length;
  return tcp(packet.subarray(header, total), packet.subarray(12, 16), packet.subarray(16, 20));
}

function ipv6(packet: Buffer): TcpSegment | undefined {
  if (packet.length < 40 || packet[0]! >> 4 !== 6 || packet[6] !== tcpProtocol) return undefined;
  const total = packet.readUInt16BE(4) || packet.length - 40;
  return tcp(packet.subarray(40, 40 + total), packet.subarray(8, 24), packet.subarray(24, 40));
}

function tcp(segment: Buffer, source: Uint8Array, destination: Uint8Array): TcpSegment | undefined {
  if (segment.length < 20) return undefined;
  const from = ipFromBytes(source);
  const to = ipFromBytes(destination);
  if (from === undefined || to === undefined) return undefined;
  return {
    source: endpoint(from, segment.readUInt16BE(0)),
    destination: endpoint(to, segment.readUInt16BE(2)),
    sequence: segment.readUInt32BE(4),
    payload: segment.subarray((segment[12]! >> 4) * 4),
  };
}

function endpoint(ip: Ip, port: number): SocketAddr {
  return { ip, port: port as Port };
}
