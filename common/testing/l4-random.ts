/** Random policies and connections for a million comparisons: fast, repeatable by a seed, with values that meet often. */
import type { Cidr, Ip, SocketAddr } from '../core/net.ts';
import type { AuthorizationPolicy, Identity, PolicyGroup, PolicyMatch, StringMatch } from '../mesh/types.ts';
import { ip, port } from './builders.ts';

export interface RandomCase {
  readonly policies: readonly AuthorizationPolicy[];
  readonly namespace: string;
  /** Some of them name nothing. */
  readonly references: readonly string[];
  readonly source: Ip;
  readonly destination: SocketAddr;
  readonly identity: Identity | undefined;
}

const namespaces = ['shop', 'shop-2', 'bank', 'istio-system'];
const accounts = ['web', 'web-2', 'db'];
const trustDomains = ['cluster.local', 'td2'];
const v4 = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.1.0.1', '192.168.7.9', '0.0.0.0', '255.255.255.255'];
const addresses = [...v4, 'fd00::1', 'fd00::2', 'fd00:1::1', '2001:db8::ff', '::'].map(ip);
const ports = [80, 443, 8080, 15_008].map(port);
const names = ['a', 'b', 'c'];

/** xorshift128, which is random enough and takes some nanoseconds. */
export function randomCases(seed: number): () => RandomCase {
  let [x, y, z, w] = [seed | 1, 362_436_069, 521_288_629, 88_675_123];
  const next = (): number => {
    const t = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) | 0;
    return w >>> 0;
  };
  const below = (n: number) => next() % n;
  const oneOf = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const oneIn = (n: number) => below(n) === 0;
  const times = <T>(n: number, make: () => T): T[] => {
    const list: T[] = [];
    for (let i = 0; i < n; i++) list.push(make());
    return list;
  };

  /** Whole values, and parts of them at either end; never empty, which no identity's parts are either. */
  const string = (whole: string): StringMatch => {
    switch (below(4)) {
      case 0:
        return { kind: 'presence' };
      case 1:
        return { kind: 'prefix', value: whole.slice(0, 1 + below(whole.length)) };
      case 2:
        return { kind: 'suffix', value: whole.slice(below(whole.length)) };
      default:
        return { kind: 'exact', value: whole };
    }
  };
  const principal = (): string => `${oneOf(trustDomains)}/ns/${oneOf(namespaces)}/sa/${oneOf(accounts)}`;
  const byPrincipal = (): StringMatch => string(oneIn(4) ? `spiffe://${principal()}` : principal());
  const byNamespace = (): StringMatch => string(oneOf(namespaces));
  const byAccount = () => ({ namespace: oneOf(namespaces), serviceAccount: oneOf(accounts) });
  const cidr = (): Cidr => {
    const address = oneOf(addresses);
    return { ip: address, length: below(address.includes(':') ? 129 : 33) };
  };
  const some = <T>(make: () => T): T[] => (oneIn(6) ? times(1 + below(2), make) : []);
  const match = (): PolicyMatch => ({
    namespaces: some(byNamespace),
    notNamespaces: some(byNamespace),
    principals: some(byPrincipal),
    notPrincipals: some(byPrincipal),
    serviceAccounts: some(byAccount),
    notServiceAccounts: some(byAccount),
    sourceIps: some(cidr),
    notSourceIps: some(cidr),
    destinationIps: some(cidr),
    notDestinationIps: some(cidr),
    destinationPorts: some(() => oneOf(ports)),
    notDestinationPorts: some(() => oneOf(ports)),
  });
  const group = (): PolicyGroup => ({ rules: times(below(3), () => ({ matches: times(below(3), match) })) });
  const policies = (): AuthorizationPolicy[] => {
    const byKey = new Map<string, AuthorizationPolicy>();
    for (const made of times(below(4), () => ({
      name: oneOf(names),
      namespace: oneOf(namespaces),
      scope: oneOf(['GLOBAL', 'NAMESPACE', 'WORKLOAD_SELECTOR'] as const),
      action: oneOf(['ALLOW', 'DENY'] as const),
      groups: times(below(3), group),
      dryRun: oneIn(6),
    }))) {
      byKey.set(`${made.namespace}/${made.name}`, made);
    }
    return [...byKey.values()];
  };
  return () => {
    const list = policies();
    const namespace = list.length > 0 && !oneIn(3) ? oneOf(list).namespace : oneOf(namespaces);
    const known = list
      .filter((p) => p.scope === 'WORKLOAD_SELECTOR' && !oneIn(3))
      .map((p) => `${p.namespace}/${p.name}`);
    return {
      policies: list,
      namespace,
      references: oneIn(12) ? [...known, `${oneOf(namespaces)}/${oneOf(names)}`] : known,
      source: oneOf(addresses),
      destination: { ip: oneOf(addresses), port: oneOf(ports) },
      identity: oneIn(4)
        ? undefined
        : { trustDomain: oneOf(trustDomains), namespace: oneOf(namespaces), serviceAccount: oneOf(accounts) },
    };
  };
}
