import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatPath } from '../schema/validate.ts';
import { idOf, parseDocuments, parseFieldPath } from './documents.ts';
import { formatProblem } from './problem.ts';

const configMap = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`;

test('several documents, empty ones and lists', () => {
  const text = `---\n${configMap('a')}---\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: b\n    namespace: shop\n  type: 7\n`;
  const { objects, problems, isWhole } = parseDocuments('x.yaml', text);
  assert.deepEqual(
    [objects.map((o) => idOf(o.object)), problems, isWhole],
    [['/ConfigMap//a', '/Secret/shop/b'], [], true],
  );
  assert.equal(formatProblem(objects[1]!.problemAt('type', 'no text')), 'x.yaml:15:9: Secret shop/b: type: no text');
  assert.equal(formatProblem(objects[1]!.problemAt(undefined, 'no')), 'x.yaml:10:3: Secret shop/b: no');
});

test('a document that cannot be read leaves the others', () => {
  const text = `${configMap('a')}---\nkind: ConfigMap\n---\nmetadata: {}\napiVersion: v1\nkind: X\n---\n- 1\n---\n{ no: [yaml\n`;
  const { objects, problems, isWhole } = parseDocuments('x.yaml', text);
  assert.deepEqual([objects.length, isWhole], [1, false]);
  const said = problems.map(formatProblem);
  assert.match(said[0]!, /^x\.yaml:5:1: apiVersion: a text is required/);
  assert.match(said[1]!, /^x\.yaml:7:11: metadata\.name: a fixed name/);
  assert.match(said[2]!, /^x\.yaml:11:1: kind: a document must be an object/);
  assert.match(said[3]!, /not valid YAML/);
});

test('any text gives objects or problems', () => {
  const line = fc.constantFrom(
    'kind: A',
    'apiVersion: v1',
    'metadata:',
    '  name: a',
    '---',
    '- x',
    '&a [*a]',
    '{',
    '"',
    '  namespace: 3',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(line).map((l) => l.join('\n')),
      ),
      (text) => {
        const { objects, problems, isWhole } = parseDocuments('any.yaml', text);
        assert.equal(isWhole, problems.length === 0);
        for (const o of objects) assert.ok(formatProblem(o.problemAt('spec.a[0].b', 'no')).startsWith('any.yaml:'));
      },
    ),
  );
});

test('a path that is formatted is read again', () => {
  const part = fc.oneof(fc.nat(99), fc.stringMatching(/^[A-Za-z_][\w-]*$/), fc.constantFrom('a.b/c', 'x y'));
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 1, unit: fc.constantFrom('a', 'b') }),
      fc.array(part),
      (head, rest) => {
        assert.deepEqual(parseFieldPath(formatPath([head, ...rest])), [head, ...rest]);
      },
    ),
  );
});
