/** `aquifer bug-report`. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseDuration } from '../../common/config/duration.ts';
import { describeError } from '../../common/core/errors.ts';
import { version } from '../../common/core/version.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import {
  configMapKind,
  namespaceKind,
  nodeKind,
  type Pod,
  podKind,
  secretKind,
  serviceKind,
} from '../../common/kube/kinds/core.ts';
import { endpointSliceKind } from '../../common/kube/kinds/discovery.ts';
import { customResourceDefinitionKind } from '../../common/kube/kinds/extension.ts';
import { eventKind } from '../../common/kube/schema/cluster.ts';
import { customKinds } from '../../common/kube/schema/table.ts';
import { daemonSetKind } from '../../common/kube/schema/workloads.ts';
import type { Kind } from '../../common/kube/types.ts';
import { analyze } from '../../istiod/analysis/analyze.ts';
import { askAdmin, portOf } from '../access/admin.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { askIstiods } from '../access/istiods.ts';
import { noOperands, readArguments, UsageError } from '../arguments.ts';
import { report } from '../check/result.ts';
import { checkCluster } from '../check/run.ts';
import { readCluster } from '../cluster.ts';
import { print, tell } from '../print.ts';
import { type LogFilter, leavesOut, parseLogFilter, takes } from './filter.ts';
import { options } from './options.ts';
import { redactObject, redactText } from './redact.ts';
import { type ArchivedFile, tar } from './tar.ts';
import { type Span, spanOf, within } from './times.ts';

const folder = 'bug-report';
const pages = ['syncz', 'push_status', 'problems', 'ambientz', 'authorizationz', 'configz', 'adsz', 'mesh', 'edsz'];
const kinds: readonly Kind[] = [
  ...[
    namespaceKind,
    nodeKind,
    podKind,
    serviceKind,
    endpointSliceKind,
    secretKind,
    configMapKind,
    deploymentKind,
    daemonSetKind,
  ],
  ...[eventKind, customResourceDefinitionKind, ...customKinds.map((c) => c.kind)],
];

interface Wanted {
  readonly include: readonly LogFilter[];
  readonly exclude: readonly LogFilter[];
  readonly fullSecrets: boolean;
  readonly analyze: boolean;
  readonly dumps: { readonly cluster: boolean; readonly proxies: boolean };
  readonly adminPort: number;
  readonly logQuery: Readonly<Record<string, string>>;
  readonly span: Span;
  /** After it nothing more is collected. */
  readonly late: AbortSignal;
}

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('bug-report', args, options);
  noOperands('bug-report', positionals);
  const span = spanOf(values, Date.now());
  const patience = parseDuration(values.timeout);
  if (patience === undefined)
    throw new UsageError(`--timeout: ${JSON.stringify(values.timeout)}: expected a duration such as 30m`);
  const wanted: Wanted = {
    include: (values.include ?? []).map((text) => parseLogFilter('--include', text)),
    exclude: (values.exclude ?? []).map((text) => parseLogFilter('--exclude', text)),
    dumps: { cluster: values['skip-cluster-dump'] !== true, proxies: values['skip-proxy-debug'] !== true },
    adminPort: portOf('--proxy-admin-port', values['proxy-admin-port']),
    span,
    late: AbortSignal.timeout(patience),
    fullSecrets: values['full-secrets'] === true,
    analyze: values['skip-analyze'] !== true,
    logQuery: logQuery(values.tail, span),
  };
  if (values['dry-run']) {
    print(
      `objects of ${kinds.length} kinds; logs of ${values['istio-namespace'] ?? values.istioNamespace} and of waypoints; ${pages.join(', ')} of istiods; config_dump of proxies`,
    );
    return 0;
  }
  const place = { ...values, istioNamespace: values['istio-namespace'] ?? values.istioNamespace };
  return withCluster(place, process.env, async (cluster) => {
    // What is missing later is said in the archive; without an API server there would be nothing in it.
    await cluster.client.document('/version');
    const files = await collect(cluster, wanted);
    const path = join(values['output-dir'], `${folder}.tar.gz`);
    await mkdir(values['output-dir'], { recursive: true });
    const archive = gzipSync(tar(folder, files, Math.floor(Date.now() / 1000)));
    await writeFile(path, archive, { mode: 0o600 });
    print(
      `${path}: ${files.length} files, ${Math.ceil(archive.length / 1024)} KiB${wanted.fullSecrets ? '; it HOLDS SECRETS' : ', without secrets'}`,
    );
    return 0;
  });
}

/** UsageError. */
function logQuery(tail: string, { from }: Span): Readonly<Record<string, string>> {
  if (!/^\d+$/.test(tail)) throw new UsageError(`--tail: ${JSON.stringify(tail)}: expected a number of lines`);
  return {
    timestamps: 'true',
    ...(tail !== '0' && { tailLines: tail }),
    ...(from !== undefined && { sinceTime: new Date(from).toISOString() }),
  };
}

/** What could be had; errors.txt names the rest. */
export async function collect(cluster: Cluster, wanted: Wanted): Promise<readonly ArchivedFile[]> {
  const files: ArchivedFile[] = [];
  const errors: string[] = [];
  const redact = wanted.fullSecrets ? (text: string) => text : redactText;
  const add = (path: string, text: string) => void files.push({ path, text: redact(text) });
  const attempt = async (what: string, work: () => Promise<void>) => {
    if (wanted.late.aborted) return void errors.push(`${what}: --timeout was over`);
    tell(`collecting ${what}`);
    await work().catch((e: unknown) => void errors.push(`${what}: ${describeError(e)}`));
  };
  const included = (namespace: string | undefined) => namespace === undefined || !leavesOut(wanted.exclude, namespace);
  let pods: readonly Pod[] = [];

  add('version.txt', `aquifer ${version}\n`);
  await attempt('objects', async () => {
    const { objects, complete, problems } = await readCluster(cluster.client, kinds);
    errors.push(...problems);
    const kept = objects.filter((o) =>
      included(o.metadata.namespace ?? (o.kind === 'Namespace' ? o.metadata.name : undefined)),
    );
    pods = kept.filter((o): o is Pod => o.kind === 'Pod');
    if (!wanted.dumps.cluster) return;
    for (const kind of new Set(kept.map((o) => o.kind))) {
      const items = kept.filter((o) => o.kind === kind).map((o) => (wanted.fullSecrets ? o : redactObject(o)));
      add(`objects/${kind}.json`, `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, undefined, 2)}\n`);
    }
    if (!wanted.analyze) return;
    const messages = analyze(kept, { complete, stored: new Set(kept) });
    add(
      'analyze.txt',
      messages
        .map(
          ({ sort, object, field, text }) =>
            `${sort} ${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name} ${field ?? ''}: ${text}\n`,
        )
        .join(''),
    );
  });
  await attempt('checks', async () => add('check.txt', `${report(await checkCluster(cluster, false)).join('\n')}\n`));
  for (const page of pages) {
    await attempt(`istiod's ${page}`, async () => {
      for (const { istiod, body } of await askIstiods(cluster, `/debug/${page}`))
        add(`istiod/${istiod}/${page}.json`, body);
    });
  }
  const isWaypoint = (pod: Pod) => pod.metadata.labels?.['gateway.networking.k8s.io/gateway-name'] !== undefined;
  const isKept = (pod: Pod, container: string) =>
    pod.metadata.namespace === cluster.istioNamespace ||
    ((wanted.include.length === 0 || wanted.include.some((f) => takes(f, pod, container))) &&
      !wanted.exclude.some((f) => takes(f, pod, container)));
  const own = pods.filter((p) => p.metadata.namespace === cluster.istioNamespace || isWaypoint(p));
  for (const pod of own) {
    const { name, namespace = 'default' } = pod.metadata;
    for (const { name: container } of pod.spec.containers) {
      if (!isKept(pod, container)) continue;
      await attempt(`the log of ${namespace}/${name} ${container}`, async () =>
        add(
          `logs/${namespace}/${name}/${container}.log`,
          within(wanted.span, await cluster.client.logs({ namespace, name }, { ...wanted.logQuery, container })),
        ),
      );
    }
    if (!wanted.dumps.proxies || (pod.metadata.labels?.['app'] !== 'ztunnel' && !isWaypoint(pod))) continue;
    await attempt(`what ${namespace}/${name} knows`, async () =>
      add(
        `proxies/${namespace}/${name}/config_dump.json`,
        await askAdmin(cluster, pod, wanted.adminPort, '/config_dump'),
      ),
    );
  }
  if (errors.length > 0) add('errors.txt', `${errors.join('\n')}\n`);
  return files;
}
