/** What a TLS ClientHello says in plain text: SNI and ALPN (RFC 8446 4.1.2, 6066 3, 7301). */
import type { Look } from '../net/peek.ts';

export type Hello =
  | { readonly kind: 'tls'; readonly sni: string | undefined; readonly alpn: readonly string[] }
  | { readonly kind: 'plain' };

const plain: Look<Hello> = { kind: 'done', found: { kind: 'plain' }, consumed: 0 };
const more = { kind: 'more' } as const;
const handshakeRecord = 22;
const clientHello = 1;

/** Consumes nothing. Whatever is no ClientHello counts as plain. */
export function inspectHello(bytes: Buffer): Look<Hello> {
  if (bytes.length > 0 && bytes[0] !== handshakeRecord) return plain;
  if (bytes.length > 1 && bytes[1] !== 3) return plain;
  const hello: Buffer[] = [];
  let got = 0;
  // The hello may be cut into several records.
  for (let at = 0; ; ) {
    if (bytes.length < at + 5) return more;
    if (bytes[at] !== handshakeRecord) return plain;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0 || length > 16_384) return plain;
    const part = bytes.subarray(at + 5, at + 5 + length);
    hello.push(part);
    got += part.length;
    const whole = wanted(hello);
    if (whole !== undefined && got >= whole) return found(Buffer.concat(hello).subarray(0, whole));
    if (got >= 4 && whole === undefined) return plain;
    if (part.length < length) return more;
    at += 5 + length;
  }
}

/** Bytes of the handshake message with its head; undefined: not known yet, or no ClientHello. */
function wanted(parts: readonly Buffer[]): number | undefined {
  const head = parts[0]!.length >= 4 ? parts[0]! : Buffer.concat(parts);
  if (head.length < 4 || head[0] !== clientHello) return undefined;
  return 4 + head.readUIntBE(1, 3);
}

function found(hello: Buffer): Look<Hello> {
  try {
    return { kind: 'done', found: { kind: 'tls', ...readHello(new Reader(hello.subarray(4))) }, consumed: 0 };
  } catch (e) {
    if (e instanceof RangeError) return plain;
    throw e;
  }
}

function readHello(hello: Reader): { sni: string | undefined; alpn: readonly string[] } {
  // Version and random.
  hello.take(34);
  hello.vector(1);
  hello.vector(2);
  hello.vector(1);
  let sni: string | undefined;
  let alpn: readonly string[] = [];
  if (hello.left === 0) return { sni, alpn };
  const extensions = hello.vector(2);
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type === 0) sni = readNames(body);
    else if (type === 16) alpn = readProtocols(body.vector(2));
  }
  return { sni, alpn };
}

function readNames(body: Reader): string | undefined {
  const list = body.vector(2);
  while (list.left > 0) {
    const type = list.number(1);
    const name = list.vector(2).rest().toString('latin1');
    // A name with other characters could forge what is logged or matched.
    if (type === 0) return /^[A-Za-z0-9._-]{1,255}$/.test(name) ? name.toLowerCase() : undefined;
  }
  return undefined;
}

function readProtocols(list: Reader): readonly string[] {
  const names: string[] = [];
  while (list.left > 0) names.push(list.vector(1).rest().toString('latin1'));
  return names;
}

/** RangeError past the end. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError('past the end');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  number(bytes: 1 | 2): number {
    return this.take(bytes).readUIntBE(0, bytes);
  }

  vector(lengthBytes: 1 | 2): Reader {
    return new Reader(this.take(this.number(lengthBytes)));
  }

  rest(): Buffer {
    return this.take(this.left);
  }
}
