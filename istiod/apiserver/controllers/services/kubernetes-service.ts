/** The Service `kubernetes` in namespace default, by which pods reach the API server. */
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import ipaddr from 'ipaddr.js';
import { serviceKind } from '../../../../common/kube/kinds/core.ts';
import { endpointsKind } from '../../../../common/kube/schema/cluster.ts';
import type { Core } from '../../part.ts';
import { AddressRange } from '../runtime/address-range.ts';
import { isCode, Writer } from '../runtime/writer.ts';

const target = { namespace: 'default', name: 'kubernetes' };
const labels = { component: 'apiserver', provider: 'kubernetes' };

export async function ensureKubernetesService({ rest, registry, networks, address }: Core): Promise<void> {
  const writer = new Writer(rest, registry, 'kube-apiserver');
  const port = Number(/\d+$/.exec(address())?.[0]);
  const clusterIPs = networks.services.map((range) => new AddressRange(range).addressOf(1));
  const ports = [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }];
  const ipFamilyPolicy = clusterIPs.length > 1 ? 'PreferDualStack' : 'SingleStack';
  const spec = { type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, ipFamilyPolicy, ports };
  await createOnce(() => writer.create(serviceKind, { metadata: { ...target, labels }, spec }));
  await writer.update(serviceKind, target, (service) => {
    const current = service['spec'] as typeof spec;
    if (isDeepStrictEqual(current.ports, ports)) return 'unchanged';
    service['spec'] = { ...current, ports };
    return 'changed';
  });
  const subsets = endpointSubsets(address());
  await createOnce(() => writer.create(endpointsKind, { metadata: target, subsets }));
  await writer.update(endpointsKind, target, (endpoints) => {
    if (isDeepStrictEqual(endpoints['subsets'] ?? [], subsets)) return 'unchanged';
    endpoints['subsets'] = subsets;
    return 'changed';
  });
}

/** None where the server is reached on its own machine alone: no pod is there. */
export function endpointSubsets(address: string): readonly object[] {
  const [, host = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  if (isIP(host) === 0 || ['loopback', 'unspecified'].includes(ipaddr.parse(host).range())) return [];
  return [{ addresses: [{ ip: host }], ports: [{ name: 'https', port: Number(port), protocol: 'TCP' }] }];
}

async function createOnce(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (e) {
    if (!isCode(e, 409)) throw e;
  }
}
