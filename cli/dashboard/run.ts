/** `aquifer dashboard`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { MeshError } from '../../common/core/errors.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { revisionLabel } from '../../common/kube/revisions.ts';
import { portOf } from '../access/admin.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { findPod, isRunning, labelsOf, podsWith } from '../access/pods.ts';
import { readArguments, UsageError } from '../arguments.ts';
import { print } from '../print.ts';
import { targetOf } from '../ztunnel-config/target.ts';
import { forwardPort } from './forward.ts';
import { options } from './options.ts';

const pages = {
  console: { port: 9_876, path: '/console/' },
  'istiod-debug': { port: 15_014, path: '/debug/list' },
  proxy: { port: 15_000, path: '/' },
  ztunnel: { port: 15_000, path: '/' },
} as const;

export async function forward(kind: keyof typeof pages, args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(`dashboard ${kind}`, args, options);
  const [name, ...more] = positionals;
  if (more.length > 0) throw new UsageError(`aquifer dashboard ${kind}: at most one pod is expected`);
  const local = Number(values.port);
  if (!Number.isInteger(local) || local < 0 || local > 65_535)
    throw new UsageError(`--port: ${JSON.stringify(values.port)}: expected 0 to 65535`);
  return withCluster(values, process.env, async (cluster) => {
    const { metadata } = await podOf(kind, cluster, name, values);
    const key = { namespace: metadata.namespace ?? 'default', name: metadata.name };
    const { path } = pages[kind];
    const port = values['ui-port'] === undefined ? pages[kind].port : portOf('--ui-port', values['ui-port']);
    const server = await forwardPort(() => cluster.client.dial(key, port), values.address, local);
    const url = `http://${values.address}:${(server.address() as AddressInfo).port}${path}`;
    print(url);
    if (values.browser) openBrowser(url);
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
    server.close();
    return 0;
  });
}

interface Choice {
  readonly selector?: string | undefined;
  readonly revision?: string | undefined;
}

async function podOf(
  kind: keyof typeof pages,
  cluster: Cluster,
  name: string | undefined,
  { selector, revision }: Choice,
): Promise<Pod> {
  if (selector !== undefined) {
    if (name !== undefined) throw new UsageError('a pod and --selector do not go together');
    const namespace = kind === 'proxy' ? cluster.namespace : cluster.istioNamespace;
    const [found] = (await podsWith(cluster.client, namespace, { matchLabels: labelsOf(selector) })).filter(isRunning);
    if (found !== undefined) return found;
    throw new MeshError('NOT_FOUND', `no pod of namespace ${namespace} with ${selector} runs`);
  }
  if (kind === 'ztunnel') return (await targetOf(cluster, name, undefined)).ztunnel;
  if (name !== undefined) return findPod(cluster, name, kind === 'proxy' ? cluster.namespace : cluster.istioNamespace);
  if (kind === 'proxy') throw new UsageError('aquifer dashboard proxy: expected one pod, NAME[.NAMESPACE]');
  const matchLabels = { app: 'istiod', ...(revision !== undefined && { [revisionLabel]: revision }) };
  const [pod] = (await podsWith(cluster.client, cluster.istioNamespace, { matchLabels })).filter(isRunning);
  if (pod !== undefined) return pod;
  throw new MeshError(
    'NOT_FOUND',
    `no istiod${revision === undefined ? '' : ` of revision ${revision}`} runs in a pod of namespace ${cluster.istioNamespace}; aquifer check says what is missing`,
  );
}

/** Where there is one: a machine without is told the address above. */
function openBrowser(url: string): void {
  spawn('xdg-open', [url], { stdio: 'ignore', detached: true })
    .on('error', () => undefined)
    .unref();
}
