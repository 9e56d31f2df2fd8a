import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { type DeploySettings, waypointObjects } from './objects.ts';
import { applyOverlays } from './overlay.ts';

const settings: DeploySettings = {
  image: 'aquifer/waypoint',
  command: undefined,
  clusterId: 'c1',
  trustDomain: 'td',
  domain: 'cluster.local',
  network: '',
  revision: 'default',
  systemNamespace: 'istio-system',
};

function gateway(metadata: object = {}, spec: object = {}): Gateway {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'waypoint', namespace: 'shop', uid: 'u1', resourceVersion: '1', ...metadata },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      ...spec,
    },
  } as unknown as Gateway;
}

const made = (g: Gateway, s = settings) => {
  const [account, deployment, service] = waypointObjects(g, s);
  return { account: account!, deployment: deployment!, service: service! };
};

// biome-ignore lint/suspicious/noExplicitAny: any part of an object is looked at.
const at = (object: NewObject, ...path: (string | number)[]) => path.reduce((o: any, k) => o?.[k], object);

describe('what a Gateway becomes', () => {
  test('account, Deployment and Service are its own', () => {
    const { account, deployment, service } = made(gateway());
    for (const object of [account, deployment, service]) {
      assert.deepEqual(
        [object.metadata.name, object.metadata.namespace, object.metadata.ownerReferences?.[0]?.uid],
        ['waypoint', 'shop', 'u1'],
      );
      assert.deepEqual(object.metadata.labels, {
        'gateway.networking.k8s.io/gateway-name': 'waypoint',
        'gateway.networking.k8s.io/gateway-class-name': 'istio-waypoint',
        'gateway.istio.io/managed': 'istio.io-mesh-controller',
      });
    }
    const labels = at(deployment, 'spec', 'template', 'metadata', 'labels');
    assert.equal(labels['istio.io/dataplane-mode'], 'none');
    assert.equal(at(deployment, 'spec', 'template', 'spec', 'serviceAccountName'), 'waypoint');
    const container = at(deployment, 'spec', 'template', 'spec', 'containers', 0);
    assert.deepEqual(
      [container.name, container.image, container.args.slice(0, 4)],
      ['istio-proxy', 'aquifer/waypoint', ['proxy', 'waypoint', '--domain', '$(POD_NAMESPACE).svc.cluster.local']],
    );
    // What Kubernetes' Pod Security Standard "restricted" asks for: a namespace that enforces it takes waypoints.
    const { allowPrivilegeEscalation, runAsNonRoot, capabilities, seccompProfile } = container.securityContext;
    assert.deepEqual([allowPrivilegeEscalation, runAsNonRoot], [false, true]);
    assert.deepEqual([capabilities, seccompProfile], [{ drop: ['ALL'] }, { type: 'RuntimeDefault' }]);
    const env = Object.fromEntries(container.env.map((e: { name: string; value: string }) => [e.name, e.value]));
    assert.deepEqual(JSON.parse(env['PROXY_CONFIG']), { discoveryAddress: 'istiod.istio-system.svc:15012' });
    assert.deepEqual([env['TRUST_DOMAIN'], env['ISTIO_META_CLUSTER_ID']], ['td', 'c1']);
    assert.deepEqual(service['spec'], {
      type: 'ClusterIP',
      ipFamilyPolicy: 'PreferDualStack',
      selector: { 'gateway.networking.k8s.io/gateway-name': 'waypoint' },
      ports: [
        { name: 'status-port', port: 15021, protocol: 'TCP', appProtocol: 'tcp' },
        { name: 'mesh', port: 15008, protocol: 'TCP', appProtocol: 'hbone' },
      ],
    });
    assert.equal(service.metadata.annotations?.['networking.istio.io/traffic-distribution'], 'PreferClose');
  });

  test('infrastructure says what they carry; else the Gateway itself', () => {
    const own = made(
      gateway({ labels: { team: 'a' }, annotations: { note: 'x', 'gateway.istio.io/name-override': 'w2' } }),
    );
    assert.deepEqual([own.service.metadata.name, own.service.metadata.labels?.['team']], ['w2', 'a']);
    assert.deepEqual(own.account.metadata.annotations, { note: 'x' });
    const asked = made(
      gateway(
        { labels: { team: 'a' } },
        { infrastructure: { labels: { tier: 'l7', 'gateway.networking.k8s.io/gateway-name': 'other' } } },
      ),
    );
    const labels = asked.deployment.metadata.labels!;
    assert.deepEqual([labels['team'], labels['tier']], [undefined, 'l7']);
    assert.equal(labels['gateway.networking.k8s.io/gateway-name'], 'waypoint');
  });

  test('annotations choose image and log levels; a revision its istiod', () => {
    const annotations = { 'sidecar.istio.io/proxyImage': 'istio/proxyv2:1.30', 'sidecar.istio.io/logLevel': 'debug' };
    const { deployment } = made(gateway({ annotations }), { ...settings, revision: 'canary', network: 'n1' });
    const container = at(deployment, 'spec', 'template', 'spec', 'containers', 0);
    assert.equal(container.image, 'istio/proxyv2:1.30');
    assert.equal(container.command, undefined);
    assert.equal(container.args[container.args.indexOf('--proxyLogLevel') + 1], 'debug');
    const env = Object.fromEntries(container.env.map((e: { name: string; value: string }) => [e.name, e.value]));
    assert.deepEqual([env['CA_ADDR'], env['ISTIO_META_NETWORK']], ['istiod-canary.istio-system.svc:15012', 'n1']);
    assert.equal(deployment.metadata.labels?.['topology.istio.io/network'], 'n1');
  });

  test('a program that the settings name is that of their image, and of no other', () => {
    const command = '/usr/local/bin/waypoint';
    const commandOf = (annotations: Record<string, string>) =>
      at(
        made(gateway({ annotations }), { ...settings, command }).deployment,
        'spec',
        'template',
        'spec',
        'containers',
        0,
      ).command;
    assert.deepEqual(commandOf({}), [command]);
    assert.equal(commandOf({ 'sidecar.istio.io/proxyImage': 'istio/proxyv2' }), undefined);
  });

  test('listeners that share a port, or a name once it is cut, become ports that a Service may have', () => {
    const long = 'x'.repeat(70);
    const listeners = [
      { name: 'a.b', port: 1, protocol: 'HBONE' },
      { name: 'again', port: 1, protocol: 'HBONE' },
      { name: long, port: 2, protocol: 'HBONE' },
      { name: `${long}y`, port: 3, protocol: 'HBONE' },
    ];
    const ports = at(made(gateway({}, { listeners })).service, 'spec', 'ports').slice(1);
    assert.deepEqual(
      ports.map((p: { name: string; port: number }) => [p.name, p.port]),
      [
        ['a-b', 1],
        ['x'.repeat(63), 2],
        [`${'x'.repeat(61)}-3`, 3],
      ],
    );
  });
});

describe('overlays', () => {
  const objects = waypointObjects(gateway(), settings);
  const overlay = (data: Record<string, string>) => applyOverlays(objects, [{ name: 'ConfigMap shop/p', data }]);

  test('patch lists by their keys, and one comes after the other', () => {
    const result = applyOverlays(objects, [
      { name: 'a', data: { deployment: 'spec:\n  replicas: 2\n' } },
      {
        name: 'b',
        data: {
          deployment:
            'spec:\n  replicas: 3\n  template:\n    spec:\n      containers:\n      - name: istio-proxy\n        resources: {limits: {cpu: "4"}}\n',
          service: 'metadata: {labels: {extra: "yes"}}',
        },
      },
    ]);
    assert.ok(result.kind === 'ok');
    assert.deepEqual(
      result.objects.map((o) => o.kind),
      ['ServiceAccount', 'Deployment', 'Service'],
    );
    const deployment = result.objects[1]!;
    assert.equal(at(deployment, 'spec', 'replicas'), 3);
    const containers = at(deployment, 'spec', 'template', 'spec', 'containers');
    assert.deepEqual(
      [containers.length, containers[0].image, containers[0].resources.limits.cpu],
      [1, 'aquifer/waypoint', '4'],
    );
    assert.equal(result.objects[2]!.metadata.labels?.['extra'], 'yes');
    assert.equal(deploymentKind.kind, deployment.kind);
  });

  test('make an autoscaler and a disruption budget where they are named', () => {
    const result = overlay({
      horizontalPodAutoscaler: 'spec: {minReplicas: 2, maxReplicas: 5}',
      podDisruptionBudget: 'spec: {minAvailable: 1}',
    });
    assert.ok(result.kind === 'ok');
    const [hpa, pdb] = ['HorizontalPodAutoscaler', 'PodDisruptionBudget'].map(
      (k) => result.objects.find((o) => o.kind === k)!,
    );
    assert.deepEqual(at(hpa!, 'spec'), {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'waypoint' },
      maxReplicas: 5,
      minReplicas: 2,
    });
    assert.equal(at(pdb!, 'spec', 'selector', 'matchLabels', 'gateway.networking.k8s.io/gateway-name'), 'waypoint');
  });

  test('what they may not say is refused with the place', () => {
    const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{ pod: '{}' }, /ConfigMap shop\/p: pod is none of deployment/],
      [{ deployment: 'a: [' }, /ConfigMap shop\/p: deployment: /],
      [{ deployment: '- a' }, /deployment: the patch is not an object/],
      [{ deployment: 'metadata: {name: other}' }, /only labels and annotations/],
      [{ service: 'metadata: {ownerReferences: null}' }, /only labels and annotations/],
      [{ deployment: 'kind: Pod' }, /only labels and annotations/],
    ];
    for (const [data, expected] of cases) {
      const result = overlay(data);
      assert.equal(result.kind, 'invalid', JSON.stringify(data));
      assert.match(result.kind === 'invalid' ? result.reason : '', expected);
    }
  });
});
