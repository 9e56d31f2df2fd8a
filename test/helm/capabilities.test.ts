/** What happens to `bin/cni-agent` and `bin/ztunnel` without each single one of the capabilities that their charts give them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { namespaceKind, podKind, serviceAccountKind } from '../../common/kube/kinds/core.ts';
import { writeCaFolder } from '../../common/testing/ca-folder.ts';
import { until } from '../../common/testing/until.ts';
import { AgentProcess } from '../agent/agent-process.ts';
import { type KubeApi, startKubeApi } from '../agent/kube-api.ts';
import { Bed, ip4, ip6 } from '../capture/bed.ts';
import { skipUnless } from '../harness/require.ts';
import { ScriptedZtunnel } from '../harness/scripted-ztunnel.ts';
import { meshFile, ourProxy } from '../ztunnel/file-mesh-bed.ts';

const root = join(import.meta.dirname, '../..');

/** Of the chart's DaemonSet, in its order. */
function capabilitiesOf(chart: 'cni' | 'ztunnel'): readonly string[] {
  const template = readFileSync(join(root, 'charts', chart, 'templates/daemonset.yaml'), 'utf8');
  const [, names] = /drop: \[ALL\]\n[^[]*add: \[([A-Z_, ]+)\]/.exec(template) ?? assert.fail(`chart ${chart}`);
  return names!.split(', ').map((name) => name.toLowerCase());
}

/** Starts what follows with the chart's capabilities but one. */
function confined(chart: 'cni' | 'ztunnel', without: string | undefined): readonly string[] {
  const kept = capabilitiesOf(chart).filter((name) => name !== without);
  return ['setpriv', `--bounding-set=-all,${kept.map((name) => `+${name}`).join()}`, '--inh-caps=-all'];
}

const needs = skipUnless('root', 'ebpf', 'plugin', 'program:setpriv', 'program:nsenter');

describe('capabilities of the charts', { skip: needs }, () => {
  let bed: Bed;
  let dir: string;
  let api: KubeApi;
  let podCgroup: string;
  const stranger = 1001;
  const programs: AgentProcess[] = [];

  before(async () => {
    bed = await Bed.make('ebpf');
    dir = mkdtempSync(join(tmpdir(), 'aq-caps-'));
    chmodSync(dir, 0o755);
    api = await startKubeApi(bed, dir);
    const labels = { 'istio.io/dataplane-mode': 'ambient' };
    await api.kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
    await until('its account', () => api.kube.get(serviceAccountKind, { namespace: 'shop', name: 'default' }));
    const key = { name: 'web', namespace: 'shop' };
    const pod = await api.kube.create(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: key,
      spec: { containers: [{ name: 'app', image: 'app' }], nodeName: 'n1' },
    });
    const status = { phase: 'Running', podIPs: [{ ip: ip4.p1 }, { ip: ip6.p1 }] };
    await api.kube.patch(podKind, key, { status }, { subresource: 'status' });
    podCgroup = join(bed.cgroup, `pod${pod.metadata.uid}`);
    mkdirSync(podCgroup);
    const { pid } = bed.start({ netns: 'p1' }, ['setpriv', `--reuid=${stranger}`, '--clear-groups', 'cat']);
    await until('the app runs as another user', () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'cat\n');
    writeFileSync(join(podCgroup, 'cgroup.procs'), String(pid));
  });
  afterEach(async () => {
    for (const program of programs.splice(0)) await program.end('SIGKILL');
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
    await bed.reset();
    await until('the cgroup is empty', () => {
      rmdirSync(podCgroup);
      return true;
    });
    // What a program started ends after it.
    const own = join(bed.cgroup, 'ztunnel/cgroup.procs');
    await until('nothing runs beside this', () => readFileSync(own, 'utf8').trim() === String(process.pid));
    await bed.remove();
    rmSync(dir, { recursive: true });
  });

  /** CNI's folders are as on nodes whose set-up gave them to a user of its own. */
  const start = (without: string | undefined) => {
    for (const folder of ['net.d', 'bin']) {
      rmSync(join(dir, folder), { recursive: true, force: true });
      mkdirSync(join(dir, folder));
      chownSync(join(dir, folder), stranger, stranger);
    }
    const chain = '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"ptp"}]}';
    writeFileSync(join(dir, 'net.d/10-node.conflist'), chain);
    const cni = { CNI_NET_DIR: join(dir, 'net.d'), CNI_BIN_DIR: join(dir, 'bin'), CNI_AGENT_RUN_DIR: dir };
    const agent = AgentProcess.start(bed, dir, 'run', cni, confined('cni', without));
    programs.push(agent);
    return agent;
  };
  /** Each capability of the chart, and what is said without it. */
  const agentSays: Readonly<Record<string, RegExp>> = {
    sys_admin: /CAP_SYS_ADMIN is missing, needed to enter pods' network namespaces/,
    net_admin: /CAP_NET_ADMIN is missing, needed to set routes in pods/,
    sys_ptrace: /step="find-netns" error=".*CAP_SYS_PTRACE/,
    dac_override: /the CNI plugin is not installed.*CAP_DAC_OVERRIDE/,
  };

  test('the agent says what it lacks without any one of them', async () => {
    assert.deepEqual(Object.keys(agentSays), capabilitiesOf('cni'));
    for (const [without, said] of Object.entries(agentSays)) {
      const agent = start(without);
      await until(`${said} without ${without}`, () => said.test(agent.output));
      await agent.end('SIGTERM');
    }
  });

  test('with all of them a pod of another user enters, and the plugin is in folders of another user', async () => {
    const agent = start(undefined);
    const ztunnel = await until('the agent listens', () => new ScriptedZtunnel(join(dir, 'ztunnel.sock')));
    ztunnel.onAdd = async (pod) => ztunnel.steer(pod, bed.proxy('p1').targets);
    await until('the pod is in the mesh', async () => {
      const pod = await api.kube.get(podKind, { namespace: 'shop', name: 'web' });
      return pod?.metadata.annotations?.['ambient.istio.io/redirection'] === 'enabled';
    });
    const chain = join(dir, 'net.d/10-node.conflist');
    await until('the chain has our plugin', () => readFileSync(chain, 'utf8').includes('cni_agent_run_dir'));
    ztunnel.close();
    await agent.end('SIGTERM');
  });

  const proxySays: Readonly<Record<string, RegExp>> = {
    sys_admin: /CAP_SYS_ADMIN is missing, needed to make sockets in pods' network namespaces/,
    net_admin: /CAP_NET_ADMIN is missing, needed for transparent and marked sockets/,
    setuid: /workers keep the user of ztunnel.*CAP_SETUID is missing/,
    setgid: /workers keep the user of ztunnel.*CAP_SETGID is missing/,
    setpcap: /CAP_SETPCAP is missing, needed to take capabilities from workers/,
    kill: /workers keep the user of ztunnel.*CAP_KILL is missing/,
  };

  test('ztunnel says what it lacks without any one of them', async () => {
    assert.deepEqual(Object.keys(proxySays), capabilitiesOf('ztunnel'));
    writeFileSync(join(dir, 'mesh.yaml'), meshFile);
    await writeCaFolder(dir);
    for (const [without, said] of Object.entries(proxySays)) {
      // Its ports are fixed: in a network of its own.
      const child = spawn('unshare', ['--net', ...confined('ztunnel', without), ...ourProxy], {
        env: {
          ...process.env,
          NODE_NAME: 'n1',
          XDS_ADDRESS: '',
          LOCAL_XDS_PATH: join(dir, 'mesh.yaml'),
          FAKE_CA: 'true',
          AQUIFER_FAKE_CA_DIR: dir,
          INPOD_UDS: join(dir, 'nobody.sock'),
        },
      });
      const proxy = new AgentProcess(child);
      programs.push(proxy);
      await until(`${said} without ${without}`, () => said.test(proxy.output));
      await proxy.end('SIGKILL');
    }
  });
});
