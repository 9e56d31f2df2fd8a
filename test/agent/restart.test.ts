/** A new agent on a node with 100 pods: all are attached again, and capture stands all the while. How fast is printed, not judged. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { SteeringTargets } from '../../cni/capture/types.ts';
import { namespaceKind, podKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import { closeFd, openNetns } from '../../native/index.ts';
import { Bed, pinnedNode } from '../capture/bed.ts';
import { PodProxy } from '../capture/proxy.ts';
import { skipUnless } from '../harness/require.ts';
import { ScriptedZtunnel } from '../harness/scripted-ztunnel.ts';
import { AgentProcess } from './agent-process.ts';
import { type KubeApi, startKubeApi } from './kube-api.ts';

const count = 100;

/** A connection each 5 ms to where nobody is, which the node proxy answers; until its stdin ends. Prints how many it did not. */
const calls = `
const net = require('node:net');
let made = 0, answered = 0, open = 0, ended = false;
const done = () => { if (ended && open === 0) { console.log(made + ' calls, ' + (made - answered) + ' astray'); process.exit(); } };
const timer = setInterval(() => {
  made++; open++;
  let got = '';
  const s = net.connect({ host: '192.0.2.7', port: 80 });
  s.on('data', (d) => { got += d; });
  s.on('error', () => {});
  s.on('close', () => { if (got.includes('"to":"192.0.2.7:80"')) answered++; open--; done(); });
}, 5);
process.stdin.on('end', () => { clearInterval(timer); ended = true; done(); }).resume();`;
const namespace = 'shop';

interface TestPod {
  readonly uid: string;
  readonly netns: string;
  readonly cgroup: string;
  readonly targets: SteeringTargets;
}

interface Ztunnel {
  close(): void;
  /** Resolves when it has all pods: with ms since the agent listened. */
  attached(): Promise<number>;
}

describe('an agent that is restarted', { skip: skipUnless('ebpf', 'program:ip', 'program:nsenter') }, () => {
  const pods = new Map<string, TestPod>();
  const children: ChildProcess[] = [];
  const agents: AgentProcess[] = [];
  const proxies: PodProxy[] = [];
  let bed: Bed;
  let dir: string;
  let kube: KubeSource;
  let api: KubeApi;

  before(async () => {
    bed = await Bed.make();
    dir = mkdtempSync(join(tmpdir(), 'aq-agent-'));
    api = await startKubeApi(bed, dir);
    kube = api.kube;
    const metadata = { name: namespace, labels: { 'istio.io/dataplane-mode': 'ambient' } };
    await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata });
    await until('the account of pods', () => kube.get(serviceAccountKind, { namespace, name: 'default' }));
    for (let i = 1; i <= count; i++) {
      const pod = await makePod(`web-${i}`, `10.97.0.${i}`);
      pods.set(pod.uid, pod);
    }
    await until('all apps run', () =>
      children.every(({ pid }) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'cat\n'),
    );
  });

  after(async () => {
    for (const agent of agents) await agent.end('SIGKILL');
    for (const child of children) child.kill('SIGKILL');
    for (const proxy of proxies) await proxy.close();
    for (const { cgroup } of pods.values()) {
      await until('the cgroup is empty', () => {
        rmdirSync(cgroup);
        return true;
      });
    }
    // Its relay is in the bed's cgroup.
    await api[Symbol.asyncDispose]();
    await bed.reset();
    await bed.remove();
    rmSync(dir, { recursive: true });
  });

  async function makePod(name: string, address: string): Promise<TestPod> {
    const spec = { containers: [{ name: 'app', image: 'app' }], nodeName: 'n1' };
    const { metadata } = await kube.create(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace },
      spec,
    });
    const status = { phase: 'Running', podIPs: [{ ip: address }] };
    await kube.patch(podKind, { namespace, name }, { status }, { subresource: 'status' });
    const netns = bed.addNetns(name, address);
    const cgroup = join(bed.cgroup, `pod${metadata.uid}`);
    mkdirSync(cgroup);
    const held = openNetns(netns);
    const proxy = new PodProxy(held, 'steered');
    closeFd(held);
    proxies.push(proxy);
    const pod = { uid: metadata.uid, netns, cgroup, targets: proxy.targets };
    inPod(pod, ['cat']);
    return pod;
  }

  function inPod({ netns, cgroup }: Pick<TestPod, 'netns' | 'cgroup'>, argv: readonly string[]): ChildProcess {
    const script = 'echo $$ > "$0/cgroup.procs" && exec nsenter --net="$@"';
    const child = spawn('sh', ['-c', script, cgroup, netns, ...argv], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    return child;
  }

  /** Steers each pod to its own listeners. */
  async function ztunnel(): Promise<Ztunnel> {
    const scripted = await until('the agent listens', () => new ScriptedZtunnel(join(dir, 'ztunnel.sock')), 20_000);
    const steered = new Set<string>();
    scripted.onAdd = async (uid) => {
      const error = await scripted.steer(uid, pods.get(uid)!.targets);
      if (error === '') steered.add(uid);
      return error;
    };
    const listened = performance.now();
    return {
      close: () => scripted.close(),
      async attached() {
        await until('all pods are steered to it', () => steered.size === count, 60_000);
        return performance.now() - listened;
      },
    };
  }

  test(`has its ${count} pods again, and no connection of theirs goes past capture meanwhile`, async (t) => {
    agents.push(AgentProcess.start(bed, dir, 'run'));
    const older = await ztunnel();
    await older.attached();
    const callers = [...pods.values()].slice(0, 2).map((pod) => inPod(pod, [pinnedNode, '-e', calls]));
    const reports = callers.map(async (child) => {
      let text = '';
      for await (const chunk of child.stdout!) text += chunk;
      return text;
    });
    await until('calls are made', () => proxies.slice(0, 2).every((p) => p.outbound.length > 10), 20_000);
    const killed = performance.now();
    await agents[0]!.end('SIGKILL');
    older.close();
    agents.push(AgentProcess.start(bed, dir, 'run'));
    const newer = await ztunnel();
    const took = await newer.attached();
    const all = performance.now() - killed;
    for (const child of callers) child.stdin!.end();
    for (const report of await Promise.all(reports)) assert.match(report, /^[1-9]\d* calls, 0 astray\n$/);
    t.diagnostic(
      `${count} pods attached ${Math.round(all)} ms after kill -9, ${Math.round(took)} ms after the new agent listened`,
    );
    newer.close();
  });
});
