/** `bin/cni-agent` itself, on real pods: it is killed, started anew, told to stop and uninstalled. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { namespaceKind, podKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import { backends } from '../capture/backends.ts';
import { Bed, ip4, ip6, objectPath, tool } from '../capture/bed.ts';
import { skipUnless } from '../harness/require.ts';
import { ScriptedZtunnel } from '../harness/scripted-ztunnel.ts';
import { AgentProcess, program } from './agent-process.ts';
import { type KubeApi, startKubeApi } from './kube-api.ts';

const annotation = 'ambient.istio.io/redirection';
const mode = 'istio.io/dataplane-mode';

for (const { kind, requires } of backends)
  describe(`cni-agent with ${kind}`, { skip: skipUnless(...requires) }, () => {
    let bed: Bed;
    let dir: string;
    let kube: KubeSource;
    let api: KubeApi;
    let uid: string;
    let podCgroup: string;
    const agents: AgentProcess[] = [];
    const ztunnels: ScriptedZtunnel[] = [];

    before(async () => {
      bed = await Bed.make(kind);
      dir = mkdtempSync(join(tmpdir(), 'aq-agent-'));
      api = await startKubeApi(bed, dir);
      kube = api.kube;
      await kube.create(namespaceKind, {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'shop', labels: { [mode]: 'ambient' } },
      });
      await until('the account of pods', () => kube.get(serviceAccountKind, { namespace: 'shop', name: 'default' }));
      const pod = await kube.create(podKind, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'web', namespace: 'shop' },
        spec: { containers: [{ name: 'app', image: 'app' }], nodeName: 'n1' },
      });
      uid = pod.metadata.uid;
      await kube.patch(
        podKind,
        { namespace: 'shop', name: 'web' },
        { status: { phase: 'Running', podIPs: [{ ip: ip4.p1 }, { ip: ip6.p1 }] } },
        { subresource: 'status' },
      );
      podCgroup = join(bed.cgroup, `pod${uid}`);
      mkdirSync(podCgroup);
      const { pid } = bed.start({ netns: 'p1' }, ['cat']);
      await until('the app runs in its namespace', () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'cat\n');
      writeFileSync(join(podCgroup, 'cgroup.procs'), String(pid));
    });

    afterEach(async () => {
      for (const ztunnel of ztunnels.splice(0)) ztunnel.close();
      for (const agent of agents.splice(0)) {
        await agent.end('SIGKILL');
      }
    });

    after(async () => {
      // Its relay is in the bed's cgroup.
      await api[Symbol.asyncDispose]();
      await bed.reset();
      await until('the cgroup is empty', () => {
        rmdirSync(podCgroup);
        return true;
      });
      await bed.remove();
      rmSync(dir, { recursive: true });
    });

    const zdsPath = () => join(dir, 'ztunnel.sock');

    function start(command: 'run' | 'uninstall' = 'run'): AgentProcess {
      const agent = AgentProcess.start(bed, dir, command);
      agents.push(agent);
      return agent;
    }

    /** Its listeners live until the bed is reset. */
    async function ztunnel(): Promise<ScriptedZtunnel> {
      const scripted = await until('the agent listens', () => new ScriptedZtunnel(zdsPath()));
      const proxy = bed.proxy('p1');
      scripted.onAdd = async (pod) => (kind === 'ebpf' ? scripted.steer(pod, proxy.targets) : '');
      ztunnels.push(scripted);
      return scripted;
    }

    const announced = (value: string | undefined) =>
      until(`the pod is announced as ${value}`, async () => {
        const pod = await kube.get(podKind, { namespace: 'shop', name: 'web' });
        return pod !== undefined && pod.metadata.annotations?.[annotation] === value;
      });

    const setMode = (value: string | null) =>
      kube.patch(namespaceKind, { name: 'shop' }, { metadata: { labels: { [mode]: value } } });

    test('captures a pod; capture outlives kill -9 and is taken over without a gap; uninstall removes it', async () => {
      const first = start();
      const proxied = await ztunnel();
      await announced('enabled');
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 8080)).told.to, `${ip4.ext}:8080`);

      await first.end('SIGKILL');
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 8081)).told.to, `${ip4.ext}:8081`);
      proxied.close();

      // New connections all the while the next agent loads, replaces the programs and gets a ztunnel.
      const stress = bed.start({ netns: 'p1' }, [tool('stress'), '1']);
      let report = '';
      stress.stdout!.on('data', (d) => {
        report += d;
      });
      const ended = new Promise((resolve) => stress.once('close', resolve));
      start();
      const second = await ztunnel();
      await second.has('snapshotSent');
      assert.ok(second.log.includes(`add ${uid}`) || second.log.includes(`keep ${uid}`));
      await second.has(`add ${uid}`);
      stress.stdin!.end();
      await ended;
      const { connections, failed, wrong } = JSON.parse(report) as Record<'connections' | 'failed' | 'wrong', number>;
      assert.ok(connections > 0);
      assert.deepEqual({ failed, wrong }, { failed: 0, wrong: 0 });

      await setMode(null);
      await announced(undefined);
      await second.has(`del ${uid}`);
      // Nobody listens there: directly, that is a refusal of the other host, not an answer of the proxy.
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 8080)).error, 'ECONNREFUSED');

      await setMode('ambient');
      await announced('enabled');
      const last = agents.at(-1)!;
      assert.equal(await last.end('SIGTERM'), 0);
      assert.match(last.output, /capture stays as it is/);
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 8080)).told.to, `${ip4.ext}:8080`);

      const uninstall = start('uninstall');
      assert.equal(await uninstall.exited, 0, uninstall.output);
      await announced(undefined);
      assert.deepEqual(existsSync(bed.pinDir) ? bed.pins() : [], []);
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 8080)).error, 'ECONNREFUSED');
    });

    test('refuses to start beside another capture that stands', async () => {
      const first = start();
      await until('it is ready', () => first.output.includes('capture agent is ready'));
      await first.end('SIGTERM');
      const other = kind === 'ebpf' ? 'nft' : 'ebpf';
      const second = AgentProcess.start(bed, dir, 'run', { AQUIFER_CAPTURE: other });
      assert.equal(await second.exited, 1);
      assert.match(second.output, /an earlier agent captures by .*: run cni-agent uninstall first/);
      assert.equal(await start('uninstall').exited, 0);
    });

    if (kind === 'nft') {
      /** A machine on which the programs of eBPF do not load: their object is no object. */
      const noEbpf = ['unshare', '-m', 'sh', '-c', `mount --bind /dev/null ${objectPath} && exec "$@"`, 'sh'];

      test('is what auto falls back to where the programs of eBPF do not load, and says why', async () => {
        const agent = AgentProcess.start(bed, dir, 'run', { AQUIFER_CAPTURE: 'auto' }, noEbpf);
        agents.push(agent);
        await ztunnel();
        await announced('enabled');
        assert.match(agent.output, /capture is chosen capture="nft" why="eBPF cannot be used: .*cannot be loaded/);
        assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 8080)).told.to, `${ip4.ext}:8080`);
        await agent.end('SIGTERM');
        assert.equal(await start('uninstall').exited, 0);
      });

      test('is what auto falls back to without a BPF file system', async () => {
        const agent = AgentProcess.start(bed, dir, 'run', {
          AQUIFER_CAPTURE: 'auto',
          AQUIFER_BPF_DIR: join(dir, 'bpf'),
        });
        agents.push(agent);
        await until('it has chosen', () => agent.output.includes('capture is chosen'));
        assert.match(agent.output, /capture="nft" why="eBPF cannot be used: .*not in a BPF file system/);
        await agent.end('SIGTERM');
        assert.equal(await start('uninstall').exited, 0);
      });

      test('is not taken where eBPF is forced, or where connections shall fail open', async () => {
        const forced = AgentProcess.start(bed, dir, 'run', { AQUIFER_CAPTURE: 'ebpf' }, noEbpf);
        assert.equal(await forced.exited, 1);
        assert.match(forced.output, /AQUIFER_CAPTURE=ebpf cannot be: .*cannot be loaded/);
        const open = AgentProcess.start(bed, dir, 'run', { AQUIFER_CAPTURE: 'nft', AQUIFER_FAIL_OPEN: 'true' });
        assert.equal(await open.exited, 1);
        assert.match(open.output, /AQUIFER_FAIL_OPEN=true needs eBPF/);
      });
    }

    test('says which capability is missing, and for what', async () => {
      const child = spawn('setpriv', ['--bounding-set=-net_admin,-bpf', '--inh-caps=-all', program], {
        env: {
          ...process.env,
          NODE_NAME: 'n1',
          KUBECONFIG: join(dir, 'kubeconfig'),
          AQUIFER_CGROUP_ROOT: bed.cgroup,
          AQUIFER_ZTUNNEL_CGROUP: join(bed.cgroup, 'ztunnel'),
          AQUIFER_BPF_DIR: bed.pinDir,
        },
      });
      const agent = new AgentProcess(child);
      assert.equal(await agent.exited, 1);
      assert.match(agent.output, /CAP_NET_ADMIN is missing, needed to set routes in pods and attach eBPF programs/);
    });
  });
