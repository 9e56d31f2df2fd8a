/**
 * The text by which a client names its host: base64 of the host's address, or of a message of Envoy's that also has the time at which
 * the session ends. Clients may write anything: what cannot be read names no host.
 */

export interface Session {
  /** As `Host.key`. */
  readonly address: string;
  /** Seconds since 1970; 0: none. */
  readonly expires: number;
}

/** undefined: it is not base64 as Envoy writes it, or of nothing. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 0 || bytes.toString('base64') !== text ? undefined : bytes;
}

const [addressField, expiresField] = [1, 2];

/** Message `envoy.Cookie`. */
export function encodeSession({ address, expires }: Session): Buffer {
  const text = Buffer.from(address, 'latin1');
  const parts = [Buffer.from([(addressField << 3) | 2]), varint(text.length), text];
  if (expires > 0) parts.push(Buffer.from([expiresField << 3]), varint(expires));
  return Buffer.concat(parts);
}

/** undefined: the bytes are no such message. */
export function decodeSession(bytes: Buffer): Session | undefined {
  let [address, expires] = ['', 0];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    if (tag === undefined) return undefined;
    const [field, type] = [tag.value >>> 3, tag.value & 7];
    at = tag.end;
    if (field === 0) return undefined;
    switch (type) {
      case 0: {
        const value = readVarint(bytes, at);
        if (value === undefined) return undefined;
        if (field === expiresField) expires = value.value;
        at = value.end;
        break;
      }
      case 1:
      case 5:
        at += type === 1 ? 8 : 4;
        break;
      case 2: {
        const length = readVarint(bytes, at);
        if (length === undefined) return undefined;
        at = length.end + length.value;
        if (field === addressField) address = bytes.toString('latin1', length.end, at);
        break;
      }
      default:
        return undefined;
    }
    if (at > bytes.length) return undefined;
  }
  return { address, expires };
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** undefined: it does not end within the bytes, or is longer than 10 of them. */
function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let i = 0; i < 10 && from + i < bytes.length; i++) {
    const byte = bytes[from + i]!;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value, end: from + i + 1 };
  }
  return undefined;
}
