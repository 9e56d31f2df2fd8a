/** The head of an HTTP/1 request, and how its body is framed. */
import type { RequestHead, Version } from '../message.ts';
import type { Framing } from './body.ts';
import { checkCharacters, contentLength, type HeadLimits, Malformed, parseFields } from './head.ts';

export interface ParsedRequest {
  readonly head: RequestHead;
  readonly framing: Framing;
  /** The client wants no further request on this connection. */
  readonly close: boolean;
}

/** Of `Malformed`, as Envoy answers it in other words. */
export const missingHost = 'no Host';

/** What servers of this kind know; anything else is refused, as Envoy does. */
const methods = new Set(
  (
    'ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY OPTIONS ' +
    'PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE'
  ).split(' '),
);
const requestLine = /^([A-Z-]{1,20}) ([\x21-\x7e]+) HTTP\/(1\.[01])$/;
const absolute = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/i;

export interface RequestOptions extends HeadLimits {
  readonly acceptHttp10: boolean;
}

/** `text`: from the request line to the CR LF of the last header. Throws Malformed. */
export function parseRequest(text: string, options: RequestOptions): ParsedRequest {
  checkCharacters(text);
  const lineEnd = text.indexOf('\r\n');
  const line = requestLine.exec(text.slice(0, lineEnd));
  if (!line) throw new Malformed(400, 'the request line');
  const [, method, target, number] = line as unknown as [string, string, string, string];
  if (!methods.has(method)) throw new Malformed(400, `method ${method}`);
  const version: Version = number === '1.1' ? 'HTTP/1.1' : 'HTTP/1.0';
  if (version === 'HTTP/1.0' && !options.acceptHttp10) throw new Malformed(426, 'HTTP/1.0');
  const fields = parseFields(text, lineEnd + 2, options);
  const { hosts, connection } = fields;
  if (hosts.length > 1) throw new Malformed(400, 'more than one Host');
  if (hosts.length === 0 && version === 'HTTP/1.1') throw new Malformed(400, missingHost);
  const framing = framingOf(fields.lengths, fields.encodings, version);
  // Where a body ends and an upgraded connection begins, others may see elsewhere: with a body it is a request like any other.
  const wanted = framing.kind === 'none' && connection.includes('upgrade') ? fields.upgrade : undefined;
  // An upgrade to h2c would hide requests from us.
  const upgrade = wanted === 'h2c' ? undefined : wanted;
  const host = hosts[0] ?? '';
  return {
    head: {
      ...(method === 'CONNECT'
        ? { path: undefined, authority: target, scheme: undefined }
        : targetOf(target, host, method)),
      method,
      headers: fields.headers,
      upgrade: method === 'CONNECT' ? undefined : upgrade,
      version,
    },
    framing,
    close: version === 'HTTP/1.0' || connection.includes('close'),
  };
}

function targetOf(target: string, host: string, method: string) {
  if (target.startsWith('/')) return { path: target, authority: host, scheme: undefined };
  if (target === '*' && method === 'OPTIONS') return { path: target, authority: host, scheme: undefined };
  const url = absolute.exec(target);
  if (!url || url[2] === '') throw new Malformed(400, 'the request target');
  const scheme = url[1]!.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') throw new Malformed(400, `scheme ${scheme}`);
  const path = url[3]!;
  return { path: path.startsWith('/') ? path : `/${path}`, authority: url[2]!, scheme };
}

/** Content-Length beside Transfer-Encoding is how requests are smuggled. */
function framingOf(lengths: readonly string[], encodings: readonly string[], version: Version): Framing {
  const bytes = contentLength(lengths);
  if (encodings.length === 0) {
    return bytes === undefined || bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
  }
  if (bytes !== undefined) throw new Malformed(400, 'both Content-Length and Transfer-Encoding');
  if (version === 'HTTP/1.0') throw new Malformed(400, 'Transfer-Encoding in HTTP/1.0');
  if (encodings.length > 1 || encodings[0] !== 'chunked') throw new Malformed(501, 'a transfer coding besides chunked');
  return { kind: 'chunked' };
}
