/** Other names under which the proxies of this cluster may come. */
import { type SettingsReader, splitList } from '../../common/config/reader.ts';

export const clusterAliasesFlag = '--clusterAliases';

/** Alias -> cluster, of `ALIAS=CLUSTER,...`. A cluster may have one. */
export function readClusterAliases(r: SettingsReader): ReadonlyMap<string, string> {
  const aliases = new Map<string, string>();
  for (const pair of splitList(r.text(clusterAliasesFlag) ?? '')) {
    const [alias = '', cluster = '', ...more] = pair.split('=');
    if (alias === '' || cluster === '' || more.length > 0)
      r.mistake(`${clusterAliasesFlag}: ${JSON.stringify(pair)} is not ALIAS=CLUSTER`);
    else if ([...aliases.values()].includes(cluster))
      r.mistake(`${clusterAliasesFlag}: ${cluster} has more than one alias`);
    else aliases.set(alias, cluster);
  }
  return aliases;
}
