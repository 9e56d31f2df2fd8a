/**
 * Capture by eBPF (ebpf-datapath 2, 4 and 6). Programs are attached once and gated by netns cookie; a pod is a few map entries
 * and one sk_lookup link. Everything is pinned: it stands while no agent runs, and the next agent finds it.
 */
import { mkdirSync, readdirSync, rmdirSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { NetnsCookie } from '../../../common/core/brand.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import { isCode } from '../../../common/core/files.ts';
import { isIpv6 } from '../../../common/core/net.ts';
import {
  type BpfMap,
  type BpfObject,
  detachLink,
  linkInfo,
  loadBpf,
  podRouting,
  setUpPodRouting,
  tearDownPodRouting,
} from '../../../native/index.ts';
import type { CaptureBackend, CapturedPod, CaptureWishes, PodInNetns, SameNode, SteeringTargets } from '../types.ts';
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
import { DirectPairs } from './direct-pairs.ts';
import { inboundProgram, programs } from './programs.ts';

export interface EbpfCaptureOptions {
  /** bpf/build/capture.bpf.o. */
  readonly objectPath: string;
  /** In a bpffs; made if missing. Nothing else may be in it. */
  readonly pinDir: string;
  /** Where outbound capture is attached: the cgroup2 root of a node, or the node's own subtree in a lab. Above the proxies'. */
  readonly cgroup: string;
  /** The kubelet's: its connections reach the apps directly. Without it probes are captured like all else. */
  readonly proberCgroup?: string;
  /** Connections of a pod whose node proxy has gone pass uncaptured instead of being refused. */
  readonly failOpen: boolean;
}

/** Ports where nobody is: all is refused. */
const nobody = { v4: 0, v6: 0 } as const;
const bpffsMagic = 0xcafe4a11;
const linkPrefix = 'link_';
const inboundPrefix = `${linkPrefix}${inboundProgram}_`;
const proxyPrograms = programs.filter((p) => p.at === 'ztunnel');

interface Loaded {
  readonly object: BpfObject;
  readonly pods: BpfMap;
  readonly addresses: BpfMap;
  readonly listeners: BpfMap;
  readonly counters: BpfMap;
  readonly ztunnels: BpfMap;
  readonly direct: DirectPairs;
}

export class EbpfCapture implements CaptureBackend {
  readonly kind = 'ebpf';
  readonly proxyPorts = 'steered';
  readonly #options: EbpfCaptureOptions;
  #loaded: Loaded | undefined;

  constructor(options: EbpfCaptureOptions) {
    this.#options = options;
  }

  get sameNode(): SameNode | undefined {
    return this.#loaded?.direct;
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
      ztunnels: object.map('ztunnels'),
      direct: new DirectPairs(object, (cookie) => this.#require().pods.lookup(encodeU64(cookie)) !== undefined),
    };
    this.#forgetProxies();
    for (const { name } of proxyPrograms) for (const pin of this.#proxyPins(name)) object.replace(name, pin);
    this.#attachOnce(object);
    this.#adoptInbound();
  }

  addProxy(cgroup: string): void {
    const { object, ztunnels } = this.#require();
    this.#forgetProxies();
    const id = statSync(cgroup, { bigint: true }).ino;
    for (const { name } of proxyPrograms) object.attachCgroup(name, cgroup, this.#proxyPin(name, id));
    ztunnels.update(encodeU64(id), encodeU32(1));
  }

  enrol(pod: CapturedPod, targets: SteeringTargets | undefined): void {
    const { object, pods, addresses, listeners } = this.#require();
    const { failOpen } = this.#options;
    const key = encodeU64(pod.cookie);
    const { dns, plaintext } = pod.wishes;
    const value = encodePod({
      uid: pod.uid,
      failOpen,
      ips: pod.ips,
      outbound: targets?.outbound ?? nobody,
      dnsUdp: dns ? (targets ? targets.dnsUdp : nobody) : undefined,
      dnsTcp: dns ? (targets ? targets.dnsTcp : nobody) : undefined,
    });
    setUpPodRouting(pod.netns, { ...podRouting, ipv6: true });
    const before = pods.lookup(key);
    // Inbound first, outbound last: what withdraw undoes in the other order, and what sweep and adoption rely on.
    for (const ip of pod.ips) {
      if (targets) {
        const { plaintext4, plaintext6, hbone4, hbone6 } = targets.listeners;
        listeners.update(encodeListenerKey(ip, 'plaintext'), encodeU64(BigInt(isIpv6(ip) ? plaintext6 : plaintext4)));
        listeners.update(encodeListenerKey(ip, 'hbone'), encodeU64(BigInt(isIpv6(ip) ? hbone6 : hbone4)));
      } else {
        this.#forgetListeners(ip);
      }
      addresses.update(encodeIp(ip), encodeAddress({ cookie: pod.cookie, failOpen, plaintext }));
    }
    object.attachNetns(inboundProgram, pod.netns, this.#inboundPin(pod.cookie));
    pods.update(key, value);
    if (before) {
      for (const ip of decodePod(before).ips) if (!pod.ips.includes(ip)) this.#forgetAddress(ip, pod.cookie);
    }
  }

  setPlaintext(pod: CapturedPod, plaintext: CaptureWishes['plaintext']): void {
    const { pods, addresses } = this.#require();
    const { cookie } = pod;
    const value = pods.lookup(encodeU64(cookie));
    if (!value) return;
    const { failOpen, ips } = decodePod(value);
    for (const ip of ips) {
      const holder = addresses.lookup(encodeIp(ip));
      // Not where another pod has been given the address meanwhile.
      if (holder && decodeCookie(holder) === cookie) {
        addresses.update(encodeIp(ip), encodeAddress({ cookie, failOpen, plaintext }));
      }
    }
  }

  withdraw(pod: CapturedPod): void {
    this.#leave(pod);
  }

  remove(pod: PodInNetns): void {
    this.#leave(pod);
    tearDownPodRouting(pod.netns, podRouting);
  }

  enrolled(): readonly string[] {
    return this.#entries().map(({ entry }) => entry.uid);
  }

  stands(pod: PodInNetns): boolean {
    const value = this.#require().pods.lookup(encodeU64(pod.cookie));
    return value !== undefined && decodePod(value).uid === pod.uid;
  }

  /** The kernel itself tells which namespaces are gone. */
  sweep(): readonly string[] {
    this.#forgetProxies();
    const alive = new Set(this.#inboundCookies().filter((cookie) => linkInfo(this.#inboundPin(cookie)).netnsIno !== 0));
    const gone = this.#entries().filter(({ cookie }) => !alive.has(cookie));
    for (const { cookie } of gone) this.#remove(cookie);
    for (const cookie of this.#inboundCookies()) if (!alive.has(cookie)) detachLink(this.#inboundPin(cookie));
    this.#require().direct.sweep();
    return gone.map(({ entry }) => entry.uid);
  }

  counters(): Readonly<Record<string, number>> {
    const { counters, direct } = this.#require();
    const own = counterNames.map((name, i) => [name, sumCounter(counters.lookup(encodeU32(i))!)] as const);
    return { ...Object.fromEntries(own), ...direct.counters() };
  }

  unmet({ virtualInterfaces }: CaptureWishes): readonly string[] {
    if (virtualInterfaces.length === 0) return [];
    return [`what comes in by ${virtualInterfaces.join(', ')} is not rerouted: eBPF sees sockets only, nftables could`];
  }

  destroy(): void {
    const { pinDir } = this.#options;
    this.close();
    // Links before maps: no program may run on maps that the next agent does not see.
    const pins = readdirSync(pinDir);
    for (const name of pins) if (name.startsWith(linkPrefix)) detachLink(join(pinDir, name));
    for (const name of pins) if (!name.startsWith(linkPrefix)) unlinkSync(join(pinDir, name));
    try {
      rmdirSync(pinDir);
    } catch (e) {
      // Somebody mounted a bpffs right there.
      if (!isCode(e, 'EBUSY')) throw e;
    }
  }

  close(): void {
    if (!this.#loaded) return;
    const { object, ...maps } = this.#loaded;
    this.#loaded = undefined;
    for (const map of Object.values(maps)) map.close();
    object.close();
  }

  #attachOnce(object: BpfObject): void {
    const { cgroup, proberCgroup, pinDir } = this.#options;
    const targets = { node: cgroup, prober: proberCgroup };
    for (const { name, at } of programs) {
      if (at === 'pod' || at === 'ztunnel') continue;
      const pin = join(pinDir, `${linkPrefix}${name}`);
      const target = targets[at];
      if (target !== undefined) object.attachCgroup(name, target, pin);
      else if (readdirSync(pinDir).includes(`${linkPrefix}${name}`)) detachLink(pin);
    }
  }

  /** Those whose cgroup is gone, as the kernel tells. */
  #forgetProxies(): void {
    const { ztunnels } = this.#require();
    const alive = new Set<bigint>();
    for (const pin of proxyPrograms.flatMap(({ name }) => this.#proxyPins(name))) {
      const { cgroupId } = linkInfo(pin);
      if (cgroupId === 0n) detachLink(pin);
      else alive.add(cgroupId);
    }
    for (const key of ztunnels.keys()) if (!alive.has(decodeCookie(key))) ztunnels.delete(key);
  }

  #proxyPins(program: string): string[] {
    const prefix = `${linkPrefix}${program}_`;
    const { pinDir } = this.#options;
    return readdirSync(pinDir).flatMap((name) => (name.startsWith(prefix) ? [join(pinDir, name)] : []));
  }

  #proxyPin(program: string, cgroup: bigint): string {
    return join(this.#options.pinDir, `${linkPrefix}${program}_${cgroup}`);
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

  #leave(pod: PodInNetns): void {
    const { direct, pods } = this.#require();
    const value = pods.lookup(encodeU64(pod.cookie));
    this.#remove(pod.cookie);
    direct.podLeaves({ ...pod, ips: value ? decodePod(value).ips : [] });
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
    const { addresses } = this.#require();
    const holder = addresses.lookup(encodeIp(ip));
    if (holder && decodeCookie(holder) !== owner) return;
    addresses.delete(encodeIp(ip));
    this.#forgetListeners(ip);
  }

  #forgetListeners(ip: CapturedPod['ips'][number]): void {
    const { listeners } = this.#require();
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
