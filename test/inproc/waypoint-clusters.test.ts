/** Our waypoint takes every cluster and load assignment that istiod makes for one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TypedObject } from '../../common/envoy/codec.ts';
import { clusterTypeUrl, endpointTypeUrl } from '../../istiod/envoy/types.ts';
import { EnvoyClient, startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { podYaml, waypointYaml } from '../../istiod/testing/manifests.ts';
import { compileAssignment } from '../../waypoint/cluster/compile/assignment.ts';
import { compileCluster } from '../../waypoint/cluster/compile/cluster.ts';

const web = `
kind: Service
metadata: {name: web, labels: {istio.io/use-waypoint: waypoint}}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 82, targetPort: 8082}, {name: any, port: 84}]
`;
const pod = (name: string, ip: number, captured: boolean) =>
  podYaml({ name, app: 'web', version: name, ip: `10.244.1.${ip}`, captured });
const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, labels: {istio.io/use-waypoint: waypoint}}
spec:
  hosts: [db.example]
  addresses: [240.1.1.1]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  endpoints: [{address: one.db.example}, {address: two.db.example, weight: 3}]
`;
const rule = (name: string, host: string, policy: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec:
  host: ${host}
  subsets: [{name: one, labels: {version: a}}, {name: two, labels: {version: b}}]
  trafficPolicy: ${policy}
`;

const pool = `
    connectionPool:
      tcp: {maxConnections: 7, connectTimeout: 3s, idleTimeout: 60s, maxConnectionDuration: 5m, tcpKeepalive: {probes: 3, time: 10s, interval: 5s}}
      http: {http1MaxPendingRequests: 9, http2MaxRequests: 11, maxRequestsPerConnection: 5, maxRetries: 4, idleTimeout: 30s, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 50}
    outlierDetection: {consecutive5xxErrors: 3, consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 4, interval: 5s, baseEjectionTime: 20s, maxEjectionPercent: 40, minHealthPercent: 20}
`;
const balancers: Readonly<Record<string, string>> = {
  'round robin with warm-up': '{simple: ROUND_ROBIN, warmup: {duration: 60s, minimumPercent: 20, aggression: 2}}',
  'least request': '{simple: LEAST_REQUEST}',
  'random with failover': '{simple: RANDOM, localityLbSetting: {enabled: true, failover: [{from: a, to: b}]}}',
  'pass through': '{simple: PASSTHROUGH}',
  'ring hash by cookie': '{consistentHash: {httpCookie: {name: user, ttl: 60s}, ringHash: {minimumRingSize: 2048}}}',
  'Maglev by header': '{consistentHash: {httpHeaderName: x-user, maglev: {tableSize: 1009}}}',
};
const tls: Readonly<Record<string, string>> = {
  'simple TLS': '{mode: SIMPLE, sni: web.example, subjectAltNames: [web.example]}',
  'mesh TLS': '{mode: ISTIO_MUTUAL}',
  'TLS that verifies nothing': '{mode: SIMPLE, insecureSkipVerify: true}',
};

/** What our waypoint would refuse, with its reason. */
async function refused(yaml: readonly string[]): Promise<readonly string[]> {
  using bed = await startEnvoyBed(yaml.join('---'));
  using client = new EnvoyClient(bed.port);
  await client.settled();
  const reasons = (type: typeof clusterTypeUrl | typeof endpointTypeUrl, compile: (one: TypedObject) => unknown) =>
    client.names(type).flatMap((name) => {
      const result = compile(client.get(type, name)!) as { readonly kind: string; readonly reason?: string };
      return result.kind === 'ok' ? [] : [`${name}: ${result.reason}`];
    });
  assert.ok(client.names(clusterTypeUrl).length > 2);
  return [...reasons(clusterTypeUrl, compileCluster), ...reasons(endpointTypeUrl, compileAssignment)];
}

describe('clusters that istiod makes for a waypoint', () => {
  const base = [waypointYaml(), web, pod('a', 1, true), pod('b', 2, false)];

  test('of Services and ServiceEntries', async () => assert.deepEqual(await refused([...base, entry]), []));

  for (const [name, balancer] of Object.entries(balancers)) {
    test(`with ${name}, pools and outlier detection`, async () => {
      const policy = `\n    loadBalancer: ${balancer}${pool}`;
      assert.deepEqual(await refused([...base, rule('web', 'web', policy)]), []);
    });
  }

  for (const [name, settings] of Object.entries(tls)) {
    test(`with ${name}`, async () => {
      assert.deepEqual(await refused([...base, entry, rule('db', 'db.example', `{tls: ${settings}}`)]), []);
    });
  }
});
