/** hostPath volumes: what must be at a path of the machine, or is made there. */
import { mkdir, open, stat } from 'node:fs/promises';
import { assertNever, MeshError } from '../../common/core/errors.ts';
import type { HostPathType } from '../manifest/volume.ts';

/** MeshError CONFIG in kubelet's words when what is there is something else, or nothing. */
export async function checkHostPath(path: string, type: HostPathType): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  const demand = (fits: boolean | undefined, what: string) => {
    if (fits !== true) throw new MeshError('CONFIG', `hostPath type check failed: ${path} is not a ${what}`);
  };
  switch (type) {
    case '':
      // As containerd does it for a mount whose source is missing.
      if (there === undefined) await mkdir(path, { recursive: true, mode: 0o755 });
      return;
    case 'DirectoryOrCreate':
      if (there === undefined) await mkdir(path, { recursive: true, mode: 0o755 });
      else demand(there.isDirectory(), 'directory');
      return;
    case 'FileOrCreate':
      if (there === undefined) await (await open(path, 'a', 0o644)).close();
      else demand(there.isFile(), 'file');
      return;
    case 'Directory':
      return demand(there?.isDirectory(), 'directory');
    case 'File':
      return demand(there?.isFile(), 'file');
    case 'Socket':
      return demand(there?.isSocket(), 'socket file');
    case 'CharDevice':
      return demand(there?.isCharacterDevice(), 'character device');
    case 'BlockDevice':
      return demand(there?.isBlockDevice(), 'block device');
    default:
      return assertNever(type);
  }
}
