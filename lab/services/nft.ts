/**
 * Service addresses for pods outside the mesh, as a ruleset for `nft -f` in a node's namespace. The whole table is replaced in one
 * transaction; connections that stand keep their endpoint, which conntrack remembers. Pure.
 */
import { serviceRange } from '../addresses.ts';
import type { Endpoint, ServicePortBackends } from './backends.ts';

const table = 'inet aquifer_services';

/** `localPods`: addresses of the pods on this node, for connections that a pod makes to itself by way of a service. */
export function renderServices(
  backends: readonly ServicePortBackends[],
  node: string,
  localPods: readonly string[],
): string {
  const usable = backends.map((b) => ({ ...b, endpoints: b.endpoints.filter((e) => !b.local || e.node === node) }));
  const served = usable.filter((b) => b.endpoints.length > 0);
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...hairpinSet(
      'hairpin4',
      'ipv4_addr',
      localPods.filter((ip) => !ip.includes(':')),
    ),
    ...hairpinSet(
      'hairpin6',
      'ipv6_addr',
      localPods.filter((ip) => ip.includes(':')),
    ),
    ...served.flatMap(serviceChain),
    ...dispatchMap('services4', 'ipv4_addr', served, (vip) => !vip.includes(':')),
    ...dispatchMap('services6', 'ipv6_addr', served, (vip) => vip.includes(':')),
    ...baseChain('prerouting', 'type nat hook prerouting priority dstnat', dispatch),
    ...baseChain('output', 'type nat hook output priority -100', dispatch),
    ...baseChain('postrouting', 'type nat hook postrouting priority srcnat', [
      'ip saddr . ip daddr @hairpin4 masquerade',
      'ip6 saddr . ip6 daddr @hairpin6 masquerade',
    ]),
    // What is still bound for a service address here has no ready endpoint: say so at once.
    ...baseChain('forward', 'type filter hook forward priority filter', reject),
    ...baseChain('local', 'type filter hook output priority filter', reject),
    '}',
    '',
  ].join('\n');
}

const dispatch = [
  'ip daddr . meta l4proto . th dport vmap @services4',
  'ip6 daddr . meta l4proto . th dport vmap @services6',
];

const reject = [
  `ip daddr ${serviceRange.v4} meta l4proto tcp reject with tcp reset`,
  `ip6 daddr ${serviceRange.v6} meta l4proto tcp reject with tcp reset`,
  `ip daddr ${serviceRange.v4} reject`,
  `ip6 daddr ${serviceRange.v6} reject`,
];

function serviceChain(b: ServicePortBackends): string[] {
  const family = b.vip.includes(':') ? 'ip6' : 'ip';
  const choose = b.sticky ? `jhash ${family} saddr mod` : 'numgen random mod';
  const choices = b.endpoints.map((e, i) => `${i} : ${address(e)}`).join(', ');
  return [
    `  chain ${chainName(b)} {`,
    `    comment "${b.title}"`,
    `    meta l4proto ${b.protocol} dnat ${family} to ${choose} ${b.endpoints.length} map { ${choices} }`,
    '  }',
  ];
}

function address(e: Endpoint): string {
  return `${e.ip} . ${e.port}`;
}

/** Chain names hold letters, digits and underscores. */
function chainName(b: ServicePortBackends): string {
  return `svc_${b.vip.replace(/[.:]/g, '_')}_${b.protocol}_${b.port}`;
}

function dispatchMap(
  name: string,
  type: string,
  served: readonly ServicePortBackends[],
  ofFamily: (vip: string) => boolean,
): string[] {
  const elements = served
    .filter((b) => ofFamily(b.vip))
    .map((b) => `${b.vip} . ${b.protocol} . ${b.port} : goto ${chainName(b)}`);
  return [
    `  map ${name} {`,
    `    type ${type} . inet_proto . inet_service : verdict`,
    ...(elements.length > 0 ? [`    elements = { ${elements.join(', ')} }`] : []),
    '  }',
  ];
}

function hairpinSet(name: string, type: string, ips: readonly string[]): string[] {
  return [
    `  set ${name} {`,
    `    type ${type} . ${type}`,
    ...(ips.length > 0 ? [`    elements = { ${ips.map((ip) => `${ip} . ${ip}`).join(', ')} }`] : []),
    '  }',
  ];
}

function baseChain(name: string, hook: string, rules: readonly string[]): string[] {
  return [`  chain ${name} {`, `    ${hook}`, ...rules.map((r) => `    ${r}`), '  }'];
}
