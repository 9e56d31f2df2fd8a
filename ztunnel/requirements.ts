/** What the supervisor needs of its process: said by name before anything fails halfway. */
import { missingCapabilities, type NeededCapability } from '../common/core/capabilities.ts';
import { MeshError } from '../common/core/errors.ts';
import type { ProxyMode } from './config/mode.ts';

const sockets: NeededCapability = { name: 'CAP_NET_ADMIN', why: 'for transparent and marked sockets' };
const fewer: NeededCapability = { name: 'CAP_SETPCAP', why: 'to take capabilities from workers for good' };
const needed: Readonly<Record<ProxyMode['kind'], readonly NeededCapability[]>> = {
  shared: [{ name: 'CAP_SYS_ADMIN', why: "to make sockets in pods' network namespaces" }, sockets, fewer],
  dedicated: [
    { name: 'CAP_SETUID', why: "to make sockets that belong to the workers' user" },
    { name: 'CAP_SETGID', why: "to make sockets that belong to the workers' group" },
    sockets,
    fewer,
  ],
};

/** `status` is the text of /proc/self/status. Throws MeshError CONFIG that names everything that is missing. */
export function checkRequirements(status: string, mode: ProxyMode['kind']): void {
  const missing = missingCapabilities(status, needed[mode]);
  if (missing.length === 0) return;
  const lines = missing.map((c) => `capability ${c.name} is missing, needed ${c.why}: run ztunnel as root or grant it`);
  throw new MeshError('CONFIG', lines.join('\n  '));
}
