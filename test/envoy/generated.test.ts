/** A stock Envoy takes everything that istiod generates for a waypoint. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { envoyTypes } from '../../istiod/envoy/types.ts';
import { startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { followBed, verdicts } from './accepts.ts';

const skip = skipWithoutEnvoy();

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
status: {addresses: [{type: Hostname, value: waypoint.shop.svc.cluster.local}]}
`;
const service = `
kind: Service
metadata: {name: web, labels: {istio.io/use-waypoint: waypoint}}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 81, targetPort: 8081}
  - {name: tcp, port: 82, targetPort: 8082}
  - {name: tls, port: 83, targetPort: 8083}
  - {name: any, port: 84, targetPort: 8084}
`;
const pod = (name: string, ip: number, captured: boolean) => `
kind: Pod
metadata: {name: ${name}, labels: {app: web}, annotations: {ambient.istio.io/redirection: ${captured ? 'enabled' : 'none'}}}
spec: {nodeName: node-1, serviceAccountName: web}
status: {phase: Running, podIP: 10.244.1.${ip}, conditions: [{type: Ready, status: "True"}]}
`;

test('a waypoint without routes: each kind of port, endpoints with and without HBONE', { skip }, async () => {
  using bed = await startEnvoyBed([gateway, service, pod('a', 1, true), pod('b', 2, false)].join('---'));
  await using _ = await followBed(bed);
  assert.deepEqual(await verdicts(bed, envoyTypes), []);
});
