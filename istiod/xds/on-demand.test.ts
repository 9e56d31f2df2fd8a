/** Delta xDS on demand as istiod answers it (ambient-wire 3.8). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { addressTypeUrl, structFromJson } from '../../common/api/index.ts';
import { until } from '../../common/testing/until.ts';
import { announced, type World, withWorld, XdsClient } from '../testing/world.ts';

const namespaces = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n';

function serviceYaml(name: string, ip: string): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: default}
spec: {clusterIP: ${ip}, clusterIPs: [${ip}], selector: {app: ${name}}, ports: [{port: 80}]}
`;
}

/** A client that has asked for nothing yet and has its first answer. */
async function onDemand(w: World, { node = '', versions = {} as Record<string, string> } = {}): Promise<XdsClient> {
  const c = new XdsClient(w, w.istiod.ports.grpc, credentials.createInsecure());
  c.stream.write({
    node: { id: 'ztunnel~10.0.0.1~zt.istio-system~x', metadata: structFromJson({ NODE_NAME: node }) },
    typeUrl: addressTypeUrl,
    resourceNamesSubscribe: ['*'],
    resourceNamesUnsubscribe: ['*'],
    initialResourceVersions: versions,
  });
  await until('the first answer', () => c.responses.length === 1);
  return c;
}

function ask(c: XdsClient, ...names: string[]): void {
  c.stream.write({ typeUrl: addressTypeUrl, resourceNamesSubscribe: names });
}

const uid = (name: string) => `Kubernetes//Pod/default/${name}`;
const host = (name: string) => `default/${name}.default.svc.cluster.local`;
const labels = (app: string) => ({ app });

test('a service brings its workloads, whatever it is asked by, and later ones too', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces);
    await w.put('web.yaml', serviceYaml('web', '10.96.0.5'));
    await w.put('db.yaml', serviceYaml('db', '10.96.0.6'));
    await w.pod({ name: 'web-1', ip: '10.244.2.5', node: 'node-2', labels: labels('web') });
    await w.pod({ name: 'db-1', ip: '10.244.2.6', node: 'node-2', labels: labels('db') });
    await announced(w, uid('web-1'), uid('db-1'), host('web'), host('db'));
    for (const name of ['/10.96.0.5', host('web')]) {
      const c = await onDemand(w);
      ask(c, name);
      await until('the service with its workload', () => c.addresses.size === 2);
      assert.deepEqual([...c.addresses.keys()].sort(), [uid('web-1'), host('web')]);
      const aliases = c.responses.flatMap((r) => r.resources).map((r) => r.aliases.join());
      assert.deepEqual(aliases.sort(), ['/10.244.2.5', '/10.96.0.5']);
      c.close();
    }
    const c = await onDemand(w);
    ask(c, '/10.96.0.5');
    await until('the service with its workload', () => c.addresses.size === 2);
    await w.pod({ name: 'web-2', ip: '10.244.2.7', node: 'node-2', labels: labels('web') });
    await w.pod({ name: 'db-2', ip: '10.244.2.8', node: 'node-2', labels: labels('db') });
    await w.pod({ name: 'web-3', ip: '10.244.2.9', node: 'node-2', labels: labels('web') });
    await until('the later workloads', () => c.addresses.has(uid('web-2')) && c.addresses.has(uid('web-3')));
    assert.equal(c.addresses.size, 4);
  }));

test('the workloads of the own node come unasked', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces);
    await w.pod({ name: 'here', ip: '10.244.1.5', node: 'node-1' });
    await w.pod({ name: 'there', ip: '10.244.2.5', node: 'node-2' });
    await announced(w, uid('here'), uid('there'));
    const c = await onDemand(w, { node: 'node-1' });
    assert.deepEqual([...c.addresses.keys()], [uid('here')]);
    await w.pod({ name: 'there-2', ip: '10.244.2.6', node: 'node-2' });
    await w.pod({ name: 'here-2', ip: '10.244.1.6', node: 'node-1' });
    await until('the later one', () => c.addresses.has(uid('here-2')));
    assert.equal(c.addresses.size, 2);
  }));

test('what did not exist when it was asked for is told once it does, with its workloads', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces);
    await w.pod({ name: 'web-1', ip: '10.244.2.5', node: 'node-2', labels: labels('web') });
    const c = await onDemand(w);
    ask(c, '/10.96.0.5', '/10.244.2.9');
    await until('the answer', () => c.responses.length === 2);
    assert.deepEqual([...c.responses[1]!.removedResources].sort(), ['/10.244.2.9', '/10.96.0.5']);
    await w.put('web.yaml', serviceYaml('web', '10.96.0.5'));
    await until('the service', () => c.addresses.has(host('web')) && c.addresses.has(uid('web-1')));
    await w.pod({ name: 'late', ip: '10.244.2.9', node: 'node-2' });
    await until('the pod', () => c.addresses.has(uid('late')));
  }));

test('a service that gets the address that was asked for brings workloads that did not change', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces);
    await w.put('web.yaml', serviceYaml('web', '10.96.0.5'));
    await w.pod({ name: 'web-1', ip: '10.244.2.5', node: 'node-2', labels: labels('web') });
    await announced(w, host('web'), uid('web-1'));
    const c = await onDemand(w);
    ask(c, '/10.96.0.77');
    await until('the answer', () => c.responses.length === 2);
    await w.remove('web.yaml');
    await w.put('web.yaml', serviceYaml('web', '10.96.0.77'));
    await until('both', () => c.addresses.has(host('web')) && c.addresses.has(uid('web-1')));
  }));

test('an unsubscribed name is not answered and not followed', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces);
    const c = await onDemand(w);
    ask(c, '/10.96.0.5');
    await until('the answer', () => c.responses.length === 2);
    c.stream.write({ typeUrl: addressTypeUrl, resourceNamesUnsubscribe: ['/10.96.0.5'] });
    ask(c, '/10.96.0.6');
    await until('the next answer', () => c.responses.length === 3);
    await w.put('web.yaml', serviceYaml('web', '10.96.0.5'));
    await w.put('db.yaml', serviceYaml('db', '10.96.0.6'));
    await until('the other', () => c.addresses.has(host('db')));
    assert.equal(c.addresses.has(host('web')), false);
  }));

test('a client that comes back gets what changed, what it waits for, and new workloads of its services', () =>
  withWorld(async (w) => {
    await w.put('ns.yaml', namespaces);
    await w.put('web.yaml', serviceYaml('web', '10.96.0.5'));
    await w.put('db.yaml', serviceYaml('db', '10.96.0.6'));
    await w.pod({ name: 'web-1', ip: '10.244.2.5', node: 'node-2', labels: labels('web') });
    await announced(w, host('web'), host('db'), uid('web-1'));
    const c = await onDemand(w);
    ask(c, '/10.96.0.5', '/10.9.9.9');
    await until('the service with its workload', () => c.addresses.size === 2);
    const known = Object.fromEntries(c.versions[addressTypeUrl]);
    c.close();
    await w.pod({ name: 'web-2', ip: '10.244.2.7', node: 'node-2', labels: labels('web') });
    await announced(w, uid('web-2'));
    const versions = {
      ...known,
      'Kubernetes//Pod/default/gone': 'x',
      '/10.9.9.9': '',
      '/10.96.0.6': '',
      '/10.96.0.5': '',
    };
    const back = await onDemand(w, { versions });
    await until('all of it', () => back.addresses.has(uid('web-2')));
    const sent = back.responses.flatMap((r) => r.resources).map((r) => r.name);
    assert.ok(sent.includes(host('db')), 'what it waits for');
    assert.ok(!sent.includes(uid('web-1')), 'not what it has');
    const removed = back.responses.flatMap((r) => r.removedResources).sort();
    assert.deepEqual(removed, ['/10.9.9.9', 'Kubernetes//Pod/default/gone']);
    await w.pod({ name: 'web-3', ip: '10.244.2.8', node: 'node-2', labels: labels('web') });
    await until('a later one', () => back.addresses.has(uid('web-3')));
  }));
