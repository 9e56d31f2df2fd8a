/** A watched folder of Kubernetes YAML as a KubeSource, for several processes at once. */
import type { Logger } from '../../core/log.ts';
import type { KubeSource } from '../types.ts';
import type { Problem } from './problem.ts';

export interface FolderSourceOptions {
  /** Must exist. User manifests are `*.yaml` and `*.yml` at any depth; programs' objects are kept under `.objects`. */
  readonly dir: string;
  readonly log: Logger;
  /** Ends watching; calls made later fail with CANCELLED. */
  readonly signal: AbortSignal;
  /** Called with the whole list whenever it changes. */
  readonly onProblems?: (problems: readonly Problem[]) => void;
}

export interface FolderSource extends KubeSource {
  /** What is wrong with the folder at this moment, by file and line. */
  problems(): readonly Problem[];
}

/** Resolves when the folder has been read once. MeshError CONFIG when it is not a readable folder. */
export async function createFolderSource(options: FolderSourceOptions): Promise<FolderSource> {
  throw new Error(`the folder source is not written yet: ${options.dir}`);
}
