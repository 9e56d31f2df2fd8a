/** Node objects, and what nodes are on this machine. */
import { mkdir, writeFile } from 'node:fs/promises';
import { arch, availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { type Node, nodeKind } from '../../common/kube/kinds/core.ts';
import { leaseKind } from '../../common/kube/schema/cluster.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { nodeAddress, podRange } from '../addresses.ts';
import { cniFolders, labConfig, labConfigFile, pluginRunFolders } from '../cni/network.ts';
import { type LabPaths, netnsName } from '../names.ts';
import { makeCgroup } from '../system/cgroup.ts';
import { run } from '../system/run.ts';
import { nodeName } from '../topology/hosts.ts';
import type { LabNode, Runtime } from './runtime.ts';

/** As many as a node has addresses for. */
const mostPods = 253;
/** Ms between renewals, as kubelet's. */
const renewal = millis(10_000);

/** Cgroups of a node: pods, the mesh's programs, and what probes. */
const nodeCgroups = ['kubepods', 'ztunnel', 'agent', 'kubelet'] as const;

export interface NodeOptions {
  readonly lab: string;
  readonly paths: LabPaths;
  readonly labCgroup: string;
}

/** What a node has on this machine before the cluster knows of it. */
export async function prepareNode(o: NodeOptions, index: number): Promise<Omit<LabNode, 'uid'>> {
  const name = nodeName(index);
  const cgroup = join(o.labCgroup, name);
  for (const part of nodeCgroups) makeCgroup(join(cgroup, part));
  const bpf = join(o.paths.node(name), 'bpf');
  await mkdir(bpf, { recursive: true });
  await run(['mount', '-t', 'bpf', `aquifer-${o.lab}-${name}`, bpf]);
  const cni = cniFolders(o.paths.node(name));
  const seen = pluginRunFolders.map((name) => join(cni.run, name));
  for (const folder of [cni.netDir, cni.binDir, ...seen]) await mkdir(folder, { recursive: true });
  await writeFile(join(cni.netDir, labConfigFile), labConfig);
  return { name, index, address: nodeAddress(index), netns: netnsName(o.lab, name), cgroup };
}

/** Makes the Node, as a kubelet does that starts. */
export async function registerNode(source: KubeSource, node: Omit<LabNode, 'uid'>): Promise<LabNode> {
  const { name, index, address } = node;
  const labels = {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch() === 'x64' ? 'amd64' : arch(),
    'topology.kubernetes.io/region': 'lab',
    'topology.kubernetes.io/zone': `zone-${index}`,
  };
  const range = podRange(index);
  const { metadata } = await source.create<Node>(nodeKind, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec: { podCIDR: range.v4, podCIDRs: [range.v4, range.v6] },
  });
  const resources = { cpu: String(availableParallelism()), memory: String(totalmem()), pods: String(mostPods) };
  const status = {
    addresses: [
      { type: 'InternalIP', address: address.v4 },
      { type: 'InternalIP', address: address.v6 },
      { type: 'Hostname', address: name },
    ],
    capacity: resources,
    allocatable: resources,
    conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'the lab runs its pods' }],
  };
  await source.patch(nodeKind, { name }, { status }, { subresource: 'status' });
  return { ...node, uid: metadata.uid };
}

/** Says that the node is alive until the signal aborts; a node that is silent for 40 s is not Ready any more. */
export async function renewLease(
  source: KubeSource,
  { name, uid }: LabNode,
  { clock, log }: Pick<Runtime, 'clock' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  const key = { namespace: 'kube-node-lease', name };
  const renewTime = () => new Date(clock.wall()).toISOString().replace('Z', '000Z');
  await source.create(leaseKind, {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...key, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }] },
    spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime: renewTime() },
  });
  for (;;) {
    await sleep(clock, renewal, signal);
    if (signal.aborted) return;
    try {
      await source.patch(leaseKind, key, { spec: { renewTime: renewTime() } });
    } catch (e) {
      log.warn('the lease of a node cannot be renewed', { node: name, error: describeError(e) });
    }
  }
}
