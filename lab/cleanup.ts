/** Removes what carries a lab's name, whoever made it and however that ended. Nothing is remembered, all is found. */
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cgroupName, labPaths, netnsPrefix, runtimeRoot } from './names.ts';
import { cgroupRoot, killCgroup, removeCgroup, trySignal } from './system/cgroup.ts';
import { limitFolders } from './system/limits.ts';
import { unmountBelow } from './system/mounts.ts';
import { deleteNetns, netnsList, processesIn } from './system/netns.ts';

/** Processes first (they hold all else), then mounts, namespaces, cgroups and files. */
export async function cleanUp(lab: string): Promise<void> {
  const cgroup = join(cgroupRoot(), cgroupName(lab));
  await killCgroup(cgroup);
  // Processes that somebody started in our namespaces by hand.
  for (const pid of processesIn(netnsList(netnsPrefix(lab)))) trySignal(pid, 'SIGKILL');
  const { root } = labPaths(lab);
  await unmountBelow(root);
  await deleteNetns(netnsList(netnsPrefix(lab)));
  for (const folder of [cgroup, ...limitFolders(cgroup)]) await removeCgroup(folder);
  await rm(root, { recursive: true, force: true });
}

/** Labs of which anything is left on the machine. */
export function labNames(): string[] {
  const fromCgroups = entries(cgroupRoot()).flatMap((name) => /^aquifer-([a-z0-9]{1,12})$/.exec(name)?.[1] ?? []);
  const fromNetns = netnsList('aq-').flatMap((name) => /^aq-([a-z0-9]{1,12})-/.exec(name)?.[1] ?? []);
  return [...new Set([...entries(runtimeRoot), ...fromCgroups, ...fromNetns])].sort();
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // The runtime folder comes with the first lab.
    return [];
  }
}
