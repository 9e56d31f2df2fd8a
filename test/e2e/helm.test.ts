/**
 * The mesh by its charts, as on any cluster: `helm install` into a lab that has none, one label, calls with identities; upgrades,
 * rollbacks and what uninstalls leave behind.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { labConfigFile } from '../../lab/cni/network.ts';
import { cgroupName, labPaths, netnsName, netnsPath } from '../../lab/names.ts';
import { cgroupRoot } from '../../lab/system/cgroup.ts';
import { Helm, skipWithoutHelm } from '../harness/helm.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { skipUnless } from '../harness/require.ts';
import type { LoopCall } from './tools/traffic.ts';
import { type Stream, World } from './world.ts';

const charts = join(import.meta.dirname, '../../charts');
const space = ['-n', 'istio-system'];
const waiting = ['--wait', '--timeout', '90s'];
const releases = { base: 'istio-base', istiod: 'istiod', cni: 'istio-cni', ztunnel: 'ztunnel' } as const;
type Chart = keyof typeof releases;
/** ms between calls of one source. */
const pace = 50;
/** Peers keep their tunnels open; what drains them waits for the deadline. */
const quick = ['--set', 'ztunnel.terminationGracePeriodSeconds=8'];

const skip =
  skipUnless('ebpf', 'plugin', 'program:ip', 'program:nft', 'program:bpftool') ||
  skipWithoutHelm() ||
  skipWithoutKubectl();

describe('the mesh by helm', { skip }, () => {
  let world: World;
  let helm: Helm;
  let kubectl: Kubectl;
  let values: string;
  let asBefore: string;
  before(async () => {
    world = await World.bare('helm');
    helm = new Helm(world.lab.kubeconfig);
    kubectl = new Kubectl(world.lab.kubeconfig);
    values = labPaths(world.lab.name).values;
    asBefore = nodesOf(world);
  });
  after(() => world?.down());

  const install = (chart: Chart, ...more: readonly string[]) =>
    helm.ok([
      'install',
      releases[chart],
      join(charts, chart),
      ...space,
      '--create-namespace',
      '-f',
      values,
      ...quick,
      ...more,
    ]);
  const upgrade = (chart: Chart, ...more: readonly string[]) =>
    helm.ok(['upgrade', releases[chart], join(charts, chart), ...space, '-f', values, ...quick, ...more, ...waiting]);
  const uninstall = (name: string) => helm.ok(['uninstall', name, ...space, ...waiting]);
  const podsOf = async (app: string) =>
    (await world.lab.pods()).filter(
      (p) => p.metadata.namespace === 'istio-system' && p.metadata.labels?.['app.kubernetes.io/name'] === app,
    );
  const uids = async (app: string) => (await podsOf(app)).map((p) => p.metadata.uid).sort();

  test('four installs and a label, and calls have identities', async (t) => {
    const began = performance.now();
    const lap = (what: string) => t.diagnostic(`${what} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
    for (const chart of ['base', 'istiod', 'cni'] as const) await install(chart).then(() => lap(chart));
    await install('ztunnel', ...waiting);
    lap('every ztunnel is ready');
    await enter(world);
    lap('first call with identities (goal 20)');
    assert.equal((await podsOf('ztunnel')).length, world.lab.nodes.length);
  });

  test('what its objects say holds: rights, users, file systems', async () => {
    for (const [app, caps] of [
      ['ztunnel', ['kill', 'net_admin', 'setgid', 'setpcap', 'setuid', 'sys_admin']],
      ['istio-cni', ['dac_override', 'net_admin', 'sys_admin', 'sys_ptrace']],
      ['istiod', []],
    ] as const) {
      const [pod] = await podsOf(app);
      const ref = { namespace: 'istio-system', name: pod!.metadata.name };
      const { stdout } = await world.lab.exec(ref, [
        'sh',
        '-c',
        'grep -E "^(CapBnd|NoNewPrivs|Uid)" /proc/self/status; touch /usr/x 2>&1',
      ]);
      assert.equal(capabilitiesIn(stdout).join(), caps.join(), `${app}: ${stdout}`);
      assert.match(stdout, /Read-only file system/);
      assert.match(stdout, app === 'istiod' ? /^Uid:\t1337\t/m : /^Uid:\t0\t/m);
      assert.match(stdout, app === 'istiod' ? /^NoNewPrivs:\t1$/m : /^NoNewPrivs:\t0$/m);
    }
  });

  test('upgrades of each part, and a rollback, lose no call', async (t) => {
    const calls = await sources(world);
    const first = await uids('ztunnel');
    await upgrade('ztunnel', '--set', 'logLevel=debug');
    const second = await replaced(first);
    // helm takes the agents for ready while one of them is still replaced, and its ztunnel is rolled without it.
    await Promise.all([
      upgrade('cni', '--set', 'logging.level=debug'),
      upgrade('istiod', '--set', 'global.logging.level=default:debug'),
    ]);
    await helm.ok(['rollback', 'ztunnel', '1', ...space, ...waiting]);
    await replaced(second);
    await ended(t, calls);
  });

  test('uninstalled from the top down, and once more, nodes are as before and calls are plain', async () => {
    for (const chart of ['base', 'istiod', 'ztunnel', 'cni'] as const) await uninstall(releases[chart]);
    await calledPlainly(world);
    assert.equal(nodesOf(world), asBefore);
    assert.equal(await helm.ok(['list', '-aq', ...space]), '');
    assert.match((await helm.run(['uninstall', 'istio-cni', ...space])).stderr, /release: not found/);
    await helm.ok(['uninstall', 'istio-cni', ...space, '--ignore-not-found']);
    const kept = await kubectl.ok(['get', 'crd', '-o', 'name']);
    assert.match(kept, /virtualservices\.networking\.istio\.io/);
  });

  test('by one chart, beside definitions that are there, and gone with it', async () => {
    await kubectl.ok(['label', 'namespace', 'e2e', 'istio.io/dataplane-mode-']);
    const all = ['install', 'ambient', join(charts, 'ambient'), ...space, '-f', values, ...quick, '--take-ownership'];
    await helm.ok([...all, ...waiting]);
    await enter(world);
    await uninstall('ambient');
    await calledPlainly(world);
    assert.equal(nodesOf(world), asBefore);
  });

  /** helm does not wait for the end of what was replaced. */
  async function replaced(old: readonly string[]): Promise<readonly string[]> {
    await until(
      'every ztunnel is another one',
      async () => !(await uids('ztunnel')).some((uid) => old.includes(uid)),
      60_000,
    );
    return uids('ztunnel');
  }

  /** Labels the namespace, and calls until a call has identities at both ends. */
  async function enter({ lab }: World): Promise<void> {
    await kubectl.ok(['label', 'namespace', 'e2e', 'istio.io/dataplane-mode=ambient', '--overwrite']);
    await lab.waitEnrolled();
    const { v4 } = await world.ips('server');
    assert.deepEqual(await world.burst(await world.ref('client'), v4, 3), { ok: 3, failed: {} });
    const seen =
      /connection complete.*src\.identity="spiffe:\/\/cluster\.local\/ns\/e2e\/sa\/client".*dst\.identity="spiffe:\/\/cluster\.local\/ns\/e2e\/sa\/[^"]+".*direction="inbound"/;
    await until('it is in the access log', async () =>
      seen.test(await kubectl.ok(['logs', '-l', 'app=ztunnel', '--tail=200', ...space])),
    );
  }
});

async function calledPlainly(world: World): Promise<void> {
  const { v4 } = await world.ips('server');
  assert.deepEqual(await world.burst(await world.ref('client'), v4, 3), { ok: 3, failed: {} });
}

/** To the Service by both families, and to a pod on the same node. */
async function sources(world: World): Promise<readonly Stream<LoopCall>[]> {
  const { v4, v6 } = await world.vips();
  return Promise.all([
    world.loop(await world.ref('client'), v4, pace, 'helm'),
    world.loop(await world.ref('stranger'), v6, pace, 'helm'),
    world.loop(await world.ref('near'), (await world.ips('server')).v4, pace, 'helm'),
  ]);
}

async function ended(t: TestContext, calls: readonly Stream<LoopCall>[]): Promise<void> {
  for (const stream of calls) await stream.finish();
  const made = calls.flatMap(({ lines }, source) => lines.map((line) => ({ source, ...line })));
  assert.deepEqual(
    made.filter(({ error }) => error !== ''),
    [],
  );
  for (const { lines } of calls) assert.ok(lines.length > 100, 'calls were made');
  t.diagnostic(`${made.length} calls, 0 failed; slowest ${Math.max(...made.map((c) => c.ms))} ms`);
}

/** What nodes and their pods have of a mesh: files, pins, attached programs, rules, routes. */
function nodesOf({ lab }: World): string {
  const inside = (netns: string, ...argv: readonly string[]) =>
    execFileSync('nsenter', [`--net=${netns}`, ...argv], { encoding: 'utf8' });
  return lab.nodes
    .map((node) => {
      const files = (folder: string) => {
        try {
          return readdirSync(join(lab.dir, node, folder))
            .filter((name) => !name.endsWith('.debug'))
            .sort();
        } catch {
          return [];
        }
      };
      const netns = netnsPath(netnsName(lab.name, node));
      const cgroup = join(cgroupRoot(), cgroupName(lab.name), node);
      return JSON.stringify(
        {
          node,
          bpf: files('bpf'),
          plugins: files('cni/bin'),
          sockets: [...files('cni/run'), ...files('ztunnel')],
          network: readFileSync(join(lab.dir, node, 'cni/net.d', labConfigFile), 'utf8'),
          programs: execFileSync('bpftool', ['cgroup', 'tree', cgroup], { encoding: 'utf8' }).split('\n').slice(1),
          tables: inside(netns, 'nft', 'list', 'tables'),
          rules: [inside(netns, 'ip', 'rule'), inside(netns, 'ip', '-6', 'rule')],
        },
        undefined,
        1,
      );
    })
    .join('\n');
}

const names = [
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...['linux_immutable', 'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner'],
  ...['sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin'],
];

/** Of /proc/PID/status: what the process and all that it starts can ever have. */
function capabilitiesIn(status: string): readonly string[] {
  const bits = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return Array.from({ length: 41 }, (_, i) => i)
    .filter((i) => ((bits >> BigInt(i)) & 1n) === 1n)
    .map((i) => names[i] ?? `capability ${i}`)
    .sort();
}
