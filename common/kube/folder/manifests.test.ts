import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatProblem } from '../manifests/problem.ts';
import { parseManifests } from './manifests.ts';

const problems = (text: string) => parseManifests('f.yaml', text).problems.map(formatProblem);

test('what is wrong is named with line, column, field and what was expected', () => {
  const text = `apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  ports:
    - port: 80
      targetport: 8080
    - port: "x"
  type: Clusterip
`;
  assert.deepEqual(problems(text), [
    'f.yaml:8:7: Service web: spec.ports[0].targetport: unknown field; did you mean "targetPort"?',
    'f.yaml:9:13: Service web: spec.ports[1].port: expected an integer, found the string "x"',
    'f.yaml:10:9: Service web: spec.type: "Clusterip" is not allowed: expected one of "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"; did you mean "ClusterIP"?',
  ]);
});

const bad: readonly [string, string, RegExp][] = [
  ['a tab as indent', 'a:\n\tb: 1\n', /^f\.yaml:2:\d+: not valid YAML: /],
  ['a key given twice', 'kind: Pod\nkind: Pod\n', /^f\.yaml:2:1: not valid YAML: Map keys must be unique/],
  ['an alias to nothing', 'a: *b\n', /^f\.yaml:1:\d+: not valid YAML: /],
  ['a scalar', 'hello\n', /^f\.yaml:1:1: expected an object with apiVersion, kind and metadata/],
  [
    'a missing field',
    'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}\n',
    /^f\.yaml:4:7: Pod a: spec\.containers: required/,
  ],
  [
    'generateName',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, generateName: b}\n',
    /^f\.yaml:3:21: .*needs a fixed name/,
  ],
  [
    'aliases that expand without bound',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
      .split('')
      .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefg'[i]}`).join(',')}]`)
      .join('\n')}\n`,
    /not valid YAML: Excessive alias count/,
  ],
];
for (const [name, text, expected] of bad) {
  test(`a bad document: ${name}`, () => {
    const found = problems(text);
    assert.equal(found.length > 0, true);
    assert.match(found[0]!, expected);
  });
}

test('anchors and merge keys mean what YAML says', () => {
  const text = `apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: &l {x: y}, annotations: {<<: *l, z: w}}
data: {8080: "port"}
`;
  const { manifests, problems: none } = parseManifests('f.yaml', text);
  assert.deepEqual(none, []);
  assert.deepEqual(manifests[0]?.object['metadata'], {
    name: 'a',
    namespace: 'default',
    labels: { x: 'y' },
    annotations: { x: 'y', z: 'w' },
  });
  assert.deepEqual(manifests[0]?.object['data'], { 8080: 'port' });
});

test('fields that only a server sets are dropped, and default is the namespace', () => {
  const text =
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, uid: u, resourceVersion: "1", creationTimestamp: null}\n';
  const [manifest] = parseManifests('f.yaml', text).manifests;
  assert.deepEqual(manifest?.object['metadata'], { name: 'a', namespace: 'default' });
});

test('bad documents say which object they are where they can', () => {
  const named = parseManifests('f', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\nx: 1\n');
  assert.deepEqual([...named.badObjects], ['configmaps.core/b/a']);
  assert.equal(named.hasUnknownBad, false);
  assert.equal(parseManifests('f', 'kind: [').hasUnknownBad, true);
});

test('any text gives objects and problems, never an exception', () => {
  const yamlish = fc.array(
    fc.constantFrom(
      'apiVersion: v1\n',
      'kind: Pod\n',
      'metadata:\n',
      '  name: a\n',
      '---\n',
      '- x\n',
      '{',
      '}',
      '&a ',
      '*a\n',
      '"',
      '\t',
      '? ',
      '!!str ',
      '|\n',
      '<<: *a\n',
      '%YAML 1.2\n',
    ),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        yamlish.map((p) => p.join('')),
      ),
      (text) => void parseManifests('f', text),
    ),
  );
});
