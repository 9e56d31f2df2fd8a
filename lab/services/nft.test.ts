import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import { serviceBackends } from './backends.ts';
import { renderServices } from './nft.ts';

const service: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'shop', uid: 'u', resourceVersion: '1' },
  spec: {
    clusterIPs: ['10.96.0.5', 'fd00:10:96::5'],
    ports: [
      { name: 'http', port: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  },
};

function slice(addressType: 'IPv4' | 'IPv6', ...addresses: (string | { unready: string })[]): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 's',
      namespace: 'shop',
      uid: 's',
      resourceVersion: '1',
      labels: { 'kubernetes.io/service-name': 'web' },
    },
    addressType,
    ports: [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'dns', port: 5353, protocol: 'UDP' },
    ],
    endpoints: addresses.map((a, i) =>
      typeof a === 'string'
        ? { addresses: [a], nodeName: `node-${i + 1}` }
        : { addresses: [a.unready], conditions: { ready: false } },
    ),
  };
}

const render = (s: Service, ...slices: EndpointSlice[]) => renderServices(serviceBackends([s], slices), 'node-1', []);

test('every address and port leads to its ready endpoints of the same family', () => {
  const text = render(
    service,
    slice('IPv4', '10.244.1.2', '10.244.2.2', { unready: '10.244.1.9' }),
    slice('IPv6', 'fd00::2'),
  );
  assert.match(
    text,
    /tcp dnat ip to numgen random mod 2 map \{ 0 : 10\.244\.1\.2 \. 8080, 1 : 10\.244\.2\.2 \. 8080 \}/,
  );
  assert.match(text, /udp dnat ip to numgen random mod 2 map \{ 0 : 10\.244\.1\.2 \. 5353, /);
  assert.match(text, /tcp dnat ip6 to numgen random mod 1 map \{ 0 : fd00::2 \. 8080 \}/);
  assert.match(text, /10\.96\.0\.5 \. tcp \. 80 : goto svc_10_96_0_5_tcp_80/);
  assert.match(text, /fd00:10:96::5 \. udp \. 53 : goto svc_fd00_10_96__5_udp_53/);
  assert.doesNotMatch(text, /10\.244\.1\.9/);
});

test('without endpoints an address is in no map, so that the last rule refuses it', () => {
  const text = render(service, slice('IPv4', { unready: '10.244.1.9' }));
  assert.doesNotMatch(text, /10\.96\.0\.5/);
  assert.match(text, /ip daddr 10\.96\.0\.0\/16 meta l4proto tcp reject with tcp reset/);
});

test('a local Service stays on the node, a sticky one keeps its clients', () => {
  const local = { ...service, spec: { ...service.spec, internalTrafficPolicy: 'Local' as const } };
  assert.doesNotMatch(render(local, slice('IPv4', '10.244.1.2', '10.244.2.2')), /10\.244\.2\.2/);
  const sticky = { ...service, spec: { ...service.spec, sessionAffinity: 'ClientIP' as const } };
  assert.match(render(sticky, slice('IPv4', '10.244.1.2')), /dnat ip to jhash ip saddr mod 1 map/);
});

test('pods of the node may come back to themselves', () => {
  const text = renderServices([], 'node-1', ['10.244.1.2', 'fd00::2']);
  assert.match(text, /set hairpin4 \{\n.*\n {4}elements = \{ 10\.244\.1\.2 \. 10\.244\.1\.2 \}/);
  assert.match(text, /set hairpin6 \{\n.*\n {4}elements = \{ fd00::2 \. fd00::2 \}/);
});

test('the table is replaced whole, in one transaction', () => {
  assert.deepEqual(render(service).split('\n').slice(0, 3), [
    'add table inet aquifer_services',
    'delete table inet aquifer_services',
    'table inet aquifer_services {',
  ]);
});
