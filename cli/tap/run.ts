/** `aquifer tap`. */
import { parseDuration } from '../../common/config/duration.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { askAdmin } from '../access/admin.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { noOperands, oneOf, readArguments, UsageError } from '../arguments.ts';
import { print, tell } from '../print.ts';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { ztunnels } from '../ztunnel-config/target.ts';
import { options } from './options.ts';
import { changes, connectionsOf, isWanted, lineOf, type TapFilter } from './watch.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('tap', args, options);
  noOperands('tap', positionals);
  const format = oneOf('--output', values.output, 'text', 'json');
  const direction =
    values.direction === undefined ? undefined : oneOf('--direction', values.direction, 'inbound', 'outbound');
  const most = values['max-lines'] === undefined ? Number.POSITIVE_INFINITY : Number(values['max-lines']);
  if (!(most > 0)) throw new UsageError(`--max-lines: ${JSON.stringify(values['max-lines'])}: expected a number`);
  const interval = durationOf('--interval', values.interval);
  const until =
    values.duration === undefined ? Number.POSITIVE_INFINITY : Date.now() + durationOf('--duration', values.duration);
  const filter: TapFilter = { from: values.from, to: values.to, direction, namespace: values.namespace };
  return withCluster(values, process.env, async (cluster) => {
    let seen: ReturnType<typeof connectionsOf> = new Map();
    let lines = 0;
    for (;;) {
      const now = await look(cluster, values.node);
      for (const event of changes(seen, now)) {
        if (!isWanted(event, filter)) continue;
        print(format === 'json' ? JSON.stringify(event) : lineOf(event));
        lines++;
        if (lines >= most) return 0;
      }
      seen = now;
      if (Date.now() + interval > until) return 0;
      await new Promise((resolve) => setTimeout(resolve, interval));
    }
  });
}

function durationOf(option: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new UsageError(`${option}: ${JSON.stringify(text)}: expected a duration such as 500ms or 30s`);
  return ms;
}

/** Of all nodes; one that does not answer is told and left out. MeshError NOT_FOUND where there is none. */
async function look(cluster: Cluster, node: string | undefined): Promise<ReturnType<typeof connectionsOf>> {
  const all = (await ztunnels(cluster)).filter((z) => node === undefined || z.spec.nodeName === node);
  if (all.length === 0)
    throw new MeshError('NOT_FOUND', `no ztunnel runs ${node === undefined ? 'in the cluster' : `on node ${node}`}`);
  const each = await Promise.all(all.map((pod) => lookAt(cluster, pod)));
  return new Map(each.flatMap((found) => [...found]));
}

async function lookAt(cluster: Cluster, pod: Pod): Promise<ReturnType<typeof connectionsOf>> {
  try {
    const body = await askAdmin(cluster, pod, 15_000, '/config_dump');
    return connectionsOf(pod.spec.nodeName ?? '', parseZtunnelDump(pod.metadata.name, body));
  } catch (e) {
    tell(`left out: ${describeError(e)}`);
    return new Map();
  }
}
