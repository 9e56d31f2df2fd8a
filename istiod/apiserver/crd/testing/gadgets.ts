/** A CustomResourceDefinition with something of everything. */
import assert from 'node:assert/strict';
import { until } from '../../../../common/testing/until.ts';
import type { Json, TestClient } from '../../testing/client.ts';

export const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
export const objects = '/apis/things.example.com/v1/namespaces/default/gadgets';

const spec: Json = {
  type: 'object',
  required: ['color'],
  properties: {
    color: { type: 'string', enum: ['red', 'green', 'blue'] },
    size: { type: 'integer', minimum: 1, default: 1 },
    parts: {
      type: 'array',
      default: [],
      maxItems: 10,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string', maxLength: 20 }, count: { type: 'integer' } },
      },
    },
    when: { type: 'string', format: 'date-time' },
    fixed: { type: 'string', 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'fixed for ever' }] },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
};
const status: Json = { type: 'object', properties: { ready: { type: 'integer' } } };
const schema: Json = { openAPIV3Schema: { type: 'object', required: ['spec'], properties: { spec, status } } };

export const gadgets: Json = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'gadgets.things.example.com' },
  spec: {
    group: 'things.example.com',
    scope: 'Namespaced',
    names: { plural: 'gadgets', kind: 'Gadget', shortNames: ['gd'], categories: ['all'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema,
        subresources: { status: {}, scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.ready' } },
        additionalPrinterColumns: [
          { name: 'Color', type: 'string', jsonPath: '.spec.color' },
          { name: 'Parts', type: 'string', jsonPath: '.spec.parts[*].name', priority: 1 },
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'When', type: 'date', jsonPath: '.spec.when' },
        ],
        selectableFields: [{ jsonPath: '.spec.color' }],
      },
      { name: 'v1beta1', served: true, storage: false, schema },
      { name: 'v1alpha1', served: false, storage: false, schema },
    ],
  },
};

export function definitionOf(names: Json): Json {
  const definition = structuredClone(gadgets);
  definition.spec.names = names;
  definition.metadata.name = `${names.plural}.${definition.spec.group}`;
  return definition;
}

/** Resolves when it is served. */
export async function install(client: TestClient, definition: Json): Promise<void> {
  const made = await client.ask(definitions, { method: 'POST', body: definition });
  assert.equal(made.code, 201, made.body.toString());
  await until('the free object is gone', async () => {
    const { json } = await client.ask(`${definitions}/${definition.metadata.name}`);
    const established = json.status?.conditions?.find((c: Json) => c.type === 'Established');
    assert.equal(established?.status, 'True');
    const { group, versions, names } = definition.spec;
    assert.equal((await client.ask(`/apis/${group}/${versions[0].name}/${names.plural}`)).code, 200);
    return true;
  });
}
