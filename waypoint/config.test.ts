import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Ip } from '../common/core/net.ts';
import { version } from '../common/core/version.ts';
import { parseCommand } from './command.ts';
import { nodeId, nodeMetadata, parseWaypointConfig, podLabels, type WaypointConfig } from './config.ts';

/** What Istio's template sets, its values resolved as a kubelet does. */
const env = {
  ISTIO_META_SERVICE_ACCOUNT: 'waypoint',
  ISTIO_META_NODE_NAME: 'node-1',
  PILOT_CERT_PROVIDER: 'istiod',
  CA_ADDR: 'istiod.istio-system.svc:15012',
  POD_NAME: 'waypoint-5d-x',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: '10.0.0.7',
  SERVICE_ACCOUNT: 'waypoint',
  HOST_IP: '172.18.0.2',
  PROXY_CONFIG: '{"discoveryAddress":"istiod.istio-system.svc:15012","terminationDrainDuration":"12s"}\n',
  ISTIO_META_CLUSTER_ID: 'c1',
  ISTIO_META_INTERCEPTION_MODE: 'REDIRECT',
  ISTIO_META_WORKLOAD_NAME: 'waypoint',
  TRUST_DOMAIN: 'td',
};
const files: Record<string, string> = {
  './etc/istio/pod/labels': 'app="waypoint"\ngateway.networking.k8s.io/gateway-name="waypoint"\nempty=""\n',
};

function parse(settings: Record<string, string | undefined>, ...args: string[]): WaypointConfig | readonly string[] {
  const command = parseCommand(args);
  assert.ok(command.kind === 'runtime');
  const parsed = parseWaypointConfig(settings, command.flags, {
    file: (path) => files[path],
    addresses: () => ['10.0.0.7', 'fd00::7'] as Ip[],
  });
  return parsed.kind === 'ok' ? parsed.config : parsed.errors;
}

function config(settings: Record<string, string | undefined>, ...args: string[]): WaypointConfig {
  const parsed = parse(settings, ...args);
  assert.ok('podName' in parsed, String(parsed));
  return parsed;
}

test("what Istio's template says is understood", () => {
  const c = config(env, '--domain', 'shop.svc.example', '--serviceCluster', 'waypoint.shop');
  assert.equal(nodeId(c), 'waypoint~10.0.0.7~waypoint-5d-x.shop~shop.svc.example');
  assert.deepEqual(nodeMetadata(c), {
    ISTIO_VERSION: version,
    SERVICE_ACCOUNT: 'waypoint',
    NODE_NAME: 'node-1',
    CLUSTER_ID: 'c1',
    INTERCEPTION_MODE: 'REDIRECT',
    WORKLOAD_NAME: 'waypoint',
    LABELS: { app: 'waypoint', 'gateway.networking.k8s.io/gateway-name': 'waypoint', empty: '' },
    NAME: 'waypoint-5d-x',
    NAMESPACE: 'shop',
    INSTANCE_IPS: '10.0.0.7,fd00::7',
  });
  assert.deepEqual(
    [c.xds.address, c.ca.address, c.xds.clusterId, c.trustDomain, c.drainDuration, c.serviceCluster],
    [
      'https://istiod.istio-system.svc:15012',
      'https://istiod.istio-system.svc:15012',
      'c1',
      'td',
      12_000,
      'waypoint.shop',
    ],
  );
  assert.deepEqual(c.xds.roots, { kind: 'file', path: './var/run/secrets/istio/root-cert.pem' });
});

test('little is needed', () => {
  const { POD_NAME, POD_NAMESPACE, INSTANCE_IP, SERVICE_ACCOUNT } = env;
  const c = config({ POD_NAME, POD_NAMESPACE, INSTANCE_IP, SERVICE_ACCOUNT });
  assert.equal(nodeId(c), 'waypoint~10.0.0.7~waypoint-5d-x.shop~shop.svc.cluster.local');
  assert.deepEqual([c.concurrency, c.drainDuration, c.adminPort, c.statsPort], [2, 5_000, 15_000, 15_020]);
  assert.equal(c.xds.address, 'https://istiod.istio-system.svc:15012');
});

test('mistakes are told together', () => {
  const errors = parse({ PROXY_CONFIG: '{"terminationDrainDuration": "soon"}', CA_ADDR: 'http://ca:1' });
  assert.deepEqual(errors, [
    'PROXY_CONFIG: terminationDrainDuration: "soon": expected a duration such as 5s',
    'POD_NAMESPACE is not set: the namespace of this pod',
    'SERVICE_ACCOUNT is not set: the service account of this pod, whose certificate it gets',
    'POD_NAME is not set: the name of this pod',
    'INSTANCE_IP is not set: the address of this pod',
    'CA_ADDR=http://ca:1: expected host:port of a CA that has TLS',
  ]);
});

test('any file of labels is read without an exception', () => {
  fc.assert(fc.property(fc.string(), (text) => void podLabels(text)));
});
