/** The three patches against what their specifications say in other words. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { applyMergePatch } from '../../../common/kube/merge-patch.ts';
import { builtInResources } from '../kinds/table.ts';
import { applyJsonPatch, PatchError } from './json-patch.ts';
import { applyStrategicPatch } from './strategic.ts';

const name = fc.constantFrom('a', 'b', 'c/d', '~e', '', '0');
const { value } = fc.letrec((tie) => ({
  value: fc.oneof({ maxDepth: 4 }, fc.constantFrom<unknown>(null, true, 0, 1, 'x', ''), tie('list'), tie('map')),
  list: fc.array(tie('value'), { maxLength: 3 }),
  map: fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
}));
const map = fc.dictionary(name, value, { maxKeys: 4, noNullPrototype: true });

/** Either it gives a value, or it says what is wrong with the patch. */
function total(work: () => unknown): void {
  try {
    work();
  } catch (e) {
    assert.ok(e instanceof PatchError, String(e));
  }
}

describe('JSON patch', () => {
  const escaped = (token: string) => token.replaceAll('~', '~0').replaceAll('/', '~1');
  const pointer = fc
    .array(fc.oneof(name, fc.constantFrom('-', '1', '01')), { maxLength: 3 })
    .map((p) => p.map((t) => `/${escaped(t)}`).join(''));
  const operation = fc.record(
    {
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'x'),
      path: pointer,
      from: pointer,
      value,
    },
    { requiredKeys: ['op', 'path'] },
  );

  test('takes whatever is sent, and changes nothing of what it is given', () => {
    fc.assert(
      fc.property(value, fc.oneof(fc.array(operation, { maxLength: 5 }), value), (document, patch) => {
        const before = structuredClone(document);
        total(() => applyJsonPatch(document, patch));
        assert.deepEqual(document, before);
      }),
    );
  });

  test('an added member is there, a removed one is not, a moved one is elsewhere', () => {
    fc.assert(
      fc.property(map, name, name, value, (document, member, other, v) => {
        const path = `/${escaped(member)}`;
        const added = applyJsonPatch(document, [{ op: 'add', path, value: v }]);
        assert.deepEqual(added, { ...document, [member]: v });
        const { [member]: _gone, ...rest } = document;
        assert.deepEqual(applyJsonPatch(added, [{ op: 'remove', path }]), rest);
        const moved = applyJsonPatch(added, [{ op: 'move', from: path, path: `/${escaped(other)}` }]);
        assert.deepEqual(moved, { ...rest, [other]: v });
        assert.throws(() => applyJsonPatch(rest, [{ op: 'test', path, value: v }]), PatchError);
      }),
    );
  });
});

describe('merge patch', () => {
  test('twice is as once', () => {
    fc.assert(
      fc.property(value, value, (document, patch) => {
        const once = applyMergePatch(document, patch);
        assert.deepEqual(applyMergePatch(once, patch), once);
      }),
    );
  });
});

describe('strategic merge patch', () => {
  const { schema } = builtInResources.find((r) => r.resource === 'deployments')!;
  const field = fc.constantFrom('spec', 'template', 'containers', 'name', 'image', 'metadata', 'labels', 'finalizers');
  const directive = fc.constantFrom(
    '$patch',
    '$retainKeys',
    '$setElementOrder/containers',
    '$deleteFromPrimitiveList/x',
  );
  const { any } = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<unknown>(null, 'delete', 'replace', 'merge', 1),
      tie('list'),
      tie('map'),
    ),
    list: fc.array(tie('any'), { maxLength: 3 }),
    map: fc.dictionary(fc.oneof({ weight: 4, arbitrary: field }, directive), tie('any'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  }));

  test('takes whatever is sent, and changes nothing of what it is given', () => {
    fc.assert(
      fc.property(fc.dictionary(field, any, { noNullPrototype: true }), any, (document, patch) => {
        const before = structuredClone([document, patch]);
        total(() => applyStrategicPatch(schema, document, patch));
        assert.deepEqual([document, patch], before);
      }),
    );
  });

  const containers = fc
    .uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), image: fc.constantFrom('1', '2') }), {
      selector: (c) => c.name,
    })
    .map((list) => list.map((c) => ({ ...c })));
  const deployment = (list: unknown) => ({ spec: { template: { spec: { containers: list } } } });

  test('merges lists by their key, as a map would be merged', () => {
    fc.assert(
      fc.property(containers, containers, fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd')), (there, sent, gone) => {
        const deletions = gone.map((n) => ({ name: n, $patch: 'delete' }));
        const result = applyStrategicPatch(schema, deployment(there), deployment([...sent, ...deletions]));
        const expected = new Map([...there, ...sent].map((c) => [c.name, c]));
        for (const n of gone) expected.delete(n);
        assert.deepEqual(result, deployment([...expected.values()]));
      }),
    );
  });
});
