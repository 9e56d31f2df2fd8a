/**
 * Which user a worker runs as. Without capabilities uid 0 still owns root's files and is who the agent's sockets trust, so a
 * worker gets another one, wherever that one can read what a worker needs.
 */
import { realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { missingCapabilities, type NeededCapability } from '../../common/core/capabilities.ts';

export interface PathMode {
  readonly path: string;
  /** st_mode. */
  readonly mode: number;
  /** st_uid. */
  readonly uid: number;
  /** st_gid. */
  readonly gid: number;
}

/** S_IFMT, S_IFDIR; rights of others, those of the group are 3 bits higher, those of the owner 6. */
const typeMask = 0o170_000;
const folderType = 0o040_000;
const readable = 0o004;
const searchable = 0o001;
const groupShift = 3;
const ownerShift = 6;

/** What keeps `user`, whose only group has the same number, from using these, with the remedy; undefined: nothing. */
export function obstacle(paths: readonly PathMode[], user: number): string | undefined {
  for (const { path, mode, uid, gid } of paths) {
    const folder = (mode & typeMask) === folderType;
    const rights = mode >> (uid === user ? ownerShift : gid === user ? groupShift : 0);
    if ((rights & (folder ? searchable : readable)) !== 0) continue;
    return folder
      ? `user ${user} may not enter the folder ${path}: chmod o+x ${path}, or move what is in it`
      : `user ${user} may not read ${path}: chown ${user} ${path}, or chmod o+r where it is no secret`;
  }
  return undefined;
}

const needed: readonly NeededCapability[] = [
  { name: 'CAP_SETUID', why: "to change a worker's user" },
  { name: 'CAP_SETGID', why: "to change a worker's group" },
  { name: 'CAP_KILL', why: 'to end a worker of another user' },
];

/** Why a worker cannot be started as another user than this process; `status` is the text of /proc/self/status. */
export function capabilityObstacle(status: string): string | undefined {
  const [first] = missingCapabilities(status, needed);
  return first && `capability ${first.name} is missing, needed ${first.why}: grant it`;
}

/** The file itself and every folder on the way to it, outermost first; nothing where it is not there (yet). */
export function pathModes(file: string): readonly PathMode[] {
  try {
    const paths: string[] = [];
    for (let path = realpathSync(file); ; path = dirname(path)) {
      paths.unshift(path);
      if (path === dirname(path)) break;
    }
    return paths.map((path) => {
      const { mode, uid, gid } = statSync(path);
      return { path, mode, uid, gid };
    });
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw e;
  }
}
