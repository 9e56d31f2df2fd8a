import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { type Json, startTestServer, type TestClient } from '../testing/client.ts';
import { definitionOf, definitions, gadgets, install, objects } from './testing/gadgets.ts';

const gadget = (name: string, spec: Json = { color: 'red' }, more: Json = {}): Json => ({
  apiVersion: 'things.example.com/v1',
  kind: 'Gadget',
  metadata: { name },
  spec,
  ...more,
});

async function create(client: TestClient, object: Json, query = ''): Promise<Json> {
  return (await client.ask(`${objects}${query}`, { method: 'POST', body: object })).json;
}

test('a definition gets its names, is established, and its objects are served, discovered and described', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  const { json } = await client.ask(`${definitions}/gadgets.things.example.com`);
  assert.deepEqual(
    json.status.conditions.map((c: Json) => [c.type, c.status, c.reason]),
    [
      ['NamesAccepted', 'True', 'NoConflicts'],
      ['Established', 'True', 'InitialNamesAccepted'],
    ],
  );
  assert.deepEqual(json.status.storedVersions, ['v1']);
  assert.deepEqual([json.spec.names.singular, json.spec.names.listKind], ['gadget', 'GadgetList']);
  const made = await create(client, gadget('a'));
  assert.deepEqual(made.spec, { color: 'red', size: 1, parts: [] });
  assert.equal(made.metadata.generation, 1);
  const found = (await client.ask('/apis/things.example.com/v1')).json.resources;
  assert.deepEqual(
    found.map((r: Json) => r.name),
    ['gadgets', 'gadgets/status', 'gadgets/scale'],
  );
  const openapi = (await client.ask('/openapi/v3/apis/things.example.com/v1')).json;
  assert.equal(
    openapi.components.schemas['com.example.things.v1.Gadget'].properties.spec.properties.color.type,
    'string',
  );
  assert.doesNotMatch(JSON.stringify(openapi), /"custom"/);
});

test('invalid objects are refused with every field; unknown fields are pruned, warned of or refused', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  const refused = await create(
    client,
    gadget('a', { color: 'pink', size: 0, parts: [{ name: 'x' }, { name: 'x' }], when: 'x' }),
  );
  assert.equal(refused.code, 422);
  assert.deepEqual(
    refused.details.causes.map((c: Json) => c.field),
    ['spec.color', 'spec.size', 'spec.parts[1]', 'spec.when'],
  );
  const pruned = await client.ask(objects, {
    method: 'POST',
    body: gadget('a', { color: 'red', odd: 1, free: { odd: 1 } }),
  });
  assert.match(String(pruned.headers.warning), /unknown field .*spec\.odd/);
  assert.deepEqual(pruned.json.spec.free, { odd: 1 });
  assert.equal(pruned.json.spec.odd, undefined);
  const strict = await create(client, gadget('b', { color: 'red', odd: 1 }), '?fieldValidation=Strict');
  assert.match(strict.message, /strict decoding error: unknown field "spec\.odd"/);
});

test('several versions of one object; status and scale; a merge patch, but no strategic one', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  await create(client, gadget('a', { color: 'red' }, { status: { ready: 5 } }));
  const old = (await client.ask(`${objects.replace('/v1/', '/v1beta1/')}/a`)).json;
  assert.deepEqual([old.apiVersion, old.status?.ready], ['things.example.com/v1beta1', undefined]);
  assert.equal((await client.ask(`${objects.replace('/v1/', '/v1alpha1/')}/a`)).code, 404);
  const status = await client.ask(`${objects}/a/status`, {
    method: 'PATCH',
    type: 'application/merge-patch+json',
    body: { status: { ready: 2 }, spec: { color: 'blue' } },
  });
  assert.deepEqual([status.json.status.ready, status.json.spec.color, status.json.metadata.generation], [2, 'red', 1]);
  const scale = await client.ask(`${objects}/a/scale`, {
    method: 'PATCH',
    type: 'application/merge-patch+json',
    body: { spec: { replicas: 7 } },
  });
  assert.deepEqual([scale.json.spec, scale.json.status.replicas], [{ replicas: 7 }, 2]);
  const patched = await client.ask(`${objects}/a`, {
    method: 'PATCH',
    type: 'application/merge-patch+json',
    body: { spec: { parts: [{ name: 'p' }] } },
  });
  assert.deepEqual([patched.json.spec.size, patched.json.metadata.generation], [7, 3]);
  const strategic = await client.ask(`${objects}/a`, {
    method: 'PATCH',
    type: 'application/strategic-merge-patch+json',
    body: {},
  });
  assert.equal(strategic.code, 415);
});

test('rules about changes are kept over updates', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  await create(client, gadget('a', { color: 'red', fixed: 'x' }));
  const change = (spec: Json) =>
    client.ask(`${objects}/a`, { method: 'PATCH', type: 'application/merge-patch+json', body: { spec } });
  assert.equal((await change({ color: 'blue' })).code, 200);
  const { code, json } = await change({ fixed: 'y' });
  assert.deepEqual(
    [code, json.details.causes],
    [422, [{ reason: 'FieldValueInvalid', message: 'fixed for ever', field: 'spec.fixed' }]],
  );
});

test('appliers share a list by its keys', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  const apply = async (manager: string, parts: Json) =>
    client.ask(`${objects}/a?fieldManager=${manager}`, {
      method: 'PATCH',
      type: 'application/apply-patch+yaml',
      body: gadget('a', { parts, ...(manager === 'one' ? { color: 'red' } : {}) }),
    });
  await apply('one', [{ name: 'x', count: 1 }]);
  const { json } = await apply('two', [{ name: 'y', count: 2 }]);
  assert.deepEqual(json.spec.parts, [
    { name: 'x', count: 1 },
    { name: 'y', count: 2 },
  ]);
  assert.equal((await apply('two', [{ name: 'x', count: 3 }])).code, 409);
});

test('columns by JSONPath, dates as ages; field selectors by selectable fields', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  await create(
    client,
    gadget('a', {
      color: 'red',
      parts: [{ name: 'x' }, { name: 'y' }],
      when: new Date(Date.now() - 3_600_000 * 5).toISOString(),
    }),
  );
  await create(client, gadget('b', { color: 'blue' }));
  const accept = { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' };
  const { json } = await client.ask(objects, { headers: accept });
  assert.deepEqual(
    json.columnDefinitions.map((c: Json) => [c.name, c.type, c.priority]),
    [
      ['Name', 'string', 0],
      ['Color', 'string', 0],
      ['Parts', 'string', 1],
      ['Size', 'integer', 0],
      ['When', 'string', 0],
    ],
  );
  assert.deepEqual(json.rows[0].cells, ['a', 'red', 'x,y', 1, '5h']);
  const blue = await client.ask(`${objects}?fieldSelector=spec.color=blue`);
  assert.deepEqual(
    blue.json.items.map((i: Json) => i.metadata.name),
    ['b'],
  );
  assert.equal((await client.ask(`${objects}?fieldSelector=spec.size=1`)).code, 400);
});

test('a deleted definition takes its objects along, when their finalizers allow, and takes no new ones meanwhile', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  await create(client, gadget('free'));
  await create(client, { ...gadget('held'), metadata: { name: 'held', finalizers: ['example.com/hold'] } });
  const name = `${definitions}/gadgets.things.example.com`;
  await client.ask(name, { method: 'DELETE' });
  await until('the free object is gone', async () => (await client.ask(`${objects}/free`)).code === 404);
  const going = (await client.ask(name)).json;
  assert.equal(going.status.conditions.at(-1).type, 'Terminating');
  assert.equal((await create(client, gadget('late'))).code, 405);
  await client.ask(`${objects}/held`, {
    method: 'PATCH',
    type: 'application/merge-patch+json',
    body: { metadata: { finalizers: null } },
  });
  await until('the definition is gone', async () => (await client.ask(name)).code === 404);
  await until('the resource is gone', async () => (await client.ask(objects)).code === 404);
  // The same names may come back, without the objects.
  await install(client, gadgets);
  assert.deepEqual((await client.ask(objects)).json.items, []);
});

test('two definitions of one kind: the first keeps the names, the second gets them when it goes', async () => {
  await using server = await startTestServer();
  const { client } = server;
  await install(client, gadgets);
  const other = definitionOf({ plural: 'gizmos', kind: 'Gadget', shortNames: ['gd'] });
  await client.ask(definitions, { method: 'POST', body: other });
  const path = `${definitions}/${other.metadata.name}`;
  const conditions = async () => (await client.ask(path)).json.status.conditions;
  await until('a conflict', async () => {
    const [names, established] = await conditions();
    assert.deepEqual([names.status, names.reason], ['False', 'MultipleConflicts']);
    assert.match(names.message, /"gd" is already in use.*"Gadget" is already in use/);
    assert.equal(established.status, 'False');
    return true;
  });
  await client.ask(`${definitions}/gadgets.things.example.com`, { method: 'DELETE' });
  await until('the second is established', async () => (await conditions())[1].status === 'True');
});

test('what a definition may not say, and what it may not change', async () => {
  await using server = await startTestServer();
  const { client } = server;
  const post = async (change: (d: Json) => void) => {
    const d = structuredClone(gadgets);
    change(d);
    d.spec.versions = d.spec.versions.slice(0, 1);
    const { json } = await client.ask(`${definitions}?dryRun=All`, { method: 'POST', body: d });
    return (json.details?.causes ?? []).map((c: Json) => c.field);
  };
  assert.deepEqual(await post(() => undefined), []);
  assert.deepEqual(await post((d) => (d.metadata.name = 'x.example.com')), ['metadata.name']);
  assert.deepEqual(await post((d) => (d.spec.versions[0].storage = false)), ['spec.versions']);
  assert.deepEqual(await post((d) => (d.spec.conversion = { strategy: 'Webhook' })), ['spec.conversion.strategy']);
  assert.deepEqual(await post((d) => delete d.spec.versions[0].schema), ['spec.versions[0].schema.openAPIV3Schema']);
  assert.deepEqual(
    await post((d) => (d.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.size.default = 'x')),
    ['spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[size].default'],
  );
  assert.deepEqual(await post((d) => (d.spec.versions[0].additionalPrinterColumns[0].jsonPath = 'x[')), [
    'spec.versions[0].additionalPrinterColumns[0].jsonPath',
  ]);
  assert.deepEqual(await post((d) => (d.spec.versions[0].selectableFields = [{ jsonPath: '.spec.parts' }])), [
    'spec.versions[0].selectableFields[0].jsonPath',
  ]);
  await install(client, gadgets);
  const changed = await client.ask(`${definitions}/gadgets.things.example.com`, {
    method: 'PATCH',
    type: 'application/merge-patch+json',
    body: { spec: { scope: 'Cluster', group: 'else.example.com' } },
  });
  assert.deepEqual(
    changed.json.details.causes.map((c: Json) => c.field),
    ['metadata.name', 'spec.group', 'spec.scope'],
  );
});

test('definitions and their objects are there when the server starts again', async () => {
  const first = await startTestServer();
  await install(first.client, gadgets);
  await create(first.client, gadget('a'));
  first.client.close();
  await first.server.stop();
  const second = await startTestServer(first.dataDir);
  try {
    assert.equal((await second.client.ask(`${objects}/a`)).json.spec.color, 'red');
  } finally {
    await second[Symbol.asyncDispose]();
    await rm(first.dataDir, { recursive: true });
  }
});
