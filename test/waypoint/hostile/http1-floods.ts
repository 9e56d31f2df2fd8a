/** What hostile clients of HTTP/1.1 send (RFC 9112), as much at once as is taken. */

export interface Flood1 {
  readonly name: string;
  /** Sent once before. */
  readonly begin?: string;
  /** Sent over and over. */
  readonly part: string;
  /** The beginning of what comes back; default: nothing comes. */
  readonly answer?: RegExp;
}

/** Of one part: what a socket may have in one piece, four times. */
const partBytes = 262_144;
/** Within what a head may have: 60 KiB. */
const headBytes = 58_000;

function filled(text: string, bytes: number): string {
  return text.repeat(Math.ceil(bytes / text.length));
}

function requests(path: string, headers = '', bytes = partBytes): string {
  return filled(`GET ${path} HTTP/1.1\r\nhost: a\r\n${headers}\r\n`, bytes);
}

const chunked = 'POST /slow HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n';
const notFound = /^HTTP\/1\.1 404 /;
const bad = /^HTTP\/1\.1 400 /;

/** `/none` is answered at once, `/slow` when its body has ended. */
export const floods1: readonly Flood1[] = [
  { name: 'requests sent on, answered at once', part: requests('/none'), answer: notFound },
  {
    name: 'requests sent on, answered by a server',
    part: requests('/some', '', partBytes / 16),
    answer: /^HTTP\/1\.1 200 /,
  },
  { name: 'chunks of a byte', begin: chunked, part: filled('1\r\nx\r\n', partBytes) },
  { name: 'chunks with extensions', begin: chunked, part: filled('1;a=b\r\nx\r\n', partBytes) },
  { name: 'an extension without end', begin: `${chunked}1;`, part: filled('x', partBytes), answer: /^HTTP\/1\.1 400 / },
  {
    name: 'trailers without end',
    begin: `${chunked}0\r\n`,
    part: filled('x: y\r\n', partBytes),
    answer: /^HTTP\/1\.1 431 /,
  },
  {
    name: 'a head without end',
    begin: 'GET / HTTP/1.1\r\n',
    part: filled('x: y\r\n', partBytes),
    answer: /^HTTP\/1\.1 431 /,
  },
  { name: 'a bare LF', part: 'GET / HTTP/1.1\nhost: a\n\n', answer: bad },
  { name: 'a long path of escapes', part: requests(`/none/${filled('%2e%2F', headBytes)}`), answer: notFound },
  {
    name: 'a bare percent sign before escapes',
    part: requests(`/none/%${filled('%61', headBytes)}`),
    answer: notFound,
  },
  { name: 'a long path of dot segments', part: requests(`/none${filled('/../none', headBytes)}`), answer: notFound },
  {
    name: 'a Connection of many members',
    part: requests('/none', `connection: ${filled('a,', headBytes)}\r\n`),
    answer: bad,
  },
  { name: 'many cookies', part: requests('/none', `cookie: ${filled('a=b; ', headBytes)}c\r\n`), answer: notFound },
  {
    name: 'a long X-Forwarded-For',
    part: requests('/none', `x-forwarded-for: ${filled('1.2.3.4,', headBytes)}1.2.3.4\r\n`),
    answer: notFound,
  },
  {
    name: 'a body behind an early answer',
    begin: 'POST /none HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n',
    part: requests('/bomb'),
    answer: notFound,
  },
];
