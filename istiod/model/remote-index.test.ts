/** What the proxies of one cluster are told of another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOf } from '../../common/kube/informer.ts';
import { meshKinds, tableOf } from './ambient/inputs.ts';
import { RemoteIndex } from './remote-index.ts';
import { objectsOf, TestMesh } from './testing/test-mesh.ts';

const network = (name: string) => `
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: ${name}}}
---`;
const service = (ip: string, global = true) => `
kind: Service
metadata: {name: web, labels: {istio.io/global: "${global}"}}
spec: {clusterIP: ${ip}, selector: {app: web}, ports: [{name: http, port: 80}]}
---
kind: Service
metadata: {name: inner}
spec: {clusterIP: ${ip}0, selector: {app: web}, ports: [{name: http, port: 80}]}
---`;
const pod = (name: string, ip: string) => `
kind: Pod
metadata: {name: ${name}, labels: {app: web}, annotations: {ambient.istio.io/redirection: enabled}}
spec: {containers: [], serviceAccountName: far}
status: {phase: Running, podIP: ${ip}, conditions: [{type: Ready, status: "True"}]}
---`;
const gateway = (name: string, className: string, to: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: istio-system, labels: {topology.istio.io/network: ${to}}}
spec: {gatewayClassName: ${className}, listeners: [{name: hbone, port: 15008, protocol: HBONE}], addresses: [{value: 192.0.2.9}]}
---`;

const web = 'shop/web.shop.svc.cluster.local';
const horizon = `net-2/SplitHorizonWorkload/istio-system/ew/192.0.2.9/${web}`;

class Pair {
  readonly home: TestMesh;
  remote: RemoteIndex;

  constructor(home: string, remote: string) {
    this.home = new TestMesh(home, { multiNetwork: true });
    this.remote = this.connect();
    this.put(remote);
  }

  connect(before?: RemoteIndex): RemoteIndex {
    const { inputs } = this.home.index;
    return new RemoteIndex({
      clusterId: 'c2',
      settings: () => this.home.index.settings,
      onFailure: ({ error }) => {
        throw error;
      },
      onOutput: (key, output) => inputs.remote.set(`c2 ${key}`, output),
      onGateway: (key, found) => inputs.remoteGateways.set(`c2 ${key}`, found),
      before,
    });
  }

  put(yaml: string): void {
    for (const object of objectsOf(yaml)) {
      const kind = meshKinds.find((k) => k.kind.kind === object.kind)!;
      tableOf(this.remote.inputs, kind).set(keyOf(object.metadata), object);
    }
    this.flush();
  }

  flush(): void {
    for (const _ of this.remote.compute());
    this.home.index.flush();
  }

  get told(): readonly string[] {
    return [...this.home.index.addresses.keys()].filter((name) => /^(c2|net-2|NetworkGateway)/.test(name)).sort();
  }
}

const far = network('net-2') + service('10.2.0.1') + pod('web-1', '10.1.0.1') + pod('web-2', '10.1.0.2');

test('what a global service has in a cluster of another network is one endpoint behind the gateway of that cluster', () => {
  const pair = new Pair(network('net-1') + service('10.3.0.1'), far);
  assert.deepEqual(pair.told, [], 'no way leads there');
  pair.put(gateway('ew', 'istio-east-west', 'net-2'));
  assert.deepEqual(pair.told, ['NetworkGateway/net-2/192.0.2.9/15008', horizon]);
  const told = pair.home.workload(horizon)!;
  assert.deepEqual([told.capacity, [...told.services.keys()]], [2, [web]]);
  const { subjectAltNames } = pair.home.service('web')!;
  assert.deepEqual(subjectAltNames, ['spiffe://cluster.local/ns/shop/sa/far']);
  assert.deepEqual(pair.home.inputsOf(horizon), ['Service shop/web'], 'of the own cluster, whose status tells of it');
  pair.remote.withdraw();
  pair.home.index.flush();
  assert.deepEqual(pair.told, []);
  assert.deepEqual(pair.home.service('web')!.subjectAltNames, []);
});

test('a service has to be global in both clusters', () => {
  const way = gateway('ew', 'istio-east-west', 'net-2');
  for (const [here, there] of [
    [false, true],
    [true, false],
  ] as const) {
    const pair = new Pair(network('net-1') + service('10.3.0.1', here), far + way + service('10.2.0.1', there));
    assert.deepEqual(pair.told, ['NetworkGateway/net-2/192.0.2.9/15008'], `${here} ${there}`);
    assert.deepEqual(pair.home.service('web')!.subjectAltNames, []);
    pair.home.apply(service('10.3.0.1'));
    pair.put(service('10.2.0.1'));
    assert.ok(pair.told.includes(horizon));
  }
});

test('only a gateway into that cluster counts, not what it thinks of others', () => {
  const pair = new Pair(network('net-1') + service('10.3.0.1'), far + gateway('ew', 'istio-remote', 'net-2'));
  assert.deepEqual(pair.told, []);
});

test('in the same network its pods are told as they are, behind the services that are global', () => {
  const pair = new Pair(
    network('net-1') + service('10.3.0.1'),
    network('net-1') + service('10.2.0.1') + pod('a', '10.1.0.1'),
  );
  const uid = 'c2//Pod/shop/a';
  assert.deepEqual(pair.told, [uid]);
  const told = pair.home.workload(uid)!;
  assert.deepEqual(
    [told.clusterId, told.network, told.addresses, [...told.services.keys()]],
    ['c2', 'net-1', ['10.1.0.1'], [web]],
  );
  assert.deepEqual(pair.home.inputsOf(uid), []);
  pair.home.apply(service('10.3.0.1', false));
  assert.deepEqual([...pair.home.workload(uid)!.services.keys()], []);
  // The network of the proxies that are told is another one now.
  pair.home.apply(network('net-3'));
  pair.remote.configured();
  pair.flush();
  assert.deepEqual(pair.told, []);
});

test('who takes the place of a connection keeps what it told until all is known', () => {
  const way = gateway('ew', 'istio-east-west', 'net-2');
  const pair = new Pair(network('net-1') + service('10.3.0.1'), far + way);
  pair.remote = pair.connect(pair.remote);
  pair.put(network('net-2') + service('10.2.0.1') + pod('web-1', '10.1.0.1'));
  assert.equal(pair.home.workload(horizon)!.capacity, 2);
  pair.remote.settle();
  pair.home.index.flush();
  assert.deepEqual(pair.told, [], 'its gateway is gone');
  pair.put(way);
  assert.equal(pair.home.workload(horizon)!.capacity, 1);
});
