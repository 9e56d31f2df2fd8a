/**
 * Capture by eBPF (ebpf-datapath 2, 4 and 6). Programs are attached once and gated by netns cookie; a pod is a few map entries
 * and one sk_lookup link. Everything is pinned: it stands while no agent runs, and the next agent finds it.
 */
import { mkdirSync, readdirSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { NetnsCookie } from '../../../common/core/brand.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import { isIpv6 } from '../../../common/core/net.ts';
import { type BpfMap, type BpfObject, detachLink, linkInfo, loadBpf } from '../../../native/index.ts';
import type { CaptureBackend, CapturedPod, SteeringTargets } from '../types.ts';
import {
  counterNames,
  decodeCookie,
  decodePod,
  encodeAddress,
  encodeIp,
  encodeListenerKey,
  encodePod,
  encodeU32,
  encodeU64,
  sumCounter,
} from './abi.ts';
import { inboundProgram, programs } from './programs.ts';

export interface EbpfCaptureOptions {
  /** bpf/build/capture.bpf.o. */
  readonly objectPath: string;
  /** In a bpffs; made if missing. Nothing else may be in it. */
  readonly pinDir: string;
  /** Where outbound capture is attached: the cgroup2 root of a node, or the node's own subtree in a lab. Above ztunnelCgroup. */
  readonly cgroup: string;
  /** Its processes, and those in cgroups below, are never captured. */
  readonly ztunnelCgroup: string;
  /** The kubelet's: its connections reach the apps directly. Without it probes are captured like all else. */
  readonly proberCgroup?: string;
  /** Connections of a pod whose node proxy has gone pass uncaptured instead of being refused. */
  readonly failOpen: boolean;
}

const bpffsMagic = 0xcafe4a11;
const linkPrefix = 'link_';
const inboundPrefix = `${linkPrefix}${inboundProgram}_`;

interface Loaded {
  readonly object: BpfObject;
  readonly pods: BpfMap;
  readonly addresses: BpfMap;
  readonly listeners: BpfMap;
  readonly counters: BpfMap;
}

export class EbpfCapture implements CaptureBackend {
  readonly kind = 'ebpf';
  readonly #options: EbpfCaptureOptions;
  #loaded: Loaded | undefined;

  constructor(options: EbpfCaptureOptions) {
    this.#options = options;
  }

  start(): void {
    const { objectPath, pinDir } = this.#options;
    requireBpffs(pinDir);
    let object: BpfObject;
    try {
      object = loadBpf(objectPath, pinDir);
    } catch (e) {
      throw new MeshError('KERNEL', `eBPF capture cannot be loaded: ${describeError(e)}`, { cause: e });
    }
    this.#loaded = {
      object,
      pods: object.map('pods'),
      addresses: object.map('addresses'),
      listeners: object.map('listeners'),
      counters: object.map('counters'),
    };
    const config = object.map('config');
    config.update(encodeU32(0), encodeU64(statSync(this.#options.ztunnelCgroup, { bigint: true }).ino));
    config.close();
    this.#attachOnce(object);
    this.#adoptInbound();
  }

  enrol(pod: CapturedPod, targets: SteeringTargets): void {
    const { object, pods, addresses, listeners } = this.#require();
    const { failOpen } = this.#options;
    const key = encodeU64(pod.cookie);
    const value = encodePod({
      uid: pod.uid,
      failOpen,
      ips: pod.ips,
      outbound: targets.outbound,
      dnsUdp: targets.dnsUdp,
      dnsTcp: targets.dnsTcp,
    });
    const before = pods.lookup(key);
    // Inbound first, outbound last: what withdraw undoes in the other order, and what sweep and adoption rely on.
    for (const ip of pod.ips) {
      const { plaintext4, plaintext6, hbone4, hbone6 } = targets.listeners;
      listeners.update(encodeListenerKey(ip, 'plaintext'), encodeU64(BigInt(isIpv6(ip) ? plaintext6 : plaintext4)));
      listeners.update(encodeListenerKey(ip, 'hbone'), encodeU64(BigInt(isIpv6(ip) ? hbone6 : hbone4)));
      addresses.update(encodeIp(ip), encodeAddress(pod.cookie, failOpen));
    }
    object.attachNetns(inboundProgram, pod.netns, this.#inboundPin(pod.cookie));
    pods.update(key, value);
    if (before) {
      for (const ip of decodePod(before).ips) if (!pod.ips.includes(ip)) this.#forgetAddress(ip, pod.cookie);
    }
  }

  withdraw(pod: CapturedPod): void {
    this.#remove(pod.cookie);
  }

  enrolled(): readonly string[] {
    return this.#entries().map(({ entry }) => entry.uid);
  }

  sweep(): readonly string[] {
    const alive = new Set(this.#inboundCookies().filter((cookie) => linkInfo(this.#inboundPin(cookie)).netnsIno !== 0));
    const gone = this.#entries().filter(({ cookie }) => !alive.has(cookie));
    for (const { cookie } of gone) this.#remove(cookie);
    for (const cookie of this.#inboundCookies()) if (!alive.has(cookie)) detachLink(this.#inboundPin(cookie));
    return gone.map(({ entry }) => entry.uid);
  }

  counters(): Readonly<Record<string, number>> {
    const { counters } = this.#require();
    return Object.fromEntries(counterNames.map((name, i) => [name, sumCounter(counters.lookup(encodeU32(i))!)]));
  }

  destroy(): void {
    const { pinDir } = this.#options;
    this.close();
    // Links before maps: no program may run on maps that the next agent does not see.
    const pins = readdirSync(pinDir);
    for (const name of pins) if (name.startsWith(linkPrefix)) detachLink(join(pinDir, name));
    for (const name of pins) if (!name.startsWith(linkPrefix)) unlinkSync(join(pinDir, name));
  }

  /** Gives the descriptors back. Capture stands; start() adopts it again. */
  close(): void {
    if (!this.#loaded) return;
    const { object, ...maps } = this.#loaded;
    this.#loaded = undefined;
    for (const map of Object.values(maps)) map.close();
    object.close();
  }

  #attachOnce(object: BpfObject): void {
    const { cgroup, ztunnelCgroup, proberCgroup, pinDir } = this.#options;
    const targets = { node: cgroup, ztunnel: ztunnelCgroup, prober: proberCgroup };
    for (const { name, at } of programs) {
      if (at === 'pod') continue;
      const pin = join(pinDir, `${linkPrefix}${name}`);
      const target = targets[at];
      if (target !== undefined) object.attachCgroup(name, target, pin);
      else if (readdirSync(pinDir).includes(`${linkPrefix}${name}`)) detachLink(pin);
    }
  }

  /** Links of pods get the new program; a link whose pod was never entered is half an enrolment and goes. */
  #adoptInbound(): void {
    const { object } = this.#require();
    const entered = new Set(this.#entries().map(({ cookie }) => cookie));
    for (const cookie of this.#inboundCookies()) {
      const pin = this.#inboundPin(cookie);
      if (!entered.has(cookie)) detachLink(pin);
      else if (linkInfo(pin).netnsIno !== 0) object.replace(inboundProgram, pin);
    }
  }

  #remove(cookie: NetnsCookie): void {
    const { pods } = this.#require();
    const key = encodeU64(cookie);
    const value = pods.lookup(key);
    pods.delete(key);
    if (this.#inboundCookies().includes(cookie)) detachLink(this.#inboundPin(cookie));
    if (value) for (const ip of decodePod(value).ips) this.#forgetAddress(ip, cookie);
  }

  /** Not where another pod has been given the address meanwhile. */
  #forgetAddress(ip: CapturedPod['ips'][number], owner: NetnsCookie): void {
    const { addresses, listeners } = this.#require();
    const holder = addresses.lookup(encodeIp(ip));
    if (holder && decodeCookie(holder) !== owner) return;
    addresses.delete(encodeIp(ip));
    listeners.delete(encodeListenerKey(ip, 'plaintext'));
    listeners.delete(encodeListenerKey(ip, 'hbone'));
  }

  #entries() {
    const { pods } = this.#require();
    return pods.keys().flatMap((key) => {
      const value = pods.lookup(key);
      return value ? [{ cookie: decodeCookie(key), entry: decodePod(value) }] : [];
    });
  }

  #inboundCookies(): NetnsCookie[] {
    return readdirSync(this.#options.pinDir)
      .filter((name) => name.startsWith(inboundPrefix))
      .map((name) => BigInt(name.slice(inboundPrefix.length)) as NetnsCookie);
  }

  #inboundPin(cookie: NetnsCookie): string {
    return join(this.#options.pinDir, `${inboundPrefix}${cookie}`);
  }

  #require(): Loaded {
    if (!this.#loaded) throw new Error('EbpfCapture.start() was not called');
    return this.#loaded;
  }
}

function requireBpffs(pinDir: string): void {
  try {
    mkdirSync(pinDir, { recursive: true });
  } catch (e) {
    throw new MeshError('CONFIG', `the folder for eBPF pins, ${pinDir}, cannot be made: ${describeError(e)}`, {
      cause: e,
    });
  }
  if (statfsSync(pinDir).type !== bpffsMagic) {
    throw new MeshError(
      'CONFIG',
      `the folder for eBPF pins, ${pinDir}, is not in a bpffs; run: mount -t bpf bpf ${pinDir}`,
    );
  }
}
