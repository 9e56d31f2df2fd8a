/** The head of an HTTP/1 response, and how its body is framed. */
import type { ResponseHead } from '../message.ts';
import type { Framing } from './body.ts';
import { checkCharacters, contentLength, type HeadLimits, Malformed, parseFields } from './head.ts';

export interface ParsedResponse {
  readonly head: ResponseHead;
  readonly framing: Framing;
  /** The server takes no further request on this connection. */
  readonly close: boolean;
  readonly upgrade: string | undefined;
}

const statusLine = /^HTTP\/1\.([01]) (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** `asked`: the method of the request, which decides whether there is a body. Throws Malformed. */
export function parseResponse(text: string, asked: string, limits: HeadLimits): ParsedResponse {
  checkCharacters(text);
  const lineEnd = text.indexOf('\r\n');
  const line = statusLine.exec(text.slice(0, lineEnd));
  if (!line) throw new Malformed(502, 'the status line');
  const status = Number(line[2]);
  if (status < 100) throw new Malformed(502, `status ${status}`);
  const old = line[1] === '0';
  const { headers, lengths, encodings, connection, upgrade } = parseFields(text, lineEnd + 2, limits);
  const framing = framingOf(status, asked, lengths, encodings, old);
  const close = framing.kind === 'rest' || connection.includes('close') || (old && !connection.includes('keep-alive'));
  return { head: { status, headers }, framing, close, upgrade };
}

function framingOf(
  status: number,
  asked: string,
  lengths: readonly string[],
  encodings: readonly string[],
  old: boolean,
): Framing {
  const bytes = contentLength(lengths);
  if (encodings.length > 0) {
    if (bytes !== undefined) throw new Malformed(502, 'both Content-Length and Transfer-Encoding');
    if (encodings.length > 1 || encodings[0] !== 'chunked' || old) throw new Malformed(502, 'the transfer coding');
  }
  if (asked === 'CONNECT' && status >= 200 && status < 300) return { kind: 'rest' };
  if (status < 200 || status === 204 || status === 304 || asked === 'HEAD') return { kind: 'none' };
  if (encodings.length > 0) return { kind: 'chunked' };
  if (bytes === undefined) return { kind: 'rest' };
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
}
