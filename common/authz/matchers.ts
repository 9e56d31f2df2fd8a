/** Whether one match of a policy holds for a connection (ambient-wire 5.2). */
import { type Cidr, type Ip, ipToBytes, type SocketAddr } from '../core/net.ts';
import type { Identity, PolicyMatch, ServiceAccountMatch, StringMatch } from '../mesh/types.ts';

/** What L4 policies see of a connection. */
export interface L4Connection {
  /** TCP peer. */
  readonly source: Ip;
  /** Proved by TLS; undefined for plain text. */
  readonly identity: Identity | undefined;
  /** The pod's address and the port that the app listens on. */
  readonly destination: SocketAddr;
}

/** A connection with what the matchers compare worked out once. */
export interface Subject {
  readonly identity: Identity | undefined;
  /** Without `spiffe://`. */
  readonly principal: string | undefined;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly port: number;
}

export function subjectOf(c: L4Connection): Subject {
  return {
    identity: c.identity,
    principal: c.identity && `${c.identity.trustDomain}/ns/${c.identity.namespace}/sa/${c.identity.serviceAccount}`,
    source: ipToBytes(c.source),
    destination: ipToBytes(c.destination.ip),
    port: c.destination.port,
  };
}

export type FieldName = keyof PolicyMatch;

/** The fields in pairs: one value of the first must hold and none of the second. */
const fields = [
  ['namespaces', 'notNamespaces', (m: StringMatch, s: Subject) => matchesString(m, s.identity?.namespace)],
  ['principals', 'notPrincipals', (m: StringMatch, s: Subject) => matchesPrincipal(m, s.principal)],
  ['serviceAccounts', 'notServiceAccounts', (m: ServiceAccountMatch, s: Subject) => matchesAccount(m, s.identity)],
  ['sourceIps', 'notSourceIps', (c: Cidr, s: Subject) => matchesCidr(c, s.source)],
  ['destinationIps', 'notDestinationIps', (c: Cidr, s: Subject) => matchesCidr(c, s.destination)],
  ['destinationPorts', 'notDestinationPorts', (port: number, s: Subject) => port === s.port],
] as const;

/** The first field that does not hold; undefined when all do. An empty match has none: whether it holds is the policy's affair. */
export function firstMiss(m: PolicyMatch, s: Subject): FieldName | undefined {
  for (const [is, not, hits] of fields) {
    // Each tuple pairs lists of one element type with a test of that type, which the loop over all tuples cannot express.
    const test = hits as (value: unknown, s: Subject) => boolean;
    if (m[is].length > 0 && !m[is].some((v) => test(v, s))) return is;
    if (m[not].some((v) => test(v, s))) return not;
  }
  return undefined;
}

/** Without an identity nothing matches, `presence` neither: `not` presence is how "plain text" is said. */
export function matchesString(m: StringMatch, value: string | undefined): boolean {
  if (value === undefined) return false;
  switch (m.kind) {
    case 'exact':
      return value === m.value;
    case 'prefix':
      return value.startsWith(m.value);
    case 'suffix':
      return value.endsWith(m.value);
    case 'presence':
      return value !== '';
  }
}

/** Policies may or may not write `spiffe://` in front. */
export function matchesPrincipal(m: StringMatch, principal: string | undefined): boolean {
  const scheme = 'spiffe://';
  if (m.kind === 'presence' || !m.value.startsWith(scheme)) return matchesString(m, principal);
  return matchesString({ kind: m.kind, value: m.value.slice(scheme.length) }, principal);
}

/** In any trust domain. */
export function matchesAccount(m: ServiceAccountMatch, id: Identity | undefined): boolean {
  return id !== undefined && id.namespace === m.namespace && id.serviceAccount === m.serviceAccount;
}

const bytesOfCidr = new WeakMap<Cidr, Uint8Array>();

/** Families never match each other. Parsing an address costs far more than comparing it, so that is done once a policy. */
export function matchesCidr(cidr: Cidr, address: Uint8Array): boolean {
  let net = bytesOfCidr.get(cidr);
  if (!net) {
    net = ipToBytes(cidr.ip);
    bytesOfCidr.set(cidr, net);
  }
  if (net.length !== address.length) return false;
  const whole = cidr.length >> 3;
  for (let i = 0; i < whole; i++) if (net[i] !== address[i]) return false;
  const rest = cidr.length & 7;
  return rest === 0 || (net[whole]! ^ address[whole]!) >> (8 - rest) === 0;
}
