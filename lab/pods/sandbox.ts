/** The namespaces, the link and the cgroup of a pod, and the process that holds them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { type Addresses, podGateway } from '../addresses.ts';
import { addToNetwork, type CniFolders, type CniResult, checkNetwork, removeFromNetwork } from '../cni/network.ts';
import type { LabNode } from '../daemon/runtime.ts';
import { netnsName, netnsPath, podHash } from '../names.ts';
import { cgroupProcesses, killCgroup, makeCgroup, removeCgroup } from '../system/cgroup.ts';
import { configureNetns, deleteNetns } from '../system/netns.ts';
import { run, systemPath } from '../system/run.ts';
import { linkPod, unlinkPod } from '../topology/build.ts';
import type { PodLink } from '../topology/hosts.ts';
import { type Namespaces, sandboxArgv } from './launch.ts';

export interface Sandbox {
  readonly namespaces: Namespaces;
  readonly cgroup: string;
  /** MeshError when a CNI plugin says that the pod's network is not as it should be. */
  checkNetwork(signal: AbortSignal): Promise<void>;
  /** Kills what is left in the pod and removes all of it. May be called again. */
  remove(): Promise<void>;
}

export interface SandboxOptions {
  readonly lab: string;
  readonly node: LabNode;
  readonly folders: CniFolders;
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly hostname: string;
  /** Path below /proc/sys -> value, of its own network. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** undefined: the pod shares its node's network. */
  readonly addresses: Addresses | undefined;
  readonly log: Logger;
}

/** MeshError with the reason when a CNI plugin refuses; nothing is left then, and it may be tried again. */
export async function makeSandbox(o: SandboxOptions, signal: AbortSignal): Promise<Sandbox> {
  const network = o.addresses === undefined ? undefined : await makeNetwork(o, o.addresses, signal);
  const cgroup = makeCgroup(join(o.node.cgroup, 'kubepods', `pod${o.pod.uid}`));
  const own = makeCgroup(join(cgroup, 'sandbox'));
  const argv = sandboxArgv(network?.netns ?? netnsPath(o.node.netns), own, o.hostname);
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: systemPath } });
  const pid = await ready(child, own);
  let removed: Promise<void> | undefined;
  const remove = async () => {
    await killCgroup(cgroup);
    await removeCgroup(cgroup);
    await network?.remove();
  };
  return {
    namespaces: { net: `/proc/${pid}/ns/net`, uts: `/proc/${pid}/ns/uts` },
    cgroup,
    checkNetwork: async (until) => network?.check(until),
    remove: () => {
      removed ??= remove();
      return removed;
    },
  };
}

interface PodNetwork {
  readonly netns: string;
  check(signal: AbortSignal): Promise<void>;
  remove(): Promise<void>;
}

/** A namespace that the node's CNI plugins have connected. No process of the pod runs yet. */
async function makeNetwork(o: SandboxOptions, addresses: Addresses, signal: AbortSignal): Promise<PodNetwork> {
  const { lab, node, pod, log } = o;
  const link: PodLink = {
    netns: netnsName(lab, podHash(pod.uid)),
    nodeNetns: node.netns,
    link: `pod${podHash(pod.uid)}`,
    node: node.address,
    pod: addresses,
  };
  const netns = netnsPath(link.netns);
  const make = async () => {
    await linkPod(link);
    if (Object.keys(o.sysctls).length > 0) await configureNetns(link.netns, o.sysctls, []);
    return linkResult(netns, addresses);
  };
  const attachment = { folders: o.folders, netns, pod, link: { make, remove: () => unlinkPod(link) } };
  const remove = async (result: CniResult | undefined) => {
    try {
      await removeFromNetwork(attachment, result);
    } catch (e) {
      log.warn('a CNI plugin failed to clean up after a pod', { pod: pod.name, error: describeError(e) });
    }
    await deleteNetns([link.netns]);
  };
  await run(['ip', 'netns', 'add', link.netns]);
  try {
    const result = await addToNetwork(attachment, signal);
    return {
      netns,
      check: (until) => checkNetwork(attachment, result, until),
      remove: () => remove(result),
    };
  } catch (e) {
    await remove(undefined);
    throw e;
  }
}

function linkResult(netns: string, { v4, v6 }: Addresses): CniResult {
  return {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'eth0', sandbox: netns }],
    ips: [
      { address: `${v4}/32`, gateway: podGateway.v4, interface: 0 },
      { address: `${v6}/128`, gateway: podGateway.v6, interface: 0 },
    ],
    dns: {},
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
