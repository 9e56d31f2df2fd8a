/**
 * Who may connect, written once more from ambient-wire 5.1 and 5.2, sentence by sentence and without looking at
 * common/authz: it shares no code with it. Slow and plain. The two cases of DESIGN 12 in which ours is stricter are switches.
 */
import type { AuthorizationPolicy, Identity, PolicyMatch, StringMatch, Workload } from '../mesh/types.ts';

export interface ReferenceConnection {
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  readonly identity: Identity | undefined;
}

export interface Stricter {
  /** A policy that the workload names and that has not arrived refuses. */
  readonly missingRefuses: boolean;
  /** An empty Match of a DENY holds. */
  readonly emptyDenies: boolean;
}

export function referenceAllows(
  all: readonly AuthorizationPolicy[],
  workload: Pick<Workload, 'namespace' | 'authorizationPolicies'>,
  connection: ReferenceConnection,
  stricter: Stricter,
): boolean {
  // "NAMESPACE scope of the wl's namespace + GLOBAL scope + names in workload.authorization_policies"
  const considered = all.filter(
    (p) =>
      p.scope === 'GLOBAL' ||
      (p.scope === 'NAMESPACE' && p.namespace === workload.namespace) ||
      workload.authorizationPolicies.some((name) => name === `${p.namespace}/${p.name}`),
  );
  const missing = workload.authorizationPolicies.some((name) => all.every((p) => name !== `${p.namespace}/${p.name}`));
  const holds = (p: AuthorizationPolicy) => policyHolds(p, connection, stricter.emptyDenies && p.action === 'DENY');
  // "1. dry_run DENY: log only. 2. any DENY match -> deny."
  for (const p of considered) if (p.action === 'DENY' && !p.dryRun && holds(p)) return false;
  if (missing && stricter.missingRefuses) return false;
  // "3. dry_run ALLOW: log only. 4. no (non-dry-run) ALLOW policies -> allow. 5. any ALLOW match -> allow. 6. deny."
  const allows = considered.filter((p) => p.action === 'ALLOW' && !p.dryRun);
  if (allows.length === 0) return true;
  return allows.some(holds);
}

/** "policy matches if ANY group matches; group if ALL its rules match; a rule if ANY of its Matches matches" */
function policyHolds(p: AuthorizationPolicy, c: ReferenceConnection, emptyHolds: boolean): boolean {
  for (const group of p.groups) {
    let all = true;
    for (const rule of group.rules) {
      // "rule with zero matches -> true"
      let any = rule.matches.length === 0;
      for (const m of rule.matches) if (matchHolds(m, c, emptyHolds)) any = true;
      if (!any) all = false;
    }
    if (all) return true;
  }
  return false;
}

/** "a Match matches if ALL its populated field types match; within one type ANY value, and NONE of the not_*" */
function matchHolds(m: PolicyMatch, c: ReferenceConnection, emptyHolds: boolean): boolean {
  // "a Match with all fields empty -> false"
  if (Object.values(m).every((list) => list.length === 0)) return emptyHolds;
  const namespace = c.identity ? c.identity.namespace : '';
  const id = c.identity ? `${c.identity.trustDomain}/ns/${c.identity.namespace}/sa/${c.identity.serviceAccount}` : '';
  const byNamespace = (x: StringMatch) => text(x, namespace);
  // "the spiffe:// prefix is stripped before comparing, no identity -> no match"
  const byPrincipal = (x: StringMatch) => c.identity !== undefined && text(withoutScheme(x), id);
  const byAccount = (x: { namespace: string; serviceAccount: string }) =>
    c.identity !== undefined && x.namespace === c.identity.namespace && x.serviceAccount === c.identity.serviceAccount;
  const from = (x: { ip: string; length: number }) => inside(c.source, x.ip, x.length);
  const to = (x: { ip: string; length: number }) => inside(c.destination, x.ip, x.length);
  const port = (x: number) => x === c.port;
  return (
    type(m.namespaces, m.notNamespaces, byNamespace) &&
    type(m.principals, m.notPrincipals, byPrincipal) &&
    type(m.serviceAccounts, m.notServiceAccounts, byAccount) &&
    type(m.sourceIps, m.notSourceIps, from) &&
    type(m.destinationIps, m.notDestinationIps, to) &&
    type(m.destinationPorts, m.notDestinationPorts, port)
  );
}

function type<T>(any: readonly T[], none: readonly T[], hit: (x: T) => boolean): boolean {
  if (any.length > 0 && any.filter(hit).length === 0) return false;
  return none.filter(hit).length === 0;
}

function text(m: StringMatch, value: string): boolean {
  if (m.kind === 'exact') return m.value === value;
  if (m.kind === 'prefix') return value.slice(0, m.value.length) === m.value;
  if (m.kind === 'suffix')
    return m.value.length <= value.length && value.slice(value.length - m.value.length) === m.value;
  return value.length > 0;
}

function withoutScheme(m: StringMatch): StringMatch {
  if (m.kind === 'presence') return m;
  return { kind: m.kind, value: m.value.replace(/^spiffe:\/\//, '') };
}

function inside(address: string, network: string, length: number): boolean {
  if (address.includes(':') !== network.includes(':')) return false;
  const bits = address.includes(':') ? 128 : 32;
  const drop = BigInt(bits - length);
  return number(address) >> drop === number(network) >> drop;
}

const numbers = new Map<string, bigint>();

function number(address: string): bigint {
  const known = numbers.get(address);
  if (known !== undefined) return known;
  let value = 0n;
  if (address.includes(':')) {
    const [head, tail] = address.split('::') as [string, string | undefined];
    const left = head === '' ? [] : head.split(':');
    const right = tail === undefined || tail === '' ? [] : tail.split(':');
    const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
    for (const g of groups) value = (value << 16n) | BigInt(`0x${g}`);
  } else {
    for (const part of address.split('.')) value = (value << 8n) | BigInt(part);
  }
  numbers.set(address, value);
  return value;
}
