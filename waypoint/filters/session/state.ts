/** Where a session's host is kept: in a cookie, or in a header that clients send back. */
import { typeUrl } from '../../../common/envoy/codec.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { cookieOf, setCookie } from '../../request/cookies.ts';
import type { Headers } from '../../request/headers.ts';
import type { RequestView } from '../../request/view.ts';
import { decodeBase64, decodeSession, encodeSession } from './address.ts';

export interface SessionState {
  /** Whether requests of this path have sessions. */
  concerns(view: RequestView): boolean;
  /** The host's key that a request names; undefined: none. `now`: ms since 1970. */
  read(view: RequestView, now: number): string | undefined;
  write(headers: Headers, address: string, now: number): void;
}

const messages = 'envoy.extensions.http.stateful_session';

export function readSessionState(fields: Fields): SessionState {
  switch (fields.type) {
    case typeUrl(`${messages}.cookie.v3.CookieBasedSessionState`):
      return fields.required('cookie', readCookie);
    case typeUrl(`${messages}.header.v3.HeaderBasedSessionState`):
      return inHeader(nameOf(fields).toLowerCase());
    default:
      throw fields.refusal('@type', `${fields.type} is not supported`);
  }
}

function nameOf(fields: Fields): string {
  const name = fields.text('name');
  if (name === '') throw fields.refusal('name', 'is empty');
  return name;
}

function inHeader(name: string): SessionState {
  return {
    concerns: () => true,
    read(view) {
      return decodeBase64(view.headers.first(name) ?? '')?.toString('latin1');
    },
    write(headers, address) {
      headers.set(name, Buffer.from(address, 'latin1').toString('base64'));
    },
  };
}

function readCookie(fields: Fields): SessionState {
  const name = nameOf(fields);
  const path = fields.text('path');
  const seconds = Math.floor((fields.duration('ttl') ?? 0) / 1_000);
  return {
    concerns: ({ path: asked }) => isBelow(asked, path),
    read(view, now) {
      const bytes = decodeBase64(cookieOf(view.headers, name) ?? '');
      if (bytes === undefined) return undefined;
      const session = decodeSession(bytes);
      // As old versions of Envoy wrote it.
      if (session === undefined) return bytes.toString('latin1');
      const isOver = session.expires !== 0 && session.expires < now / 1_000;
      return session.address === '' || isOver ? undefined : session.address;
    },
    write(headers, address, now) {
      // Envoy counts from the start of its machine, so that no other one knows when.
      const expires = seconds === 0 ? 0 : Math.floor(now / 1_000) + seconds;
      const value = encodeSession({ address, expires }).toString('base64');
      headers.append('set-cookie', setCookie(name, value, { maxAge: seconds, path, attributes: [] }));
    },
  };
}

/** A cookie's path ends where a part of the request's does. */
function isBelow(asked: string, path: string): boolean {
  if (path === '' || path === '/') return true;
  if (!asked.startsWith(path)) return false;
  return path.endsWith('/') || ['/', '?', undefined].includes(asked[path.length]);
}
