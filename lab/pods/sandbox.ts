/** The namespaces, the link and the cgroup of a pod, and the process that holds them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { MeshError } from '../../common/core/errors.ts';
import type { Addresses } from '../addresses.ts';
import type { LabNode } from '../daemon/runtime.ts';
import { netnsName, netnsPath, podHash } from '../names.ts';
import { cgroupProcesses, killCgroup, makeCgroup, removeCgroup } from '../system/cgroup.ts';
import { systemPath } from '../system/run.ts';
import { buildPod, removePod } from '../topology/build.ts';
import type { PodLink } from '../topology/hosts.ts';
import { type Namespaces, sandboxArgv } from './launch.ts';

export interface Sandbox {
  readonly namespaces: Namespaces;
  readonly cgroup: string;
  /** Kills what is left in the pod and removes all of it. */
  remove(): Promise<void>;
}

/** `addresses` undefined: the pod shares its node's network. */
export async function makeSandbox(
  lab: string,
  node: LabNode,
  pod: { readonly uid: string; readonly hostname: string; readonly addresses: Addresses | undefined },
): Promise<Sandbox> {
  const link: PodLink | undefined = pod.addresses && {
    netns: netnsName(lab, podHash(pod.uid)),
    nodeNetns: node.netns,
    link: `pod${podHash(pod.uid)}`,
    node: node.address,
    pod: pod.addresses,
  };
  if (link) await buildPod(link);
  const cgroup = makeCgroup(join(node.cgroup, 'kubepods', `pod${pod.uid}`));
  const own = makeCgroup(join(cgroup, 'sandbox'));
  const argv = sandboxArgv(netnsPath(link?.netns ?? node.netns), own, pod.hostname);
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: systemPath } });
  const pid = await ready(child, own);
  return {
    namespaces: { net: `/proc/${pid}/ns/net`, uts: `/proc/${pid}/ns/uts` },
    cgroup,
    async remove() {
      await killCgroup(cgroup);
      await removeCgroup(cgroup);
      if (link) await removePod(link);
    },
  };
}

/** Says `ready` when it is in its namespaces and its cgroup. */
async function ready(child: ChildProcess, cgroup: string): Promise<number> {
  const [word] = (await Promise.race([once(child.stdout!, 'data'), once(child, 'exit')])) as [unknown];
  if (child.pid !== undefined && String(word).startsWith('ready') && cgroupProcesses(cgroup).includes(child.pid)) {
    return child.pid;
  }
  throw new MeshError('KERNEL', "the process that holds a pod's namespaces ended at once; see the log of the lab");
}
