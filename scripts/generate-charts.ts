/**
 * Writes into charts/ what comes from the code: definitions of custom resources, schemas of values, and which keys of Istio's charts
 * have no meaning. A test keeps them in step.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { meshDefinitions } from '../istiod/crds/definitions.ts';
import {
  type ChartName,
  chartNames,
  type Schema,
  umbrellaSchema,
  type Values,
  valuesSchema,
  withoutMeaning,
  withoutMeaningAtAll,
} from './chart-values.ts';

export const charts = join(import.meta.dirname, '../charts');
const options = { aliasDuplicateObjects: false, lineWidth: 0 } as const;

/** Path below charts/ -> text. */
export function generatedFiles(): Readonly<Record<string, string>> {
  const values = each((name) => parse(readFileSync(join(charts, name, 'values.yaml'), 'utf8')) as Values);
  const schemas = each((name) => valuesSchema(name, values));
  const json = (schema: Schema) => `${JSON.stringify(schema, undefined, 2)}\n`;
  const ofValues = chartNames.flatMap((name) => [
    [`${name}/values.schema.json`, json(schemas[name])],
    [`${name}/files/without-meaning.yaml`, stringify(withoutMeaning(name), options)],
  ]);
  return Object.fromEntries([
    ...definitions(),
    ...ofValues,
    ['ambient/values.schema.json', json(umbrellaSchema(schemas))],
    ['ambient/files/without-meaning.yaml', stringify(withoutMeaningAtAll(), options)],
  ]) as Record<string, string>;
}

/**
 * Definitions of Istio's kinds are templates, and change with the chart. Those of the Gateway API are often somebody else's: helm makes
 * them where they are missing and never touches them again.
 */
function definitions(): readonly (readonly [string, string])[] {
  return meshDefinitions().map((definition) => {
    const { name } = definition.metadata;
    const folder = /\.(istio\.io|aquifer\.dev)$/.test(name) ? 'base/files/crds' : 'base/crds';
    return [`${folder}/${name}.yaml`, stringify(definition, options)];
  });
}

function each<T>(make: (name: ChartName) => T): Readonly<Record<ChartName, T>> {
  return Object.fromEntries(chartNames.map((name) => [name, make(name)])) as Record<ChartName, T>;
}

if (import.meta.main) {
  const files = generatedFiles();
  for (const folder of ['base/files/crds', 'base/crds']) rmSync(join(charts, folder), { recursive: true, force: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(charts, path)), { recursive: true });
    writeFileSync(join(charts, path), text);
  }
}
