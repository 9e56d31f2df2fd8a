/** Which Helm commands install and remove the mesh. Pure. */
import { isObject } from '../../common/kube/schema/validate.ts';
import { UsageError } from '../arguments.ts';

/** In the order in which they are installed. */
export const charts = ['base', 'istiod', 'cni', 'ztunnel'] as const;
/** What templates are made for where no cluster is asked. */
const kubeVersion = '1.34.0';
export type Chart = (typeof charts)[number];

const releases: Readonly<Record<Chart, string>> = {
  base: 'istio-base',
  istiod: 'istiod',
  cni: 'istio-cni',
  ztunnel: 'ztunnel',
};

export interface Wanted {
  readonly namespace: string;
  /** Folder of the charts. */
  readonly folder: string;
  readonly revision: string | undefined;
  /** As --set has them. */
  readonly sets: readonly string[];
  /** Of files, in their order. */
  readonly files: readonly unknown[];
}

export interface Step {
  readonly chart: Chart;
  readonly release: string;
  /** Behind `helm`. */
  readonly argv: readonly string[];
  /** JSON on its standard input; undefined: none. */
  readonly values: string | undefined;
}

/** `seconds`: for each chart to be ready. UsageError. */
export function installSteps(wanted: Wanted, seconds: number): readonly Step[] {
  return steps(wanted, (release, chart) => [
    ...['upgrade', '--install', release, `${wanted.folder}/${chart}`, '--namespace', wanted.namespace],
    ...['--create-namespace', '--wait', '--timeout', `${seconds}s`],
  ]);
}

/** UsageError. */
export function templateSteps(wanted: Wanted): readonly Step[] {
  return steps(wanted, (release, chart) => [
    ...[
      'template',
      release,
      `${wanted.folder}/${chart}`,
      '--namespace',
      wanted.namespace,
      '--include-crds',
      '--kube-version',
      kubeVersion,
    ],
  ]);
}

function steps(wanted: Wanted, head: (release: string, chart: Chart) => readonly string[]): readonly Step[] {
  const sets = setsByChart(wanted.sets);
  return charts.map((chart) => {
    const release = releaseOf(chart, wanted.revision);
    const values = valuesOf(chart, wanted.files);
    const revision =
      chart === 'istiod' && wanted.revision !== undefined ? ['--set-string', `revision=${wanted.revision}`] : [];
    return {
      chart,
      release,
      argv: [
        ...head(release, chart),
        ...(values === undefined ? [] : ['--values', '-']),
        ...revision,
        ...(sets.get(chart) ?? []).flatMap((text) => ['--set', text]),
      ],
      values: values && JSON.stringify(values),
    };
  });
}

/** Node proxies go first, for they need the others to leave properly. */
export function uninstallSteps(namespace: string, revision: string | undefined): readonly Omit<Step, 'values'>[] {
  const chosen = revision === undefined ? charts.toReversed() : (['istiod'] as const);
  return chosen.map((chart) => {
    const release = releaseOf(chart, revision);
    return { chart, release, argv: ['uninstall', release, '--namespace', namespace, '--ignore-not-found', '--wait'] };
  });
}

/** What the release of a chart is called. */
export function releaseOf(chart: Chart, revision: string | undefined): string {
  return chart === 'istiod' && revision !== undefined && revision !== 'default'
    ? `istiod-${revision}`
    : releases[chart];
}

function setsByChart(sets: readonly string[]): ReadonlyMap<Chart, readonly string[]> {
  const found = new Map<Chart, string[]>(charts.map((chart) => [chart, []]));
  for (const text of sets) {
    const [, key = '', rest = ''] = /^([a-z]+)([.=].*)$/s.exec(text) ?? [];
    const chart = charts.find((c) => c === key);
    if (key === 'profile' && rest === '=ambient') continue;
    if (chart !== undefined && rest.startsWith('.')) found.get(chart)!.push(rest.slice(1));
    else if (key === 'global' && rest.startsWith('.')) for (const all of found.values()) all.push(text);
    else
      throw new UsageError(
        `--set: ${JSON.stringify(text)}: expected CHART.KEY=VALUE, CHART one of ${charts.join(', ')}, or global.KEY=VALUE`,
      );
  }
  return found;
}

/** Later files win, mapping by mapping; lists are replaced. */
function valuesOf(chart: Chart, files: readonly unknown[]): object | undefined {
  const all = files.flatMap((file) => {
    if (!isObject(file)) throw new UsageError('--filename: expected a mapping by chart');
    const stranger = Object.keys(file).find((key) => key !== 'global' && !charts.some((c) => c === key));
    if (stranger !== undefined)
      throw new UsageError(`--filename: ${stranger}: no such chart; expected ${charts.join(', ')} or global`);
    return [{ ...(file['global'] === undefined ? {} : { global: file['global'] }) }, file[chart] ?? {}];
  });
  const merged = all.reduce((under: unknown, over) => merge(under, over), {});
  return isObject(merged) && Object.keys(merged).length > 0 ? merged : undefined;
}

function merge(under: unknown, over: unknown): unknown {
  if (!isObject(under) || !isObject(over)) return over;
  const out: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) out[key] = key in under ? merge(under[key], value) : value;
  return out;
}

/** As somebody types it. */
export function commandLine({ argv, values }: Pick<Step, 'argv'> & { readonly values?: string | undefined }): string {
  const line = ['helm', ...argv]
    .map((word) => (/^[\w./=:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
  return values === undefined ? line : `${line} <<'EOF'\n${values}\nEOF`;
}
