/** Which of the streaming protocols a request asks for, and the answer that begins it. Pure. ApiError. */
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError, badRequest } from '../status.ts';
import { acceptKey } from './websocket/frames.ts';

export type Upgrade =
  | { readonly kind: 'websocket'; readonly key: string; readonly protocols: readonly string[] }
  | { readonly kind: 'spdy'; readonly protocols: readonly string[] };

export function upgradeOf(headers: IncomingHttpHeaders): Upgrade {
  const asked =
    headers.connection?.toLowerCase().includes('upgrade') === true ? (headers.upgrade ?? '').toLowerCase() : '';
  if (asked === 'websocket') return websocket(headers);
  if (asked === 'spdy/3.1') return { kind: 'spdy', protocols: words(headers['x-stream-protocol-version']) };
  throw badRequest('Upgrade request required');
}

/** RFC 6455 section 4.2.1. */
function websocket(headers: IncomingHttpHeaders): Upgrade {
  const key = headers['sec-websocket-key'] ?? '';
  if (headers['sec-websocket-version'] !== '13') throw badRequest('Sec-WebSocket-Version must be 13');
  if (Buffer.from(key, 'base64').length !== 16) throw badRequest('Sec-WebSocket-Key must be 16 bytes in base64');
  return { kind: 'websocket', key, protocols: words(headers['sec-websocket-protocol']) };
}

function words(header: string | readonly string[] | undefined): readonly string[] {
  const text = typeof header === 'string' ? header : (header ?? []).join(',');
  return text
    .split(',')
    .map((w) => w.trim())
    .filter((w) => w !== '');
}

/** The client's first wish that is served. */
export function choose(upgrade: Upgrade, served: readonly string[]): string {
  const chosen = upgrade.protocols.find((p) => served.includes(p));
  if (chosen !== undefined) return chosen;
  const wanted = upgrade.protocols.join(', ') || 'none';
  throw new ApiError(
    403,
    'Forbidden',
    `unable to upgrade: client supports [${wanted}], server accepts [${served.join(', ')}]`,
  );
}

export function accepted(upgrade: Upgrade, protocol: string): string {
  const lines =
    upgrade.kind === 'websocket'
      ? ['Upgrade: websocket', `Sec-WebSocket-Accept: ${acceptKey(upgrade.key)}`, `Sec-WebSocket-Protocol: ${protocol}`]
      : ['Upgrade: SPDY/3.1', `X-Stream-Protocol-Version: ${protocol}`];
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${lines.join('\r\n')}\r\n\r\n`;
}
