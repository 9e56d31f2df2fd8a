import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { type Json, startTestServer, TestClient, type TestServer } from './testing/client.ts';

let running: TestServer;
let client: TestClient;
before(async () => {
  running = await startTestServer();
  client = running.client;
});
after(() => running[Symbol.asyncDispose]());

const configMaps = '/api/v1/namespaces/default/configmaps';

function configMap(name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels }, data };
}

async function make(
  name: string,
  data: Record<string, string> = {},
  labels: Record<string, string> = {},
): Promise<Json> {
  const { code, json } = await client.ask(configMaps, { method: 'POST', body: configMap(name, data, labels) });
  assert.equal(code, 201, JSON.stringify(json));
  return json;
}

function assertStatus(answer: { code: number; json: Json }, code: number, reason: string): void {
  assert.deepEqual(
    [answer.code, answer.json?.kind, answer.json?.code, answer.json?.status, answer.json?.reason],
    [code, 'Status', code, 'Failure', reason],
    JSON.stringify(answer.json),
  );
}

test('HEAD of a list has its head alone, over HTTP/2 too', async () => {
  const session = connect(client.config.server, { ca: client.config.ca });
  const stream = session.request({
    ':method': 'HEAD',
    ':path': configMaps,
    authorization: `Bearer ${client.config.token}`,
  });
  const [head] = (await once(stream, 'response')) as [Record<string, unknown>];
  assert.deepEqual([head[':status'], head['content-type']], [200, 'application/json']);
  assert.equal((await stream.toArray()).length, 0);
  session.destroy();
});

test('metrics count requests and objects, and no names that clients made up', async () => {
  await make('counted');
  await client.ask('/apis/made.up/v1/nothing');
  const text = (await client.ask('/metrics')).body.toString();
  assert.match(
    text,
    /^apiserver_request_total\{verb="CREATE",.*resource="configmaps",subresource="",code="201"\} \d+$/m,
  );
  assert.match(text, /^apiserver_storage_objects\{resource="configmaps\.core"\} [1-9]\d*$/m);
  assert.doesNotMatch(text, /made\.up/);
});

describe('bodies', () => {
  test('a member that is there twice is told, or refused where the client is strict', async () => {
    const text =
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","b":"{:\\"","a":"2"}}';
    const strict = await client.ask(`${configMaps}?fieldValidation=Strict`, { method: 'POST', body: text });
    assertStatus(strict, 400, 'BadRequest');
    assert.equal(strict.json.message, 'strict decoding error: duplicate field "data.a"');
    const warned = await client.ask(configMaps, { method: 'POST', body: text });
    assert.deepEqual([warned.code, warned.json.data.a], [201, '2']);
    assert.match(String(warned.headers['warning']), /duplicate field \\"data\.a\\"/);
  });

  test('deep, broken or foreign ones are refused with a Status', async () => {
    const deep = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
    const ask = (body: string, type?: string) =>
      client.ask(configMaps, { method: 'POST', body, ...(type && { type }) });
    for (const type of ['application/json', 'application/yaml']) assertStatus(await ask(deep, type), 400, 'BadRequest');
    assertStatus(await ask('[]'), 400, 'BadRequest');
    for (const field of ['name', 'generateName', 'namespace'])
      assertStatus(await ask(JSON.stringify({ metadata: { [field]: {} } })), 400, 'BadRequest');
    assertStatus(await ask('{'), 400, 'BadRequest');
    assertStatus(await ask('a: &a [*a, *a]', 'application/yaml'), 400, 'BadRequest');
    assertStatus(await ask('{"__proto__":{}}'), 400, 'BadRequest');
    const flow = '{apiVersion: v1, kind: ConfigMap, metadata: {name: flow}, immutable: yes}';
    const made = await ask(flow, 'application/yaml');
    assert.deepEqual([made.code, made.json.immutable], [201, true]);
    assertStatus(await ask('x', 'text/html'), 415, 'UnsupportedMediaType');
  });
});

describe('server-side apply', () => {
  const type = 'application/apply-patch+yaml';
  const patch = (name: string, body: object, query = 'fieldManager=m') =>
    client.ask(`${configMaps}/${name}?${query}`, { method: 'PATCH', type, body });

  test('creates, changes, gives up fields, and refuses what others own', async () => {
    const made = await patch('applied', configMap('applied', { a: '1', b: '1' }));
    assert.deepEqual([made.code, made.json.data], [201, { a: '1', b: '1' }]);
    assert.deepEqual(made.json.metadata.managedFields[0].fieldsV1, {
      'f:data': { 'f:a': {}, 'f:b': {} },
      'f:metadata': { 'f:labels': {} },
    });
    const again = await patch('applied', configMap('applied', { a: '1' }));
    assert.deepEqual([again.code, again.json.data], [200, { a: '1' }]);
    const dry = await patch('applied', configMap('applied', { a: '2' }), 'fieldManager=m&dryRun=All');
    assert.deepEqual(dry.json.data, { a: '2' });
    const conflict = await patch('applied', configMap('applied', { a: '3' }), 'fieldManager=n');
    assertStatus(conflict, 409, 'Conflict');
    assert.equal(conflict.json.details.causes[0].field, '.data.a');
    const forced = await patch('applied', configMap('applied', { a: '3' }), 'fieldManager=n&force=true');
    assert.deepEqual([forced.code, forced.json.data], [200, { a: '3' }]);
  });

  test('wants a manager, an object of this place, and no managedFields', async () => {
    assertStatus(await patch('x', configMap('x'), ''), 422, 'Invalid');
    assertStatus(await patch('x', configMap('y')), 400, 'BadRequest');
    const { metadata, ...rest } = configMap('x');
    assertStatus(await patch('x', { ...rest, metadata: { ...metadata, managedFields: [] } }), 400, 'BadRequest');
    const old = { ...rest, metadata: { ...metadata, resourceVersion: '1' } };
    await make('x');
    assertStatus(await patch('x', old), 409, 'Conflict');
    const merge = { method: 'PATCH', type: 'application/merge-patch+json', body: {} };
    assertStatus(await client.ask(`${configMaps}/x?force=true`, merge), 422, 'Invalid');
  });

  test('of a status leaves the rest, and its owner is told apart', async () => {
    const path = '/api/v1/namespaces/default/replicationcontrollers';
    await client.ask(path, { method: 'POST', body: replicationController('with-status') });
    const body = { apiVersion: 'v1', kind: 'ReplicationController', spec: { replicas: 9 }, status: { replicas: 2 } };
    const { code, json } = await client.ask(`${path}/with-status/status?fieldManager=m`, {
      method: 'PATCH',
      type,
      body,
    });
    assert.equal(code, 200, JSON.stringify(json));
    assert.deepEqual([code, json.spec.replicas, json.status], [200, 1, { replicas: 2 }]);
    const [owner] = json.metadata.managedFields;
    assert.deepEqual([owner.subresource, owner.fieldsV1], ['status', { 'f:status': { 'f:replicas': {} } }]);
    assertStatus(
      await client.ask(`${path}/none/status?fieldManager=m`, { method: 'PATCH', type, body }),
      404,
      'NotFound',
    );
  });
});

describe('objects', () => {
  test('create, read, replace, delete', async () => {
    const made = await make('whole', { a: '1' });
    assert.match(made.metadata.uid, /^[0-9a-f-]{36}$/);
    assert.match(made.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(made.metadata.namespace, 'default');
    const path = `${configMaps}/whole`;
    assert.deepEqual((await client.ask(path)).json, made);
    const replaced = await client.ask(path, { method: 'PUT', body: { ...made, data: { b: '2' } } });
    assert.deepEqual([replaced.code, replaced.json.data], [200, { b: '2' }]);
    assert.ok(Number(replaced.json.metadata.resourceVersion) > Number(made.metadata.resourceVersion));
    assertStatus(await client.ask(path, { method: 'PUT', body: { ...made, data: {} } }), 409, 'Conflict');
    const deleted = await client.ask(path, { method: 'DELETE' });
    assert.deepEqual([deleted.code, deleted.json.status, deleted.json.details.name], [200, 'Success', 'whole']);
    assertStatus(await client.ask(path), 404, 'NotFound');
  });

  test('a write that changes nothing makes no new version', async () => {
    const made = await make('same', { a: '1' });
    const again = await client.ask(`${configMaps}/same`, { method: 'PUT', body: configMap('same', { a: '1' }) });
    assert.equal(again.json.metadata.resourceVersion, made.metadata.resourceVersion);
  });

  test('what exists is not made twice, and a generated name is free', async () => {
    await make('once');
    assertStatus(await client.ask(configMaps, { method: 'POST', body: configMap('once') }), 409, 'AlreadyExists');
    const { name: _name, ...metadata } = configMap('x').metadata;
    const body = { ...configMap('x'), metadata: { ...metadata, generateName: 'gen-' } };
    const generated = await client.ask(configMaps, { method: 'POST', body });
    assert.match(generated.json.metadata.name, /^gen-[a-z0-9]{5}$/);
  });

  test('a dry run tells what would be and keeps nothing', async () => {
    const answer = await client.ask(`${configMaps}?dryRun=All`, { method: 'POST', body: configMap('dry') });
    assert.equal(answer.code, 201);
    assertStatus(await client.ask(`${configMaps}/dry`), 404, 'NotFound');
  });

  test('json, merge and strategic merge patches', async () => {
    await client.ask('/apis/apps/v1/namespaces/default/deployments', { method: 'POST', body: deployment('patched') });
    const path = '/apis/apps/v1/namespaces/default/deployments/patched';
    const patch = (type: string, body: unknown) =>
      client.ask(path, { method: 'PATCH', body, type: `application/${type}+json` });
    const strategic = await patch('strategic-merge-patch', {
      spec: {
        template: {
          spec: {
            containers: [
              { name: 'side', image: 'b' },
              { name: 'main', image: 'c' },
            ],
          },
        },
      },
    });
    const containers = strategic.json.spec.template.spec.containers.map((c: Json) => [c.name, c.image]);
    assert.deepEqual(containers, [
      ['main', 'c'],
      ['side', 'b'],
    ]);
    assert.equal(strategic.json.metadata.generation, 2);
    const merged = await patch('merge-patch', { metadata: { labels: { a: 'b' } } });
    assert.deepEqual([merged.json.metadata.labels, merged.json.metadata.generation], [{ a: 'b' }, 2]);
    const removed = await patch('json-patch', [
      { op: 'test', path: '/metadata/labels/a', value: 'b' },
      { op: 'remove', path: '/metadata/labels/a' },
    ]);
    assert.equal(removed.json.metadata.labels?.a, undefined);
    assertStatus(await patch('json-patch', [{ op: 'remove', path: '/spec/nothing' }]), 422, 'Invalid');
    assertStatus(await patch('foo-patch', {}), 415, 'UnsupportedMediaType');
  });

  test('only the status subresource writes status, and nothing else', async () => {
    // Of a kind whose status no controller of ours writes.
    const base = '/apis/networking.k8s.io/v1/namespaces/default/ingresses';
    const service = (name: string) => ({ defaultBackend: { service: { name, port: { number: 80 } } } });
    const status = (ip: string) => ({ loadBalancer: { ingress: [{ ip }] } });
    const body = { metadata: { name: 'stated' }, spec: service('a'), status: status('192.0.2.1') };
    const made = (await client.ask(base, { method: 'POST', body })).json;
    assert.deepEqual(made.status, { loadBalancer: {} });
    const written = await client.ask(`${base}/stated/status`, {
      method: 'PUT',
      body: { ...made, spec: service('b'), status: status('192.0.2.2') },
    });
    assert.deepEqual(
      [written.json.status, written.json.spec, written.json.metadata.generation],
      [status('192.0.2.2'), service('a'), 1],
    );
    const main = await client.ask(`${base}/stated`, {
      method: 'PUT',
      body: { ...written.json, status: status('192.0.2.3') },
    });
    assert.deepEqual(main.json.status, status('192.0.2.2'));
  });

  test('finalizers hold a deleted object until they are taken away', async () => {
    const body = { ...configMap('held'), metadata: { name: 'held', finalizers: ['example.com/hold'] } };
    await client.ask(configMaps, { method: 'POST', body });
    const marked = await client.ask(`${configMaps}/held`, { method: 'DELETE' });
    assert.ok(marked.json.metadata.deletionTimestamp);
    const more = [{ op: 'add', path: '/metadata/finalizers/-', value: 'example.com/more' }];
    const patch = { method: 'PATCH', type: 'application/json-patch+json' };
    assertStatus(await client.ask(`${configMaps}/held`, { ...patch, body: more }), 422, 'Invalid');
    await client.ask(`${configMaps}/held`, { ...patch, body: [{ op: 'remove', path: '/metadata/finalizers' }] });
    assertStatus(await client.ask(`${configMaps}/held`), 404, 'NotFound');
  });

  test('what is absent, or empty as protobuf has it, is refused with its field', async () => {
    const causes = async (path: string, body: object) => {
      const answer = await client.ask(path, { method: 'POST', body });
      assertStatus(answer, 422, 'Invalid');
      return answer.json.details.causes.map((c: Json) => c.field);
    };
    const metadata = { name: 'empty' };
    assert.deepEqual(await causes('/api/v1/namespaces/default/pods', { metadata }), ['spec.containers']);
    const classes = '/apis/storage.k8s.io/v1/storageclasses';
    assert.deepEqual(await causes(classes, { metadata, provisioner: '' }), ['provisioner']);
  });

  test('invalid objects are refused with every cause', async () => {
    const body = {
      ...deployment('Bad_Name'),
      spec: { replicas: -1, selector: {}, template: { spec: { containers: [] } } },
    };
    const answer = await client.ask('/apis/apps/v1/namespaces/default/deployments', { method: 'POST', body });
    assertStatus(answer, 422, 'Invalid');
    const fields = answer.json.details.causes.map((c: Json) => c.field).sort();
    assert.deepEqual(fields, ['metadata.name', 'spec.replicas', 'spec.template.spec.containers']);
  });

  test('unknown fields are refused, told or dropped, as the client asks', async () => {
    const body = { ...configMap('unknown'), dato: {} };
    const post = (validation: string) =>
      client.ask(`${configMaps}?dryRun=All&fieldValidation=${validation}`, { method: 'POST', body });
    assertStatus(await post('Strict'), 400, 'BadRequest');
    const warned = await post('Warn');
    assert.match(String(warned.headers['warning']), /299 - "unknown field \\"dato\\""/);
    const ignored = await post('Ignore');
    assert.deepEqual([ignored.code, ignored.headers['warning'], ignored.json.dato], [201, undefined, undefined]);
  });
});

describe('lists and watches', () => {
  test('pages of a list are of one state', async () => {
    for (const n of [1, 2, 3, 4, 5]) await make(`page-${n}`, {}, { in: 'pages' });
    const first = (await client.ask(`${configMaps}?labelSelector=in%3Dpages&limit=2`)).json;
    await client.ask(`${configMaps}/page-4`, { method: 'DELETE' });
    await make('page-4b', {}, { in: 'pages' });
    const names: string[] = first.items.map((i: Json) => i.metadata.name);
    let token = first.metadata.continue;
    while (token !== undefined) {
      const { json } = await client.ask(`${configMaps}?labelSelector=in%3Dpages&limit=2&continue=${token}`);
      assert.equal(json.metadata.resourceVersion, first.metadata.resourceVersion);
      names.push(...json.items.map((i: Json) => i.metadata.name));
      token = json.metadata.continue;
    }
    assert.deepEqual(names, ['page-1', 'page-2', 'page-3', 'page-4', 'page-5']);
    assertStatus(await client.ask(`${configMaps}?continue=nonsense`), 400, 'BadRequest');
  });

  test('a watch tells what enters, changes and leaves its selection', async () => {
    const { resourceVersion } = (await client.ask(configMaps)).json.metadata;
    await make('seen', { v: '1' }, { watch: 'me' });
    await make('unseen');
    const relabel = (value: string) =>
      client.ask(`${configMaps}/seen`, {
        method: 'PATCH',
        type: 'application/merge-patch+json',
        body: { metadata: { labels: { watch: value } }, data: { v: value } },
      });
    await client.ask(`${configMaps}/seen`, {
      method: 'PATCH',
      type: 'application/merge-patch+json',
      body: { data: { v: '2' } },
    });
    await relabel('other');
    await relabel('me');
    await client.ask(`${configMaps}/seen`, { method: 'DELETE' });
    const events: string[] = [];
    for await (const { type, object } of client.watch(
      `${configMaps}?watch=1&labelSelector=watch%3Dme&resourceVersion=${resourceVersion}`,
    )) {
      events.push(`${type} ${object.metadata.name}`);
      if (events.length === 5) break;
    }
    assert.deepEqual(events, ['ADDED seen', 'MODIFIED seen', 'DELETED seen', 'ADDED seen', 'DELETED seen']);
  });

  test('a watch can begin with what is there, and says where that ends', async () => {
    await make('initial', {}, { first: 'yes' });
    const query =
      'watch=1&labelSelector=first&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const found: Json[] = [];
    for await (const event of client.watch(`${configMaps}?${query}`)) {
      found.push(event);
      if (event.type === 'BOOKMARK') break;
    }
    assert.deepEqual(
      found.map((e) => e.type),
      ['ADDED', 'BOOKMARK'],
    );
    assert.equal(found[1].object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  });

  test('a version that has not been yet is refused', async () => {
    assertStatus(await client.ask(`${configMaps}?watch=1&resourceVersion=99999999`), 504, 'Timeout');
  });

  test('tables for people, metadata for caches', async () => {
    await make('shown', { a: '1', b: '2' });
    const as = (kind: string) => ({
      headers: { accept: `application/json;as=${kind};v=v1;g=meta.k8s.io,application/json` },
    });
    const { json: table } = await client.ask(`${configMaps}/shown`, as('Table'));
    assert.deepEqual(
      table.columnDefinitions.map((c: Json) => c.name),
      ['Name', 'Data', 'Age'],
    );
    assert.deepEqual(table.rows[0].cells.slice(0, 2), ['shown', 2]);
    const { json: metadata } = await client.ask(configMaps, as('PartialObjectMetadataList'));
    assert.equal(metadata.kind, 'PartialObjectMetadataList');
    assert.ok(metadata.items.every((i: Json) => i.data === undefined && i.kind === 'PartialObjectMetadata'));
  });

  test('large answers are compressed for those who ask', async () => {
    await make('large', { a: 'x'.repeat(200_000) });
    const answer = await client.ask(`${configMaps}/large`, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(answer.headers['content-encoding'], 'gzip');
    assert.equal(JSON.parse(gunzipSync(answer.body).toString()).data.a.length, 200_000);
  });
});

describe('refusals', () => {
  test('callers without, and with a wrong token', async () => {
    const stranger = new TestClient({ ...client.config, token: 'wrong' });
    assertStatus(await stranger.ask(configMaps), 401, 'Unauthorized');
    assertStatus(await stranger.ask(configMaps, { headers: { authorization: '' } }), 403, 'Forbidden');
    assert.equal((await stranger.ask('/livez', { headers: { authorization: '' } })).code, 200);
    stranger.close();
  });

  test('paths and methods that lead nowhere', async () => {
    assertStatus(await client.ask('/api/v1/namespaces/default/nonsense'), 404, 'NotFound');
    assertStatus(await client.ask('/nonsense'), 404, 'NotFound');
    assertStatus(await client.ask('/api/v1/%ff'), 400, 'BadRequest');
    assertStatus(await client.ask('/api/v1/namespaces', { method: 'DELETE' }), 405, 'MethodNotAllowed');
    for (const method of ['PUT', 'PATCH', 'PROPFIND', 'OPTIONS']) {
      assertStatus(await client.ask(configMaps, { method, body: {} }), 405, 'MethodNotAllowed');
    }
  });

  test('bodies that are too large, too deep, or not what they say', async () => {
    const post = (body: unknown, type = 'application/json') => client.ask(configMaps, { method: 'POST', body, type });
    assertStatus(await post('x'.repeat(4 * 1024 * 1024)), 413, 'RequestEntityTooLarge');
    assertStatus(await post(`{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`), 400, 'BadRequest');
    assertStatus(await post(`${'['.repeat(20_000)}`, 'application/yaml'), 400, 'BadRequest');
    assertStatus(await post('{'), 400, 'BadRequest');
    assertStatus(await post('[]'), 400, 'BadRequest');
    assertStatus(await post('{"__proto__":{"a":1}}'), 400, 'BadRequest');
    assertStatus(await post('{"\\u005f_proto__":{"a":1}}'), 400, 'BadRequest');
    assertStatus(await post('x', 'application/vnd.kubernetes.protobuf'), 400, 'BadRequest');
    assertStatus(await post({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' } }), 400, 'BadRequest');
  });
});

test('HTTP/2 by ALPN', async () => {
  const session = connect(client.config.server, { ca: client.config.ca });
  const stream = session.request({ ':path': '/version', authorization: `Bearer ${client.config.token}` });
  const [headers] = await once(stream, 'response');
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  assert.deepEqual([headers[':status'], JSON.parse(text).major], [200, '1']);
  session.destroy();
});

test('objects and credentials outlive a restart', async () => {
  const first = await startTestServer();
  const { dataDir } = first;
  await first.client.ask(configMaps, { method: 'POST', body: configMap('kept', { a: '1' }) });
  const made = (await first.client.ask(`${configMaps}/kept`)).json;
  first.client.close();
  await first.server.stop();
  const second = await startTestServer(dataDir);
  assert.deepEqual((await second.client.ask(`${configMaps}/kept`)).json, made);
  assert.equal(second.client.config.token, first.client.config.token);
  await second[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true });
});

/** No controller of ours writes their status. */
function replicationController(name: string): Json {
  const { spec, ...rest } = deployment(name);
  return { ...rest, apiVersion: 'v1', kind: 'ReplicationController', spec: { ...spec, selector: { app: name } } };
}

function deployment(name: string): Json {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'a' }] } },
    },
  };
}
