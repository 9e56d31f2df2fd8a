/** SOCKS version 5 (RFC 1928) as far as we serve it: CONNECT, without authentication. Pure; never throws on a peer's bytes. */
import { type ErrorCode, MeshError } from '../../common/core/errors.ts';
import { ipFromBytes, type Port, parseIp, type SocketAddr } from '../../common/core/net.ts';
import { parseAuthority } from '../../common/hbone/headers.ts';

const version = 5;
const connect = 1;
const addressType = { ipv4: 1, name: 3, ipv6: 4 } as const;
/** The methods of authentication that concern us, of RFC 1928 3. */
const method = { none: 0, noneAcceptable: 0xff } as const;

/** Codes of RFC 1928 6. */
export const reply = {
  succeeded: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  commandUnknown: 7,
  addressTypeUnknown: 8,
} as const;
export type Reply = (typeof reply)[keyof typeof reply];

/** Bytes; the longest greeting and the longest request. */
export const longestGreeting = 2 + 255;
export const longestRequest = 4 + 1 + 255 + 2;

export type Target =
  | { readonly kind: 'address'; readonly address: SocketAddr }
  | { readonly kind: 'name'; readonly name: string; readonly port: Port };

/** What the bytes so far say. `size` is how many of them were the message. */
export type Greeting =
  | { readonly kind: 'partial' }
  | { readonly kind: 'greeting'; readonly size: number }
  /** `answer` tells a client of SOCKS 5 that none of its methods will do; other clients get none. */
  | { readonly kind: 'malformed'; readonly reason: string; readonly answer: Buffer | undefined };

export type Request =
  | { readonly kind: 'partial' }
  | { readonly kind: 'request'; readonly target: Target; readonly size: number }
  | { readonly kind: 'malformed'; readonly reason: string; readonly code: Reply };

export const greetingAccepted = Buffer.of(version, method.none);

export function readGreeting(bytes: Buffer): Greeting {
  if (bytes.length === 0) return { kind: 'partial' };
  if (bytes[0] !== version) {
    return {
      kind: 'malformed',
      reason: `it speaks version ${bytes[0]} of SOCKS, or something else`,
      answer: undefined,
    };
  }
  const size = 2 + (bytes[1] ?? 0);
  if (bytes.length < 2 || bytes.length < size) return { kind: 'partial' };
  if (bytes.subarray(2, size).includes(method.none)) return { kind: 'greeting', size };
  const answer = Buffer.of(version, method.noneAcceptable);
  return { kind: 'malformed', reason: 'it offers no method without authentication', answer };
}

export function readRequest(bytes: Buffer): Request {
  const malformed = (reason: string, code: Reply): Request => ({ kind: 'malformed', reason, code });
  const [v, command, reserved, type, length] = bytes;
  if (v !== undefined && v !== version) return malformed(`its request is of version ${v}`, reply.failure);
  if (command !== undefined && command !== connect) {
    return malformed(`command ${command} is not supported, only CONNECT is`, reply.commandUnknown);
  }
  if (reserved !== undefined && reserved !== 0) return malformed('the reserved byte is not 0', reply.failure);
  if (type === undefined) return { kind: 'partial' };
  const at = type === addressType.name ? 5 : 4;
  const addressSize = sizeOf(type, length);
  if (addressSize === 'unknown') return malformed(`address type ${type} does not exist`, reply.addressTypeUnknown);
  if (addressSize === 'partial' || bytes.length < at + addressSize + 2) return { kind: 'partial' };
  const address = bytes.subarray(at, at + addressSize);
  const port = bytes.readUInt16BE(at + addressSize) as Port;
  if (port === 0) return malformed('port 0 is no destination', reply.failure);
  const size = at + addressSize + 2;
  if (type !== addressType.name) {
    return { kind: 'request', target: { kind: 'address', address: { ip: ipFromBytes(address)!, port } }, size };
  }
  const target = named(address.toString('latin1'), port);
  return target ? { kind: 'request', target, size } : malformed('its destination is no host name', reply.failure);
}

function sizeOf(type: number, length: number | undefined): number | 'partial' | 'unknown' {
  switch (type) {
    case addressType.ipv4:
      return 4;
    case addressType.ipv6:
      return 16;
    case addressType.name:
      return length ?? 'partial';
    default:
      return 'unknown';
  }
}

/** Many clients put addresses into the field for names. */
function named(text: string, port: Port): Target | undefined {
  const ip = parseIp(text);
  if (ip !== undefined) return { kind: 'address', address: { ip, port } };
  const authority = parseAuthority(`${text}:${port}`);
  return authority?.kind === 'hostname' ? { kind: 'name', name: authority.hostname, port } : undefined;
}

/** The address that we call from is nobody's business: 0.0.0.0:0. */
export function formatReply(code: Reply): Buffer {
  return Buffer.of(version, code, 0, addressType.ipv4, 0, 0, 0, 0, 0, 0);
}

const byCode: Partial<Record<ErrorCode, Reply>> = {
  LOOP: reply.notAllowed,
  NO_HEALTHY_UPSTREAM: reply.hostUnreachable,
  CONNECT_TIMEOUT: reply.hostUnreachable,
  CONNECT_FAILED: reply.refused,
  TUNNEL_REFUSED: reply.refused,
};
const byErrno: Readonly<Record<string, Reply>> = {
  ENETUNREACH: reply.networkUnreachable,
  EHOSTUNREACH: reply.hostUnreachable,
};

/** What a client is told of a failure. */
export function replyTo(error: unknown): Reply {
  if (!(error instanceof MeshError)) return reply.failure;
  const errno = (error.cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  return byErrno[errno] ?? byCode[error.code] ?? reply.failure;
}
