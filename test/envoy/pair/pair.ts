/** istiod's whole configuration of one mesh in a stock Envoy and in our waypoint at once. */
import { existsSync, readFileSync } from 'node:fs';
import { credentials, Metadata } from '@grpc/grpc-js';
import { structFromJson } from '../../../common/api/index.ts';
import { systemClock } from '../../../common/core/clock.ts';
import { silentLogger } from '../../../common/core/log.ts';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import { keyOf } from '../../../common/kube/informer.ts';
import { until } from '../../../common/testing/until.ts';
import { connectTerminate } from '../../../istiod/envoy/names.ts';
import type { MeshSettings } from '../../../istiod/model/settings.ts';
import { objectsOf } from '../../../istiod/model/testing/test-mesh.ts';
import { type EnvoyBed, startEnvoyBed, waypointNode } from '../../../istiod/testing/envoy-bed.ts';
import { waypointYaml } from '../../../istiod/testing/manifests.ts';
import { startAds } from '../../../waypoint/runtime/ads.ts';
import { putCertificate } from '../../../waypoint/runtime/mesh.ts';
import { Rig } from '../../../waypoint/testing/rig.ts';
import { type Follower, followBed } from '../accepts.ts';
import { type Answer, type Asked, Caller } from './caller.ts';
import { Echoes, type Received } from './echo.ts';
import { destinationOf, startMesh } from './mesh.ts';
import { type Counters, readStats } from './stats.ts';

export type Side = 'envoy' | 'ours';
export const sides = ['envoy', 'ours'] as const;

export interface Question extends Asked {
  /** Default `web`, its port 80. */
  readonly service?: string;
  readonly port?: number;
  /** Which of the service's addresses. Default `ipv4`. */
  readonly family?: 'ipv4' | 'ipv6';
  /** Of the caller. Default that of `client` in `shop`. */
  readonly principal?: string;
}

/** What a request came to: what the client saw, and what upstreams received, in their order of arrival. */
export interface Outcome {
  readonly answer: Answer;
  readonly received: readonly Received[];
}

export class Pair implements AsyncDisposable {
  readonly #bed: EnvoyBed;
  readonly #follower: Follower;
  readonly #rig: Rig;
  readonly #echoes: Echoes;
  readonly #ports: Readonly<Record<Side, number>>;
  readonly #stop: AbortController;
  readonly #callers = new Map<string, Caller>();
  readonly #certificates = new Map<string, Promise<WorkloadCertificate>>();
  #markers = 0;
  #mesh = '{}';

  private constructor(
    bed: EnvoyBed,
    follower: Follower,
    rig: Rig,
    echoes: Echoes,
    ports: Readonly<Record<Side, number>>,
    stop: AbortController,
  ) {
    this.#bed = bed;
    this.#follower = follower;
    this.#rig = rig;
    this.#echoes = echoes;
    this.#ports = ports;
    this.#stop = stop;
  }

  static async start(): Promise<Pair> {
    const echoes = new Echoes();
    const bed = await startEnvoyBed(await startMesh(echoes));
    const follower = await followBed(bed);
    const [rig, stop] = [new Rig(), new AbortController()];
    putCertificate(rig.runtime, await follower.issue('waypoint'));
    const connection = { target: `127.0.0.1:${follower.xdsPort}`, credentials: credentials.createInsecure() };
    const { id, metadata } = waypointNode();
    startAds({
      connect: async () => ({ ...connection, options: {}, metadata: new Metadata() }),
      node: { id, metadata: structFromJson(metadata) },
      runtime: rig.runtime,
      ownSecret: (name) => name === 'default' || name === 'ROOTCA',
      clock: systemClock,
      log: silentLogger,
      signal: stop.signal,
    });
    const ports = { envoy: await follower.port(), ours: await rig.port(connectTerminate) };
    const pair = new Pair(bed, follower, rig, echoes, ports, stop);
    await pair.apply('');
    return pair;
  }

  /** Resolves when both serve it. Objects without a namespace are of `shop`. `mesh`: what MeshConfig says, but its defaults. */
  async apply(yaml: string, mesh: Partial<MeshSettings['envoy']> = {}): Promise<void> {
    if (JSON.stringify(mesh) !== this.#mesh) this.#bed.configure(mesh);
    this.#mesh = JSON.stringify(mesh);
    this.#bed.apply(`${yaml}\n---\n${marker(++this.#markers)}`);
    await this.#settled();
  }

  /** Takes objects of such YAML away. */
  async remove(yaml: string): Promise<void> {
    const objects = objectsOf(yaml);
    for (const { kind, metadata } of objects) this.#bed.remove(kind, keyOf(metadata));
    // Without its waypoint the mesh is another one.
    await this.apply(objects.some(({ kind }) => kind === 'Gateway') ? waypointYaml() : '');
  }

  /** Whatever came before a route that both serve is served too, but for what warms up. */
  async #settled(): Promise<void> {
    const refused = () => {
      const errors = this.#bed.xds
        .statuses()
        .flatMap((s) => [...s.types].map(([type, { lastError }]) => [type, lastError]));
      const first = errors.find(([, error]) => error !== '');
      if (first) throw new Error(`refused: ${first.join(': ')}`);
    };
    for (const side of sides) {
      await until(
        `${side} serves change ${this.#markers}`,
        async () => {
          const { answer } = await this.ask(side, { service: 'marker', host: 'marker', path: '/' });
          return answer.body === String(this.#markers);
        },
        5_000,
      ).catch((e) => {
        refused();
        throw e;
      });
    }
    await until('everything is said and answered', () =>
      this.#bed.xds.statuses().every((s) => [...s.types.values()].every((t) => !t.isWaiting && !t.hasPending)),
    );
    await until('Envoy has warmed up', async () => {
      const stats = await this.#follower.envoy.admin('/stats?filter=warming');
      return !/warming(_clusters)?: [1-9]/.test(stats);
    });
    await until('ours has warmed up', () => this.#rig.runtime.pending().length === 0);
    refused();
  }

  /** `copies`: how many requests upstreams shall get at least. */
  async ask(
    side: Side,
    { service = 'web', port = 80, family = 'ipv4', principal = client, ...asked }: Question,
    copies = 0,
  ): Promise<Outcome> {
    this.#echoes.clear();
    const caller = await this.#caller(side, principal);
    const answer = await caller.ask(destinationOf(service, port, family), asked);
    await until('the requests to arrive', () => this.#echoes.received.length >= copies, 5_000).catch(() => undefined);
    return { answer, received: this.#echoes.received };
  }

  async #caller(side: Side, principal: string): Promise<Caller> {
    const key = `${side} ${principal}`;
    const kept = this.#callers.get(key);
    if (kept && !kept.isSpent) return kept;
    kept?.[Symbol.dispose]();
    const made = new Caller(this.#ports[side], await this.#certificate(principal));
    this.#callers.set(key, made);
    return made;
  }

  #certificate(principal: string): Promise<WorkloadCertificate> {
    let found = this.#certificates.get(principal);
    if (!found) {
      const [, namespace, account] = /^spiffe:\/\/cluster\.local\/ns\/([^/]+)\/sa\/(.+)$/.exec(principal) ?? [];
      found = this.#follower.issue(account!, namespace);
      this.#certificates.set(principal, found);
    }
    return found;
  }

  /** Lines of the access log, which Envoy writes to that file. */
  logged(side: Side, file: string): readonly string[] {
    if (side === 'ours') return this.#rig.lines.map((line) => line.trimEnd());
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  }

  async stats(side: Side): Promise<Counters> {
    const path = '/stats?format=json&usedonly';
    return readStats(
      side === 'envoy' ? await this.#follower.envoy.admin(path) : this.#rig.runtime.stats.json(() => true),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const caller of this.#callers.values()) caller[Symbol.dispose]();
    this.#stop.abort();
    await this.#rig[Symbol.asyncDispose]();
    await this.#follower[Symbol.asyncDispose]();
    await this.#echoes[Symbol.asyncDispose]();
    this.#bed[Symbol.dispose]();
  }
}

const client = 'spiffe://cluster.local/ns/shop/sa/client';

const marker = (n: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: marker}
spec: {hosts: [marker], http: [{directResponse: {status: 200, body: {string: "${n}"}}}]}
`;
