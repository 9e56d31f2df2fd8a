/** `sessionPersistence` of a rule (GEP-1619): Envoy's stateful sessions, which name the host in a cookie or header. */
import { createHash } from 'node:crypto';
import type { HttpRoute } from '../../../../common/kube/kinds/gateway-api/http-route.ts';
import type { Extension } from '../envoy.ts';
import { durationOf } from '../values.ts';

export type Session = NonNullable<NonNullable<HttpRoute['spec']['rules']>[number]['sessionPersistence']>;

/** Name of the filter. */
export const sessionFilter = 'envoy.filters.http.stateful_session';

const states = 'type.googleapis.com/envoy.extensions.http.stateful_session';

/** `rule`: what it is of, by which a cookie without a name is told from those of other rules. */
export function sessionConfig(
  { type = 'Cookie', cookie = {}, header, absoluteTimeout }: Session,
  rule: string,
): Extension {
  const isPermanent = cookie.lifetimeType === 'Permanent';
  const ttl = isPermanent ? durationOf(absoluteTimeout) : undefined;
  const typed_config =
    type === 'Header'
      ? { '@type': `${states}.header.v3.HeaderBasedSessionState`, name: header!.name }
      : {
          '@type': `${states}.cookie.v3.CookieBasedSessionState`,
          cookie: {
            name: cookie.name ?? nameOf(rule),
            path: cookie.path ?? '/',
            ...(ttl === undefined ? {} : { ttl }),
          },
        };
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute',
    stateful_session: { session_state: { name: `envoy.http.stateful_session.${type.toLowerCase()}`, typed_config } },
  };
}

/** A session that ends by its client alone cannot be ended by time, too. */
export function hasLostTime({ type = 'Cookie', cookie, absoluteTimeout }: Session): boolean {
  return absoluteTimeout !== undefined && (type === 'Header' || cookie?.lifetimeType !== 'Permanent');
}

function nameOf(rule: string): string {
  return `session-${createHash('sha256').update(rule).digest('hex').slice(0, 8)}`;
}
