/** How service accounts are named as users. Pure. */

const pattern = /^system:serviceaccount:([^:]+):([^:]+)$/;

export function userName(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

/** undefined: the user is no service account. */
export function parseUserName(user: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace, name] = pattern.exec(user) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

/** The groups of every service account of a namespace, besides system:authenticated. */
export function groupsOf(namespace: string): readonly string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}
