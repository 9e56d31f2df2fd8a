/** The machine's address, as Envoy finds it. */
import { networkInterfaces } from 'node:os';

/** The first of IPv4 that others may reach. */
export function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find((a) => a.family === 'IPv4' && !a.internal)?.address ?? '127.0.0.1';
}
