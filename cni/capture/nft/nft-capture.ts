/**
 * Capture by nftables inside each pod's network namespace (ebpf-datapath 8), for kernels without the eBPF that cni/capture/ebpf
 * needs, and for ztunnels that know only the well-known ports. All state is in the kernel: a table in the pod's namespace, and one
 * in the node's that names the pods.
 */
import { existsSync } from 'node:fs';
import type { Fd } from '../../../common/core/brand.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { nft, podRouting, proxyMark, setUpPodRouting, tearDownPodRouting } from '../../../native/index.ts';
import type { CaptureBackend, CapturedPod, CaptureWishes, PodInNetns } from '../types.ts';
import { type NftCgroup, nftCgroup } from './cgroup.ts';
import { aboutIn, listAboutText, noTableText, tableText } from './nft-text.ts';
import {
  addAddressText,
  addressesIn,
  deleteAddressText,
  listAddressesTexts,
  nodeTable,
  nodeTableText,
  type PodAddress,
  probeSources,
} from './node-table.ts';
import { nothingExcluded, redirectRules, replyRules } from './rules.ts';

export interface NftCaptureOptions {
  /** The node's own namespace. The backend owns the descriptor. */
  readonly node: Fd;
  /** Where cgroup2 is mounted: /sys/fs/cgroup or below it. */
  readonly cgroupMount: string;
  /** The kubelet's: its connections reach the apps directly. Without it probes are captured like all else. */
  readonly proberCgroup?: string;
}

export const podTable = 'aquifer';
const replies = replyRules(proxyMark, podRouting.mark);

/** The table of a pod that is captured. */
export function podTableText(uid: string, wishes: CaptureWishes, ztunnels: readonly NftCgroup[]): string {
  const rules = redirectRules({
    ...wishes,
    proxies: ztunnels.map((cgroup) => ({ kind: 'cgroup', cgroup })),
    probes: probeSources,
    excluded: nothingExcluded,
  });
  return tableText(podTable, safeUid(uid), [...replies, ...rules]);
}

export class NftCapture implements CaptureBackend {
  readonly kind = 'nft';
  readonly proxyPorts = 'fixed';
  readonly #node: Fd;
  readonly #cgroupMount: string;
  /** By folder. */
  readonly #ztunnels = new Map<string, NftCgroup>();
  readonly #prober: NftCgroup | undefined;

  /** MeshError CONFIG when a cgroup is not where nftables finds it. */
  constructor({ node, cgroupMount, proberCgroup }: NftCaptureOptions) {
    this.#node = node;
    this.#cgroupMount = cgroupMount;
    this.#prober = proberCgroup === undefined ? undefined : nftCgroup(proberCgroup, cgroupMount);
  }

  start(): void {
    nft(this.#node, nodeTableText(this.#prober));
  }

  addProxy(cgroup: string): void {
    this.#ztunnels.set(cgroup, nftCgroup(cgroup, this.#cgroupMount));
  }

  enrol(pod: CapturedPod): void {
    setUpPodRouting(pod.netns, { ...podRouting, ipv6: true });
    this.#apply(pod);
    this.#register(pod);
  }

  setPlaintext(pod: CapturedPod, plaintext: CaptureWishes['plaintext']): void {
    if (this.stands(pod)) this.#apply({ ...pod, wishes: { ...pod.wishes, plaintext } });
  }

  /** The chains stay: without them conntrack would forget what it translates for the open connections. */
  withdraw(pod: PodInNetns): void {
    if (this.stands(pod)) nft(pod.netns, tableText(podTable, safeUid(pod.uid), replies));
  }

  remove(pod: PodInNetns): void {
    nft(pod.netns, noTableText(podTable));
    tearDownPodRouting(pod.netns, podRouting);
    this.#forget(({ uid }) => uid === pod.uid);
  }

  enrolled(): readonly string[] {
    return [...new Set(this.#addresses().map(({ uid }) => uid))];
  }

  stands({ netns, uid }: PodInNetns): boolean {
    try {
      return aboutIn(nft(netns, listAboutText(podTable))) === uid;
    } catch (e) {
      if (e instanceof MeshError && e.code === 'NOT_FOUND') return false;
      throw e;
    }
  }

  /** A pod's table goes with its namespace; its addresses are in the node's. */
  sweep(isKnown: (uid: string) => boolean): readonly string[] {
    return this.#forget(({ uid }) => !isKnown(uid));
  }

  /** The rules count for themselves: `nft list table inet aquifer` in the pod. */
  counters(): Readonly<Record<string, number>> {
    return {};
  }

  unmet(): readonly string[] {
    return [];
  }

  close(): void {}

  destroy(): void {
    nft(this.#node, noTableText(nodeTable));
  }

  #apply({ uid, netns, wishes }: CapturedPod): void {
    // A rule that names a folder that is gone is refused.
    for (const folder of [...this.#ztunnels.keys()]) if (!existsSync(folder)) this.#ztunnels.delete(folder);
    nft(netns, podTableText(uid, wishes, [...this.#ztunnels.values()]));
  }

  /** Changes as little as it can: whatever is deleted makes the transaction wait for the kernel's readers. */
  #register({ uid, ips }: CapturedPod): void {
    const known = this.#addresses();
    const stale = known.filter((a) => (a.uid === uid) !== ips.includes(a.ip));
    const missing = ips.filter((ip) => !known.some((a) => a.ip === ip && a.uid === uid));
    const changes = [...stale.map(deleteAddressText), ...missing.map((ip) => addAddressText({ ip, uid }))];
    if (changes.length > 0) nft(this.#node, changes.join(''));
  }

  #addresses(): readonly PodAddress[] {
    return listAddressesTexts.flatMap((text) => addressesIn(nft(this.#node, text)));
  }

  #forget(isGone: (address: PodAddress) => boolean): readonly string[] {
    const gone = this.#addresses().filter(isGone);
    if (gone.length > 0) nft(this.#node, gone.map(deleteAddressText).join(''));
    return [...new Set(gone.map(({ uid }) => uid))];
  }
}

/** It is written into rules. */
function safeUid(uid: string): string {
  if (/^[A-Za-z0-9._-]{1,63}$/.test(uid)) return uid;
  throw new MeshError('CONFIG', `pod uid ${JSON.stringify(uid)} must have 1 to 63 letters, digits, dots and hyphens`);
}
