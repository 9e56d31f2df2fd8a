/**
 * Compares our CustomResourceDefinitions with those of others (fields, types, bounds, required fields, sets of values, versions, names,
 * columns), and validates all other objects that it finds, such as samples, which have to be valid:
 *
 *   scripts/pinned-node test/peers/definitions.ts FILE|DIR...
 *
 * Prints every difference and every refusal; exit code 1 where there are differences that are not known, or refusals.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type ManifestObject, parseDocuments } from '../../common/kube/manifests/documents.ts';
import { formatProblem } from '../../common/kube/manifests/problem.ts';
import { formatPath } from '../../common/kube/schema/validate.ts';
import { meshDefinitions } from '../../istiod/crds/definitions.ts';
import { validateObject } from '../../istiod/validation/validate-object.ts';

type Json = Readonly<Record<string, unknown>>;
interface Definition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly names: Json;
    readonly scope: string;
    readonly versions: readonly (Json & {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Json };
      readonly additionalPrinterColumns?: readonly Json[];
    })[];
  };
}

/** Where ours differ on purpose: paths as printed, and why. */
const known: readonly (readonly [RegExp, string])[] = [
  [/matchExpressions\[\]\.operator:/, 'selectors with other operators select nothing anywhere'],
  [/backendtlspolicies.* v1alpha3 columns/, 'the same columns for all versions'],
  [/xmeshes.* v1alpha1 \.status\.conditions/, 'the same default in both places'],
  [/(backendUtilization|ecdhCurves|presence|transportSocket).* theirs has none/, 'newer than definitions of July 2026'],
];

/** For JSON.stringify: the order of members says nothing. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function filesOf(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((f) => /\.ya?ml$/.test(f))
    .map((f) => join(path, f));
}

const manifests = process.argv
  .slice(2)
  .flatMap(filesOf)
  .flatMap((file) => parseDocuments(file, readFileSync(file, 'utf8')).objects);

/** Path of a field -> what of its schema counts. */
function fieldsOf(schema: Json, path: string, into: Map<string, string>): Map<string, string> {
  const { type, required, properties, items, additionalProperties } = schema;
  const facts = [
    String(schema['x-kubernetes-int-or-string'] === true ? 'int-or-string' : type),
    ...(Array.isArray(required) && required.length > 0 ? [`required ${[...required].sort().join(',')}`] : []),
    ...(Array.isArray(schema['enum']) ? [`enum ${[...schema['enum']].sort().join(',')}`] : []),
    ...(schema['nullable'] === true ? ['nullable'] : []),
    ...(schema['x-kubernetes-preserve-unknown-fields'] === true ? ['open'] : []),
    ...['pattern', 'maxLength', 'minLength', 'maxItems', 'minItems', 'minProperties', 'maxProperties', 'default']
      .filter((word) => schema[word] !== undefined && !(word.startsWith('min') && schema[word] === 0))
      .map((word) => `${word} ${JSON.stringify(schema[word], sorted)}`),
    ...['x-kubernetes-list-type', 'x-kubernetes-map-type', 'x-kubernetes-list-map-keys']
      .filter((word) => schema[word] !== undefined)
      .map((word) => `${word} ${JSON.stringify(schema[word])}`),
  ];
  into.set(path, facts.join('; '));
  for (const [name, member] of Object.entries((properties ?? {}) as Json)) {
    if (path !== '' || !['apiVersion', 'kind', 'metadata'].includes(name))
      fieldsOf(member as Json, `${path}.${name}`, into);
  }
  if (items !== undefined) fieldsOf(items as Json, `${path}[]`, into);
  if (typeof additionalProperties === 'object') fieldsOf(additionalProperties as Json, `${path}{}`, into);
  return into;
}

function factsOf({ spec }: Definition): Map<string, string> {
  const facts = new Map<string, string>();
  const { names, scope, versions } = spec;
  facts.set(
    'names',
    JSON.stringify([names['kind'], names['plural'], names['shortNames'] ?? [], names['categories'], scope]),
  );
  for (const version of versions) {
    const { name, schema, additionalPrinterColumns = [] } = version;
    facts.set(`${name}`, JSON.stringify([version['served'], version['storage'], version['deprecated'] === true]));
    const columns = additionalPrinterColumns.map((c) => [c['name'], c['type'], c['jsonPath'], c['priority']]);
    facts.set(`${name} columns`, JSON.stringify(columns));
    for (const [path, fact] of fieldsOf(schema.openAPIV3Schema, '', new Map())) facts.set(`${name} ${path}`, fact);
  }
  return facts;
}

const isDefinition = (m: ManifestObject) => m.object.kind === 'CustomResourceDefinition';
const theirs = manifests.filter(isDefinition).map((m) => m.object as unknown as Definition);
const ours = new Map(meshDefinitions().map((d) => [d.metadata.name, d as unknown as Definition]));
let unknown = 0;
for (const definition of theirs) {
  const { name } = definition.metadata;
  const mine = ours.get(name);
  if (mine === undefined) {
    // Kinds of others, such as those of a certificate manager among samples.
    if (![...ours.keys()].some((known) => known.endsWith(name.slice(name.indexOf('.'))))) continue;
    console.log(`${name}: we have no such kind`);
    unknown++;
    continue;
  }
  const [a, b] = [factsOf(mine), factsOf(definition)];
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const [own, other] = [a.get(key), b.get(key)];
    if (own === other) continue;
    const line = `${name} ${key}: ours ${own ?? 'has none'} | theirs ${other ?? 'has none'}`;
    const reason = known.find(([pattern]) => pattern.test(line))?.[1];
    console.log(reason === undefined ? line : `${line} (known: ${reason})`);
    if (reason === undefined) unknown++;
  }
}
let [judged, refused] = [0, 0];
for (const manifest of manifests) {
  const findings = isDefinition(manifest) ? undefined : validateObject(manifest.object);
  if (findings === undefined) continue;
  judged++;
  const errors = findings.filter((f) => f.level === 'error');
  if (errors.length > 0) refused++;
  for (const { path, at, reason } of errors)
    console.log(formatProblem(manifest.problemAt(formatPath(path), reason, at)));
}
console.log(`${theirs.length} definitions compared, ${unknown} differences that are not known`);
console.log(`${judged} objects validated, ${refused} refused`);
process.exit(unknown + refused === 0 && theirs.length + judged > 0 ? 0 : 1);
