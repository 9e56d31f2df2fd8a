/** The mesh's own kinds with all their fields, from the schemas that the API server and the webhook check by. */
import { customKinds } from '../../common/kube/schema/table.ts';
import type { Schema } from '../../common/kube/schema/types.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { unservedConditions } from '../../istiod/envoy/unserved.ts';
import { code, table } from './pages.ts';

export function resourcesPage(): string {
  const parts = [
    '# Resources',
    'Kinds of Istio and of the Gateway API that are known, with the fields that an object may have. What else must hold is told by `aquifer validate`; what of an object has no effect, by its status.',
  ];
  for (const { kind, versions, description, fields } of customKinds) {
    const idle = idleOf(kind.kind);
    parts.push(`## ${kind.kind} (${kind.group})`);
    if (description) parts.push(description);
    if (idle !== undefined) parts.push(`Kept, and without effect: ${idle}.`);
    parts.push(`Versions: ${versions.map(code).join(', ')}.`);
    const spec = fields.properties?.['spec'];
    const rows = spec === undefined ? [] : [...fieldsOf('spec', spec)];
    if (rows.length > 0) parts.push(table(['field', 'type'], rows));
  }
  return `${parts.join('\n\n')}\n`;
}

function noMesh(): never {
  throw new Error('what is kept without effect in every mesh was asked for');
}

function idleOf(kind: string): string | undefined {
  const object = { apiVersion: '', kind, metadata: { name: 'x', uid: '', resourceVersion: '' } } as KubeObject;
  const [condition] = [...(unservedConditions(object, noMesh) ?? [])].map(([, c]) => c);
  return condition?.message.replace(`${kind}: `, '');
}

/** Fields below a field, each once; `[]` is an item of a list, `*` a key of a map. */
function* fieldsOf(path: string, schema: Schema): Generator<readonly [string, string]> {
  const inside = schema.type === 'array' ? schema.items : schema;
  const at = schema.type === 'array' ? `${path}[]` : path;
  if (inside.type !== 'object') return;
  for (const [name, below] of Object.entries(inside.properties ?? {})) {
    const field = `${at}.${name}`;
    const needed = inside.required?.includes(name) ? ', needed' : '';
    yield [code(field), `${typeOf(below)}${needed}`];
    yield* fieldsOf(field, below);
  }
  if (inside.additionalProperties !== undefined) yield* fieldsOf(`${at}.*`, inside.additionalProperties);
}

function typeOf(schema: Schema): string {
  const type = 'type' in schema ? String(schema.type) : 'anything';
  const values =
    'enum' in schema && schema.enum !== undefined ? ` (${schema.enum.map((v) => code(String(v))).join(', ')})` : '';
  if (type === 'array' && 'items' in schema) return `list of ${typeOf(schema.items as Schema)}`;
  return `${type}${values}`;
}
