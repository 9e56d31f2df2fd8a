/** Who calls. */

export interface User {
  /** `system:serviceaccount:NS:NAME`, `system:anonymous`. */
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export interface Credentials {
  /** Of the header `Authorization: Bearer`; undefined: none. */
  readonly token: string | undefined;
  /** DER of a client certificate whose chain was verified; undefined: none. */
  readonly certificate: Buffer | undefined;
}

export type Authentication =
  | { readonly kind: 'user'; readonly user: User }
  /** Nothing was presented that this authenticator knows. */
  | { readonly kind: 'none' }
  /** Something was presented and is wrong; `reason` is for the log. */
  | { readonly kind: 'refused'; readonly reason: string };

export interface Authenticator {
  authenticate(credentials: Credentials): Promise<Authentication>;
}

export const anonymous: User = { name: 'system:anonymous', uid: '', groups: ['system:unauthenticated'], extra: {} };

/** The first that knows the credentials decides; one that refuses does not keep another from knowing them. */
export function firstOf(authenticators: readonly Authenticator[]): Authenticator {
  return {
    async authenticate(credentials) {
      let result: Authentication = { kind: 'none' };
      for (const each of authenticators) {
        const answer = await each.authenticate(credentials);
        if (answer.kind === 'user') return answer;
        if (answer.kind === 'refused') result = answer;
      }
      return result;
    },
  };
}
