/**
 * The cgroup folder that carries a pod's UID, as kubelets and runtimes name it:
 * - cgroupfs driver: `kubepods/burstable/pod<uid>`, UID with dashes;
 * - systemd driver: `kubepods-burstable-pod<uid>.slice`, where dashes separate slices, so the UID has underscores.
 * Anything may stand above (kind's `kubelet.slice`, a lab's node) and below (one folder a container).
 */
import { type Dirent, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Levels below the root that are looked at; kind in systemd mode has 6. */
const deepest = 10;

/** The UID in a folder's name, with dashes; undefined when it is no pod's folder. */
export function podUidOfFolder(name: string): string | undefined {
  const m = /^(?:(?:[\w.@:]+-)*?)pod([0-9a-zA-Z][0-9a-zA-Z_-]*)(\.slice)?$/.exec(name);
  if (m === null) return undefined;
  return m[2] === undefined ? m[1] : m[1]!.replaceAll('_', '-');
}

/** Breadth first, since pods lie high in the tree; does not descend into other pods. undefined: not there (yet). */
export function findPodCgroup(roots: readonly string[], uid: string): string | undefined {
  let level = [...roots];
  for (let depth = 0; depth < deepest && level.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of level) {
      for (const name of childFolders(folder)) {
        const found = podUidOfFolder(name);
        if (found === uid) return join(folder, name);
        if (found === undefined) next.push(join(folder, name));
      }
    }
    level = next;
  }
  return undefined;
}

/** A cgroup and its descendants, parents first. */
export function* cgroupSubtree(folder: string): Iterable<string> {
  yield folder;
  for (const name of childFolders(folder)) yield* cgroupSubtree(join(folder, name));
}

/** Cgroups come and go while one looks. */
function childFolders(folder: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (e) {
    const code = (e as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR') return [];
    throw e;
  }
  return entries.filter((e) => e.isDirectory()).map((e) => e.name);
}
