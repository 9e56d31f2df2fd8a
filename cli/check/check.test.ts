import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, Pod } from '../../common/kube/kinds/core.ts';
import { parseZtunnelDump } from '../ztunnel-config/dump.ts';
import { checkDefinitions, checkKernel, checkNodes, checkOthers, checkVersion } from './cluster.ts';
import { checkCertificates, checkParts, checkPods, checkPushes, checkRoot, checkSkew, checkWebhook } from './mesh.ts';
import { cgroup2 } from './node.ts';
import { type Result, report } from './result.ts';

const levels = (results: readonly Result[]) => results.map((r) => r.level).join(' ');
const ready = [{ type: 'Ready', status: 'True' }];
const meta = (name: string, namespace?: string, more: object = {}) => ({
  name,
  uid: name,
  resourceVersion: '1',
  ...(namespace && { namespace }),
  ...more,
});
const node = (name: string, more: object = {}) =>
  ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: meta(name),
    status: { conditions: ready, nodeInfo: { kernelVersion: '6.1.0-9', operatingSystem: 'linux' }, ...more },
  }) as Node;
const pod = (name: string, namespace: string, on: string, metadata: object = {}, conditions: object = ready) =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta(name, namespace, metadata),
    spec: { nodeName: on, containers: [] },
    status: { phase: 'Running', conditions },
  }) as unknown as Pod;

test('the API server, definitions, kernels', () => {
  assert.equal(checkVersion({ major: '1', minor: '27+', gitVersion: 'v1.27.3' }).level, 'fail');
  assert.equal(checkVersion({ major: '1', minor: '31', gitVersion: 'v1.31.0' }).level, 'ok');
  assert.equal(levels(checkDefinitions(['a', 'b'], new Set(['a']), true)), 'fail');
  assert.match(checkDefinitions(['a', 'b'], new Set(['a']), false)[0]!.fix ?? '', /aquifer install/);
  assert.deepEqual(
    ['6.1.0', '5.15.0-x', '5.10.0', undefined].map((r) => checkKernel('n', r).level),
    ['ok', 'ok', 'warn', 'warn'],
  );
  assert.equal(
    levels(
      checkNodes([node('a'), node('b', { conditions: [] }), node('w', { nodeInfo: { operatingSystem: 'windows' } })]),
    ),
    'ok fail ok warn',
  );
});

test('what is in the way', () => {
  const none = { definitions: new Set<string>(), daemonSets: [], pods: [], cilium: undefined };
  assert.equal(levels(checkOthers(none)), 'ok');
  assert.equal(levels(checkOthers({ ...none, definitions: new Set(['servers.policy.linkerd.io']) })), 'warn');
  const cilium = { 'cni-exclusive': 'true', 'bpf-lb-sock': 'true' };
  const found = checkOthers({ ...none, cilium });
  assert.equal(levels(found), 'fail fail');
  assert.match(found[0]!.fix ?? '', /kubectl .*cilium-config.*"cni-exclusive":"false"/);
  const sidecar = pod('a', 'shop', 'n', { annotations: { 'sidecar.istio.io/status': '{}' } });
  assert.match(checkOthers({ ...none, pods: [sidecar] })[0]!.text, /1 pods have Istio's sidecar, as shop\/a/);
});

test('parts: an istiod, and a proxy and an agent on each node', () => {
  const of = (app: string, on: string, conditions?: object) =>
    pod(`${app}-${on}`, 'istio-system', on, { labels: { app } }, conditions);
  const whole = [
    of('istiod', 'a'),
    of('ztunnel', 'a'),
    of('ztunnel', 'b'),
    of('istio-cni-node', 'a'),
    of('istio-cni-node', 'b'),
  ];
  const parts = { namespace: 'istio-system', nodes: [node('a'), node('b')], pods: whole, istiodElsewhere: false };
  assert.equal(levels(checkParts(parts)), 'ok ok ok');
  const broken = checkParts({ ...parts, pods: whole.slice(2) });
  assert.equal(levels(broken), 'fail fail ok');
  assert.match(broken[1]!.text, /ztunnel: no node proxy is ready on a$/);
  assert.match(checkParts({ ...parts, pods: [of('istiod', 'a', [])] })[0]!.fix ?? '', /logs deploy\/istiod/);
});

test('versions that are two minor releases apart', () => {
  assert.equal(
    levels(
      checkSkew(
        new Map([
          ['a', '1.30.1'],
          ['b', '1.29.0'],
        ]),
      ),
    ),
    'ok',
  );
  assert.equal(
    levels(
      checkSkew(
        new Map([
          ['a', '1.30.1'],
          ['b', '1.28.0'],
          ['c', 'unknown'],
        ]),
      ),
    ),
    'warn',
  );
});

test('certificates, refusals and webhooks', () => {
  assert.equal(levels(checkRoot(undefined, 'x', 0)), 'fail');
  const bad = { data: { 'root-cert.pem': '-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----' } } as never;
  assert.equal(levels(checkRoot(bad, 'x', 0)), 'fail');
  const certificate = (state: string, expirationTime: string) => ({
    identity: 'spiffe://a',
    state,
    certChain: [{ expirationTime, validFrom: '', serialNumber: '1' }],
  });
  const dump = (...certificates: readonly object[]) =>
    parseZtunnelDump('x', JSON.stringify({ workloads: [], certificates }));
  const at = Date.parse('2026-01-02T00:00:00Z');
  const z = pod('z', 'istio-system', 'a');
  assert.equal(levels(checkCertificates(z, dump(certificate('Available', '2026-01-03T00:00:00Z')), at)), 'ok');
  assert.equal(
    levels(
      checkCertificates(
        z,
        dump(certificate('Available', '2026-01-01T00:00:00Z'), certificate('Unavailable: no', '')),
        at,
      ),
    ),
    'fail fail',
  );
  assert.equal(levels(checkPushes({ 'a.b': { t: 'ugly' } }, 1)), 'fail');
  const hook = (caBundle: string) =>
    ({
      metadata: { name: 'istio-validator' },
      webhooks: [{ clientConfig: { caBundle: Buffer.from(caBundle).toString('base64') } }],
    }) as never;
  assert.deepEqual(
    [[], [hook('')], [hook('other')], [hook('root')]].map((h) => levels(checkWebhook(h, 'root'))),
    ['warn', 'fail', 'warn', 'ok'],
  );
});

test('pods that ask for the mesh and are not in it', () => {
  const namespaces = new Map([
    ['shop', { metadata: { ...meta('shop'), labels: { 'istio.io/dataplane-mode': 'ambient' } } } as never],
  ]);
  const inside = pod('a', 'shop', 'n', { annotations: { 'ambient.istio.io/redirection': 'enabled' } });
  assert.equal(levels(checkPods([inside, pod('other', 'x', 'n')], namespaces)), 'ok');
  assert.match(checkPods([inside, pod('b', 'shop', 'n')], namespaces)[0]!.text, /pod shop\/b asks/);
});

test('a report has a title a group, and behind a failure what mends it', () => {
  const lines = report([
    { group: 'api', level: 'fail', text: 'x', fix: 'do y' },
    { group: 'api', level: 'ok', text: 'z' },
  ]);
  assert.deepEqual(lines, [
    'Kubernetes API',
    '  FAIL  x',
    '        fix: do y',
    '  ok    z',
    '',
    '1 ok, 0 warnings, 1 failed',
  ]);
});

test('cgroup2 where it is mounted', () => {
  assert.equal(
    cgroup2('cgroup /sys/fs/cgroup/cpu cgroup rw\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw\n'),
    '/sys/fs/cgroup/unified',
  );
  assert.equal(cgroup2('proc /proc proc rw\n'), undefined);
});
