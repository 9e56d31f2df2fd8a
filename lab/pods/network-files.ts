/** What a container finds in /etc about names. */
import type { Pod } from '../../common/kube/kinds/core.ts';
import { clusterDns, clusterDomain } from '../addresses.ts';
import { fullName, hostsFile, type NamePlan, resolvConf } from '../manifest/dns.ts';

const cluster = { domain: clusterDomain, dns: clusterDns.v4 };

/** Of a program that resolves names as a pod of the namespace does. */
export function clusterResolvConf(namespace: string): string {
  const config = { nameservers: [], searches: [], options: [] };
  return resolvConf({ policy: 'ClusterFirst', config }, namespace, cluster);
}

/** `node`: the pod shares its network and its name. The kernel takes 64 bytes. */
export function hostnameOf(plan: NamePlan, pod: Pod, node: string | undefined): string {
  const { name, namespace = 'default' } = pod.metadata;
  if (node !== undefined) return node;
  const whole = plan.asFqdn ? fullName(plan, { name, namespace }, clusterDomain) : undefined;
  return (whole ?? plan.hostname ?? name).slice(0, whole === undefined ? 63 : 64);
}

/** Absolute path -> content. */
export function networkFiles(plan: NamePlan, pod: Pod, hostname: string): Record<string, string> {
  const { name, namespace = 'default' } = pod.metadata;
  const whole = fullName(plan, { name, namespace }, clusterDomain);
  const names = [...new Set([...(whole === undefined ? [] : [whole]), whole?.split('.')[0] ?? hostname])];
  const ips = pod.status?.podIPs?.map((x) => x.ip) ?? [];
  return {
    '/etc/hostname': `${hostname}\n`,
    '/etc/hosts': hostsFile(ips, names, plan.hostAliases),
    '/etc/resolv.conf': resolvConf(plan, namespace, cluster),
  };
}
