/** How a lab was asked for: written by `up`, read by the daemon and by everything that attaches. */
import { readFile } from 'node:fs/promises';
import { labPaths } from '../names.ts';
import type { ExtraEnv } from '../programs/mesh.ts';

export interface LabConfig {
  readonly name: string;
  readonly nodes: number;
  readonly mesh: boolean;
  readonly env: ExtraEnv;
  /** Folder of unpacked packages. */
  readonly cache: string;
}

/** undefined when there is no such lab. */
export async function readLabConfig(name: string): Promise<LabConfig | undefined> {
  try {
    return JSON.parse(await readFile(labPaths(name).config, 'utf8')) as LabConfig;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw e;
  }
}
