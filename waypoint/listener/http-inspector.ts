/** Whether a connection begins as HTTP does, and of which version. */
import type { Look } from '../net/peek.ts';

export type Sniffed = 'http/1.0' | 'http/1.1' | 'h2c' | 'other';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const methods =
  'ACL|BIND|CHECKOUT|CONNECT|COPY|DELETE|GET|HEAD|LINK|LOCK|MERGE|MKACTIVITY|MKCALENDAR|MKCOL|MOVE|M-SEARCH|NOTIFY|OPTIONS|PATCH|POST|PROPFIND|PROPPATCH|PURGE|PUT|REBIND|REPORT|SEARCH|SOURCE|SUBSCRIBE|TRACE|UNBIND|UNLINK|UNLOCK|UNSUBSCRIBE';
const line = new RegExp(`^(?:${methods}) [^ \\r\\n]+ HTTP/1\\.([01])\\r?\\n`);
const names = methods.split('|');

/** Consumes nothing. */
export function inspectHttp(bytes: Buffer): Look<Sniffed> {
  const done = (found: Sniffed): Look<Sniffed> => ({ kind: 'done', found, consumed: 0 });
  const text = bytes.toString('latin1', 0, 8_192);
  if (text.startsWith(preface.slice(0, Math.min(text.length, preface.length)))) {
    return text.length >= preface.length ? done('h2c') : { kind: 'more' };
  }
  const first = line.exec(text);
  if (first) return done(first[1] === '1' ? 'http/1.1' : 'http/1.0');
  const begins = names.some((name) => `${name} `.startsWith(text.slice(0, name.length + 1)));
  return begins && !text.includes('\n') && text.length < 8_192 ? { kind: 'more' } : done('other');
}
