/** Named network namespaces (ip-netns(8)): a file of that name in /run/netns. */
import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { netnsPath } from '../names.ts';
import { run } from './run.ts';

export function netnsList(prefix: string): string[] {
  try {
    return readdirSync('/run/netns').filter((name) => name.startsWith(prefix));
  } catch {
    // The folder comes with the first namespace.
    return [];
  }
}

export async function deleteNetns(names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await run(['ip', '-batch', '-'], names.map((n) => `netns del ${n}\n`).join(''));
}

/** Runs ip(8) commands inside a namespace, after writing sysctls (path below /proc/sys -> value). */
export async function configureNetns(
  netns: string,
  sysctls: Readonly<Record<string, string | number>>,
  batch: readonly string[],
): Promise<void> {
  const writes = Object.entries(sysctls).map(([path, value]) => `echo ${value} > /proc/sys/${path}`);
  const script = ['set -e', ...writes, 'exec ip -batch -'].join('\n');
  await run(['nsenter', `--net=${netnsPath(netns)}`, 'sh', '-c', script], `${batch.join('\n')}\n`);
}

/** Processes whose network namespace is one of these. */
export function processesIn(names: readonly string[]): number[] {
  const inodes = new Set(names.flatMap((name) => inode(name) ?? []));
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.filter((pid) => inodes.has(netOf(pid) ?? -1)).map(Number);
}

function inode(name: string): number | undefined {
  try {
    return statSync(netnsPath(name)).ino;
  } catch {
    return undefined;
  }
}

function netOf(pid: string): number | undefined {
  try {
    return Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]);
  } catch {
    // Ended meanwhile.
    return undefined;
  }
}
