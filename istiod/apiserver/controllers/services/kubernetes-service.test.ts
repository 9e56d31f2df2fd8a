import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestServer } from '../../testing/client.ts';
import { endpointSubsets } from './kubernetes-service.ts';

test('the Service of the API server has the first address of the range', async () => {
  const path = '/api/v1/namespaces/default/services/kubernetes';
  const first = await startTestServer();
  const { json } = await first.client.ask(path);
  assert.deepEqual(json.spec.clusterIPs, ['10.96.0.1', 'fd00:10:96::1']);
  const port = Number(new URL(first.client.config.server).port);
  assert.deepEqual(json.spec.ports, [{ name: 'https', port: 443, protocol: 'TCP', targetPort: port }]);
  assert.equal((await first.client.ask('/api/v1/namespaces/default/endpoints/kubernetes')).code, 200);
  await first[Symbol.asyncDispose]();
});

test('its endpoint is the address by which the server is reached, unless that is this machine alone', () => {
  const ports = [{ name: 'https', port: 6443, protocol: 'TCP' }];
  assert.deepEqual(endpointSubsets('192.0.2.1:6443'), [{ addresses: [{ ip: '192.0.2.1' }], ports }]);
  assert.deepEqual(endpointSubsets('[2001:db8::1]:6443'), [{ addresses: [{ ip: '2001:db8::1' }], ports }]);
  for (const own of ['127.0.0.1:6443', '[::1]:6443', '0.0.0.0:6443', '']) assert.deepEqual(endpointSubsets(own), []);
});
