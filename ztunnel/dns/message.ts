/** DNS messages (RFC 1035, EDNS RFC 6891) as far as the proxy reads and writes them. Pure; never throws on a peer's bytes. */
import dns from 'dns-packet';
import type { NameRecord } from '../../common/dns/resolve.ts';

export const rcode = { noError: 0, formErr: 1, servFail: 2, notImp: 4 } as const;
export type Rcode = (typeof rcode)[keyof typeof rcode];

/** Bytes; what a client without EDNS takes over UDP (RFC 1035 2.3.4). */
export const plainUdpSize = 512;
/** Bytes; what we send at most over UDP, whatever the client offers, so as not to be fragmented or to amplify. */
export const maxUdpSize = 1232;
const headerSize = 12;

export interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  /** Byte for byte as asked, for the answer to repeat. */
  readonly question: Buffer;
  /** Lower case, without a final dot. */
  readonly name: string;
  /** For logs and metrics; types without a name of their own are `other`, so that their number is bounded. */
  readonly asked: string;
  /** `other`: always forwarded. */
  readonly type: 'A' | 'AAAA' | 'other';
  /** Payload size the client offers with EDNS, at least 512; undefined without EDNS. */
  readonly edns: { readonly size: number; readonly dnssecOk: boolean } | undefined;
}

export type Parsed =
  | { readonly kind: 'query'; readonly query: Query }
  /** Answer with this code. */
  | { readonly kind: 'error'; readonly id: number; readonly rcode: Rcode }
  /** Not even a header: nothing can be answered. */
  | { readonly kind: 'noise' };

export function parseQuery(bytes: Buffer): Parsed {
  if (bytes.length < headerSize) return { kind: 'noise' };
  const id = bytes.readUInt16BE(0);
  const flags = bytes.readUInt16BE(2);
  if (flags & 0x8000) return { kind: 'error', id, rcode: rcode.formErr };
  if ((flags >> 11) & 0xf) return { kind: 'error', id, rcode: rcode.notImp };
  let packet: dns.DecodedPacket;
  try {
    packet = dns.decode(bytes);
  } catch {
    return { kind: 'error', id, rcode: rcode.formErr };
  }
  const [question] = packet.questions ?? [];
  const end = questionEnd(bytes);
  const options = packet.additionals?.filter((a) => a.type === 'OPT') ?? [];
  if (!question || packet.questions?.length !== 1 || end === undefined || options.length > 1) {
    return { kind: 'error', id, rcode: rcode.formErr };
  }
  const [edns] = options;
  const raw = bytes.subarray(headerSize, end);
  const address = question.class === 'IN' && (question.type === 'A' || question.type === 'AAAA') && isPlain(raw);
  return {
    kind: 'query',
    query: {
      id,
      recursionDesired: packet.flag_rd,
      question: raw,
      name: question.name.toLowerCase().replace(/\.$/, ''),
      asked: question.type.startsWith('UNKNOWN') ? 'other' : question.type,
      type: address ? (question.type as 'A' | 'AAAA') : 'other',
      edns: edns && { size: Math.max(plainUdpSize, edns.udpPayloadSize), dnssecOk: edns.flag_do },
    },
  };
}

/** Labels may hold any byte; a dot inside of one, or what is no ASCII, is lost in text form. */
function isPlain(question: Buffer): boolean {
  for (let at = 0, length = question[0]!; length > 0; at += length + 1, length = question[at]!) {
    const label = question.subarray(at + 1, at + 1 + length);
    if (label.some((b) => b <= 0x20 || b >= 0x7f || b === 0x2e)) return false;
  }
  return true;
}

/** Header and nothing else: for what could not be read. */
export function errorReply(id: number, code: Rcode): Buffer {
  return dns.encode({ type: 'response', id, flags: code });
}

/** The code and the question, nothing more. */
export function failureReply(query: Query, code: Rcode): Buffer {
  return encodeReply(query, code, false, []);
}

/** Authoritative. No records: NOERROR all the same, never NXDOMAIN. */
export function recordsReply(query: Query, records: readonly NameRecord[]): Buffer {
  return encodeReply(query, rcode.noError, true, [...records]);
}

/** Cuts a reply that is too long for the client's UDP to header, question and TC, so that it asks again over TCP. */
export function fitUdp(query: Query, reply: Buffer): Buffer {
  const room = Math.min(maxUdpSize, query.edns?.size ?? plainUdpSize);
  if (reply.length <= room) return reply;
  return repeating(query, (reply.readUInt16BE(2) & 0x07ff) | dns.TRUNCATED_RESPONSE, [], []);
}

/** What a name server answered, as our answer: with the client's id, and without the authority that only the server has. */
export function forwardedReply(query: Query, reply: Buffer): Buffer {
  const ours = Buffer.from(reply);
  ours.writeUInt16BE(query.id, 0);
  ours.writeUInt16BE(ours.readUInt16BE(2) & ~dns.AUTHORITATIVE_ANSWER, 2);
  return ours;
}

/** A query of our own. */
export function addressQuery(name: string, type: 'A' | 'AAAA'): Buffer {
  const questions = [{ type, name }];
  return dns.encode({
    type: 'query',
    id: 0,
    flags: dns.RECURSION_DESIRED,
    questions,
    additionals: [opt(maxUdpSize, false)],
  });
}

function encodeReply(query: Query, code: Rcode, authoritative: boolean, answers: dns.Answer[]): Buffer {
  const flags =
    (authoritative ? dns.AUTHORITATIVE_ANSWER : 0) |
    (query.recursionDesired ? dns.RECURSION_DESIRED : 0) |
    dns.RECURSION_AVAILABLE |
    code;
  const { edns } = query;
  const additionals = edns ? [opt(edns.size, edns.dnssecOk)] : [];
  return repeating(query, flags, answers, additionals);
}

/** A response that repeats the question. The library compresses no names, so that what follows the header may be moved. */
function repeating(query: Query, flags: number, answers: dns.Answer[], additionals: dns.Answer[]): Buffer {
  const message = dns.encode({ type: 'response', id: query.id, flags, answers, additionals });
  message.writeUInt16BE(1, 4);
  return Buffer.concat([message.subarray(0, headerSize), query.question, message.subarray(headerSize)]);
}

function opt(udpPayloadSize: number, dnssecOk: boolean): dns.Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: dnssecOk ? dns.DNSSEC_OK : 0,
    flag_do: dnssecOk,
    options: [],
  };
}

/**
 * Whether a datagram answers what we asked: our id, a response, and the question we sent, byte by byte but for case
 * (RFC 5452 9.1). With the random source port that is what stands between a pod's resolver and a forger.
 */
export function answers(sent: Buffer, received: Buffer): boolean {
  if (received.length < headerSize || received.readUInt16BE(0) !== sent.readUInt16BE(0)) return false;
  if (!(received.readUInt16BE(2) & 0x8000)) return false;
  const end = questionEnd(sent);
  if (end === undefined || received.readUInt16BE(4) !== 1 || received.length < end) return false;
  return lowerAscii(sent.subarray(headerSize, end)).equals(lowerAscii(received.subarray(headerSize, end)));
}

/** Offset behind the one question of a query; a name in a question is never compressed. */
function questionEnd(message: Buffer): number | undefined {
  let at = headerSize;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at += 1 + length;
    if (length === 0) break;
  }
  return at + 4 <= message.length ? at + 4 : undefined;
}

function lowerAscii(bytes: Buffer): Buffer {
  return Buffer.from(bytes.map((b) => (b >= 0x41 && b <= 0x5a ? b + 0x20 : b)));
}
