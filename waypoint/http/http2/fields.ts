/** Header lists between Node's HTTP/2 and ours. */
import type { HeaderList } from '../message.ts';

export interface Fields {
  readonly pseudo: Pseudo;
  readonly headers: string[];
  readonly host: string | undefined;
}

/** Absent: not sent. */
export interface Pseudo {
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
  protocol: string | undefined;
  status: string | undefined;
}

/** `raw`: name, value, name, value as Node gives them. Cookies that were sent apart are one header again (RFC 9113 8.2.3). */
export function readFields(raw: readonly string[]): Fields {
  const pseudo: Pseudo = {
    method: undefined,
    scheme: undefined,
    authority: undefined,
    path: undefined,
    protocol: undefined,
    status: undefined,
  };
  const headers: string[] = [];
  let host: string | undefined;
  let cookie = -1;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    // nghttp2 refuses pseudo-headers that there are not.
    if (name.charCodeAt(0) === 58) pseudo[name.slice(1) as keyof Pseudo] = value;
    else if (name === 'host') host = value;
    else if (name === 'cookie' && cookie >= 0) headers[cookie] += `; ${value}`;
    else {
      if (name === 'cookie') cookie = headers.length + 1;
      headers.push(name, value);
    }
  }
  return { pseudo, headers, host };
}

/** Of a connection, which HTTP/2 has no place for. */
const ofConnection = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host']);

export function writeFields(pseudo: readonly string[], headers: HeaderList): string[] {
  const out = [...pseudo];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (!ofConnection.has(name) && (name !== 'te' || headers[i + 1] === 'trailers')) out.push(name, headers[i + 1]!);
  }
  return out;
}

/** For trailers, which Node takes as an object only. */
export function trailerObject(trailers: HeaderList): Record<string, string[]> {
  const out: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (let i = 0; i < trailers.length; i += 2) {
    const name = trailers[i]!;
    out[name] ??= [];
    out[name].push(trailers[i + 1]!);
  }
  return out;
}
