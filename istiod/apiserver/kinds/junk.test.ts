import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Message, ShapeType } from '../shapes/notation.ts';
import { allKinds } from '../shapes/shapes.ts';
import { startTestServer } from '../testing/client.ts';
import { builtInResources } from './table.ts';

const junk = fc.oneof(
  fc.constantFrom<unknown>(null, '', 'x', -1, 0, 1e300, true, [], {}, [null], [{}], '1Gi', '50%', '10.0.0.0/24'),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Mostly of the right type. Lazily: shapes nest deeply. */
function anyOf(type: ShapeType, depth: number): fc.Arbitrary<unknown> {
  return fc.nat(5).chain((n) => (n === 0 ? junk : fitting(type, depth)));
}

function fitting(type: ShapeType, depth: number): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'list':
      return fc.nat(2).chain((n) => fc.tuple(...Array.from({ length: n }, () => anyOf(type.of, depth + 1))));
    case 'map':
      return anyOf(type.of, depth + 1).map((value) => ({ key: value }));
    case 'either':
    case 'message':
      return depth > 7 ? fc.constant({}) : objectOf(type.message, depth + 1);
    case 'scalar':
      if (type.values !== undefined) return fc.constantFrom(...type.values);
      if (type.scalar === 'bool') return fc.boolean();
      return type.scalar === 'int'
        ? fc.integer({ min: -1, max: 3 })
        : fc.constantFrom('a', '', 'a/b', '1', '10.0.0.0/24');
  }
}

function objectOf({ fields }: Message, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const members = fields.map(({ name, type, required }) =>
    fc
      .nat(required ? 9 : 2)
      .chain((n) => ((n === 0) === required ? fc.constant({}) : anyOf(type, depth).map((v) => ({ [name]: v })))),
  );
  return members.length === 0 ? fc.constant({}) : fc.tuple(...members).map((all) => Object.assign({}, ...all));
}

test('whatever is sent as an object, it is taken or refused with a Status', async () => {
  await using server = await startTestServer();
  const { client } = server;
  const at = '/api/v1/namespaces/default';
  // These look into what is made before it is checked.
  const quota = { hard: { pods: '5', 'requests.cpu': '1', 'requests.storage': '1Ti', services: '9' } };
  await client.ask(`${at}/resourcequotas`, { method: 'POST', body: { metadata: { name: 'q' }, spec: quota } });
  const limits = ['Container', 'Pod'].map((type) => ({ type, max: { cpu: '2' } }));
  await client.ask(`${at}/limitranges`, { method: 'POST', body: { metadata: { name: 'l' }, spec: { limits } } });
  const shapes = new Map(Array.from(allKinds(), (k) => [`${k.apiVersion} ${k.kind}`, k.shape]));
  const targets = builtInResources.flatMap((r) => {
    const apiVersion = r.group === '' ? r.version : `${r.group}/${r.version}`;
    const shape = shapes.get(`${apiVersion} ${r.kind}`);
    if (shape === undefined || !r.verbs.includes('create')) return [];
    const base = r.group === '' ? `/api/${r.version}` : `/apis/${apiVersion}`;
    return [
      { path: `${base}${r.namespaced ? '/namespaces/default' : ''}/${r.resource}`, shape, apiVersion, kind: r.kind },
    ];
  });
  const name = 'junk';
  const ways = [
    { method: 'POST', to: '', type: 'application/json' },
    { method: 'PUT', to: `/${name}`, type: 'application/json' },
    { method: 'PATCH', to: `/${name}`, type: 'application/merge-patch+json' },
    { method: 'PATCH', to: `/${name}`, type: 'application/strategic-merge-patch+json' },
    { method: 'PATCH', to: `/${name}?fieldManager=junk&force=true`, type: 'application/apply-patch+yaml' },
  ];
  const request = fc.constantFrom(...targets).chain((target) =>
    fc.record({
      target: fc.constant(target),
      object: objectOf(target.shape, 0),
      named: fc.nat(3),
      way: fc.constantFrom(...ways),
    }),
  );
  await fc.assert(
    fc.asyncProperty(request, async ({ target: { path, apiVersion, kind }, object, named, way }) => {
      const body = { ...object, apiVersion, kind, ...(named > 0 && { metadata: { name } }) };
      const { method, to, type } = way;
      const { code, json } = await client.ask(`${path}${to}`, { method, type, body: JSON.stringify(body) });
      assert.ok(code < 500, `${code} for ${method} ${type} of ${JSON.stringify(body)}`);
      if (code >= 400) assert.equal(json.kind, 'Status');
    }),
    { numRuns: 500 },
  );
});
