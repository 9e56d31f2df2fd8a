/** `aquifer ztunnel-config log`: of one node proxy, or of all. */
import { askAdmin, portOf } from '../access/admin.ts';
import { withCluster } from '../access/cluster.ts';
import { readArguments, UsageError } from '../arguments.ts';
import { print } from '../print.ts';
import { options } from './options.ts';
import { someZtunnels, targetOf } from './target.ts';

/** Words of Envoy's that a node proxy has others for. */
const levels: Readonly<Record<string, string>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  critical: 'error',
  off: 'off',
  none: 'off',
};

/** `access:debug,info` as a node proxy has it: `access=debug,info`. UsageError. */
export function directives(text: string): string {
  return text
    .split(',')
    .map((part) => {
      const colon = part.lastIndexOf(':');
      const level =
        levels[
          part
            .slice(colon + 1)
            .trim()
            .toLowerCase()
        ];
      if (level === undefined)
        throw new UsageError(
          `--level: ${JSON.stringify(part)}: expected [TARGET:]LEVEL, LEVEL one of ${Object.keys(levels).join(', ')}`,
        );
      return colon < 0 ? level : `${part.slice(0, colon).trim()}=${level}`;
    })
    .join(',');
}

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('ztunnel-config log', args, options.log);
  const [name, ...more] = positionals;
  if (more.length > 0) throw new UsageError('aquifer ztunnel-config log: at most one pod is expected');
  if (values.file !== undefined) throw new UsageError('--file: a file has no log levels');
  const { level, reset = false } = values;
  if (level !== undefined && reset) throw new UsageError('--level and --reset do not go together');
  const port = portOf('--proxy-admin-port', values['proxy-admin-port']);
  const query = new URLSearchParams(reset ? { reset: '' } : level === undefined ? {} : { level: directives(level) });
  const path = query.size === 0 ? '/logging' : `/logging?${query}`;
  return withCluster(values, process.env, async (cluster) => {
    const isOne = name !== undefined || values.node !== undefined;
    const pods = isOne ? [(await targetOf(cluster, name, values.node)).ztunnel] : await someZtunnels(cluster);
    for (const pod of pods) {
      const said = await askAdmin(cluster, pod, port, path, 'POST');
      print(`${pod.metadata.name}.${pod.metadata.namespace}:\n${said.trimEnd()}\n`);
    }
    return 0;
  });
}
