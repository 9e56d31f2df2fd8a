/**
 * What the CNI plugin reads while no agent runs: the namespaces in which no pod belongs to the mesh. There a pod may start without
 * anybody to ask; everywhere else it waits.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace, Pod } from '../../common/kube/kinds/core.ts';
import { dataplaneModeLabel } from '../enrolment.ts';
import { readWithStat, replaceFileDurably } from '../install/files.ts';

const fileName = 'outside-namespaces';

/** Pods of other nodes count too: their like may come here. One that is the first of its kind, while no agent runs, is not foreseen. */
export function outsideNamespaces(namespaces: Iterable<Namespace>, pods: Iterable<Pod>): readonly string[] {
  const inside = new Set<string>();
  for (const { metadata } of pods) {
    if (metadata.labels?.[dataplaneModeLabel] === 'ambient') inside.add(metadata.namespace ?? '');
  }
  return [...namespaces]
    .filter(({ metadata }) => metadata.labels?.[dataplaneModeLabel] !== 'ambient' && !inside.has(metadata.name))
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** Writes only what has changed. */
export function writeOutside(runDir: string, names: readonly string[]): void {
  const path = join(runDir, fileName);
  const text = names.map((name) => `${name}\n`).join('');
  if (readWithStat(path)?.content.toString() !== text) replaceFileDurably(path, text, 0o644);
}

export function removeOutside(runDir: string): void {
  rmSync(join(runDir, fileName), { force: true });
}
