/** Heads of requests and responses of the fields that a peer sent (RFC 9113 8.1 to 8.3, 8.5; RFC 8441). */
import type { HeaderList, RequestHead, ResponseHead } from '../message.ts';
import type { Field } from './hpack/field.ts';

/** What a head that breaks a rule is refused with. */
export class MalformedHead extends Error {}

interface Parts {
  method: string | undefined;
  path: string | undefined;
  authority: string | undefined;
  scheme: string | undefined;
  status: string | undefined;
  protocol: string | undefined;
  host: string | undefined;
  /** Of Content-Length. */
  length: number | undefined;
  headers: string[];
}

function read(fields: readonly Field[], kind: 'request' | 'response' | 'trailers'): Parts {
  const parts: Parts = {
    method: undefined,
    path: undefined,
    authority: undefined,
    scheme: undefined,
    status: undefined,
    protocol: undefined,
    host: undefined,
    length: undefined,
    headers: [],
  };
  const { headers } = parts;
  let cookie = -1;
  for (const field of fields) {
    const { name, value, role } = field;
    switch (role) {
      case 'other':
        headers.push(name, value);
        break;
      case 'method':
      case 'path':
      case 'authority':
      case 'scheme':
      case 'protocol':
      case 'status':
        if ((role === 'status') !== (kind === 'response') || kind === 'trailers') throw new MalformedHead(name);
        if (parts[role] !== undefined) throw new MalformedHead(`${name} twice`);
        // A host is no header here, but one of the request's.
        if (headers.length > 0 || parts.host !== undefined) throw new MalformedHead(`${name} behind a header`);
        parts[role] = value;
        break;
      case 'cookie':
        // Sent apart they are one header all the same (RFC 9113 8.2.3).
        if (cookie >= 0) headers[cookie] += `; ${value}`;
        else {
          cookie = headers.length + 1;
          headers.push(name, value);
        }
        break;
      case 'host':
        if (kind !== 'request') headers.push(name, value);
        else if (parts.host !== undefined) throw new MalformedHead('two hosts');
        else parts.host = value;
        break;
      case 'length':
        if (parts.length !== undefined || kind === 'trailers' || !/^\d{1,15}$/.test(value))
          throw new MalformedHead(name);
        parts.length = Number(value);
        headers.push(name, value);
        break;
      case 'te':
        if (value.toLowerCase() !== 'trailers') throw new MalformedHead(name);
        headers.push(name, value);
        break;
      case 'bad':
        throw new MalformedHead('a header that no request may have');
    }
  }
  return parts;
}

export interface ReadRequest {
  readonly head: RequestHead;
  readonly length: number | undefined;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const pathText = /^[\x21-\x7e]+$/;
const schemeText = /^[A-Za-z][A-Za-z0-9+\-.]*$/;
/** Without a user (RFC 9113 8.3.1). */
const authorityText = /^[!$%&'()*+,\-.0-9:;=A-Z[\]_a-z~]*$/;

/** `connect`: extended CONNECT was offered. Throws MalformedHead. */
export function readRequest(fields: readonly Field[], connect: boolean): ReadRequest {
  const { method, path, authority, scheme, protocol, host, length, headers } = read(fields, 'request');
  if (method === undefined || !token.test(method)) throw new MalformedHead(':method');
  if (scheme !== undefined && !schemeText.test(scheme)) throw new MalformedHead(':scheme');
  for (const name of [authority, host]) {
    if (name !== undefined && !authorityText.test(name)) throw new MalformedHead(':authority');
  }
  if (authority === '') throw new MalformedHead(':authority');
  if (protocol !== undefined && (method !== 'CONNECT' || !connect || !token.test(protocol))) {
    throw new MalformedHead(':protocol');
  }
  if (method === 'CONNECT' && protocol === undefined) {
    if (path !== undefined || scheme !== undefined || authority === undefined) throw new MalformedHead('CONNECT');
  } else {
    if (scheme === undefined) throw new MalformedHead(':scheme');
    if (path === undefined || !pathText.test(path)) throw new MalformedHead(':path');
    if (path.charCodeAt(0) !== 47 && !(path === '*' && method === 'OPTIONS')) throw new MalformedHead(':path');
  }
  return {
    length,
    head: {
      method: protocol === undefined ? method : 'GET',
      path,
      authority: authority ?? host ?? '',
      scheme,
      headers,
      upgrade: protocol?.toLowerCase(),
      version: 'HTTP/2',
    },
  };
}

export interface ReadResponse {
  readonly head: ResponseHead;
  readonly length: number | undefined;
}

/** Throws MalformedHead. */
export function readResponse(fields: readonly Field[]): ReadResponse {
  const { status, length, headers } = read(fields, 'response');
  // 101 is HTTP/1.1's alone (RFC 9113 8.6).
  if (status === undefined || !/^[1-9]\d\d$/.test(status) || status === '101') throw new MalformedHead(':status');
  return { head: { status: Number(status), headers }, length };
}

/** undefined: there are none. Throws MalformedHead. */
export function readTrailers(fields: readonly Field[]): HeaderList | undefined {
  const { headers } = read(fields, 'trailers');
  return headers.length === 0 ? undefined : headers;
}
