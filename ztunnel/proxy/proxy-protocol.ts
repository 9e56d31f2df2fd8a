/**
 * The header by which an app learns whom it is called by and what for (PROXY protocol 2, haproxy.org's proxy-protocol.txt 2.2;
 * ambient-wire 1.8). Only written: nobody sends us one.
 */
import { type Ip, ipToBytes, isIpv6, type SocketAddr } from '../../common/core/net.ts';

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Version 2 in the upper half, command PROXY in the lower. */
const versionAndCommand = 0x21;
/** Address family in the upper half, STREAM in the lower. */
const tcp4 = 0x11;
const tcp6 = 0x21;
/** Istio's own TLV: the client's SPIFFE id as text. */
const sourceIdentity = 0xd0;

export interface ProxyHeader {
  readonly source: SocketAddr;
  readonly destination: SocketAddr;
  /** `spiffe://...`, at most 2,048 bytes; undefined where nobody proved one. */
  readonly spiffe: string | undefined;
}

/** A client and a destination of different families are both written as IPv6. */
export function proxyHeader({ source, destination, spiffe }: ProxyHeader): Buffer {
  const v4 = !isIpv6(source.ip) && !isIpv6(destination.ip);
  const bytes = v4 ? ipToBytes : asIpv6;
  const identity = spiffe === undefined ? Buffer.alloc(0) : tlv(sourceIdentity, Buffer.from(spiffe));
  const body = Buffer.concat([
    bytes(source.ip),
    bytes(destination.ip),
    bigEndian(source.port),
    bigEndian(destination.port),
    identity,
  ]);
  return Buffer.concat([signature, Buffer.of(versionAndCommand, v4 ? tcp4 : tcp6), bigEndian(body.length), body]);
}

function asIpv6(ip: Ip): Uint8Array {
  const bytes = ipToBytes(ip);
  return isIpv6(ip) ? bytes : Buffer.concat([Buffer.alloc(10), Buffer.of(0xff, 0xff), bytes]);
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), bigEndian(value.length), value]);
}

function bigEndian(n: number): Buffer {
  return Buffer.of(n >> 8, n & 0xff);
}
