/** The PROXY protocol of HAProxy, versions 1 and 2, from who is in front of a listener (ambient-wire 1.8). */
import { ipFromBytes, parseIp, parsePort } from '../../common/core/net.ts';
import type { Look } from '../net/peek.ts';
import type { Address } from '../request/view.ts';

export type ProxyHeader =
  | {
      readonly kind: 'proxied';
      readonly source: Address;
      readonly destination: Address;
      readonly tlvs: ReadonlyMap<number, Buffer>;
    }
  /** LOCAL or UNKNOWN: the connection's own addresses count. */
  | { readonly kind: 'local' }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' };

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
/** Of version 1, with its line end. */
const longestLine = 107;
const longestBinary = 4_096;

export function inspectProxyHeader(bytes: Buffer): Look<ProxyHeader> {
  const second = bytes.subarray(0, signature.length);
  if (second.equals(signature.subarray(0, second.length))) {
    return bytes.length < 16 ? { kind: 'more' } : readBinary(bytes);
  }
  const word = 'PROXY ';
  const text = bytes.toString('latin1', 0, longestLine);
  if (!text.startsWith(word.slice(0, Math.min(word.length, text.length)))) return found({ kind: 'none' }, 0);
  const end = text.indexOf('\r\n');
  if (end >= 0) return found(readLine(text.slice(0, end)), end + 2);
  return text.length < longestLine ? { kind: 'more' } : found({ kind: 'malformed' }, 0);
}

function found(header: ProxyHeader, consumed: number): Look<ProxyHeader> {
  return { kind: 'done', found: header, consumed };
}

function readLine(text: string): ProxyHeader {
  if (text === 'PROXY UNKNOWN' || text.startsWith('PROXY UNKNOWN ')) return { kind: 'local' };
  const parts = /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/.exec(text);
  if (!parts) return { kind: 'malformed' };
  const source = addressOf(parts[2]!, parts[4]!);
  const destination = addressOf(parts[3]!, parts[5]!);
  const family = (a: Address) => (a.address.includes(':') ? '6' : '4');
  if (!source || !destination || family(source) !== parts[1] || family(destination) !== parts[1]) {
    return { kind: 'malformed' };
  }
  return { kind: 'proxied', source, destination, tlvs: new Map() };
}

function addressOf(ip: string, port: string): Address | undefined {
  const address = parseIp(ip);
  const number = parsePort(port);
  return address === undefined || number === undefined ? undefined : { address, port: number };
}

function readBinary(bytes: Buffer): Look<ProxyHeader> {
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 15;
  const family = bytes[13]! >> 4;
  const length = bytes.readUInt16BE(14);
  if (version !== 2 || command > 1 || length > longestBinary) return found({ kind: 'malformed' }, 0);
  if (bytes.length < 16 + length) return { kind: 'more' };
  const body = bytes.subarray(16, 16 + length);
  const consumed = 16 + length;
  const size = family === 1 ? 4 : family === 2 ? 16 : 0;
  if (command === 0 || size === 0) return found({ kind: 'local' }, consumed);
  if ((bytes[13]! & 15) !== 1 || body.length < size * 2 + 4) return found({ kind: 'malformed' }, 0);
  const at = (from: number, port: number): Address => ({
    address: ipFromBytes(body.subarray(from, from + size))!,
    port: body.readUInt16BE(port),
  });
  const tlvs = readTlvs(body.subarray(size * 2 + 4));
  if (!tlvs) return found({ kind: 'malformed' }, 0);
  const [source, destination] = [at(0, size * 2), at(size, size * 2 + 2)];
  return found({ kind: 'proxied', source, destination, tlvs }, consumed);
}

function readTlvs(bytes: Buffer): ReadonlyMap<number, Buffer> | undefined {
  const tlvs = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length < at + 3) return undefined;
    const length = bytes.readUInt16BE(at + 1);
    if (bytes.length < at + 3 + length) return undefined;
    tlvs.set(bytes[at]!, bytes.subarray(at + 3, at + 3 + length));
    at += 3 + length;
  }
  return tlvs;
}
