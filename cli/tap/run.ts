/** `aquifer tap`. */
import { setTimeout as pause } from 'node:timers/promises';
import { parseDuration } from '../../common/config/duration.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { configMapKind, type Pod } from '../../common/kube/kinds/core.ts';
import { parseMeshConfig } from '../../istiod/model/mesh-config.ts';
import { askAdmin } from '../access/admin.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { noOperands, oneOf, readArguments, UsageError } from '../arguments.ts';
import { print, tell } from '../print.ts';
import { parseZtunnelDump, type ZtunnelDump } from '../ztunnel-config/dump.ts';
import { ztunnels } from '../ztunnel-config/target.ts';
import { isWanted, lineOf, type TapEvent, type TapFilter } from './events.ts';
import { type Names, namesIn } from './names.ts';
import { options } from './options.ts';
import { RequestWatcher } from './requests.ts';
import { changes, connectionsOf, type Seen } from './watch.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('tap', args, options);
  noOperands('tap', positionals);
  const format = oneOf('--output', values.output, 'text', 'json');
  const only = values.only === undefined ? undefined : oneOf('--only', values.only, 'connections', 'requests');
  const direction =
    values.direction === undefined ? undefined : oneOf('--direction', values.direction, 'inbound', 'outbound');
  const most = values['max-lines'] === undefined ? Number.POSITIVE_INFINITY : Number(values['max-lines']);
  if (!(most > 0)) throw new UsageError(`--max-lines: ${JSON.stringify(values['max-lines'])}: expected a number`);
  const interval = durationOf('--interval', values.interval);
  const duration = values.duration === undefined ? undefined : durationOf('--duration', values.duration);
  const filter: TapFilter = { from: values.from, to: values.to, direction, namespace: values.namespace };
  const end = new AbortController();
  const { signal } = end;
  let lines = 0;
  const show = (event: TapEvent) => {
    if (signal.aborted || !isWanted(event, filter)) return;
    print(format === 'json' ? JSON.stringify(event) : lineOf(event));
    lines++;
    if (lines >= most) end.abort();
  };
  return withCluster(values, process.env, async (cluster) => {
    const { node } = values;
    let look = await lookAround(cluster, node);
    const names = () => look.names;
    const requests =
      only === 'connections' ? undefined : new RequestWatcher({ cluster, node, names, onRequest: show, signal });
    if (requests !== undefined) await sayWhetherLogged(cluster);
    const last = duration === undefined ? undefined : setTimeout(() => end.abort(), duration);
    let seen: Seen = new Map();
    try {
      while (!signal.aborted) {
        await requests?.look();
        if (only !== 'requests') for (const event of changes(seen, look.connections)) show(event);
        seen = look.connections;
        await pause(interval, undefined, { signal }).catch(() => undefined);
        if (!signal.aborted) look = await lookAround(cluster, node);
      }
    } finally {
      clearTimeout(last);
      end.abort();
    }
    return 0;
  });
}

function durationOf(option: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new UsageError(`${option}: ${JSON.stringify(text)}: expected a duration such as 500ms or 30s`);
  return ms;
}

interface Look {
  readonly connections: Seen;
  readonly names: Names;
}

/** At all nodes; one that does not answer is told and left out. MeshError NOT_FOUND where there is none. */
async function lookAround(cluster: Cluster, node: string | undefined): Promise<Look> {
  const all = (await ztunnels(cluster)).filter((z) => node === undefined || z.spec.nodeName === node);
  if (all.length === 0)
    throw new MeshError('NOT_FOUND', `no ztunnel runs ${node === undefined ? 'in the cluster' : `on node ${node}`}`);
  const dumps = (await Promise.all(all.map((pod) => dumpOf(cluster, pod)))).filter((d) => d !== undefined);
  const connections = dumps.flatMap(({ on, dump }) => [...connectionsOf(on, dump, namesIn(dump))]);
  // Each node's proxy knows all of the mesh, but where addresses come on demand.
  const workloads = dumps.flatMap(({ dump }) => dump.workloads);
  const services = dumps.flatMap(({ dump }) => dump.services);
  return { connections: new Map(connections), names: namesIn({ workloads, services }) };
}

async function dumpOf(
  cluster: Cluster,
  pod: Pod,
): Promise<{ readonly on: string; readonly dump: ZtunnelDump } | undefined> {
  try {
    const body = await askAdmin(cluster, pod, 15_000, '/config_dump');
    return { on: pod.spec.nodeName ?? '', dump: parseZtunnelDump(pod.metadata.name, body) };
  } catch (e) {
    tell(`left out: ${describeError(e)}`);
    return undefined;
  }
}

/** Without an access log waypoints tell nothing of requests; who may not read MeshConfig finds out by himself. */
async function sayWhetherLogged({ client, istioNamespace: namespace }: Cluster): Promise<void> {
  const map = await client.get(configMapKind, { namespace, name: 'istio' }).catch(() => undefined);
  const parsed = parseMeshConfig([map?.data?.['mesh'] ?? '']);
  if (parsed.kind === 'ok' && parsed.config.settings.envoy.accessLogFile === undefined)
    tell('connections alone: waypoints tell requests with meshConfig.accessLogFile=/dev/stdout');
}
