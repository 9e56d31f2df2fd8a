/** Who is at an address, by what node proxies know. Pure. */
import type { ZtunnelDump } from '../ztunnel-config/dump.ts';
import { namesOf } from '../ztunnel-config/tables.ts';
import type { TapEnd } from './events.ts';

export interface Names {
  /** `ADDRESS:PORT`; `shown`: by whose name it goes, where that is another; `proved`: mutual TLS said who it is. */
  end(address: string, options: { readonly shown?: string | undefined; readonly proved: boolean }): TapEnd;
}

export function namesIn(dump: Pick<ZtunnelDump, 'workloads' | 'services'>): Names {
  const nameOf = namesOf(dump);
  const identities = new Map<string, string>();
  for (const w of dump.workloads) {
    const identity = `spiffe://${w.trustDomain ?? 'cluster.local'}/ns/${w.namespace}/sa/${w.serviceAccount ?? 'default'}`;
    for (const ip of w.workloadIps ?? []) identities.set(ip, identity);
  }
  return {
    end(address, { shown = address, proved }) {
      const ip = address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
      const identity = proved ? identities.get(ip) : undefined;
      return { address, name: nameOf(shown), ...(identity !== undefined && { identity }) };
    },
  };
}
