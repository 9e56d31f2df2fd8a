import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CustomResourceDefinition } from '../../../common/kube/kinds/extension.ts';
import type { ApiObject } from '../objects.ts';
import { resourcesOf } from './resources.ts';
import { gadgets } from './testing/gadgets.ts';

test('the schema of a definition is looked at when the first object is written, and once for all of them', () => {
  const definition = structuredClone(gadgets) as unknown as CustomResourceDefinition;
  const [version] = definition.spec.versions;
  const { openAPIV3Schema } = version!.schema!;
  let looks = 0;
  Object.defineProperty(version!.schema!, 'openAPIV3Schema', {
    get() {
      looks++;
      return openAPIV3Schema;
    },
  });
  const [resource] = resourcesOf(definition);
  assert.equal(looks, 0);
  const object = { apiVersion: 'things.example.com/v1', kind: 'Gadget', metadata: { name: 'a' } } as ApiObject;
  for (let i = 0; i < 3; i++)
    resource!.strategy.validate?.({ ...object, spec: { color: 'red' } } as ApiObject, undefined, '');
  assert.equal(resource!.schema?.type, 'object');
  assert.equal(looks, 1);
});
