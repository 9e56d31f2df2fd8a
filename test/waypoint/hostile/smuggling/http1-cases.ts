/** HTTP/1 messages that two parsers could read differently (RFC 9112 2.2, 5.1, 6, 7, 11). */

export interface Http1Case {
  readonly name: string;
  /** All that the client sends; `TAG` becomes a path of its own, of three characters. */
  readonly bytes: string;
  /** What the client is answered with: of each request, in turn. */
  readonly answers: readonly number[];
  /** Envoy is not asked, for this reason. */
  readonly notEnvoy?: string;
}

const evil = 'GET /TAG/evil HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (headers: string, body: string) => `POST /TAG HTTP/1.1\r\nHost: a\r\n${headers}\r\n${body}`;
const get = (headers: string) => `GET /TAG HTTP/1.1\r\nHost: a\r\n${headers}\r\n${evil}`;
const chunked = 'Transfer-Encoding: chunked\r\n';
const upgrade =
  'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
const length = `Content-Length: ${evil.length}\r\n`;
const one = `${evil.length.toString(16)}\r\n${evil}\r\n0\r\n\r\n`;

/** The bodies would be a request to whoever takes them for none. */
type Row = readonly [name: string, text: string, answers: readonly number[], notEnvoy?: string];

const lengths: readonly Row[] = [
  ['a length', length, [200]],
  ['both lengths', `${length}${chunked}`, [400]],
  ['both lengths, the other way round', `${chunked}${length}`, [400]],
  ['a length of 0 and chunks', `Content-Length: 0\r\n${chunked}`, [400]],
  ['two lengths', `${length}Content-Length: 0\r\n`, [400]],
  ['two equal lengths', `${length}${length}`, [400]],
  ['a list of lengths', `Content-Length: ${evil.length}, 0\r\n`, [400]],
  ['a list of equal lengths', `Content-Length: ${evil.length}, ${evil.length}\r\n`, [400]],
  ['a signed length', `Content-Length: +${evil.length}\r\n`, [400]],
  ['a negative length', 'Content-Length: -1\r\n', [400]],
  ['a length in hex', 'Content-Length: 0x10\r\n', [400]],
  ['an exponent', 'Content-Length: 1e1\r\n', [400]],
  ['a length with a blank within', 'Content-Length: 1 0\r\n', [400]],
  ['a length with a dot', 'Content-Length: 10.0\r\n', [400]],
  ['a length with an underscore', 'Content-Length: 1_0\r\n', [400]],
  ['a quoted length', 'Content-Length: "10"\r\n', [400]],
  ['an empty length', 'Content-Length: \r\n', [400]],
  ['a length beyond 64 bits', 'Content-Length: 18446744073709551617\r\n', [400]],
  ['a length with zeros before', `Content-Length: 000${evil.length}\r\n`, [200]],
  ['a length among blanks', `Content-Length: \t ${evil.length}\t \r\n`, [200]],
  ['a length with a vertical tab', `Content-Length: \x0b${evil.length}\r\n`, [400]],
  ['a length with a no-break space', `Content-Length: \xa0${evil.length}\r\n`, [400]],
  ['a length whose name has a blank behind', `Content-Length : ${evil.length}\r\n`, [400]],
  ['a length whose name has a blank before', ` Content-Length: ${evil.length}\r\n`, [400]],
  ['a length in a folded line', `X: y\r\n Content-Length: ${evil.length}\r\n`, [400]],
  ['a length folded from its name', `Content-Length:\r\n ${evil.length}\r\n`, [400]],
  ['a length behind a bare LF', `X: y\nContent-Length: ${evil.length}\r\n`, [400]],
  ['a length behind a bare CR', `X: y\rContent-Length: ${evil.length}\r\n`, [400]],
  ['a length that Connection nominates', `${length}Connection: content-length\r\n`, [400]],
  ['a length and an expectation', `${length}Expect: 100-continue\r\n`, [100, 200]],
];

const codings: readonly Row[] = [
  ['chunks', chunked, [200]],
  ['chunks in capitals', 'TRANSFER-ENCODING: CHUNKED\r\n', [200]],
  ['a blank behind the name', 'Transfer-Encoding : chunked\r\n', [400]],
  ['a blank before the name', ' Transfer-Encoding: chunked\r\n', [400]],
  ['a tab before the value', 'Transfer-Encoding:\tchunked\r\n', [200]],
  ['a vertical tab before the value', 'Transfer-Encoding:\x0bchunked\r\n', [400]],
  ['a form feed before the value', 'Transfer-Encoding:\x0cchunked\r\n', [400]],
  ['a no-break space before the value', 'Transfer-Encoding: \xa0chunked\r\n', [501]],
  ['a next-line character behind the value', 'Transfer-Encoding: chunked\x85\r\n', [501]],
  ['a NUL behind the value', 'Transfer-Encoding: chunked\0\r\n', [400]],
  ['quotes', 'Transfer-Encoding: "chunked"\r\n', [501]],
  ['a parameter', 'Transfer-Encoding: chunked;q=1\r\n', [501]],
  ['a comma behind', 'Transfer-Encoding: chunked,\r\n', [501]],
  ['a comma before', 'Transfer-Encoding: ,chunked\r\n', [501]],
  ['chunked, identity', 'Transfer-Encoding: chunked, identity\r\n', [501]],
  ['identity, chunked', 'Transfer-Encoding: identity, chunked\r\n', [501]],
  ['identity', 'Transfer-Encoding: identity\r\n', [501]],
  ['gzip, chunked', 'Transfer-Encoding: gzip, chunked\r\n', [501]],
  ['chunked, chunked', 'Transfer-Encoding: chunked, chunked\r\n', [501]],
  ['a word that only looks so', 'Transfer-Encoding: xchunked\r\n', [501]],
  ['an empty one', 'Transfer-Encoding:\r\n', [501]],
  ['two', `${chunked}${chunked}`, [501]],
  ['two, the second identity', `${chunked}Transfer-Encoding: identity\r\n`, [501]],
  ['two, the first empty', `Transfer-Encoding:\r\n${chunked}`, [501]],
  ['folded from the name', 'Transfer-Encoding:\r\n chunked\r\n', [400]],
  ['folded into another', 'X: y\r\n Transfer-Encoding: chunked\r\n', [400]],
  ['behind a bare LF', 'X: y\nTransfer-Encoding: chunked\r\n', [400]],
  ['behind a bare CR', 'X: y\rTransfer-Encoding: chunked\r\n', [400]],
  ['that Connection nominates', `${chunked}Connection: transfer-encoding\r\n`, [200]],
  ['beside a name with an underscore', `${chunked}Transfer_Encoding: identity\r\n`, [200]],
  ['a name with an underscore and a length', `${length}Transfer_Encoding: chunked\r\n`, [200, 400]],
  ['a name with a dot and a length', `${length}Transfer.Encoding: chunked\r\n`, [200, 400]],
  ['a name with a colon more', `${length}Transfer-Encoding:: chunked\r\n`, [400]],
  ['an upgrade beside chunks', `${chunked}${upgrade}`, [200]],
];

const chunks: readonly Row[] = [
  ['an extension', `${evil.length.toString(16)};a=b\r\n${evil}\r\n0\r\n\r\n`, [200]],
  ['an extension behind a blank', `${evil.length.toString(16)} ;a\r\n${evil}\r\n0\r\n\r\n`, [200]],
  ['an extension with a bare LF', `2;\nxx\r\n${evil.length.toString(16)}\r\n0\r\n\r\n${evil}`, [400]],
  ['an extension with a bare CR', `2;\rxx\r\nab\r\n0\r\n\r\n${evil}`, [400]],
  ['a size with a prefix', `0x1\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a signed size', `+1\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a negative size', `-1\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a blank before the size', ` 1\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a blank behind the size', `1 \r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a size that overflows 32 bits', `100000001\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a size that overflows 64 bits', `10000000000000001\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['an empty size', `\r\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a size line that ends with LF', `1\na\r\n0\r\n\r\n${evil}`, [400]],
  ['a size line that ends with CR', `1\ra\r\n0\r\n\r\n${evil}`, [400]],
  ['data that ends with LF', `1\r\na\n0\r\n\r\n${evil}`, [400]],
  ['data longer than its size', `1\r\nabc\r\n0\r\n\r\n${evil}`, [400]],
  ['data without an end of line', `1\r\na0\r\n\r\n${evil}`, [400]],
  ['a last chunk that ends with LF', `1\r\na\r\n0\n\n${evil}`, [400]],
  ['a last chunk of several zeros', `1\r\na\r\n000\r\n\r\n`, [200]],
  ['trailers', `1\r\na\r\n0\r\nx: y\r\n\r\n`, [200]],
  ['a length in the trailers', `1\r\na\r\n0\r\n${length}\r\n`, [200]],
  ['a coding in the trailers', `1\r\na\r\n0\r\n${chunked}\r\n`, [200]],
  ['a host in the trailers', '1\r\na\r\n0\r\nHost: evil\r\n\r\n', [200]],
  ['trailers with a bare LF', `1\r\na\r\n0\r\nx: y\n\r\n${evil}`, [400]],
  ['a request behind the last chunk', `1\r\na\r\n0\r\n\r\n${evil}`, [200, 200]],
];

const heads: readonly Row[] = [
  ['two requests', get(''), [200, 200]],
  ['a bare LF behind the request line', `GET /TAG HTTP/1.1\nHost: a\r\n\r\n${evil}`, [400]],
  ['bare LFs only', `GET /TAG HTTP/1.1\nHost: a\n\n${evil}`, [400]],
  ['a bare LF for the empty line', `GET /TAG HTTP/1.1\r\nHost: a\r\n\n${evil}`, [400]],
  ['a bare CR for the empty line', `GET /TAG HTTP/1.1\r\nHost: a\r\n\r${evil}`, [400]],
  ['a bare CR within a value', get('X: a\rb\r\n'), [400]],
  ['a NUL within a value', get('X: a\0b\r\n'), [400]],
  ['a DEL within a value', get('X: a\x7fb\r\n'), [400]],
  ['bytes beyond ASCII in a value', get('X: \xff\r\n'), [200, 200]],
  ['bytes beyond ASCII in a name', get('X\xff: a\r\n'), [400]],
  ['a folded line', get('X: a\r\n b\r\n'), [400]],
  ['a folded line with a tab', get('X: a\r\n\tb\r\n'), [400]],
  ['a folded first line', `GET /TAG HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n${evil}`, [400]],
  ['a line without a colon', get('X\r\n'), [400]],
  ['a line of a colon', get(':\r\n'), [400]],
  ['a pseudo-header', get(':path: /evil\r\n'), [400]],
  ['a name with a blank', get('X Y: a\r\n'), [400]],
  ['a name with a slash', get('X/Y: a\r\n'), [400]],
  ['two hosts', get('Host: b\r\n'), [400]],
  ['a host with a comma', `GET /TAG HTTP/1.1\r\nHost: a, b\r\n\r\n${evil}`, [400, 200], 'it closes the connection'],
  ['a host with a slash', `GET /TAG HTTP/1.1\r\nHost: a/b\r\n\r\n${evil}`, [400, 200], 'it closes the connection'],
  ['no host', `GET /TAG HTTP/1.1\r\n\r\n${evil}`, [400]],
  ['an absolute target beside another host', `GET http://b/TAG HTTP/1.1\r\nHost: a\r\n\r\n${evil}`, [200, 200]],
  ['an absolute target without a host', 'GET http:///TAG HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a target that is no path', 'GET TAG HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['two blanks before the target', 'GET  /TAG HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['two blanks behind the target', 'GET /TAG  HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a tab for a blank', 'GET\t/TAG HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a blank within the target', 'GET /TAG /evil HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a bare CR within the target', 'GET /TAG\r/evil HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a NUL within the target', 'GET /TAG\0 HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['bytes beyond ASCII in the target', 'GET /TAG\xff HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a fragment', 'GET /TAG#/evil HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a method in small letters', 'get /TAG HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['a method that nobody knows', 'FOO /TAG HTTP/1.1\r\nHost: a\r\n\r\n', [400]],
  ['HTTP/0.9', 'GET /TAG\r\n\r\n', [400]],
  ['HTTP/1.0', 'GET /TAG HTTP/1.0\r\nHost: a\r\n\r\n', [426]],
  ['HTTP/1.2', 'GET /TAG HTTP/1.2\r\nHost: a\r\n\r\n', [400]],
  ['HTTP/01.1', 'GET /TAG HTTP/01.1\r\nHost: a\r\n\r\n', [400]],
  ['HTTP/2.0', 'GET /TAG HTTP/2.0\r\nHost: a\r\n\r\n', [400]],
  ['http/1.1', 'GET /TAG http/1.1\r\nHost: a\r\n\r\n', [400]],
  ['an empty line before', `\r\n${get('')}`, [200, 200]],
  ['a bare LF before', `\n${get('')}`, [400]],
  ['chunks in a GET', `GET /TAG HTTP/1.1\r\nHost: a\r\n${chunked}\r\n${one}`, [200]],
  ['a length in a GET', `GET /TAG HTTP/1.1\r\nHost: a\r\n${length}\r\n${evil}`, [200]],
  ['a length in a HEAD', `HEAD /TAG HTTP/1.1\r\nHost: a\r\n${length}\r\n${evil}`, [200]],
  [
    'h2c',
    get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
    [200, 200],
  ],
  ['an upgrade that is not granted', get(upgrade), [200]],
  ['an upgrade to what is not allowed', get('Connection: upgrade\r\nUpgrade: other\r\n'), [403]],
  ['an upgrade with a length', post(`${length}${upgrade}`, evil), [200], 'it takes the body for the tunnel and waits'],
  ['CONNECT', `CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n${evil}`, [404]],
  ['a Connection that names the host', get('Connection: host\r\n'), [400]],
  ['a Connection that names who calls', get('X-Forwarded-For: 1.2.3.4\r\nConnection: x-forwarded-for\r\n'), [400]],
  ['a Connection that names credentials', get('Authorization: x\r\nConnection: authorization\r\n'), [400]],
  ['a Connection that names another', get('X: y\r\nConnection: x\r\n'), [200, 200]],
  ['Connection: close', get('Connection: close\r\n'), [200]],
  ['200 headers', get('X: y\r\n'.repeat(200)), [431]],
  ['a head of 70,000 bytes', get(`X: ${'y'.repeat(70_000)}\r\n`), [431]],
];

function rows(title: string, all: readonly Row[], bytes: (text: string) => string): Http1Case[] {
  return all.map(([name, text, answers, notEnvoy]) => ({
    name: `${title}: ${name}`,
    bytes: bytes(text),
    answers,
    ...(notEnvoy !== undefined && { notEnvoy }),
  }));
}

export const http1Cases: readonly Http1Case[] = [
  ...rows('length', lengths, (head) => post(head, evil)),
  ...rows('coding', codings, (head) => post(head, one)),
  ...rows('chunk', chunks, (body) => post(chunked, body)),
  ...rows('head', heads, (all) => all),
];
