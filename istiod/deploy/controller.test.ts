import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { createInformer, type Informer } from '../../common/kube/informer.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import {
  type Condition,
  configMapKind,
  podKind,
  serviceAccountKind,
  serviceKind,
} from '../../common/kube/kinds/core.ts';
import { type Gateway, gatewayKind } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { gatewayClassKind } from '../../common/kube/kinds/gateway-api/gateway-class.ts';
import type { Kind, KubeObject, NewObject } from '../../common/kube/types.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import { DeployController } from './controller.ts';

const key = { namespace: 'shop', name: 'waypoint' };
const made: readonly Kind[] = [serviceAccountKind, deploymentKind, serviceKind];

class World implements Disposable {
  readonly kube = new FakeKube();
  readonly clock = new FakeClock();
  readonly applied: string[] = [];
  /** Of which Gateways are ours. */
  revision = 'default';
  readonly #stop = new AbortController();
  readonly #informers = new Map<string, Informer<KubeObject>>();
  #term = new AbortController();
  readonly controller: DeployController;

  constructor() {
    const { kube, clock } = this;
    this.controller = new DeployController({
      source: kube,
      apply: (object) => this.#apply(object),
      clock,
      log: silentLogger,
      settings: () => ({
        image: 'aquifer/waypoint',
        command: undefined,
        clusterId: 'c',
        trustDomain: 'td',
        domain: 'cluster.local',
        network: '',
        revision: 'default',
        systemNamespace: 'istio-system',
      }),
      objectsOf: <T extends KubeObject>(kind: Kind<T>) =>
        this.#informers.get(kind.kind)!.objects as ReadonlyMap<string, T>,
      isMine: ({ metadata }) => (metadata.labels?.['istio.io/rev'] ?? 'default') === this.revision,
      deploys: true,
    });
  }

  async lead(): Promise<void> {
    for (const kind of [gatewayKind, gatewayClassKind, serviceKind, podKind] as readonly Kind[]) {
      if (this.#informers.has(kind.kind)) continue;
      const touched = (object: KubeObject) => this.controller.touched(object);
      const handlers = { added: touched, modified: touched, deleted: touched };
      const { signal } = this.#stop;
      const informer = createInformer({ source: this.kube, kind, log: silentLogger, signal, handlers });
      this.#informers.set(kind.kind, informer);
      await informer.synced;
    }
    this.#term = new AbortController();
    void this.controller.run(this.#term.signal);
  }

  resign(): void {
    this.#term.abort();
  }

  /** As the API server: what is not there is made, what is there gets these fields. */
  async #apply(object: NewObject): Promise<unknown> {
    this.applied.push(object.kind);
    const kind = made.find((k) => k.kind === object.kind)!;
    const { name, namespace } = object.metadata;
    if ((await this.kube.get(kind, { name, namespace: namespace! })) === undefined)
      return this.kube.create(kind, object);
    return this.kube.patch(kind, { name, namespace: namespace! }, object);
  }

  async gateway(spec: object = {}, metadata: object = {}): Promise<void> {
    await this.kube.create(gatewayKind, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { ...key, ...metadata },
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
        ...spec,
      },
    });
  }

  /** Time passes until it holds. */
  until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false): Promise<NonNullable<T>> {
    return until(what, async () => {
      this.clock.advance(100);
      return (await look()) || undefined;
    }) as Promise<NonNullable<T>>;
  }

  async status(): Promise<Record<string, string>> {
    const found = (await this.kube.get(gatewayKind, key)) as Gateway | undefined;
    const conditions = (found?.status?.conditions ?? []) as readonly Condition[];
    return {
      ...Object.fromEntries(conditions.map((c) => [c.type, `${c.status} ${c.reason} ${c.message}`])),
      addresses: (found?.status?.addresses ?? []).map((a) => a.value).join(),
    };
  }

  async giveService(): Promise<void> {
    await this.kube.patch(serviceKind, key, { spec: { clusterIPs: ['10.96.0.9', 'fd00::9'] } });
  }

  async pod(ready: boolean): Promise<void> {
    const labels = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
    const status = { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] };
    const where = { namespace: 'shop', name: 'p' };
    if (await this.kube.get(podKind, where))
      await this.kube.patch(podKind, where, { status }, { subresource: 'status' });
    else {
      await this.kube.create(podKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ...where, labels },
        spec: { containers: [] },
        status,
      });
    }
  }

  [Symbol.dispose](): void {
    this.#term.abort();
    this.#stop.abort();
  }
}

describe('the controller of waypoints', () => {
  test('makes the class, the objects, and says when it serves', async () => {
    using world = new World();
    await world.gateway();
    await world.lead();
    await world.until('the objects', () => world.kube.get(serviceKind, key));
    const gatewayClass = await world.until('the class', () =>
      world.kube.get(gatewayClassKind, { name: 'istio-waypoint' }),
    );
    assert.equal(gatewayClass.spec.controllerName, 'istio.io/mesh-controller');
    await world.until('the class is accepted', async () =>
      JSON.stringify(await world.kube.get(gatewayClassKind, { name: 'istio-waypoint' })).includes(
        '"Accepted","status":"True"',
      ),
    );
    await world.until('it waits for pods', async () =>
      /no pod of Service .* is ready/.test((await world.status())['Programmed'] ?? ''),
    );
    assert.equal((await world.status())['addresses'], '');
    await world.giveService();
    await world.pod(true);
    await world.until('it serves', async () => (await world.status())['Programmed']?.startsWith('True Programmed'));
    // Pods and Services come by watches of their own, in any order.
    await world.until('its addresses are told', async () => {
      const { addresses } = await world.status();
      return addresses === '10.96.0.9,fd00::9,waypoint.shop.svc.cluster.local';
    });
    // Its users must not lose it while its pods are replaced.
    await world.pod(false);
    await world.until('it serves no more', async () =>
      (await world.status())['Programmed']?.startsWith('False AddressNotAssigned'),
    );
    assert.equal((await world.status())['addresses'], '10.96.0.9,fd00::9,waypoint.shop.svc.cluster.local');
  });

  test('makes again what somebody takes away, and nothing twice', async () => {
    using world = new World();
    await world.gateway();
    await world.lead();
    await world.until('the objects', () => world.kube.get(serviceKind, key));
    await world.kube.delete(deploymentKind, key);
    await world.until('the Deployment is back', () => world.kube.get(deploymentKind, key));
    await world.kube.delete(serviceKind, key);
    await world.until('the Service is back', () => world.kube.get(serviceKind, key));
    await world.until('quiet', async () => {
      const before = world.applied.length;
      for (let i = 0; i < 20; i++) {
        world.clock.advance(100);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return world.applied.length === before;
    });
  });

  test('leaves what is somebody else’s, and other classes and revisions', async () => {
    using world = new World();
    await world.kube.create(serviceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: key,
      spec: { ports: [{ port: 80 }], selector: { app: 'mine' } },
    });
    await world.gateway();
    for (const [name, spec, labels] of [
      ['other', { gatewayClassName: 'istio' }, {}],
      ['canary', {}, { 'istio.io/rev': 'canary' }],
    ] as const)
      await world.gateway(spec, { name, labels });
    await world.lead();
    await world.until('the fault', async () =>
      /^False Invalid Service shop\/waypoint exists and is not made for a Gateway/.test(
        (await world.status())['Programmed'] ?? '',
      ),
    );
    assert.deepEqual((await world.kube.get(serviceKind, key))?.spec.selector, { app: 'mine' });
    for (const name of ['other', 'canary'])
      assert.equal(await world.kube.get(deploymentKind, { ...key, name }), undefined);
  });

  test('a Gateway that names an address has a proxy of somebody else', async () => {
    using world = new World();
    await world.gateway({ addresses: [{ type: 'Hostname', value: 'mine.shop.svc.cluster.local' }] });
    await world.kube.create(serviceKind, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: 'shop', name: 'mine' },
      spec: {
        clusterIPs: ['10.96.0.7'],
        ports: [{ port: 15008 }],
        selector: { 'gateway.networking.k8s.io/gateway-name': 'waypoint' },
      },
    });
    await world.lead();
    await world.pod(true);
    await world.until('it serves', async () => (await world.status())['Programmed']?.startsWith('True'));
    assert.equal((await world.status())['addresses'], '10.96.0.7,mine.shop.svc.cluster.local');
    assert.deepEqual(world.applied, []);
  });

  test('parameters are followed, and one that is missing or wrong is named', async () => {
    using world = new World();
    await world.gateway({ infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name: 'p' } } });
    await world.lead();
    const accepted = (pattern: RegExp) =>
      world.until(String(pattern), async () => pattern.test((await world.status())['Accepted'] ?? ''));
    await accepted(/^False InvalidParameters .*shop\/p does not exist/);
    const metadata = { namespace: 'shop', name: 'p' };
    await world.kube.create(configMapKind, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { pods: '' } });
    await accepted(/^False InvalidParameters ConfigMap shop\/p: pods is none of/);
    await world.kube.patch(configMapKind, metadata, { data: { pods: null, deployment: 'spec: {replicas: 4}' } });
    await accepted(/^True Accepted/);
    await world.until('the replicas', async () => (await world.kube.get(deploymentKind, key))?.spec.replicas === 4);
  });

  test('who does not lead writes nothing, and who leads again goes on', async () => {
    using world = new World();
    await world.lead();
    world.resign();
    await world.gateway();
    for (let i = 0; i < 20; i++) {
      world.clock.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(world.applied, []);
    await world.lead();
    await world.until('the objects', () => world.kube.get(serviceKind, key));
  });
});
