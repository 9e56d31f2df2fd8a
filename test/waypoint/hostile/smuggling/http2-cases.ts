/** Requests by HTTP/2 that would be others, or several, as HTTP/1.1 (RFC 9113 8.2.1, 8.3.1, 10.3). */
import { flag, frame, frameType, headersFrame } from '../../../../common/testing/h2-frames.ts';

export interface Http2Case {
  readonly name: string;
  /** Frames of stream 1. */
  frames(tag: string): Buffer;
  /** A status, or `reset` of the stream or the connection. */
  readonly answer: number | 'reset';
}

type Field = readonly [name: string, value: string];
interface More {
  readonly more?: readonly Field[];
  readonly body?: string;
  readonly trailers?: readonly Field[];
  /** No END_STREAM. */
  readonly goesOn?: boolean;
}

const evil = 'GET /TAG/evil HTTP/1.1\r\nHost: a\r\n\r\n';

function head(tag: string, changes: Readonly<Record<string, string | undefined>>): Field[] {
  const pseudo = { ':method': 'POST', ':scheme': 'http', ':authority': 'a', ':path': `/${tag}`, ...changes };
  return Object.entries(pseudo).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value.replaceAll('TAG', tag)] as const],
  );
}

/** HEADERS with these, over those of an ordinary POST, and DATA, and trailers. */
function ask(
  name: string,
  answer: Http2Case['answer'],
  changes: Readonly<Record<string, string | undefined>>,
  { more = [], body = '', trailers, goesOn = false }: More = {},
): Http2Case {
  return {
    name,
    answer,
    frames(tag) {
      const fields = [...head(tag, changes), ...more.map(([n, v]) => [n, v.replaceAll('TAG', tag)] as const)];
      const bytes = Buffer.from(body.replaceAll('TAG', tag), 'latin1');
      const ends = body === '' && trailers === undefined;
      return Buffer.concat([
        headersFrame(1, fields, flag.endHeaders | (ends ? flag.endStream : 0)),
        ...(body === '' ? [] : [frame(frameType.data, trailers || goesOn ? 0 : flag.endStream, 1, bytes)]),
        ...(trailers ? [headersFrame(1, trailers, flag.endHeaders | flag.endStream)] : []),
      ]);
    },
  };
}

const none = {};
const length = (n: number): Field => ['content-length', String(n)];

export const http2Cases: readonly Http2Case[] = [
  ask('a request', 200, none),
  ask('a body that is a request', 200, none, { body: evil }),
  ask('a length that fits', 200, none, { more: [length(evil.length)], body: evil }),
  ask('a length smaller than the body', 'reset', none, { more: [length(1)], body: evil }),
  ask('a length greater than the body', 'reset', none, { more: [length(1_000)], body: evil }),
  ask('a length of 0 and a body', 'reset', none, { more: [length(0)], body: evil }),
  ask('a length without a body', 'reset', none, { more: [length(10)] }),
  ask('two lengths', 'reset', none, { more: [length(evil.length), length(0)], body: evil }),
  ask('two equal lengths', 'reset', none, { more: [length(evil.length), length(evil.length)], body: evil }),
  ask('a list of lengths', 'reset', none, { more: [['content-length', '5, 5']], body: evil }),
  ask('a signed length', 'reset', none, { more: [['content-length', `+${evil.length}`]], body: evil }),
  ask('chunks', 'reset', none, { more: [['transfer-encoding', 'chunked']], body: `0\r\n\r\n${evil}` }),
  ask('Connection', 'reset', none, { more: [['connection', 'keep-alive']] }),
  ask('an upgrade', 'reset', none, { more: [['upgrade', 'websocket']] }),
  ask('Keep-Alive', 'reset', none, { more: [['keep-alive', '1']] }),
  ask('Proxy-Connection', 'reset', none, { more: [['proxy-connection', 'close']] }),
  ask('TE other than trailers', 'reset', none, { more: [['te', 'gzip']] }),
  ask('lines within a value', 'reset', none, { more: [['x', `y\r\n\r\n${evil}`]] }),
  ask('a bare LF within a value', 'reset', none, { more: [['x', 'y\ntransfer-encoding: chunked']] }),
  ask('a bare CR within a value', 'reset', none, { more: [['x', 'y\rtransfer-encoding: chunked']] }),
  ask('a NUL within a value', 'reset', none, { more: [['x', 'y\0']] }),
  ask('blanks around a value', 200, none, { more: [['x', ' y ']] }),
  ask('lines within a name', 'reset', none, { more: [[`x: y\r\n\r\n${evil}`, 'z']] }),
  ask('a colon within a name', 'reset', none, { more: [['transfer-encoding: chunked\r\nx', 'z']] }),
  ask('a blank within a name', 'reset', none, { more: [['transfer-encoding ', 'chunked']] }),
  ask('a name in capitals', 'reset', none, { more: [['Transfer-Encoding', 'chunked']] }),
  ask('an empty name', 'reset', none, { more: [['', 'y']] }),
  ask('lines within the path', 'reset', { ':path': `/TAG HTTP/1.1\r\nHost: a\r\n\r\n${evil}` }),
  ask('a blank within the path', 'reset', { ':path': '/TAG /evil' }),
  ask('a path that begins elsewhere', 'reset', { ':path': 'TAG' }),
  ask('an absolute path', 'reset', { ':path': 'http://b/TAG' }),
  ask('an empty path', 'reset', { ':path': '' }),
  ask('no path', 'reset', { ':path': undefined }),
  ask('a path of a star', 'reset', { ':path': '*' }),
  ask('a fragment', 400, { ':path': '/TAG#evil' }),
  ask('lines within the method', 'reset', { ':method': `GET /TAG/evil HTTP/1.1\r\nHost: a\r\n\r\nPOST` }),
  ask('a blank within the method', 'reset', { ':method': 'GET /TAG/evil' }),
  ask('an empty method', 'reset', { ':method': '' }),
  ask('no method', 'reset', { ':method': undefined }),
  ask('lines within the authority', 'reset', { ':authority': `a\r\n\r\n${evil}` }),
  ask('a blank within the authority', 'reset', { ':authority': 'a b' }),
  ask('a slash within the authority', 'reset', { ':authority': 'a/b' }),
  ask('a user within the authority', 'reset', { ':authority': 'u@a' }),
  ask('a scheme that is a request', 'reset', { ':scheme': `http://a/\r\n\r\n${evil}` }),
  ask('a scheme that is none', 'reset', { ':scheme': 'a b' }),
  ask('another host beside the authority', 200, none, { more: [['host', 'evil']] }),
  ask(
    'two hosts',
    'reset',
    { ':authority': undefined },
    {
      more: [
        ['host', 'a'],
        ['host', 'evil'],
      ],
    },
  ),
  ask('a pseudo-header twice', 'reset', none, { more: [[':path', '/TAG/evil']] }),
  ask(
    'a pseudo-header behind a header',
    'reset',
    { ':path': undefined },
    {
      more: [
        ['x', 'y'],
        [':path', '/TAG'],
      ],
    },
  ),
  ask('a pseudo-header that nobody knows', 'reset', none, { more: [[':evil', 'y']] }),
  ask('the pseudo-header of answers', 'reset', none, { more: [[':status', '200']] }),
  ask('a cookie with lines', 'reset', none, { more: [['cookie', `a\r\n\r\n${evil}`]] }),
  ask('trailers', 200, none, { body: 'x', trailers: [['x', 'y']] }),
  ask('a length in the trailers', 'reset', none, { body: 'x', trailers: [['content-length', '5']] }),
  ask('a coding in the trailers', 'reset', none, { body: 'x', trailers: [['transfer-encoding', 'chunked']] }),
  ask('a pseudo-header in the trailers', 'reset', none, { body: 'x', trailers: [[':path', '/TAG/evil']] }),
  ask('lines in the trailers', 'reset', none, { body: 'x', trailers: [['x', `y\r\n\r\n${evil}`]] }),
  ask('an expectation', 200, none, { more: [['expect', '100-continue']], body: evil }),
  ask('CONNECT', 404, { ':method': 'CONNECT', ':scheme': undefined, ':path': undefined, ':authority': 'a:80' }),
  ask(
    'a WebSocket that is not granted',
    200,
    { ':method': 'CONNECT' },
    {
      more: [
        [':protocol', 'websocket'],
        ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ=='],
        ['sec-websocket-version', '13'],
      ],
      body: evil,
      goesOn: true,
    },
  ),
  ask(
    'an upgrade of lines',
    'reset',
    { ':method': 'CONNECT' },
    {
      more: [[':protocol', `websocket\r\n\r\n${evil}`]],
      body: evil,
    },
  ),
];
