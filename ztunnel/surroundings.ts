/** What a process is told about itself besides its environment. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { meshConfigPath } from '../common/config/proxy-config.ts';
import type { Surroundings } from './config.ts';

export function surroundings(): Surroundings {
  return {
    maxOpenFiles: openFilesLimit(readFileSync('/proc/self/limits', 'utf8')),
    cpus: availableParallelism(),
    meshFile: existsSync(meshConfigPath) ? readFileSync(meshConfigPath, 'utf8') : undefined,
    exists: existsSync,
  };
}

/** Soft limit of `Max open files`; 1,024, the kernel's default, when the text has none. */
export function openFilesLimit(limits: string): number {
  const m = /^Max open files\s+(\d+|unlimited)/m.exec(limits);
  if (!m) return 1024;
  return m[1] === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(m[1]);
}

/** Names no capability but says whether there is one: the hexadecimal `CapEff` of /proc/self/status. */
export function hasCapabilities(status: string): boolean {
  const m = /^CapEff:\s*([0-9a-f]+)$/m.exec(status);
  return !m || BigInt(`0x${m[1]}`) !== 0n;
}
