/** Ranges of addresses as numbers. Pure. */
import { type Cidr, ipFromBytes, ipToBytes, isIpv6, parseIp } from '../../../../common/core/net.ts';

export type Family = 'IPv4' | 'IPv6';

export class AddressRange {
  readonly family: Family;
  readonly #base: bigint;
  readonly #bytes: number;
  readonly #length: number;

  constructor({ ip, length }: Cidr) {
    const bytes = ipToBytes(ip);
    this.family = isIpv6(ip) ? 'IPv6' : 'IPv4';
    this.#bytes = bytes.length;
    this.#length = length;
    const hostBits = BigInt(bytes.length * 8 - length);
    this.#base = (numberOf(bytes) >> hostBits) << hostBits;
  }

  /** Number of addresses; at most 2^20 of a larger range are used. */
  get size(): number {
    return 2 ** Math.min(this.#bytes * 8 - this.#length, 20);
  }

  /** Number of an address in the range; undefined outside. */
  offsetOf(text: string): number | undefined {
    const ip = parseIp(text);
    if (ip === undefined || isIpv6(ip) !== (this.family === 'IPv6')) return undefined;
    const offset = numberOf(ipToBytes(ip)) - this.#base;
    return offset >= 0n && offset < BigInt(this.size) ? Number(offset) : undefined;
  }

  addressOf(offset: number): string {
    return this.#text(this.#base + BigInt(offset));
  }

  /** Part number `index` when the range is cut into parts of this prefix length; undefined when there are fewer. */
  subnet(index: number, length: number): string | undefined {
    if (length < this.#length || BigInt(index) >= 1n << BigInt(length - this.#length)) return undefined;
    return `${this.#text(this.#base + (BigInt(index) << BigInt(this.#bytes * 8 - length)))}/${length}`;
  }

  /** The text of `subnet` for a range given as CIDR; undefined when it is none of them. */
  indexOfSubnet(cidr: string): number | undefined {
    const slash = cidr.indexOf('/');
    const ip = parseIp(cidr.slice(0, slash));
    const length = Number(cidr.slice(slash + 1));
    if (ip === undefined || isIpv6(ip) !== (this.family === 'IPv6') || length < this.#length) return undefined;
    const offset = numberOf(ipToBytes(ip)) - this.#base;
    const index = offset >> BigInt(this.#bytes * 8 - length);
    return offset >= 0n && index < 1n << BigInt(length - this.#length) ? Number(index) : undefined;
  }

  #text(value: bigint): string {
    const bytes = new Uint8Array(this.#bytes);
    for (let i = this.#bytes - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
    return ipFromBytes(bytes)!;
  }
}

function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduce((n, b) => (n << 8n) | BigInt(b), 0n);
}
