/** Who may do what. */
import type { User } from '../authn/authenticator.ts';

/** What a request does, or would do: also verbs that no request has, such as `impersonate`, `bind` and `escalate`. */
export type Action = ResourceAction | PathAction;

export interface ResourceAction {
  readonly kind: 'resource';
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  /** Empty: the object itself. */
  readonly subresource: string;
  /** Empty: all namespaces, or the resource is cluster-scoped. */
  readonly namespace: string;
  /** Empty: the collection. */
  readonly name: string;
}

export interface PathAction {
  readonly kind: 'path';
  readonly verb: string;
  /** Without trailing slashes; `/` alone is empty. */
  readonly path: string;
}

export type AuthorizationDecision =
  | { readonly kind: 'allowed'; readonly reason: string }
  /** Another authorizer may allow it. */
  | { readonly kind: 'no-opinion'; readonly reason: string };

export interface Authorizer {
  /** Decided from what is in memory: it is asked for each request. */
  authorize(user: User, action: Action): AuthorizationDecision;
}

export const administrators = 'system:masters';

/** Lets administrators do everything, and everybody see what health checks need, whatever roles say. */
export const basicAuthorizer: Authorizer = {
  authorize(user, action) {
    if (user.groups.includes(administrators)) return { kind: 'allowed', reason: `member of ${administrators}` };
    const open = action.kind === 'path' && action.verb === 'get' && openPaths.has(action.path);
    if (open) return { kind: 'allowed', reason: 'open to everybody' };
    return { kind: 'no-opinion', reason: '' };
  },
};

const openPaths = new Set(['/healthz', '/livez', '/readyz']);

export function anyOf(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(user, action) {
      const reasons: string[] = [];
      for (const each of authorizers) {
        const decision = each.authorize(user, action);
        if (decision.kind === 'allowed') return decision;
        if (decision.reason !== '') reasons.push(decision.reason);
      }
      return { kind: 'no-opinion', reason: reasons.join('; ') };
    },
  };
}
