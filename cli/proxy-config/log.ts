/** `aquifer proxy-config log`. */
import type { Pod } from '../../common/kube/kinds/core.ts';
import { askAdmin, portOf } from '../access/admin.ts';
import { type Cluster, withCluster } from '../access/cluster.ts';
import { findPod, isRunning, labelsOf, podsWith } from '../access/pods.ts';
import { readArguments, UsageError } from '../arguments.ts';
import { print } from '../print.ts';
import { options } from './options.ts';

/** What Envoy of the mesh starts with. */
const initial = 'warning';
const levels = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'];

/** `http:debug,redis:trace`, or one level for all, as the query that Envoy takes. UsageError. */
export function levelQuery(text: string): string {
  const parts = text.split(',').map((part) => part.trim());
  for (const part of parts) {
    const level = part.slice(part.lastIndexOf(':') + 1);
    if (!levels.includes(level))
      throw new UsageError(
        `--level: ${JSON.stringify(part)}: expected [LOGGER:]LEVEL, LEVEL one of ${levels.join(', ')}`,
      );
  }
  const all = parts.find((part) => !part.includes(':'));
  const named = parts.filter((part) => part.includes(':'));
  if (named.length === 0) return `?level=${all ?? initial}`;
  if (all !== undefined)
    throw new UsageError('--level: a level for all loggers and levels of single ones do not go together');
  return `?paths=${encodeURIComponent(named.join(','))}`;
}

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('proxy-config log', args, options.log);
  const { level, reset = false, selector } = values;
  const [name, ...more] = positionals;
  if (more.length > 0 || (name === undefined) === (selector === undefined))
    throw new UsageError(
      'aquifer proxy-config log: expected one pod, or --selector; see aquifer proxy-config log --help',
    );
  if (level !== undefined && reset) throw new UsageError('--level and --reset do not go together');
  const query = reset ? `?level=${initial}` : level === undefined ? '' : levelQuery(level);
  const port = portOf('--proxy-admin-port', values['proxy-admin-port']);
  return withCluster(values, process.env, async (cluster) => {
    for (const pod of await podsOf(cluster, name, selector)) {
      const said = await askAdmin(cluster, pod, port, `/logging${query}`, 'POST');
      print(`${pod.metadata.name}.${pod.metadata.namespace}:\n${said.trimEnd()}\n`);
    }
    return 0;
  });
}

async function podsOf(
  cluster: Cluster,
  name: string | undefined,
  selector: string | undefined,
): Promise<readonly Pod[]> {
  if (name !== undefined) return [await findPod(cluster, name, cluster.namespace)];
  const matchLabels = labelsOf(selector ?? '');
  return (await podsWith(cluster.client, cluster.namespace, { matchLabels })).filter(isRunning);
}
