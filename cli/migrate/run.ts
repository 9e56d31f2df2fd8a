/** `aquifer migrate`. */
import { MeshError } from '../../common/core/errors.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { withCluster } from '../access/cluster.ts';
import { noOperands, OperandError, oneOf, readArguments } from '../arguments.ts';
import { ownCharts } from '../install/charts.ts';
import { readObjects } from '../manifests.ts';
import { print, printAs } from '../print.ts';
import { carriedValues, type ParseYaml, readChartKeys } from './carried.ts';
import { lossesOf } from './losses.ts';
import { options } from './options.ts';
import { factsOf } from './parts.ts';
import { readMesh } from './read.ts';
import { checkLines, type Plan, report, stepLines } from './report.ts';
import { isDone, planOf, type Step } from './steps.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('migrate', args, options);
  noOperands('migrate', positionals);
  const format = oneOf('--output', values.output, 'text', 'json');
  const { revision, istioNamespace, manifests: folder = ownCharts } = values;
  const { parse } = await import('yaml');
  const keys = await readChartKeys(folder, parse as ParseYaml);
  const objects: readonly KubeObject[] =
    values.filename === undefined
      ? await withCluster(values, process.env, readMesh)
      : await readObjects(values.filename);
  const facts = factsOf(objects, istioNamespace);
  if (facts.parts.length === 0)
    throw new MeshError(
      'NOT_FOUND',
      `namespace ${istioNamespace}: no istiod, ztunnel or CNI agent is there, nor elsewhere; for a cluster without a mesh: aquifer install`,
    );
  const planOptions = { revision, folder, carried: carriedValues(facts, keys, revision, parse as ParseYaml) };
  const steps = planOf(facts, planOptions);
  const plan: Plan = { facts, losses: lossesOf(objects, facts.istioNamespace), options: planOptions, steps };
  if (values.check !== undefined) {
    const step = stepNamed(steps, values.check);
    if (format === 'json') await printAs('json', { id: step.id, done: isDone(step), checks: step.checks });
    else for (const line of checkLines(step)) print(line);
    return isDone(step) ? 0 : 1;
  }
  if (values.step !== undefined) {
    const step = stepNamed(steps, values.step);
    if (format === 'json') await printAs('json', step);
    else for (const line of stepLines(step, steps.indexOf(step) + 1)) print(line);
    return 0;
  }
  if (format === 'text') for (const line of report(plan)) print(line);
  else
    await printAs('json', {
      parts: facts.parts,
      namespaces: facts.namespaces,
      releases: facts.releases.map(({ values: _, ...release }) => release),
      losses: plan.losses,
      dropped: Object.fromEntries(Object.entries(planOptions.carried).map(([chart, c]) => [chart, c.dropped])),
      steps: steps.map((step) => ({ ...step, done: isDone(step) })),
    });
  return 0;
}

/** OperandError. */
function stepNamed(steps: readonly Step[], text: string): Step {
  const found = steps.find((s, i) => s.id === text || String(i + 1) === text);
  if (found !== undefined) return found;
  throw new OperandError(
    `aquifer migrate: there is no step ${JSON.stringify(text)}; there are ${steps.map((s, i) => `${i + 1} ${s.id}`).join(', ')}`,
  );
}
