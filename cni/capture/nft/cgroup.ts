/** A cgroup as nftables names it: the path below /sys/fs/cgroup, where nft looks for it, and how deep it is in its hierarchy. */
import { MeshError } from '../../../common/core/errors.ts';

export interface NftCgroup {
  readonly path: string;
  readonly level: number;
}

const lookedFor = '/sys/fs/cgroup/';

/** `mount`: where cgroup2 is mounted; on hybrid machines that is /sys/fs/cgroup/unified. MeshError CONFIG. */
export function nftCgroup(folder: string, mount: string): NftCgroup {
  const clean = folder.replace(/\/+$/, '');
  if (!clean.startsWith(lookedFor) || !clean.startsWith(`${mount}/`) || /["\\\n]/.test(clean)) {
    throw new MeshError(
      'CONFIG',
      `nftables knows cgroups below ${lookedFor} in a cgroup2 file system only, and ${folder} is none`,
    );
  }
  return { path: clean.slice(lookedFor.length), level: clean.slice(mount.length + 1).split('/').length };
}
