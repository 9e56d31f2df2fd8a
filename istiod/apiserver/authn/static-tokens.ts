/** Tokens that the server was started with: the administrator's, which the kubeconfig carries. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { Authenticator, User } from './authenticator.ts';

export function staticTokens(users: ReadonlyMap<string, User>): Authenticator {
  const known = [...users].map(([token, user]) => ({ digest: digest(token), user }));
  return {
    async authenticate({ token }) {
      if (token === undefined) return { kind: 'none' };
      const found = digest(token);
      const match = known.find((k) => timingSafeEqual(k.digest, found));
      return match === undefined ? { kind: 'none' } : { kind: 'user', user: match.user };
    },
  };
}

function digest(token: string): Buffer {
  return hash('sha256', token, 'buffer');
}
