/** `sessionPersistence` of a rule or of a backend (GEP-1619): Envoy's stateful sessions, which name the host in a cookie or header. */
import { createHash } from 'node:crypto';
import type { XBackendTrafficPolicy } from '../../../common/kube/kinds/gateway-api/experimental.ts';
import type { HttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import type { MeshService, MeshView, RouteContext, RouteTarget } from '../inputs.ts';
import type { Extension } from './envoy.ts';
import { durationOf } from './values.ts';

export type Session = NonNullable<NonNullable<HttpRoute['spec']['rules']>[number]['sessionPersistence']>;

/** Name of the filter. */
export const sessionFilter = 'envoy.filters.http.stateful_session';

const states = 'type.googleapis.com/envoy.extensions.http.stateful_session';

/** `owner`: what it is of, by which a cookie without a name is told from those of others. */
export function sessionConfig(
  { type = 'Cookie', cookie = {}, header, absoluteTimeout }: Session,
  owner: string,
): Extension {
  const isPermanent = cookie.lifetimeType === 'Permanent';
  const ttl = isPermanent ? durationOf(absoluteTimeout) : undefined;
  const typed_config =
    type === 'Header'
      ? { '@type': `${states}.header.v3.HeaderBasedSessionState`, name: header!.name }
      : {
          '@type': `${states}.cookie.v3.CookieBasedSessionState`,
          cookie: {
            name: cookie.name ?? nameOf(owner),
            path: cookie.path ?? '/',
            ...(ttl === undefined ? {} : { ttl }),
          },
        };
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute',
    stateful_session: { session_state: { name: `envoy.http.stateful_session.${type.toLowerCase()}`, typed_config } },
  };
}

/** The policy by which a service keeps sessions: the oldest that says so. */
export function sessionPolicyOf(view: MeshView, service: MeshService): XBackendTrafficPolicy | undefined {
  return view.trafficPolicies(service).find((p) => p.spec.sessionPersistence !== undefined);
}

/** Of a backend, where no rule says another; undefined: none, or for gRPC programs, which keep none. */
export function backendSession({ view, dialect }: RouteContext, { service, port }: RouteTarget): Extension | undefined {
  const session = dialect === 'envoy' ? sessionPolicyOf(view, service)?.spec.sessionPersistence : undefined;
  // A browser has one set of cookies for all ports of a host.
  return session && sessionConfig(session, `${service.hostname}:${port}`);
}

/** A session that ends by its client alone cannot be ended by time, too. */
export function hasLostTime({ type = 'Cookie', cookie, absoluteTimeout }: Session): boolean {
  return absoluteTimeout !== undefined && (type === 'Header' || cookie?.lifetimeType !== 'Permanent');
}

function nameOf(owner: string): string {
  return `session-${createHash('sha256').update(owner).digest('hex').slice(0, 8)}`;
}
