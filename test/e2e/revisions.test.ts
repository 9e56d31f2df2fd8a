/**
 * Two revisions of istiod in one cluster: a namespace moves from one to the other by its tag, and the first one goes, while calls run
 * through a waypoint; node proxies move by their chart.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { labPaths } from '../../lab/names.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { goProgramPath } from '../harness/go-programs.ts';
import { Helm, skipWithoutHelm } from '../harness/helm.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { skipUnless } from '../harness/require.ts';
import { meshNamespace, World } from './world.ts';

const checkout = join(import.meta.dirname, '../..');
const charts = join(checkout, 'charts');
const space = ['-n', 'istio-system'];
/** Peers keep their tunnels open; what drains them waits for the deadline. */
const quick = ['--set', 'ztunnel.terminationGracePeriodSeconds=8'];
/** ms between calls of one source. */
const pace = 50;

const skip = skipUnless('ebpf', 'plugin', 'program:ip', 'program:nft') || skipWithoutHelm() || skipWithoutKubectl();

describe('two revisions', { skip }, () => {
  let world: World;
  let helm: Helm;
  let kubectl: Kubectl;
  let aquifer: ClientProgram;
  before(async () => {
    world = await World.bare('revs');
    helm = new Helm(world.lab.kubeconfig);
    kubectl = new Kubectl(world.lab.kubeconfig);
    aquifer = new ClientProgram(join(checkout, 'bin/aquifer'), world.lab.kubeconfig);
  });
  after(() => world?.down());

  const values = () => ['-f', labPaths(world.lab.name).values];
  const mesh = (verb: 'install' | 'upgrade', ...more: readonly string[]) =>
    helm.ok([
      ...[verb, 'ambient', join(charts, 'ambient'), ...space, ...values(), ...quick, ...more],
      ...['--wait', '--timeout', '120s'],
    ]);
  const waypointPods = async () =>
    (await world.lab.pods()).filter(
      (p) => p.metadata.labels?.['gateway.networking.k8s.io/gateway-name'] === 'waypoint',
    );
  /** Proxies by the istiod that they are connected to. */
  const connected = async (revision: string) => {
    const lines = (await aquifer.ok(['proxy-status', '--revision', revision])).trim().split('\n').slice(1);
    return lines
      .map((line) => line.split('-')[0])
      .sort()
      .join();
  };

  test('install, tag, waypoint', async () => {
    await mesh('install', '--create-namespace');
    const canary = ['istiod-canary', join(charts, 'istiod'), ...space, ...values(), '--set', 'revision=canary'];
    await helm.ok(['install', ...canary, '--wait', '--timeout', '90s']);
    await aquifer.ok(['tag', 'set', 'prod', '--revision', 'default']);
    await kubectl.ok(['label', 'namespace', meshNamespace, 'istio.io/dataplane-mode=ambient', 'istio.io/rev=prod']);
    await world.lab.waitEnrolled();
    await aquifer.ok(['waypoint', 'apply', '-n', meshNamespace, '--enroll-namespace', '--wait']);
    assert.equal(
      await aquifer.ok(['tag', 'list']),
      'TAG    REVISION   NAMESPACES\n       canary\nprod   default    e2e\n',
    );
    await until('everybody is at the first', async () => (await connected('default')) === 'waypoint,ztunnel,ztunnel');
  });

  test('the tag, and the end of the first istiod: no call is lost', async (t) => {
    const { v4, v6 } = await world.vips();
    const calls = await Promise.all([
      world.loop(await world.ref('client'), v4, pace, 'revs'),
      world.loop(await world.ref('stranger'), v6, pace, 'revs'),
      world.loop(await world.ref('near'), v4, pace, 'revs'),
    ]);
    const [old] = await waypointPods();
    await aquifer.ok(['tag', 'set', 'prod', '--revision', 'canary', '--overwrite']);
    await until(
      'the waypoint is another one',
      async () => {
        const pods = await waypointPods();
        return pods.length === 1 && pods[0]!.metadata.uid !== old!.metadata.uid;
      },
      90_000,
    );
    await until('the waypoint has moved', async () => (await connected('canary')) === 'waypoint');
    await kubectl.ok(['scale', 'deployment', 'istiod', '--replicas=0', ...space]);
    const said = async () =>
      kubectl.ok(['get', 'gtw', 'waypoint', '-n', meshNamespace, '-o', 'jsonpath={.status.conditions[*].status}']);
    assert.match(await said(), /^True( True)*$/);
    const made = () => calls.reduce((sum, { lines }) => sum + lines.length, 0);
    const enough = made() + 300;
    await until('calls after all of it', () => made() > enough, 60_000);
    for (const stream of calls) await stream.finish();
    const failed = calls
      .flatMap(({ lines }, source) => lines.map((line) => ({ source, ...line })))
      .filter((l) => l.error !== '');
    assert.deepEqual(failed, []);
    t.diagnostic(`${made()} calls, 0 failed`);
  });

  test('node proxies move by their chart', async () => {
    await mesh('upgrade', '--set', 'ztunnel.revision=canary');
    await until('all have moved', async () => (await connected('canary')) === 'waypoint,ztunnel,ztunnel', 60_000);
    const { v4 } = await world.vips();
    await until('they serve', async () => (await world.burst(await world.ref('client'), v4, 3)).ok === 3);
  });

  test('aquifer migrate sees what of that is done, and its commands do the rest', async () => {
    interface Step {
      readonly id: string;
      readonly done: boolean;
      readonly commands: readonly string[];
    }
    const migrate = ['migrate', '--revision', 'canary'];
    const steps = (JSON.parse(await aquifer.ok([...migrate, '-o', 'json'])) as { readonly steps: readonly Step[] })
      .steps;
    assert.deepEqual(
      steps.filter((s) => !s.done).map((s) => s.id),
      ['default'],
    );
    const { KUBECONFIG: _, ...rest } = process.env;
    const path = `${dirname(goProgramPath('helm'))}:${join(checkout, 'bin')}:${rest['PATH']}`;
    const env = { ...rest, PATH: path, KUBECONFIG: world.lab.kubeconfig };
    for (const command of steps.find((s) => s.id === 'default')!.commands)
      execFileSync('sh', ['-ec', command], { env });
    assert.match(await aquifer.ok([...migrate, '--check', 'default']), /^ok +they belong to revision canary/);
  });
});
