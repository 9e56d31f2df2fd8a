/** `aquifer x precheck`: what of `aquifer check --pre` keeps from installing, in istioctl's words. */
import { withCluster } from '../access/cluster.ts';
import { noOperands, oneOf, readArguments } from '../arguments.ts';
import type { Result } from '../check/result.ts';
import { checkCluster } from '../check/run.ts';
import { print, printAs } from '../print.ts';
import { options } from './options.ts';

const ranks = { Info: 0, Warning: 1, Error: 2 } as const;
const levelOf = { ok: 'Info', warn: 'Warning', fail: 'Error' } as const satisfies Record<
  Result['level'],
  keyof typeof ranks
>;

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('x precheck', args, options);
  noOperands('x precheck', positionals);
  const format = oneOf('--output', values.output, 'log', 'json', 'yaml');
  const threshold = ranks[oneOf('--output-threshold', values['output-threshold'], 'Info', 'Warning', 'Error')];
  const all = await withCluster(values, process.env, (cluster) => checkCluster(cluster, true));
  const asked = values['skip-controlplane'] ? all.filter((r) => r.group === 'nodes' || r.group === 'others') : all;
  const told = asked.filter((r) => ranks[levelOf[r.level]] >= threshold);
  if (format !== 'log')
    await printAs(
      format,
      told.map(({ level, ...rest }) => ({ level: levelOf[level], ...rest })),
    );
  else {
    for (const { level, text, fix } of told) print(`${levelOf[level]}: ${text}${fix === undefined ? '' : `; ${fix}`}`);
    if (told.every((r) => r.level === 'ok')) print('No issues found: the mesh can be installed or upgraded.');
  }
  return asked.some((r) => r.level === 'fail') ? 1 : 0;
}
