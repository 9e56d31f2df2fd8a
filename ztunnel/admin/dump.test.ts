/** The fields of config_dump as ambient-wire 7.3 and 6.6 have them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Ip, Port } from '../../common/core/net.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import { identity, workload } from '../../common/testing/builders.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { parseConfig } from '../config.ts';
import { parseLocalMesh } from '../local/mesh.ts';
import { dumpCertificates } from './certificates-dump.ts';
import { dumpConfig } from './config-dump.ts';
import { dumpConnections } from './connections-dump.ts';
import { dumpMesh } from './mesh-dump.ts';
import { configDump, type WorkerState } from './state.ts';

const file = `
workloads:
- uid: lab//Pod/shop/cart-1
  name: cart-1
  namespace: shop
  serviceAccount: cart
  trustDomain: td
  workloadIps: ["10.9.0.5"]
  waypoint: {destination: shop/wp.example, hboneMtlsPort: 15008}
  networkGateway: {destination: "n/10.1.1.9", hboneMtlsPort: 15008}
  protocol: HBONE
  networkMode: HostNetwork
  network: n
  workloadName: cart
  workloadType: pod
  canonicalName: cart
  canonicalRevision: v1
  hostname: h.example
  node: node-a
  nativeTunnel: true
  applicationTunnel: {protocol: PROXY, port: 15088}
  authorizationPolicies: [shop/p]
  status: Unhealthy
  clusterId: c
  locality: {region: r, zone: z, subzone: ""}
  services: {"shop/cart.example": {80: 8080}, "shop/unknown.example": {81: 82}}
  capacity: 3
services:
- name: cart
  namespace: shop
  hostname: cart.example
  vips: ["/10.1.1.2"]
  cidrVips: [{network: "", cidr: 10.2.0.0/16}]
  ports: {80: 8080}
  subjectAltNames: [spiffe://td/ns/shop/sa/cart]
  waypoint: {destination: "/10.1.1.8", hboneMtlsPort: 15008}
  weightedWaypoints: [{destination: {destination: "/10.1.1.9", hboneMtlsPort: 15008}, weight: 3}]
  loadBalancer: {routingPreferences: [Network, Region], mode: Failover, healthPolicy: AllowAll}
  ipFamilies: Dual
  canonical: true
  visibility: Namespace
policies:
- name: p
  namespace: shop
  scope: WorkloadSelector
  action: Deny
  dryRun: true
  rules:
  - - - principals: [!Exact a]
        notPrincipals: [!Prefix b]
        namespaces: [!Suffix c]
        notNamespaces: [!Presence []]
        sourceIps: [10.0.0.0/8]
        destinationPorts: [80]
        serviceAccounts: [{namespace: n, serviceAccount: s}]
`;

test("the mesh has Istio's words: those of a file, with endpoints and tagged matches in JSON", () => {
  const store = new MeshStore();
  store.apply(parseLocalMesh(file, 'm', 'x'));
  const dump = JSON.parse(JSON.stringify(dumpMesh(store)));
  const source = parse(file, { logLevel: 'error' });
  const [fromFile] = source.workloads;
  assert.deepEqual(dump.workloads, [{ ...fromFile, services: Object.keys(fromFile.services) }]);
  const endpoint = { workloadUid: fromFile.uid, port: { 80: 8080 }, status: 'Unhealthy' };
  assert.deepEqual(dump.services, [{ ...source.services[0], endpoints: { [fromFile.uid]: endpoint } }]);
  assert.deepEqual(dump.stagedServices, {
    'shop/unknown.example': { [fromFile.uid]: { workloadUid: fromFile.uid, port: { 81: 82 }, status: 'Unhealthy' } },
  });
  const match = {
    ...source.policies[0].rules[0][0][0],
    principals: [{ Exact: 'a' }],
    notPrincipals: [{ Prefix: 'b' }],
    namespaces: [{ Suffix: 'c' }],
    notNamespaces: [{ Presence: [] }],
  };
  assert.deepEqual(dump.policies, [{ ...source.policies[0], rules: [[[match]]] }]);
});

test('what says nothing is left out of a workload', () => {
  const store = new MeshStore();
  store.apply(parseLocalMesh('workloads: [{uid: u, namespace: n, workloadIps: [], services: {}}]', 'm', ''));
  assert.deepEqual(dumpMesh(store).workloads, [
    {
      workloadIps: [],
      protocol: 'TCP',
      networkMode: 'Standard',
      uid: 'u',
      name: '',
      namespace: 'n',
      workloadType: 'deployment',
      status: 'Healthy',
      clusterId: '',
      capacity: 1,
    },
  ]);
});

test('certificates are shown with serial and validity, without their key', async () => {
  const certificate = await (await createFakeCa()).issue(identity('default', 'a'));
  const [dump, unavailable, initializing] = dumpCertificates([
    { identity: identity('default', 'b'), state: { kind: 'unavailable', reason: 'refused' } },
    { identity: identity('default', 'a'), state: { kind: 'available', certificate } },
    { identity: identity('default', 'c'), state: { kind: 'initializing' } },
  ]);
  assert.equal(dump!.identity, 'spiffe://cluster.local/ns/default/sa/a');
  assert.equal(dump!.state, 'Available');
  const [leaf] = dump!.certChain;
  assert.deepEqual(Object.keys(leaf!), ['pem', 'serialNumber', 'validFrom', 'expirationTime']);
  assert.match(Buffer.from(leaf!.pem, 'base64').toString(), /BEGIN CERTIFICATE/);
  assert.match(leaf!.serialNumber, /^\d+$/);
  assert.match(leaf!.expirationTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.equal(dump!.rootCerts.length, 1);
  assert.doesNotMatch(JSON.stringify(dump), /PRIVATE/);
  assert.equal(unavailable!.state, 'Unavailable: refused');
  assert.equal(initializing!.state, 'Initializing');
});

const at = (ip: string, port: number) => ({ ip: ip as Ip, port: port as Port });

test('connections are those of the pod whose workload is their near end', () => {
  const [a, b] = ['a', 'b'].map((name) => workload({ name }));
  const dump = dumpConnections(
    [
      { uid: 'pod-a', workloadUid: a!.uid },
      { uid: 'pod-idle', workloadUid: undefined },
    ],
    [
      {
        direction: 'outbound',
        sourceAddress: at('10.0.0.1', 1000),
        originalDestination: at('10.96.0.1', 80),
        destinationAddress: at('10.0.0.2', 15008),
        source: a,
        destination: b,
        mtls: true,
      },
      {
        direction: 'inbound',
        sourceAddress: at('fd00::9', 1001),
        destinationAddress: at('10.0.0.1', 8080),
        destination: a,
        mtls: false,
      },
      {
        direction: 'inbound',
        sourceAddress: at('10.0.0.3', 1),
        destinationAddress: at('10.0.0.2', 2),
        destination: b,
        mtls: false,
      },
    ],
  );
  assert.deepEqual(dump, {
    'pod-a': {
      inbound: [{ src: '[fd00::9]:1001', originalDst: null, actualDst: '10.0.0.1:8080', protocol: 'TCP' }],
      outbound: [{ src: '10.0.0.1:1000', originalDst: '10.96.0.1:80', actualDst: '10.0.0.2:15008', protocol: 'HBONE' }],
    },
    'pod-idle': { inbound: [], outbound: [] },
  });
});

test("settings have Istio's names, and no secret is among them", () => {
  const parsed = parseConfig(
    {
      AUTH_TOKEN: 'secret',
      XDS_HEADER_KEY: 'secret',
      CA_ROOT_CA: '-----BEGIN CERTIFICATE-----',
      POOL_UNUSED_RELEASE_TIMEOUT: '1500ms',
    },
    { maxOpenFiles: 1000 },
  );
  assert.ok(parsed.kind === 'ok');
  const dump = JSON.stringify(dumpConfig(parsed.config));
  assert.doesNotMatch(dump, /secret"|BEGIN/);
  const { proxyMode, xdsAddress, poolUnusedReleaseTimeout, xdsHeaders } = JSON.parse(dump);
  assert.deepEqual(
    [proxyMode, xdsAddress, poolUnusedReleaseTimeout, xdsHeaders],
    ['Shared', 'https://localhost:15012', { secs: 1, nanos: 500_000_000 }, ['key']],
  );
});

test("the whole has Istio's keys, and adds up what each worker says", () => {
  const certificate = (state: string) => ({ identity: 'spiffe://td/ns/n/sa/s', state, certChain: [], rootCerts: [] });
  const worker = (state: string, n: number): WorkerState => ({
    mesh: { workloads: [{ uid: 'w' }], services: [], policies: [], stagedServices: {} },
    certificates: [certificate(state)],
    connections: { pod: { inbound: [{ n }], outbound: [] } },
  });
  const info = { name: 'p', namespace: 'n', serviceAccount: 's' };
  const dump = configDump({
    workers: [worker('Initializing', 1), worker('Available', 2)],
    pods: [
      { uid: 'pod', info, up: true },
      { uid: 'new', info, up: false },
    ],
    version: { version: '1' },
    config: {},
    staticMesh: undefined,
  });
  assert.deepEqual(dump, {
    workloads: [{ uid: 'w' }],
    services: [],
    policies: [],
    stagedServices: {},
    staticConfig: { workloads: [], policies: [], services: [] },
    version: { version: '1' },
    config: {},
    certificates: [certificate('Available')],
    workloadState: {
      pod: { state: 'Up', connections: { inbound: [{ n: 1 }, { n: 2 }], outbound: [] }, info },
      new: { state: 'Pending', connections: { inbound: [], outbound: [] }, info },
    },
  });
});
