/** `aquifer analyze`. */
import { stringify } from 'yaml';
import { systemClock } from '../../common/core/clock.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { type ManifestObject, titleOf } from '../../common/kube/manifests/documents.ts';
import { formatProblem, type Problem } from '../../common/kube/manifests/problem.ts';
import type { KubeObject, NewObject } from '../../common/kube/types.ts';
import { analyze, analyzers } from '../../istiod/analysis/analyze.ts';
import { levels, type MessageLevel, sorts } from '../../istiod/analysis/codes.ts';
import type { Message } from '../../istiod/analysis/world.ts';
import { apiAccess } from '../api-access.ts';
import { oneOf, readArguments, UsageError } from '../arguments.ts';
import { readCluster } from '../cluster.ts';
import { readManifests } from '../manifests.ts';
import { analyzeOptions } from '../options.ts';
import { parseSuppressions, type Suppression, suppresses } from './suppressions.ts';

export const help = `aquifer analyze: find mistakes that only show between objects

  aquifer analyze [FILE|DIRECTORY|-]...     a cluster, with the files as if they were applied
  aquifer analyze --use-kube=false FILE...  the files alone

  --kubeconfig FILE          the cluster; default: KUBECONFIG, or the one whose pod this is
  --use-kube=false           no cluster
  -n, --namespace NAME       tell of this namespace alone; it is also that of files that name none; default: default
  -A, --all-namespaces       tell of all namespaces
  -S, --suppress CODE=OBJ    leave out, such as "IST0102=Namespace shop" or "IST0118=Service *.shop"; may be given several times
  --output-threshold LEVEL   Info, Warning or Error: what is told; default Info
  --failure-threshold LEVEL  what ends with an exit code; default Error
  -o, --output FORMAT        log, json or yaml; default log
  -L, --list-analyzers       names of the analyzers
  -h, --help                 this text

Codes are those of Istio's analysis. Exit code 0: nothing at the failure threshold. 79: something. 1: it could not be done.
64: the arguments are not understood. An object can suppress for itself by the annotation
galley.istio.io/analyze-suppress: CODE,CODE or "*".
`;

/** As istioctl's. */
const foundCode = 79;

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('analyze', args, analyzeOptions);
  if (values['list-analyzers']) {
    for (const name of ['schema.Validation', ...Object.keys(analyzers)].sort()) print(name);
    return 0;
  }
  const format = oneOf('--output', values.output, 'log', 'json', 'yaml');
  const shown = levels.indexOf(oneOf('--output-threshold', values['output-threshold'], ...levels));
  const failing = levels.indexOf(oneOf('--failure-threshold', values['failure-threshold'], ...levels));
  const live = oneOf('--use-kube', values['use-kube'] ?? 'true', 'true', 'false') === 'true';
  const suppressions = parseSuppressions(values.suppress ?? []);
  if (!live && positionals.length === 0) throw new UsageError('aquifer analyze: without a cluster a file is expected');
  const namespace = values.namespace ?? 'default';
  const only = values['all-namespaces'] === true || values.namespace === undefined ? undefined : values.namespace;
  const files = await readManifests(positionals);
  const places = new Map<KubeObject, ManifestObject>();
  // Of two that name one object the second is what would be applied last.
  const last = new Map<string, readonly [KubeObject, ManifestObject]>();
  for (const manifest of files.flatMap((f) => f.objects)) {
    const object = withNamespace(manifest.object, namespace);
    last.set(idOf(object), [object, manifest]);
  }
  for (const [object, manifest] of last.values()) places.set(object, manifest);
  const cluster = live
    ? await fromCluster(values.kubeconfig)
    : { objects: [], complete: new Set<string>(), problems: [] };
  const all = [...places.keys(), ...cluster.objects.filter((o) => !last.has(idOf(o)))];
  const remarks = analyze(all, { complete: cluster.complete, stored: new Set(cluster.objects) })
    .filter(({ object }) => only === undefined || (object.metadata.namespace ?? object.metadata.name) === only)
    .filter((m) => !isSuppressed(m, suppressions))
    .map((m) => remarkOf(m, places.get(m.object)))
    .concat(cluster.problems.map(insufficient))
    .sort(bySeverity);
  const broken = files.flatMap((f) => f.problems);
  const told = remarks.filter((r) => levels.indexOf(r.level) >= shown);
  printAll(format, told, broken, all.length);
  return broken.length > 0 || remarks.some((r) => levels.indexOf(r.level) >= failing) ? foundCode : 0;
}

async function fromCluster(kubeconfig: string | undefined) {
  const source = createKubeClient({ access: apiAccess(kubeconfig, process.env), clock: systemClock });
  try {
    return await readCluster(source);
  } finally {
    source.close();
  }
}

/** Cluster-scoped kinds are known by their validation; a namespace there is told as a mistake. */
function withNamespace(object: NewObject, namespace: string): KubeObject {
  const scoped = /^(Namespace|Node|GatewayClass|XMesh|CustomResourceDefinition|ClusterRole.*)$/.test(object.kind);
  const metadata = scoped || object.metadata.namespace !== undefined ? {} : { namespace };
  return { ...object, metadata: { uid: '', resourceVersion: '', ...object.metadata, ...metadata } };
}

function idOf({ apiVersion, kind, metadata }: KubeObject): string {
  return `${apiVersion.replace(/\/?[^/]+$/, '')} ${kind} ${metadata.namespace ?? ''} ${metadata.name}`;
}

interface Remark {
  readonly code: string;
  readonly name: string;
  readonly level: MessageLevel;
  readonly object?: string;
  readonly field?: string;
  /** `a.yaml:3:5`. */
  readonly reference?: string;
  readonly message: string;
}

function remarkOf({ sort, object, field, text }: Message, manifest: ManifestObject | undefined): Remark {
  const at = manifest?.problemAt(field, text);
  const reference = at?.line === undefined ? at?.file : `${at.file}:${at.line}:${at.column ?? 1}`;
  return {
    ...sorts[sort],
    name: sort,
    object: titleOf(object),
    ...(field === undefined ? {} : { field }),
    ...(reference === undefined ? {} : { reference }),
    message: text,
  };
}

function insufficient(message: string): Remark {
  return { ...sorts.InsufficientPermissions, level: 'Warning', name: 'InsufficientPermissions', message };
}

function isSuppressed({ sort, object }: Message, suppressions: readonly Suppression[]): boolean {
  const { code } = sorts[sort];
  const own = object.metadata.annotations?.['galley.istio.io/analyze-suppress'];
  if (own?.split(',').some((c) => c.trim() === code || c.trim() === '*')) return true;
  return suppressions.some((s) => suppresses(s, code, object));
}

function bySeverity(a: Remark, b: Remark): number {
  const order = levels.indexOf(b.level) - levels.indexOf(a.level);
  return order !== 0 ? order : a.code.localeCompare(b.code) || (a.object ?? '').localeCompare(b.object ?? '');
}

function printAll(
  format: 'log' | 'json' | 'yaml',
  told: readonly Remark[],
  broken: readonly Problem[],
  checked: number,
): void {
  if (format === 'json') print(JSON.stringify([...told, ...broken], undefined, 2));
  else if (format === 'yaml') print(stringify([...told, ...broken]).trimEnd());
  else {
    for (const problem of broken) print(`Error (${formatProblem(problem)})`);
    for (const { code, level, object, field, reference, message } of told) {
      const where = [object, reference].filter((p) => p !== undefined).join(' ');
      print(
        `${level} [${code}]${where === '' ? '' : ` (${where})`} ${field === undefined ? '' : `${field}: `}${message}`,
      );
    }
    print(
      told.length + broken.length === 0
        ? `${checked} objects analyzed: nothing to say`
        : `${checked} objects analyzed: ${told.length + broken.length} messages`,
    );
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
