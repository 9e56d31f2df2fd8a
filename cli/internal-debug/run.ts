/** `aquifer experimental internal-debug`: what istiods show below /debug, each by itself. */
import { withCluster } from '../access/cluster.ts';
import { askIstiods } from '../access/istiods.ts';
import { noOperands, OperandError, readArguments } from '../arguments.ts';
import { print } from '../print.ts';
import { options } from './options.ts';

const command = 'experimental internal-debug';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(command, args, options);
  const [page, proxy, ...more] = positionals;
  if (values.list) noOperands(command, positionals);
  else if (page === undefined || more.length > 0)
    throw new OperandError(`aquifer ${command}: expected a page and at most one proxy; --list names the pages`);
  const query = proxy === undefined ? '' : `?proxyID=${encodeURIComponent(proxy)}`;
  const path = values.list ? '/debug/list' : `/debug/${encodeURIComponent(page!)}${query}`;
  return withCluster(values, process.env, async (cluster) => {
    const answers = await askIstiods(cluster, path, values.revision);
    for (const { istiod, body } of values.list ? answers.slice(0, 1) : answers) {
      if (answers.length > 1 && !values.list) print(`${istiod}:`);
      print(body.trimEnd());
    }
    return 0;
  });
}
