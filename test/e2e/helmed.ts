/** A lab whose mesh comes by its charts, as a cluster's does, and calls through it while something is done to it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { labPaths } from '../../lab/names.ts';
import { Helm } from '../harness/helm.ts';
import { Kubectl } from '../harness/kubectl.ts';
import type { LoopCall } from './tools/traffic.ts';
import { type Stream, World } from './world.ts';

export const charts = join(import.meta.dirname, '../../charts');
export const space = ['-n', 'istio-system'];
export const waiting = ['--wait', '--timeout', '90s'];
export const releases = { base: 'istio-base', istiod: 'istiod', cni: 'istio-cni', ztunnel: 'ztunnel' } as const;
export type Chart = keyof typeof releases;
/** Peers keep their tunnels open; what drains them waits for the deadline. */
const quick = ['--set', 'ztunnel.terminationGracePeriodSeconds=8'];
/** ms between calls of one source. */
const pace = 50;

export class HelmedLab {
  readonly world: World;
  readonly helm: Helm;
  readonly kubectl: Kubectl;
  /** What a chart needs to know of this lab, for each release. */
  readonly values: readonly string[];

  readonly #capture: 'ebpf' | 'nft';

  private constructor(world: World, capture: 'ebpf' | 'nft') {
    this.#capture = capture;
    this.world = world;
    this.helm = new Helm(world.lab.kubeconfig);
    this.kubectl = new Kubectl(world.lab.kubeconfig);
    this.values = ['-f', labPaths(world.lab.name).values, ...quick];
  }

  /** Without the mesh. */
  static async up(name: string, capture: 'ebpf' | 'nft' = 'ebpf'): Promise<HelmedLab> {
    return new HelmedLab(await World.bare(name, capture), capture);
  }

  install(chart: Chart, ...more: readonly string[]): Promise<string> {
    const args = [releases[chart], join(charts, chart), ...space, '--create-namespace', ...this.values, ...more];
    return this.helm.ok(['install', ...args]);
  }

  upgrade(chart: Chart, ...more: readonly string[]): Promise<string> {
    return this.helm.ok(['upgrade', releases[chart], join(charts, chart), ...space, ...this.values, ...more]);
  }

  /** All four, and the namespace of the workloads enters. Resolves when a call has identities at both ends. */
  async installAll(): Promise<void> {
    for (const chart of ['base', 'istiod'] as const) await this.install(chart);
    await this.install('cni', '--set', `aquifer.capture=${this.#capture}`);
    await this.install('ztunnel', ...waiting);
    await this.enter();
  }

  async enter(): Promise<void> {
    const { world, kubectl } = this;
    await kubectl.ok(['label', 'namespace', 'e2e', 'istio.io/dataplane-mode=ambient', '--overwrite']);
    await world.lab.waitEnrolled();
    const { v4 } = await world.ips('server');
    assert.deepEqual(await world.burst(await world.ref('client'), v4, 3), { ok: 3, failed: {} });
    const seen =
      /connection complete.*src\.identity="spiffe:\/\/cluster\.local\/ns\/e2e\/sa\/client".*dst\.identity="spiffe:\/\/cluster\.local\/ns\/e2e\/sa\/[^"]+".*direction="inbound"/;
    await until('it is in the access log', async () =>
      seen.test(await kubectl.ok(['logs', '-l', 'app=ztunnel', '--tail=200', ...space])),
    );
  }

  async podsOf(app: string): Promise<readonly Pod[]> {
    return (await this.world.lab.pods()).filter(
      ({ metadata }) => metadata.namespace === 'istio-system' && metadata.labels?.['app.kubernetes.io/name'] === app,
    );
  }

  async uids(app: string): Promise<readonly string[]> {
    return (await this.podsOf(app)).map((p) => p.metadata.uid).sort();
  }

  /** helm does not wait for the end of what was replaced, and for DaemonSets not until all pods are. */
  async replaced(app: string, old: readonly string[]): Promise<void> {
    await until(
      `every pod of ${app} is another one`,
      async () => {
        const pods = await this.podsOf(app);
        const isReady = ({ status }: Pod) => status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True');
        return pods.length === old.length && pods.every((p) => !old.includes(p.metadata.uid) && isReady(p));
      },
      120_000,
    );
  }
}

/** To the Service by both families, and to a pod on the same node. */
export class Calls {
  readonly #streams: readonly Stream<LoopCall>[];

  private constructor(streams: readonly Stream<LoopCall>[]) {
    this.#streams = streams;
  }

  static async start(world: World): Promise<Calls> {
    const { v4, v6 } = await world.vips();
    return new Calls(
      await Promise.all([
        world.loop(await world.ref('client'), v4, pace, 'helm'),
        world.loop(await world.ref('stranger'), v6, pace, 'helm'),
        world.loop(await world.ref('near'), (await world.ips('server')).v4, pace, 'helm'),
      ]),
    );
  }

  /** So far. Each says when it began. */
  get lost(): readonly { readonly source: number; readonly at: string; readonly error: string }[] {
    return this.#streams.flatMap(({ lines }, source) =>
      lines
        .filter(({ error }) => error !== '')
        .map(({ at, error }) => ({ source, at: new Date(at).toISOString(), error })),
    );
  }

  /** How many were answered or lost so far. */
  get made(): number {
    return this.#streams.reduce((sum, { lines }) => sum + lines.length, 0);
  }

  /** Ends them; every one must have been answered. Says how many there were. */
  async end(): Promise<string> {
    for (const stream of this.#streams) await stream.finish();
    assert.deepEqual(this.lost, []);
    for (const { lines } of this.#streams) assert.ok(lines.length > 100, 'calls were made');
    const made = this.#streams.flatMap(({ lines }) => lines);
    return `${made.length} calls, 0 failed; slowest ${Math.max(...made.map((c) => c.ms))} ms`;
  }
}
