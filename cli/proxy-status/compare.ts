/** Whether a proxy has what its istiod sent to it, by the names of resources. */

import { MeshError } from '../../common/core/errors.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import { askAdmin, portOf } from '../access/admin.ts';
import type { Cluster } from '../access/cluster.ts';
import { readDump } from '../access/files.ts';
import { askIstiods } from '../access/istiods.ts';
import { findPod } from '../access/pods.ts';
import { shortName } from './table.ts';

/** Of istiod's /debug/config_dump. */
interface Sent {
  readonly '@type': string;
  readonly waiting: boolean;
  readonly resources: readonly { readonly name: string }[];
}

export interface Comparison {
  readonly lines: readonly string[];
  readonly same: boolean;
}

/** MeshError. */
export async function compareProxy(
  cluster: Cluster,
  name: string,
  values: {
    readonly file?: string | undefined;
    readonly 'proxy-admin-port': string;
    readonly revision?: string | undefined;
  },
): Promise<Comparison> {
  const pod = await findPod(cluster, name, cluster.namespace);
  const id = `${pod.metadata.name}.${pod.metadata.namespace}`;
  const port = portOf('--proxy-admin-port', values['proxy-admin-port']);
  const dump =
    values.file === undefined
      ? await askAdmin(cluster, pod, port, '/config_dump?include_eds')
      : await readDump(values.file);
  // A proxy has one istiod; the others do not know it.
  const answers = await askIstiods(
    cluster,
    `/debug/config_dump?proxyID=${encodeURIComponent(id)}`,
    values.revision,
    [404],
  );
  const known = answers.find((a) => a.status === 200);
  if (known === undefined)
    throw new MeshError(
      'NOT_FOUND',
      `no istiod has ${id} connected; its log says why: kubectl logs -n ${pod.metadata.namespace} ${pod.metadata.name}`,
    );
  return compare((JSON.parse(known.body) as { readonly configs: readonly Sent[] }).configs, namesIn(JSON.parse(dump)));
}

/** `has`: by short type, names that the proxy has; a type that is not shown there is not compared. Pure. */
export function compare(sent: readonly Sent[], has: ReadonlyMap<string, ReadonlySet<string>>): Comparison {
  const lines: string[] = [];
  let same = true;
  for (const { '@type': type, waiting, resources } of sent) {
    const short = shortName(type);
    const names = has.get(short);
    if (names === undefined) continue;
    const wanted = new Set(resources.map((r) => r.name));
    const missing = [...wanted].filter((n) => !names.has(n));
    const surplus = [...names].filter((n) => !wanted.has(n));
    const title = titles[short] ?? short;
    const fits = missing.length === 0 && surplus.length === 0;
    same &&= fits;
    lines.push(fits ? `${title} Match${waiting ? ' (not confirmed yet)' : ''}` : `${title} Don't Match`);
    lines.push(...missing.map((n) => `  only in istiod: ${n}`), ...surplus.map((n) => `  only in the proxy: ${n}`));
  }
  return { lines, same };
}

const titles: Readonly<Record<string, string>> = {
  CDS: 'Clusters',
  LDS: 'Listeners',
  RDS: 'Routes',
  EDS: 'Endpoints',
  WDS: 'Workloads and services',
  WADS: 'Policies',
};

const envoyLists: readonly (readonly [short: string, list: string, item: string])[] = [
  ['CDS', 'dynamic_active_clusters', 'cluster'],
  ['LDS', 'dynamic_listeners', ''],
  ['RDS', 'dynamic_route_configs', 'route_config'],
  ['EDS', 'dynamic_endpoint_configs', 'endpoint_config'],
];

/** Of an Envoy's or a ztunnel's config_dump. */
export function namesIn(dump: unknown): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  if (!isObject(dump)) return found;
  const objects = (value: unknown) => (Array.isArray(value) ? value : Object.values(value ?? {})).filter(isObject);
  if (Array.isArray(dump['configs'])) {
    for (const part of objects(dump['configs'])) {
      for (const [short, list, item] of envoyLists) {
        if (!(list in part)) continue;
        const names = objects(part[list]).map((entry) => {
          const inner = item === '' ? entry : entry[item];
          return isObject(inner) ? String(inner['name'] ?? inner['cluster_name']) : '';
        });
        found.set(short, new Set(names));
      }
    }
    return found;
  }
  const services = objects(dump['services']).map((s) => `${s['namespace']}/${s['hostname']}`);
  found.set('WDS', new Set([...objects(dump['workloads']).map((w) => String(w['uid'])), ...services]));
  found.set('WADS', new Set(objects(dump['policies']).map((p) => `${p['namespace']}/${p['name']}`)));
  return found;
}
