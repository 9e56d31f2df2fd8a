/** What the supervisor needs of its process: said by name before anything fails halfway. */
import { missingCapabilities, type NeededCapability } from '../common/core/capabilities.ts';
import { MeshError } from '../common/core/errors.ts';

const needed: readonly NeededCapability[] = [
  { name: 'CAP_SYS_ADMIN', why: "to make sockets in pods' network namespaces" },
  { name: 'CAP_NET_ADMIN', why: 'for transparent and marked sockets' },
];

/** `status` is the text of /proc/self/status. Throws MeshError CONFIG that names everything that is missing. */
export function checkRequirements(status: string): void {
  const missing = missingCapabilities(status, needed);
  if (missing.length === 0) return;
  const lines = missing.map((c) => `capability ${c.name} is missing, needed ${c.why}: run ztunnel as root or grant it`);
  throw new MeshError('CONFIG', lines.join('\n  '));
}
