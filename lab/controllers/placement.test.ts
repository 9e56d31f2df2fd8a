import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod, PodStatus, Service } from '../../common/kube/kinds/core.ts';
import { endpointSlices } from './endpoints.ts';
import { place } from './schedule.ts';

const nodes = ['node-1', 'node-2'].map((name) => ({ name, labels: { 'kubernetes.io/hostname': name } }));
const spec = { containers: [{ name: 'c' }] };

function pod(
  name: string,
  over: {
    nodeName?: string;
    owner?: string;
    ips?: string[];
    ready?: boolean;
    ending?: boolean;
    portName?: string;
  } = {},
): Pod {
  const status: PodStatus = {
    phase: 'Running',
    podIPs: (over.ips ?? []).map((ip) => ({ ip })),
    ...(over.ips === undefined ? {} : { podIP: over.ips[0]! }),
    conditions: [{ type: 'Ready', status: over.ready === false ? 'False' : 'True' }],
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'shop',
      uid: name,
      resourceVersion: '1',
      labels: { app: 'web' },
      ...(over.ending ? { deletionTimestamp: 'now' } : {}),
      ...(over.owner === undefined
        ? {}
        : {
            ownerReferences: [
              { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: over.owner, uid: 'o', controller: true },
            ],
          }),
    },
    spec: {
      containers: [
        { name: 'c', ports: over.portName === undefined ? [] : [{ name: over.portName, containerPort: 8080 }] },
      ],
      nodeName: over.nodeName ?? 'node-1',
    },
    status,
  };
}

describe('place', () => {
  test('pods of one owner are spread, then all pods', () => {
    const others = [pod('a'), pod('b'), pod('c', { nodeName: 'node-2', owner: 'web' })];
    assert.deepEqual(place(spec, 'shop/web', nodes, others), { kind: 'node', name: 'node-1' });
    assert.deepEqual(place(spec, 'shop/other', nodes, others), { kind: 'node', name: 'node-2' });
    assert.deepEqual(place(spec, undefined, nodes, []), { kind: 'node', name: 'node-1' });
  });

  test('nodeName and nodeSelector are honoured, and what fits nowhere says why', () => {
    assert.deepEqual(place({ ...spec, nodeName: 'node-2' }, undefined, nodes, []), { kind: 'node', name: 'node-2' });
    assert.deepEqual(place({ ...spec, nodeSelector: { 'kubernetes.io/hostname': 'node-2' } }, undefined, nodes, []), {
      kind: 'node',
      name: 'node-2',
    });
    const nowhere = place({ ...spec, nodeSelector: { disk: 'ssd' } }, undefined, nodes, []);
    assert.match(nowhere.kind === 'none' ? nowhere.reason : '', /nodeSelector: no node has the labels disk=ssd/);
    const unknown = place({ ...spec, nodeName: 'node-9' }, undefined, nodes, []);
    assert.match(unknown.kind === 'none' ? unknown.reason : '', /no node "node-9"; the lab has node-1, node-2/);
  });
});

describe('endpointSlices', () => {
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', uid: 's', resourceVersion: '1' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
  };
  const both = ['10.244.1.2', 'fd00::2'];

  test("each family has a slice with the pods' addresses and ports", () => {
    const slices = endpointSlices(service, [pod('a', { ips: both, portName: 'web' })]);
    assert.deepEqual(
      slices.map((s) => [s.metadata.name, s['addressType'], s['ports']]),
      [
        ['web-ipv4', 'IPv4', [{ name: 'http', port: 8080, protocol: 'TCP' }]],
        ['web-ipv6', 'IPv6', [{ name: 'http', port: 8080, protocol: 'TCP' }]],
      ],
    );
    const [endpoint] = slices[0]!['endpoints'] as { addresses: string[]; conditions: object }[];
    assert.deepEqual(endpoint!.addresses, ['10.244.1.2']);
    assert.deepEqual(endpoint!.conditions, { ready: true, serving: true, terminating: false });
  });

  test('pods that are not ready, or are ending, are not ready endpoints', () => {
    const pods = [
      pod('a', { ips: both, portName: 'web', ready: false }),
      pod('b', { ips: both, portName: 'web', ending: true }),
    ];
    const [slice] = endpointSlices(service, pods);
    const ready = (slice!['endpoints'] as { conditions: { ready: boolean } }[]).map((e) => e.conditions.ready);
    assert.deepEqual(ready, [false, false]);
    const open = { ...service, spec: { ...service.spec, publishNotReadyAddresses: true } };
    const [published] = endpointSlices(open, [pods[0]!]);
    assert.equal((published!['endpoints'] as { conditions: { ready: boolean } }[])[0]!.conditions.ready, true);
  });

  test('a port that one pod does not name is missing for that pod only', () => {
    const slices = endpointSlices(service, [pod('a', { ips: both, portName: 'web' }), pod('b', { ips: both })]);
    assert.deepEqual(slices.map((s) => s['ports']).slice(0, 2), [[{ name: 'http', port: 8080, protocol: 'TCP' }], []]);
  });

  test("without a selector the slices are somebody else's", () => {
    assert.deepEqual(endpointSlices({ ...service, spec: { ports: [] } }, [pod('a', { ips: both })]), []);
  });
});
