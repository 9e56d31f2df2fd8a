/** The plan of a migration as it is printed. Pure. */
import { charts } from '../install/plan.ts';
import { formatTable } from '../table.ts';
import type { Loss } from './losses.ts';
import type { Facts } from './parts.ts';
import { isDone, type PlanOptions, type Step } from './steps.ts';

export interface Plan {
  readonly facts: Facts;
  readonly losses: readonly Loss[];
  readonly options: PlanOptions;
  readonly steps: readonly Step[];
}

export function report({ facts, losses, options, steps }: Plan): readonly string[] {
  const rows = facts.parts.map((p) => [
    p.part,
    p.namespace,
    p.name,
    p.version,
    p.revision,
    p.isOurs ? 'Aquifer' : 'Istio',
  ]);
  const spaces = (['sidecar', 'ambient'] as const).flatMap((mode) => {
    const names = facts.namespaces.filter((n) => n.mode === mode).map((n) => n.name);
    return names.length === 0 ? [] : [`namespaces, ${mode}: ${names.join(', ')}`];
  });
  const dropped = charts.flatMap((chart) =>
    options.carried[chart].dropped.map((d) => `value ${chart}: ${d.key}=${JSON.stringify(d.value)}: ${d.reason}`),
  );
  const lost = [...losses.map((l) => `${l.kind} ${l.object}: ${l.reason}`), ...dropped];
  return [
    'Found',
    ...indented(formatTable(['PART', 'NAMESPACE', 'NAME', 'VERSION', 'REVISION', 'OF'], rows).split('\n')),
    ...indented(spaces),
    '',
    lost.length === 0 ? 'All of it comes along.' : 'What does not come along, or not as it was',
    ...indented(lost),
    '',
    'Steps',
    ...steps.flatMap((step, i) => [...indented(stepLines(step, i + 1)), '']),
    `${steps.filter(isDone).length} of ${steps.length} done; aquifer migrate --check NUMBER tells whether one is`,
  ];
}

export function stepLines(step: Step, number: number): readonly string[] {
  return [
    `${number}. ${step.id}: ${step.title}${isDone(step) ? ' (done)' : ''}`,
    `   ${step.why}`,
    ...(isDone(step) ? [] : step.commands.flatMap((c) => indented(c.split('\n'), '     '))),
    ...indented(checkLines(step), '   '),
  ];
}

export function checkLines({ checks }: Step): readonly string[] {
  return checks.map(({ met, text }) => `${met ? 'ok  ' : 'open'}  ${text}`);
}

function indented(lines: readonly string[], by = '  '): readonly string[] {
  return lines.map((line) => `${by}${line}`);
}
