/** Node objects, and what nodes are on this machine. */
import { mkdir, writeFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { join } from 'node:path';
import { type Node, nodeKind } from '../../common/kube/kinds/core.ts';
import type { KubeSource } from '../../common/kube/types.ts';
import { nodeAddress, podRange } from '../addresses.ts';
import { cniFolders, labConfig, labConfigFile } from '../cni/network.ts';
import { type LabPaths, netnsName } from '../names.ts';
import { makeCgroup } from '../system/cgroup.ts';
import { run } from '../system/run.ts';
import type { LabNode } from './runtime.ts';

/** Cgroups of a node: pods, the mesh's programs, and what probes. */
const nodeCgroups = ['kubepods', 'ztunnel', 'agent', 'kubelet'] as const;

export interface NodeOptions {
  readonly lab: string;
  readonly paths: LabPaths;
  readonly labCgroup: string;
  readonly source: KubeSource;
}

export async function makeNode(o: NodeOptions, index: number): Promise<LabNode> {
  const name = `node-${index}`;
  const address = nodeAddress(index);
  const labels = {
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch() === 'x64' ? 'amd64' : arch(),
    'topology.kubernetes.io/region': 'lab',
    'topology.kubernetes.io/zone': `zone-${index}`,
  };
  const cgroup = join(o.labCgroup, name);
  for (const part of nodeCgroups) makeCgroup(join(cgroup, part));
  const bpf = join(o.paths.node(name), 'bpf');
  await mkdir(bpf, { recursive: true });
  await run(['mount', '-t', 'bpf', `aquifer-${o.lab}-${name}`, bpf]);
  const cni = cniFolders(o.paths.node(name));
  for (const folder of [cni.netDir, cni.binDir]) await mkdir(folder, { recursive: true });
  await writeFile(join(cni.netDir, labConfigFile), labConfig);
  const range = podRange(index);
  const object = await o.source.create<Node>(nodeKind, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
    spec: { podCIDR: range.v4, podCIDRs: [range.v4, range.v6] },
  });
  const status = {
    addresses: [
      { type: 'InternalIP', address: address.v4 },
      { type: 'InternalIP', address: address.v6 },
      { type: 'Hostname', address: name },
    ],
    conditions: [{ type: 'Ready', status: 'True', reason: 'LabNode' }],
  };
  await o.source.patch(nodeKind, { name }, { status }, { subresource: 'status' });
  return { name, index, uid: object.metadata.uid, address, netns: netnsName(o.lab, name), cgroup, labels };
}
