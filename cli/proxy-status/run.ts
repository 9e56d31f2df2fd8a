/** `aquifer proxy-status`: columns as istioctl's. */

import { withCluster } from '../access/cluster.ts';
import { askIstiods } from '../access/istiods.ts';
import { oneOf, readArguments, UsageError } from '../arguments.ts';
import { print, printAs } from '../print.ts';
import { formatTable } from '../table.ts';
import { compareProxy } from './compare.ts';
import { options } from './options.ts';
import { type ProxySync, subscribedTable, verboseTable } from './table.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('proxy-status', args, options);
  const format = oneOf('--output', values.output, 'table', 'json', 'yaml');
  const verbosity = oneOf('--verbosity', values.verbosity, '0', '1');
  const [name, ...more] = positionals;
  if (more.length > 0)
    throw new UsageError('aquifer proxy-status: at most one pod is expected; see aquifer proxy-status --help');
  return withCluster(values, process.env, async (cluster) => {
    if (name !== undefined) {
      const { lines, same } = await compareProxy(cluster, name, values);
      for (const line of lines) print(line);
      return same ? 0 : 1;
    }
    const only = cluster.onlyNamespace === undefined ? '' : `?namespace=${encodeURIComponent(cluster.onlyNamespace)}`;
    const answers = await askIstiods(cluster, `/debug/syncz${only}`, values.revision);
    const rows = answers.flatMap(({ istiod, body }) =>
      (JSON.parse(body) as readonly ProxySync[]).map((proxy) => ({ ...proxy, istiod })),
    );
    if (format !== 'table') await printAs(format, rows);
    else {
      const { header, lines } = verbosity === '1' ? verboseTable(rows, Date.now()) : subscribedTable(rows);
      print(formatTable(header, lines));
    }
    return 0;
  });
}
