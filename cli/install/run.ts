/** `aquifer install`, `uninstall` and `manifest generate`. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { parseDuration } from '../../common/config/duration.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { withCluster } from '../access/cluster.ts';
import { readDump } from '../access/files.ts';
import { kubeconfigOf } from '../api-access.ts';
import { noOperands, readArguments, UsageError } from '../arguments.ts';
import { report } from '../check/result.ts';
import { checkCluster } from '../check/run.ts';
import { isConfirmed } from '../confirm.ts';
import type { AccessValues } from '../connection-options.ts';
import { print, tell } from '../print.ts';
import { ownCharts } from './charts.ts';
import { type HelmPlace, helm, nowhere } from './helm.ts';
import { generateOptions, installOptions, uninstallOptions } from './options.ts';
import { commandLine, installSteps, type Step, templateSteps, uninstallSteps, type Wanted } from './plan.ts';

export async function runInstall(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('install', args, installOptions);
  noOperands('install', positionals);
  const ms = parseDuration(values['readiness-timeout']);
  if (ms === undefined)
    throw new UsageError(
      `--readiness-timeout: ${JSON.stringify(values['readiness-timeout'])}: expected a duration such as 5m`,
    );
  const wanted = await wantedOf(values);
  if (values['dry-run']) return generate(wanted, placeOf(values));
  const steps = installSteps(wanted, Math.max(1, Math.round(ms / 1000)));
  const place = placeOf(values);
  await needHelm(steps);
  if (!values.force) {
    const problems = (await withCluster(values, process.env, (cluster) => checkCluster(cluster, true))).filter(
      (r) => r.level === 'fail',
    );
    if (problems.length > 0) {
      for (const line of report(problems)) tell(line);
      throw new MeshError('CONFIG', 'the cluster is not ready for the mesh; mend the above, or --force');
    }
  }
  if (
    !(await isConfirmed(
      `This installs ${steps.map((s) => s.release).join(', ')} into namespace ${wanted.namespace}.`,
      values['skip-confirmation'] === true,
    ))
  )
    return 1;
  for (const step of steps) {
    tell(`${step.release}: installing`);
    await helm(step.argv, step.values, place);
    print(`${step.release} is ready`);
  }
  print(
    'next: kubectl label namespace NAME istio.io/dataplane-mode=ambient; aquifer waypoint apply -n NAME --enroll-namespace',
  );
  if (!values.verify) return 0;
  const results = await withCluster(values, process.env, (cluster) => checkCluster(cluster, false));
  for (const line of report(results)) print(line);
  return results.some((r) => r.level === 'fail') ? 1 : 0;
}

export async function runUninstall(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('uninstall', args, uninstallOptions);
  noOperands('uninstall', positionals);
  const { revision, purge = false } = values;
  if (purge === (revision !== undefined))
    throw new UsageError('aquifer uninstall: expected --purge or --revision NAME; see aquifer uninstall --help');
  const steps = uninstallSteps(values.istioNamespace, revision);
  if (values['dry-run']) {
    for (const step of steps) print(commandLine(step));
    return 0;
  }
  await needHelm(steps);
  if (
    !(await isConfirmed(
      `This removes ${steps.map((s) => s.release).join(', ')}.`,
      values['skip-confirmation'] === true,
    ))
  )
    return 1;
  for (const step of steps) {
    if (values.verbose) tell(commandLine(step));
    tell(`${step.release}: removing`);
    await helm(step.argv, undefined, placeOf(values));
    print(`${step.release} is gone`);
  }
  return 0;
}

export async function runGenerate(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('manifest generate', args, generateOptions);
  noOperands('manifest generate', positionals);
  return generate(await wantedOf(values), nowhere, values.output);
}

async function generate(wanted: Wanted, place: HelmPlace, file?: string): Promise<number> {
  const steps = templateSteps(wanted);
  await needHelm(steps);
  const parts: string[] = [];
  for (const step of steps) parts.push((await helm(step.argv, step.values, place)).trimEnd());
  if (file === undefined) for (const part of parts) print(part);
  else await writeFile(file, `${parts.join('\n')}\n`).catch(unwritable(file));
  return 0;
}

function unwritable(file: string) {
  return (e: unknown) => {
    throw new MeshError('CONFIG', `--output: ${file} cannot be written: ${describeError(e)}`);
  };
}

interface Values {
  readonly istioNamespace: string;
  readonly manifests?: string | undefined;
  readonly revision?: string | undefined;
  readonly set?: readonly string[] | undefined;
  readonly filename?: readonly string[] | undefined;
}

async function wantedOf(values: Values): Promise<Wanted> {
  const folder = values.manifests ?? ownCharts;
  if (!existsSync(`${folder}/base/Chart.yaml`))
    throw new MeshError(
      'CONFIG',
      `${folder}: no charts are there (base, istiod, cni, ztunnel); --manifests names their folder`,
    );
  const { parse } = await import('yaml');
  const files = await Promise.all((values.filename ?? []).map(async (file) => parse(await readDump(file)) as unknown));
  return { namespace: values.istioNamespace, folder, revision: values.revision, sets: values.set ?? [], files };
}

/** UsageError. */
function placeOf(values: AccessValues): HelmPlace {
  if (values['as-uid'] !== undefined) throw new UsageError('--as-uid: helm acts as users and groups alone');
  return {
    kubeconfig: kubeconfigOf(values.kubeconfig, process.env),
    context: values.context,
    user: values.as,
    groups: values['as-group'] ?? [],
  };
}

/** Where helm is missing, what it would have been asked. */
async function needHelm(
  steps: readonly (Pick<Step, 'argv'> & { readonly values?: string | undefined })[],
): Promise<void> {
  await helm(['version', '--short'], undefined, nowhere).catch((e: unknown) => {
    if (!(e instanceof MeshError) || e.code !== 'NOT_FOUND') throw e;
    for (const step of steps) tell(commandLine(step));
    throw new MeshError(
      'NOT_FOUND',
      'helm is not on PATH; install it (https://helm.sh), or run the commands above where it is',
    );
  });
}
