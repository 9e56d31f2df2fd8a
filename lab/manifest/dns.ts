/** By which name a pod is known, and which names it finds how: hostname, /etc/hosts, /etc/resolv.conf. Pure. */
import type { PodSpec } from '../../common/kube/kinds/core.ts';
import type { Problems } from './problems.ts';

export interface DnsConfig {
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly { readonly name: string; readonly value: string | undefined }[];
}

export interface NamePlan {
  /** Default: the pod's own name. */
  readonly hostname: string | undefined;
  readonly subdomain: string | undefined;
  /** The kernel's host name is the whole name. */
  readonly asFqdn: boolean;
  readonly hostAliases: readonly { readonly ip: string; readonly hostnames: readonly string[] }[];
  readonly policy: 'ClusterFirst' | 'Default' | 'None';
  readonly config: DnsConfig;
}

interface Names extends PodSpec {
  readonly dnsPolicy?: string;
  readonly dnsConfig?: Partial<DnsConfig>;
  readonly hostAliases?: readonly { readonly ip: string; readonly hostnames?: readonly string[] }[];
  readonly setHostnameAsFQDN?: boolean;
}

export function planNames(spec: PodSpec, field: string, problems: Problems): NamePlan {
  const { dnsPolicy = 'ClusterFirst', dnsConfig, hostAliases = [], setHostnameAsFQDN = false } = spec as Names;
  problems.only(dnsConfig, `${field}.dnsConfig`, ['nameservers', 'searches', 'options']);
  for (const [i, alias] of hostAliases.entries())
    problems.only(alias, `${field}.hostAliases[${i}]`, ['ip', 'hostnames']);
  return {
    hostname: spec.hostname || undefined,
    subdomain: spec.subdomain || undefined,
    asFqdn: setHostnameAsFQDN,
    hostAliases: hostAliases.map(({ ip, hostnames }) => ({ ip, hostnames: hostnames ?? [] })),
    policy: planPolicy(dnsPolicy, spec.hostNetwork ?? false, `${field}.dnsPolicy`, problems),
    config: {
      nameservers: dnsConfig?.nameservers ?? [],
      searches: dnsConfig?.searches ?? [],
      options: dnsConfig?.options ?? [],
    },
  };
}

/** Who shares the node's network has the node's names, unless it asks for the cluster's. */
function planPolicy(policy: string, hostNetwork: boolean, field: string, problems: Problems): NamePlan['policy'] {
  switch (policy) {
    case 'ClusterFirst':
      return hostNetwork ? 'Default' : 'ClusterFirst';
    case 'ClusterFirstWithHostNet':
      return 'ClusterFirst';
    case 'Default':
    case 'None':
      return policy;
    default:
      problems.add(field, `"${policy}" is not ClusterFirst, ClusterFirstWithHostNet, Default or None`);
      return 'ClusterFirst';
  }
}

export interface ClusterNames {
  readonly domain: string;
  readonly dns: string;
}

/** Kubernetes' limit, which is the C library's. */
const mostServers = 3;

/** Of a pod. A node of a lab has the cluster's servers too, but none of its search paths. */
export function resolvConf(plan: Pick<NamePlan, 'policy' | 'config'>, namespace: string, c: ClusterNames): string {
  const { policy, config } = plan;
  const search = policy === 'ClusterFirst' ? clusterSearch(namespace, c.domain) : [];
  const servers = policy === 'None' ? [] : [c.dns];
  const options = new Map(policy === 'ClusterFirst' ? [['ndots', '5']] : []);
  for (const { name, value } of config.options) options.set(name, value ?? '');
  const searches = [...new Set([...search, ...config.searches])];
  const lines = [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...[...new Set([...servers, ...config.nameservers])].slice(0, mostServers).map((s) => `nameserver ${s}`),
    ...(options.size > 0 ? [`options ${[...options].map(([n, v]) => (v === '' ? n : `${n}:${v}`)).join(' ')}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function clusterSearch(namespace: string, domain: string): string[] {
  return [`${namespace}.svc.${domain}`, `svc.${domain}`, domain];
}

/** `web-0.web.shop.svc.cluster.local`; undefined: the pod has no subdomain. */
export function fullName(
  { hostname, subdomain }: Pick<NamePlan, 'hostname' | 'subdomain'>,
  pod: { readonly name: string; readonly namespace: string },
  domain: string,
): string | undefined {
  return subdomain && `${hostname ?? pod.name}.${subdomain}.${pod.namespace}.svc.${domain}`;
}

export function hostsFile(ips: readonly string[], names: readonly string[], aliases: NamePlan['hostAliases']): string {
  const lines = [
    '# Made by the lab, as kubelet does.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...ips.map((ip) => [ip, ...names].join('\t')),
    ...aliases.map(({ ip, hostnames }) => [ip, ...hostnames].join('\t')),
  ];
  return `${lines.join('\n')}\n`;
}
