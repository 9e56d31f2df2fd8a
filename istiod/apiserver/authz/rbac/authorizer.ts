/** Allows what a role that is bound to the user allows. */
import type { Authorizer } from '../authorizer.ts';
import type { Policy } from './policy.ts';
import { allows } from './rules.ts';

export function rbacAuthorizer(policy: Policy): Authorizer {
  return {
    authorize(user, action) {
      const missing = new Set<string>();
      const namespace = action.kind === 'resource' ? action.namespace : '';
      for (const { rules, by } of policy.granted(user, namespace, (text) => void missing.add(text))) {
        if (rules.some((rule) => allows(rule, action))) return { kind: 'allowed', reason: `RBAC: allowed by ${by}` };
      }
      const reason = missing.size === 0 ? '' : `RBAC: ${[...missing].join(', ')}`;
      return { kind: 'no-opinion', reason };
    },
  };
}
