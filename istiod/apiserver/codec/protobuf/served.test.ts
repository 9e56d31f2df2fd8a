/** Protobuf through the whole server, as client-go asks for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestServer } from '../../testing/client.ts';
import { decodeProtobuf } from './decode.ts';
import { encodeProtobuf } from './encode.ts';
import { magic, protobufType } from './wire.ts';

// biome-ignore lint/suspicious/noExplicitAny: tests read objects of every shape
const read = (body: Buffer): any => decodeProtobuf(body);

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        containers: [
          {
            name: 'web',
            image: 'nginx:1',
            resources: { requests: { cpu: '100m' } },
            livenessProbe: { httpGet: { port: 'http', path: '/' } },
            env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }],
          },
        ],
        volumes: [{ name: 'v', emptyDir: {} }],
      },
    },
  },
};

test('a Deployment is created, read, listed, watched and deleted as protobuf', async () => {
  await using server = await startTestServer();
  const { client } = server;
  const path = '/apis/apps/v1/namespaces/default/deployments';
  const accept = { accept: protobufType };
  const made = await client.ask(path, {
    method: 'POST',
    type: protobufType,
    body: encodeProtobuf(deployment),
    headers: accept,
  });
  assert.equal(made.code, 201);
  assert.equal(made.headers['content-type'], protobufType);
  const asJson = (await client.ask(`${path}/web`)).json;
  const asProtobuf = read((await client.ask(`${path}/web`, { headers: accept })).body);
  assert.equal(asProtobuf.spec.replicas, 0);
  assert.deepEqual(asProtobuf.spec.template.spec, asJson.spec.template.spec);
  assert.deepEqual(asProtobuf.metadata.uid, asJson.metadata.uid);
  const listed = await client.ask(path, { headers: accept });
  assert.ok(listed.body.includes('DeploymentList') && listed.body.subarray(0, 4).equals(magic));

  const response = await client.open(`${path}?watch=1&resourceVersion=0`, { headers: accept });
  assert.equal(response.headers['content-type'], `${protobufType};stream=watch`);
  let bytes = Buffer.alloc(0);
  for await (const chunk of response) {
    bytes = Buffer.concat([bytes, chunk as Buffer]);
    if (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) break;
  }
  const frame = bytes.subarray(4, 4 + bytes.readUInt32BE());
  assert.deepEqual(frame.subarray(0, 7), Buffer.from('\n\u0005ADDED'));
  assert.equal(read(frame.subarray(frame.indexOf(magic))).metadata.name, 'web');
  response.destroy();

  const partial = `${protobufType};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`;
  const metadata = read((await client.ask(`${path}/web`, { headers: { accept: partial } })).body);
  assert.deepEqual([metadata.kind, metadata.metadata.name, metadata.spec], ['PartialObjectMetadata', 'web', undefined]);

  const options = encodeProtobuf({ apiVersion: 'apps/v1', kind: 'DeleteOptions', propagationPolicy: 'Background' });
  const gone = await client.ask(`${path}/web`, {
    method: 'DELETE',
    type: protobufType,
    body: options,
    headers: accept,
  });
  assert.equal(gone.code, 200);
  const missing = await client.ask(`${path}/web`, { headers: accept });
  assert.equal(missing.code, 404);
  assert.deepEqual([read(missing.body).reason, read(missing.body).code], ['NotFound', 404]);
});

test('who takes only protobuf of what has none is told; who takes JSON too gets JSON', async () => {
  await using server = await startTestServer();
  const { client } = server;
  const table = 'as=Table;g=meta.k8s.io;v=v1';
  const ask = (accept: string) => client.ask('/api/v1/namespaces', { headers: { accept } });
  assert.equal((await ask(`${protobufType};${table}`)).code, 406);
  assert.equal((await ask(`${protobufType};${table},application/json;${table}`)).json.kind, 'Table');
});

test('a definition with a schema of every form goes both ways as protobuf', async () => {
  await using server = await startTestServer();
  const { client } = server;
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const openAPIV3Schema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        required: ['size'],
        properties: {
          size: { type: 'integer', minimum: 0, maximum: 9.5, default: 0 },
          names: { type: 'array', items: { type: 'string', enum: ['a', 'b'] }, 'x-kubernetes-list-type': 'set' },
          labels: { type: 'object', additionalProperties: { type: 'string' } },
          port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
          any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
        'x-kubernetes-validations': [{ rule: 'self.size < 9', message: 'too large' }],
      },
    },
  };
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'tubs.example.com' },
    spec: {
      group: 'example.com',
      names: { plural: 'tubs', kind: 'Tub' },
      scope: 'Namespaced',
      versions: [
        { name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema } },
        { name: 'v1alpha1', served: false, storage: false, schema: { openAPIV3Schema } },
      ],
    },
  };
  const made = await client.ask(path, {
    method: 'POST',
    type: protobufType,
    body: encodeProtobuf(definition),
    headers: { accept: protobufType },
  });
  assert.equal(made.code, 201, made.body.toString());
  assert.deepEqual(read(made.body).spec.versions[0].schema.openAPIV3Schema, openAPIV3Schema);
  const asJson = (await client.ask(`${path}/tubs.example.com`)).json;
  const asProtobuf = read((await client.ask(`${path}/tubs.example.com`, { headers: { accept: protobufType } })).body);
  assert.deepEqual(asJson.spec, asProtobuf.spec);
  assert.equal(asJson.spec.versions[1].served, false);
  const listed = await client.ask(path, { headers: { accept: protobufType } });
  assert.ok(listed.body.includes('CustomResourceDefinitionList'));
});
