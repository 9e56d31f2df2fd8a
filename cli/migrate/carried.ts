/** The values of the installation that is there, for our charts: from its releases, or the ConfigMaps that its chart leaves. */
import { readFile } from 'node:fs/promises';
import { MeshError } from '../../common/core/errors.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { type Chart, charts } from '../install/plan.ts';
import type { Facts } from './parts.ts';
import { type Carried, type ChartKeys, carryOver } from './values.ts';

type Values = Readonly<Record<string, unknown>>;
export type ParseYaml = (text: string) => unknown;

/** Of the charts in that folder. MeshError CONFIG. */
export async function readChartKeys(folder: string, parse: ParseYaml): Promise<Readonly<Record<Chart, ChartKeys>>> {
  const read = async (path: string) =>
    readFile(`${folder}/${path}`, 'utf8').catch(() => {
      throw new MeshError('CONFIG', `${folder}/${path} is not there; --manifests names the folder of the charts`);
    });
  const entries = charts.map(async (chart) => {
    const schema: unknown = JSON.parse(await read(`${chart}/values.schema.json`));
    const moot = parse(await read(`${chart}/files/without-meaning.yaml`)) as Readonly<Record<string, string>>;
    return [chart, { schema, moot }] as const;
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<Chart, ChartKeys>;
}

/** `revision`: of our istiod, whose own release says nothing of the other's. */
export function carriedValues(
  facts: Facts,
  keys: Readonly<Record<Chart, ChartKeys>>,
  revision: string,
  parse: ParseYaml,
): Readonly<Record<Chart, Carried>> {
  const of = (chart: Chart): Carried => {
    const carried = carryOver(givenTo(chart, facts, revision) ?? {}, keys[chart]);
    const meshConfig = chart === 'istiod' ? meshConfigOf(facts, revision, parse) : undefined;
    return meshConfig === undefined ? carried : { ...carried, values: { ...carried.values, meshConfig } };
  };
  return Object.fromEntries(charts.map((chart) => [chart, of(chart)])) as Record<Chart, Carried>;
}

/** undefined: it cannot be told. */
function givenTo(chart: Chart, { releases, objects, istioNamespace }: Facts, revision: string): Values | undefined {
  const own = releases.find((r) => r.chart === chart && r.values['revision'] !== revision);
  if (own !== undefined) return own.values;
  const umbrella = releases.find((r) => r.chart === 'ambient');
  if (umbrella !== undefined) {
    const { [chart]: section, global } = umbrella.values;
    return { ...(isObject(global) && { global }), ...(isObject(section) && section) };
  }
  if (chart !== 'istiod') return undefined;
  const map = configMap(objects, istioNamespace, 'values', revision);
  const values: unknown = JSON.parse(map?.['original-values'] ?? map?.['merged-values'] ?? '{}');
  return isObject(values) ? values : undefined;
}

/** What the ConfigMap says, which is what holds, without what every chart puts there itself. */
function meshConfigOf({ objects, istioNamespace }: Facts, revision: string, parse: ParseYaml): Values | undefined {
  const mesh: unknown = parse(configMap(objects, istioNamespace, 'istio', revision)?.['mesh'] ?? '');
  if (!isObject(mesh)) return undefined;
  const { defaultConfig, rootNamespace, ...rest } = mesh;
  const { discoveryAddress: _, ...config } = isObject(defaultConfig) ? defaultConfig : {};
  const meshConfig = {
    ...rest,
    ...(rootNamespace !== istioNamespace && rootNamespace !== undefined && { rootNamespace }),
    ...(Object.keys(config).length > 0 && { defaultConfig: config }),
  };
  return Object.keys(meshConfig).length === 0 ? undefined : meshConfig;
}

/** `istio`, or that of another revision than ours. */
function configMap(
  objects: readonly KubeObject[],
  namespace: string,
  name: string,
  revision: string,
): Readonly<Record<string, string>> | undefined {
  const maps = objects.filter((o) => o.kind === 'ConfigMap' && o.metadata.namespace === namespace);
  const found =
    maps.find((m) => m.metadata.name === name) ??
    maps.find(
      (m) =>
        m.metadata.name.startsWith(`${name}-`) &&
        m.metadata.name !== `${name}-${revision}` &&
        (m['data'] as Values)?.['mesh'] !== undefined,
    );
  return found?.['data'] as Readonly<Record<string, string>> | undefined;
}
