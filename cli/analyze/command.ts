/** `aquifer analyze`. */
import { revisionLabel } from '../../common/kube/revisions.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { analyze, analyzerNames } from '../../istiod/analysis/analyze.ts';
import { levels, type MessageLevel, sorts } from '../../istiod/analysis/codes.ts';
import type { Message } from '../../istiod/analysis/world.ts';
import { print, tell } from '../print.ts';
import { parseAnalyzeArguments } from './arguments.ts';
import { readSubject } from './read.ts';
import { bySeverity, insufficient, linesOf, remarkOf } from './remarks.ts';
import { type Suppression, suppresses } from './suppressions.ts';

/** As istioctl's. */
const foundCode = 79;

export async function run(args: readonly string[]): Promise<number> {
  const asked = parseAnalyzeArguments(args);
  if (asked.lists) {
    for (const name of analyzerNames) print(name);
    return 0;
  }
  const { objects, places, cluster, rootNamespace, broken } = await readSubject(asked);
  const chosen = asked.analyzers ?? new Set(analyzerNames);
  if (asked.verbose) {
    for (const [object, place] of places)
      tell(`read ${object.kind} ${object.metadata.name}: ${place.problemAt(undefined, '').file}`);
    tell(`read ${cluster.objects.length} objects of the cluster; root namespace ${rootNamespace}`);
    tell(`analyzers: ${[...chosen].join(', ')}`);
  }
  const stored = new Set(cluster.objects);
  const remarks = analyze(objects, { complete: cluster.complete, stored, rootNamespace, analyzers: chosen })
    .filter(({ object }) => isOf(asked.revision, object))
    .filter(({ object: { metadata } }) =>
      [undefined, metadata.namespace ?? metadata.name].includes(asked.onlyNamespace),
    )
    .filter((m) => !isSuppressed(m, asked.suppressions))
    .map((m) => remarkOf(m, places.get(m.object)))
    .concat(cluster.problems.map(insufficient))
    .sort(bySeverity);
  const reaches = (level: MessageLevel, threshold: MessageLevel) => levels.indexOf(level) >= levels.indexOf(threshold);
  const told = remarks.filter(({ level }) => reaches(level, asked.shown));
  const colors = asked.colors && process.stdout.isTTY && process.env['TERM'] !== 'dumb';
  for (const line of linesOf(asked.format, { remarks: told, broken, checked: objects.length }, colors)) print(line);
  return broken.length > 0 || remarks.some(({ level }) => reaches(level, asked.failing)) ? foundCode : 0;
}

/** An object without a label is everybody's. */
function isOf(revision: string, { metadata }: KubeObject): boolean {
  return [undefined, revision].includes(metadata.labels?.[revisionLabel]);
}

function isSuppressed({ sort, object }: Message, suppressions: readonly Suppression[]): boolean {
  const { code } = sorts[sort];
  const own = object.metadata.annotations?.['galley.istio.io/analyze-suppress'];
  if (own?.split(',').some((c) => c.trim() === code || c.trim() === '*')) return true;
  return suppressions.some((s) => suppresses(s, code, object));
}
