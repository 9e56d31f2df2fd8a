/**
 * A pod that the test runs by hand in a lab, in the place of its container runtime and kubelet: it chooses the address, when the
 * address is told to the mesh, and when the network namespace goes.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Ip } from '../../../common/core/net.ts';
import { type Pod, podKind } from '../../../common/kube/kinds/core.ts';
import { until } from '../../../common/testing/until.ts';
import { nodeAddress, podAddress, podGateway } from '../../../lab/addresses.ts';
import {
  type Attachment,
  addToNetwork,
  type CniResult,
  cniFolders,
  removeFromNetwork,
} from '../../../lab/cni/network.ts';
import type { LabApi } from '../../../lab/index.ts';
import { cgroupName, labPaths, netnsName, netnsPath } from '../../../lab/names.ts';
import { programLabel } from '../../../lab/pods/manager.ts';
import { cgroupProcesses, cgroupRoot, killCgroup, removeCgroup } from '../../../lab/system/cgroup.ts';
import { deleteNetns } from '../../../lab/system/netns.ts';
import { run } from '../../../lab/system/run.ts';
import { linkPod, unlinkPod } from '../../../lab/topology/build.ts';
import { meshNamespace } from '../world.ts';

const first = join(import.meta.dirname, '../../tools/build/first');

/** What test/tools/first.c says. */
export interface FirstCall {
  /** ms since the epoch. */
  readonly began: number;
  readonly answered: number;
  /** At most 0: there was no answer. */
  readonly bytes: number;
  readonly error: number;
}

export interface HandPodOptions {
  readonly lab: LabApi;
  readonly name: string;
  readonly account: string;
  /** On node-1. */
  readonly address: { readonly v4: string; readonly v6: string };
}

/** Not one that the lab itself gives out early: host numbers from 200 on, 50 of them. */
export function handAddress(number: number): HandPodOptions['address'] {
  return podAddress(1, 200 + (number % 50));
}

export class HandPod {
  readonly #lab: LabApi;
  readonly #object: Pod;
  readonly #attachment: Attachment;
  readonly #address: HandPodOptions['address'];
  readonly #cgroup: string;
  #result: CniResult | undefined;

  private constructor(options: HandPodOptions, object: Pod) {
    const { lab, name, address } = options;
    const { uid } = object.metadata;
    const netns = netnsName(lab.name, name);
    const node = nodeAddress(1);
    const link = { netns, nodeNetns: netnsName(lab.name, 'node-1'), link: `h${name}`.slice(0, 15), node, pod: address };
    this.#lab = lab;
    this.#object = object;
    this.#address = address;
    this.#cgroup = join(cgroupRoot(), cgroupName(lab.name), 'node-1/kubepods', `pod${uid}`);
    this.#attachment = {
      folders: cniFolders(labPaths(lab.name).node('node-1')),
      netns: netnsPath(netns),
      pod: { namespace: meshNamespace, name, uid },
      link: {
        make: async () => {
          await linkPod(link);
          return {
            cniVersion: '1.0.0',
            interfaces: [{ name: 'eth0', sandbox: netnsPath(netns) }],
            ips: [
              { address: `${address.v4}/32`, gateway: podGateway.v4, interface: 0 },
              { address: `${address.v6}/128`, gateway: podGateway.v6, interface: 0 },
            ],
          };
        },
        remove: () => unlinkPod(link),
      },
    };
  }

  /** Resolves when the node's CNI plugins have let it in. The mesh does not know its address yet. */
  static async start(options: HandPodOptions): Promise<HandPod> {
    const { lab, name, account } = options;
    const object = await lab.kube.create<Pod>(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: meshNamespace, name, labels: { [programLabel]: 'by-hand' } },
      spec: { nodeName: 'node-1', serviceAccountName: account, containers: [{ name: 'app', image: 'aquifer/client' }] },
    });
    const pod = new HandPod(options, object);
    await run(['ip', 'netns', 'add', netnsName(lab.name, name)]);
    mkdirSync(join(pod.#cgroup, 'app'), { recursive: true });
    pod.#result = await addToNetwork(pod.#attachment, AbortSignal.timeout(40_000));
    return pod;
  }

  /** The pod's process, which connects in its first instruction. */
  async call(to: Ip, port: number, marker: string): Promise<FirstCall> {
    const script = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"';
    const argv = [`--net=${this.#attachment.netns}`, 'sh', '-c', script, 'pod', join(this.#cgroup, 'app'), first];
    const child = spawn('nsenter', [...argv, to, String(port), marker], { stdio: ['ignore', 'pipe', 'inherit'] });
    return JSON.parse(await text(child.stdout)) as FirstCall;
  }

  /** Resolves when a connection of the pod's process stands, or is being made. */
  async connecting(): Promise<void> {
    await until('the pod connects', () => cgroupProcesses(join(this.#cgroup, 'app')).some(connects), 10_000);
  }

  /** As kubelet tells the addresses; ms since the epoch when they are written. */
  async publish(): Promise<number> {
    const { v4, v6 } = this.#address;
    const status = {
      phase: 'Running',
      podIP: v4,
      podIPs: [{ ip: v4 }, { ip: v6 }],
      conditions: [{ type: 'Ready', status: 'True' }],
    };
    const { namespace = '', name } = this.#object.metadata;
    await this.#lab.kube.patch(podKind, { namespace, name }, { status }, { subresource: 'status' });
    return Date.now();
  }

  async stop(): Promise<void> {
    await killCgroup(this.#cgroup);
    await removeFromNetwork(this.#attachment, this.#result);
    await deleteNetns([netnsName(this.#lab.name, this.#object.metadata.name)]);
    await removeCgroup(this.#cgroup);
    const { namespace = '', name } = this.#object.metadata;
    await this.#lab.kube.delete(podKind, { namespace, name }, { gracePeriodSeconds: 0 });
  }
}

/** By the table of the process's namespace: any connection, but not sockets that listen (state 0A). False for a process that is gone. */
function connects(pid: number): boolean {
  try {
    const rows = readFileSync(`/proc/${pid}/net/tcp`, 'utf8').trim().split('\n').slice(1);
    return rows.some((row) => row.trim().split(/\s+/)[3] !== '0A');
  } catch {
    return false;
  }
}
