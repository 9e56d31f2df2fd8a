/** A user as authentication.k8s.io/v1 writes it. */
import type { User } from './authenticator.ts';

export function userInfo({ name, uid, groups, extra }: User): object {
  return {
    username: name,
    ...(uid === '' ? {} : { uid }),
    groups,
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}
