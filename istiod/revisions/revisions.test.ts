/** Two revisions of istiod in one cluster: which one acts for what, and how that moves by labels and tags. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect as dial } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import { namespaceKind, serviceKind } from '../../common/kube/kinds/core.ts';
import { gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import { revisionLabel, tagLabel, tagService } from '../../common/kube/revisions.ts';
import type { Kind } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import { installDefinitions } from '../crds/install.ts';
import type { WithConditions } from '../model/condition.ts';
import { type Cluster, type Replica, withCluster } from '../testing/cluster.ts';
import { XdsClient } from '../testing/world.ts';

const policyKind = authorizationPolicyKind as Kind<WithConditions>;
const revisions = ['default', 'canary'] as const;
type Revision = (typeof revisions)[number];

async function withRevisions(body: (c: Cluster, istiods: Record<Revision, Replica>) => Promise<void>): Promise<void> {
  await withCluster(async (c) => {
    await installDefinitions(c.kube, systemClock, silentLogger);
    const [first, second] = [await c.start(), await c.start({ REVISION: 'canary' })];
    await body(c, { default: first, canary: second });
  });
}

async function setTag(c: Cluster, tag: string, revision: string): Promise<void> {
  const key = { namespace: 'istio-system', name: tagService(tag) };
  const labels = { [tagLabel]: tag, [revisionLabel]: revision };
  if (await c.kube.get(serviceKind, key)) await c.kube.patch(serviceKind, key, { metadata: { labels } });
  else
    await c.kube.create(serviceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...key, labels },
      spec: { ports: [{ name: 'https-dns', port: 15012 }], selector: { app: 'istiod', [revisionLabel]: revision } },
    });
}

async function gateway(c: Cluster, name: string, labels: Record<string, string> = {}): Promise<void> {
  await c.kube.create(gatewayKind, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { namespace: 'shop', name, labels },
    spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
  });
}

/** Whose proxy it is: where that is told to connect. */
function madeBy(c: Cluster, name: string, istiod: string): Promise<unknown> {
  let last = '';
  return until(`${name} to be of ${istiod}`, async () => {
    const found = await c.kube.get(deploymentKind, { namespace: 'shop', name });
    const template = found?.spec.template as
      | { spec: { containers: { env: { name: string; value?: string }[] }[] } }
      | undefined;
    last = template?.spec.containers[0]?.env.find((e) => e.name === 'CA_ADDR')?.value ?? '';
    return last === `${istiod}.istio-system.svc:15012`;
  }).catch((e: unknown) => assert.fail(`${e}; it is of ${last}`));
}

test('Gateways are of the revision that they, their namespaces or tags name; what moves is made anew by the other', () =>
  withRevisions(async (c) => {
    await c.namespace('shop');
    await gateway(c, 'plain');
    await gateway(c, 'own', { [revisionLabel]: 'canary' });
    await madeBy(c, 'plain', 'istiod');
    await madeBy(c, 'own', 'istiod-canary');
    await setTag(c, 'prod', 'default');
    await c.kube.patch(namespaceKind, { name: 'shop' }, { metadata: { labels: { [revisionLabel]: 'prod' } } });
    await gateway(c, 'late');
    await madeBy(c, 'late', 'istiod');
    await setTag(c, 'prod', 'canary');
    for (const name of ['plain', 'late']) await madeBy(c, name, 'istiod-canary');
    await setTag(c, 'prod', 'default');
    for (const name of ['plain', 'late']) await madeBy(c, name, 'istiod');
    await madeBy(c, 'own', 'istiod-canary');
    await c.kube.patch(namespaceKind, { name: 'shop' }, { metadata: { labels: { [revisionLabel]: 'canary' } } });
    await madeBy(c, 'plain', 'istiod-canary');
    // Who names none.
    await c.kube.patch(namespaceKind, { name: 'shop' }, { metadata: { labels: { [revisionLabel]: null } } });
    await madeBy(c, 'plain', 'istiod');
    await setTag(c, 'default', 'canary');
    await madeBy(c, 'plain', 'istiod-canary');
  }));

test('one revision writes the status of an object, and counts the proxies of all that see it', () =>
  withRevisions(async (c, istiods) => {
    await c.namespace('shop');
    const clients = await Promise.all(
      revisions.map((r) =>
        new XdsClient(istiods[r], istiods[r].istiod.ports.grpc, credentials.createInsecure())
          .subscribe()
          .firstAnswers(),
      ),
    );
    const put = (name: string, labels: Record<string, string> = {}) =>
      c.kube.create(policyKind, {
        apiVersion: 'security.istio.io/v1',
        kind: policyKind.kind,
        metadata: { namespace: 'shop', name, labels },
        spec: { action: 'DENY', rules: [{ to: [{ operation: { ports: ['80'] } }] }] },
      });
    const says = (name: string, message: string) => {
      let last: string | undefined;
      return until(
        `${name}: ${message}`,
        async () => {
          const found = await c.kube.get(policyKind, { namespace: 'shop', name });
          last = found?.status?.conditions?.find((s) => s.type === 'Programmed')?.message;
          return last === message;
        },
        20_000,
      ).catch((e: unknown) => assert.fail(`${e}; it says ${last}`));
    };
    await put('all');
    await put('canary', { [revisionLabel]: 'canary' });
    await says('all', '2/2 proxies');
    await says('canary', '1/1 proxies');
    await c.kube.patch(namespaceKind, { name: 'shop' }, { metadata: { labels: { [revisionLabel]: 'canary' } } });
    clients[0]!.close();
    await says('all', '1/1 proxies');
    const { resourceVersion } = (await c.kube.get(policyKind, { namespace: 'shop', name: 'all' }))!.metadata;
    await put('later');
    await says('later', '1/1 proxies');
    assert.equal(
      (await c.kube.get(policyKind, { namespace: 'shop', name: 'all' }))!.metadata.resourceVersion,
      resourceVersion,
      'the two do not write in turns',
    );
  }));

test('istiod shows a certificate for its Services: of its revision, and of tags as they come and go', () =>
  withRevisions(async (c, { canary }) => {
    const named = (servername: string) =>
      new Promise<string>((resolve) => {
        const port = canary.istiod.ports.secureGrpc!;
        const socket = dial({ port, servername, ca: canary.istiod.rootCertificate, ALPNProtocols: ['h2'] }, () => {
          socket.destroy();
          resolve('taken');
        });
        socket.on('error', (e: NodeJS.ErrnoException) => resolve(e.code ?? e.message));
      });
    const tag = `${tagService('prod')}.istio-system.svc`;
    assert.equal(await named('istiod-canary.istio-system.svc'), 'taken');
    assert.equal(await named(tag), 'ERR_TLS_CERT_ALTNAME_INVALID');
    await setTag(c, 'prod', 'canary');
    await until('the name of the tag', async () => (await named(tag)) === 'taken');
    await setTag(c, 'prod', 'default');
    await until('it to go', async () => (await named(tag)) === 'ERR_TLS_CERT_ALTNAME_INVALID');
  }));
