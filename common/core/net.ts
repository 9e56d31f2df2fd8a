/**
 * IP addresses, CIDRs and socket addresses in canonical text form, which is also the form used as map keys:
 * dotted IPv4, RFC 5952 IPv6, and v4-mapped IPv6 always folded to IPv4 (ambient-wire 6.1).
 */
import ipaddr from 'ipaddr.js';
import type { Brand } from './brand.ts';

/** Canonical text of an IPv4 or IPv6 address. */
export type Ip = Brand<string, 'Ip'>;
/** TCP or UDP port, 1 to 65,535 (0 where the kernel shall choose). */
export type Port = Brand<number, 'Port'>;

export interface SocketAddr {
  readonly ip: Ip;
  readonly port: Port;
}

/** Prefix length is 0 to 32 (IPv4) or 0 to 128 (IPv6). */
export interface Cidr {
  readonly ip: Ip;
  readonly length: number;
}

const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Parses any textual address; undefined when it is none. Zone indices are refused. */
export function parseIp(text: string): Ip | undefined {
  // Not by ipaddr.js, which also reads 1-part and octal forms that no API of ours means; and this is on the way of each tunnel.
  if (!text.includes(':')) return ipv4.test(text) ? (text as Ip) : undefined;
  if (text.includes('%')) return undefined;
  const plain = text.includes('.') ? hexTail(text) : text;
  if (plain === undefined || !ipaddr.isValid(plain)) return undefined;
  return canonical(ipaddr.parse(plain));
}

/** Writes the dotted end of an IPv6 address in hexadecimal, since ipaddr.js takes `::1.2.3.4` for `::ffff:1.2.3.4`. */
function hexTail(text: string): string | undefined {
  const at = text.lastIndexOf(':') + 1;
  const tail = parseIp(text.slice(at));
  if (tail === undefined) return undefined;
  const [a, b, c, d] = ipToBytes(tail);
  return `${text.slice(0, at)}${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`;
}

/** 4 or 16 bytes in network order; undefined for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  return canonical(ipaddr.fromByteArray([...bytes]));
}

export function ipToBytes(ip: Ip): Uint8Array {
  return Uint8Array.from(isIpv6(ip) ? ipaddr.parse(ip).toByteArray() : ip.split('.').map(Number));
}

export function isIpv6(ip: Ip): boolean {
  return ip.includes(':');
}

export function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

/** The loopback address of the family that `ip` is of. */
export function loopbackOf(ip: Ip): Ip {
  return (isIpv6(ip) ? '::1' : '127.0.0.1') as Ip;
}

export function parsePort(value: number | string): Port | undefined {
  if (typeof value === 'string' && !/^\d{1,5}$/.test(value)) return undefined;
  const n = Number(value);
  return Number.isInteger(n) && n >= 0 && n <= 65_535 ? (n as Port) : undefined;
}

/** `1.2.3.4:80` or `[::1]:80`; undefined when either half does not parse. */
export function parseSocketAddr(text: string): SocketAddr | undefined {
  const m = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (!m) return undefined;
  const ip = parseIp((m[1] ?? m[2])!);
  const port = parsePort(m[3]!);
  if (ip === undefined || port === undefined) return undefined;
  if (m[1] !== undefined && !m[1].includes(':')) return undefined;
  return { ip, port };
}

export function formatSocketAddr(a: SocketAddr): string {
  return isIpv6(a.ip) ? `[${a.ip}]:${a.port}` : `${a.ip}:${a.port}`;
}

/** `10.0.0.0/8` or a bare address (full length). Host bits may be set, as Istio allows. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (ip === undefined) return undefined;
  const max = isIpv6(ip) ? 128 : 32;
  if (slash < 0) return { ip, length: max };
  const tail = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(tail) || Number(tail) > max) return undefined;
  return { ip, length: Number(tail) };
}

/** The CIDR by its first address. */
export function firstOf({ ip, length }: Cidr): Cidr {
  const bytes = ipToBytes(ip).map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))));
  return { ip: ipFromBytes(bytes)!, length };
}

/** `10.0.0.0/8`, always with the length. */
export function formatCidr(c: Cidr): string {
  return `${c.ip}/${c.length}`;
}

function canonical(a: ipaddr.IPv4 | ipaddr.IPv6): Ip {
  if (a instanceof ipaddr.IPv6) {
    return (a.isIPv4MappedAddress() ? a.toIPv4Address().toString() : a.toRFC5952String()) as Ip;
  }
  return a.toString() as Ip;
}
