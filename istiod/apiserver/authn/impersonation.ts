/** Requests on behalf of others: the headers Impersonate-User, -Group, -Uid and -Extra-*, each of which must be allowed. */
import type { Action } from '../authz/authorizer.ts';
import { badRequest } from '../status.ts';
import { anonymous, type User } from './authenticator.ts';
import { groupsOf, parseUserName } from './service-account-names.ts';

const prefix = 'impersonate-';
const extraPrefix = 'extra-';

/**
 * Who the request is by. `rawHeaders`: names and values in turn, since joined values would let a group's name hide two.
 * `authorize` throws ApiError 403 unless the caller may. ApiError 400.
 */
export function impersonated(caller: User, rawHeaders: readonly string[], authorize: (action: Action) => void): User {
  const wanted = readHeaders(rawHeaders);
  if (wanted === undefined) return caller;
  const { name, groups, uid, extra } = wanted;
  const account = parseUserName(name);
  authorize(
    account === undefined
      ? impersonate('', 'users', name)
      : impersonate('', 'serviceaccounts', account.name, account.namespace),
  );
  for (const group of groups) authorize(impersonate('', 'groups', group));
  if (uid !== '') authorize(impersonate('authentication.k8s.io', 'uids', uid));
  for (const [key, values] of Object.entries(extra)) {
    for (const value of values)
      authorize({ ...impersonate('authentication.k8s.io', 'userextras', value), subresource: key });
  }
  const own = account !== undefined && groups.length === 0 ? groupsOf(account.namespace) : groups;
  return { name, uid, groups: withStanding(name, own), extra };
}

/** Everybody is authenticated, but for the anonymous. */
function withStanding(name: string, groups: readonly string[]): readonly string[] {
  const standing = name === anonymous.name ? 'system:unauthenticated' : 'system:authenticated';
  const told = groups.includes('system:authenticated') || groups.includes('system:unauthenticated');
  return told ? groups : [...groups, standing];
}

function impersonate(group: string, resource: string, name: string, namespace = ''): Action & { kind: 'resource' } {
  return { kind: 'resource', verb: 'impersonate', group, resource, subresource: '', namespace, name };
}

interface Wanted {
  readonly name: string;
  readonly groups: readonly string[];
  readonly uid: string;
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

function readHeaders(raw: readonly string[]): Wanted | undefined {
  const names: string[] = [];
  const groups: string[] = [];
  const uids: string[] = [];
  const extra = new Map<string, string[]>();
  let any = false;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const header = raw[i]!.toLowerCase();
    if (!header.startsWith(prefix)) continue;
    any = true;
    const [what, value] = [header.slice(prefix.length), raw[i + 1]!];
    if (what === 'user') names.push(value);
    else if (what === 'group') groups.push(value);
    else if (what === 'uid') uids.push(value);
    else if (what.startsWith(extraPrefix) && what.length > extraPrefix.length) {
      const key = keyOf(what.slice(extraPrefix.length));
      extra.set(key, [...(extra.get(key) ?? []), value]);
    } else throw badRequest(`header ${JSON.stringify(raw[i])} is not known`);
  }
  if (!any) return undefined;
  const [name = ''] = names;
  if (names.length > 1 || uids.length > 1)
    throw badRequest('Impersonate-User and Impersonate-Uid are given once at most');
  if (name === '')
    throw badRequest('groups, a uid or extra fields are impersonated only together with a user (Impersonate-User)');
  return { name, groups, uid: uids[0] ?? '', extra: Object.fromEntries(extra) };
}

function keyOf(text: string): string {
  try {
    return decodeURIComponent(text).toLowerCase();
  } catch {
    throw badRequest(`header Impersonate-Extra-${text} cannot be decoded`);
  }
}
