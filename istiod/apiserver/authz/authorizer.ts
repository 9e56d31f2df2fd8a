/** Who may do what. */
import type { User } from '../authn/authenticator.ts';
import type { RequestInfo } from '../http/request-info.ts';

export type AuthorizationDecision =
  | { readonly kind: 'allowed'; readonly reason: string }
  /** Another authorizer may allow it. */
  | { readonly kind: 'no-opinion'; readonly reason: string };

export interface Authorizer {
  /** Decided from what is in memory: it is asked for each request. */
  authorize(user: User, request: RequestInfo): AuthorizationDecision;
}

export const administrators = 'system:masters';

/** Lets administrators do everything, and everybody see what health checks and discovery need. */
export const basicAuthorizer: Authorizer = {
  authorize(user, request) {
    if (user.groups.includes(administrators)) return { kind: 'allowed', reason: `member of ${administrators}` };
    const open = request.kind === 'path' && request.verb === 'get' && openPaths.has(request.path);
    if (open) return { kind: 'allowed', reason: 'open to everybody' };
    return { kind: 'no-opinion', reason: '' };
  },
};

const openPaths = new Set(['/healthz', '/livez', '/readyz', '/version']);

export function anyOf(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(user, request) {
      const reasons: string[] = [];
      for (const each of authorizers) {
        const decision = each.authorize(user, request);
        if (decision.kind === 'allowed') return decision;
        if (decision.reason !== '') reasons.push(decision.reason);
      }
      return { kind: 'no-opinion', reason: reasons.join('; ') };
    },
  };
}
