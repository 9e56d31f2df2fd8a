/**
 * A test bed for capture: a node netns with two pods and an outside host around it, a cgroup subtree and a bpffs, all with this
 * process's own prefix. This process plays the node proxy, so it sits in the bed's ztunnel cgroup; apps run as children in the
 * cgroup and netns of their pod.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { CaptureKind } from '../../cni/capture/choose.ts';
import { EbpfCapture, type EbpfCaptureOptions } from '../../cni/capture/ebpf/ebpf-capture.ts';
import { NftCapture } from '../../cni/capture/nft/nft-capture.ts';
import type { CaptureBackend, CapturedPod, CaptureWishes } from '../../cni/capture/types.ts';
import type { Fd } from '../../common/core/brand.ts';
import type { Ip } from '../../common/core/net.ts';
import { closeFd, netnsCookie, openNetns } from '../../native/index.ts';
import { PodProxy, type ProxyOptions } from './proxy.ts';

const repository = join(import.meta.dirname, '../..');
export const objectPath = join(repository, 'bpf/build/capture.bpf.o');
export const tool = (name: string) => join(repository, 'test/tools/build', name);
export const pinnedNode = join(repository, 'scripts/pinned-node');

/** Every one is a netns; `p1` and `p2` are pods. */
export const hosts = ['node', 'p1', 'p2', 'ext'] as const;
export type Host = (typeof hosts)[number];
export const cgroups = ['p1', 'p2', 'ztunnel', 'kubelet', 'other'] as const;
export type Cgroup = (typeof cgroups)[number];
const nestedCgroups = ['p1/app', 'ztunnel/worker'] as const;

/** Where an app runs. `netns` alone means the cgroup of the same name. */
export interface Place {
  /** A host, or the path of another. */
  readonly netns: Host | `/${string}`;
  readonly cgroup?: Cgroup | (typeof nestedCgroups)[number];
}

export const ip4 = { p1: '10.99.1.2', p2: '10.99.2.2', ext: '10.99.3.2' } as const;
export const ip6 = { p1: 'fd99:1::2', p2: 'fd99:2::2', ext: 'fd99:3::2' } as const;

/** What a pod without annotations gets. */
export const usual: CaptureWishes = { dns: true, plaintext: 'captured', virtualInterfaces: [] };

/** What `dial` prints of one connection. */
export interface Dialled {
  readonly error: string;
  readonly immediate: string;
  readonly readError: string;
  readonly peer: string;
  readonly self: string;
  /** Until connected. */
  readonly ms: number;
  /** Until the end of what was read. */
  readonly totalMs: number;
  readonly data: string;
}

/** What PodProxy and `serve` answer. */
export interface Told {
  readonly by?: string;
  readonly to?: string;
  readonly from?: string;
  readonly app?: string;
  readonly getpeername?: string;
  readonly got?: string;
}

export class Bed {
  readonly kind: CaptureKind;
  readonly pinDir: string;
  readonly cgroup: string;
  readonly netns: Record<Host, Fd>;
  readonly #prefix = `aq-t-${process.pid}`;
  readonly #folder: string;
  readonly #home: string;
  readonly #children = new Set<ChildProcess>();
  readonly #proxies = new Set<PodProxy>();
  readonly #captures = new Set<CaptureBackend>();
  readonly #extraNetns: string[] = [];

  readonly #onExit = () => {
    for (const child of this.#children) child.kill('SIGKILL');
    this.#removeFromMachine();
  };

  private constructor(kind: CaptureKind) {
    this.kind = kind;
    this.cgroup = join(cgroup2(), `aquifer-test-${process.pid}`);
    this.#folder = mkdtempSync(join(tmpdir(), 'aquifer-test-'));
    this.pinDir = join(this.#folder, 'bpf/aquifer');
    this.#home = join(cgroup2(), ownCgroup());
    try {
      mkdirSync(join(this.#folder, 'bpf'));
      ip(`netns add ${this.#prefix}-node`);
      execFileSync('mount', ['-t', 'bpf', 'bpf', join(this.#folder, 'bpf')]);
      for (const c of [...cgroups, ...nestedCgroups]) mkdirSync(join(this.cgroup, c), { recursive: true });
      this.#makeNetwork();
      this.netns = Object.fromEntries(hosts.map((h) => [h, openNetns(this.netnsPath(h))])) as Record<Host, Fd>;
      writeFileSync(join(this.cgroup, 'ztunnel/cgroup.procs'), String(process.pid));
      // An error outside of any test ends the process before after() has run.
      process.on('exit', this.#onExit);
    } catch (e) {
      this.#removeFromMachine();
      throw e;
    }
  }

  /** A bed whose veth pairs carry IPv6: for a moment after set-up they lose packets (ebpf-datapath 11.13). */
  static async make(kind: CaptureKind = 'ebpf'): Promise<Bed> {
    const bed = new Bed(kind);
    try {
      for (const [from, to] of [
        ['p2', 'p1'],
        ['p1', 'ext'],
        ['p2', 'ext'],
      ] as const) {
        const deadline = Date.now() + 10_000;
        while ((await bed.dial({ netns: from }, ip6[to], 1, '--timeout', '1')).error !== 'ECONNREFUSED') {
          if (Date.now() > deadline) throw new Error(`${ip6[to]} is not reached from ${from}`);
        }
      }
    } catch (e) {
      await bed.remove();
      throw e;
    }
    return bed;
  }

  netnsPath(host: Host): string {
    return `/run/netns/${this.#prefix}-${host}`;
  }

  /** An agent's capture, of the bed's kind, started. The options are eBPF's. */
  capture(options: Partial<EbpfCaptureOptions> = {}): CaptureBackend {
    const cgroups = { proberCgroup: join(this.cgroup, 'kubelet') };
    const capture =
      this.kind === 'ebpf'
        ? new EbpfCapture({
            ...cgroups,
            objectPath,
            pinDir: this.pinDir,
            cgroup: this.cgroup,
            failOpen: false,
            ...options,
          })
        : new NftCapture({ ...cgroups, node: this.netns.node, cgroupMount: cgroup2() });
    capture.start();
    capture.addProxy(join(this.cgroup, 'ztunnel'));
    this.#captures.add(capture);
    return capture;
  }

  proxy(pod: 'p1' | 'p2', options: ProxyOptions = {}): PodProxy {
    const proxy = new PodProxy(this.netns[pod], this.kind === 'ebpf' ? 'steered' : 'fixed', options);
    this.#proxies.add(proxy);
    return proxy;
  }

  pod(pod: 'p1' | 'p2', wishes: Partial<CaptureWishes> = {}): CapturedPod {
    return {
      uid: `uid-${pod}`,
      netns: this.netns[pod],
      cookie: netnsCookie(this.netns[pod]),
      ips: [ip4[pod] as Ip, ip6[pod] as Ip],
      wishes: { ...usual, ...wishes },
    };
  }

  /** Capture of a pod with a proxy behind it. */
  enrol(pod: 'p1' | 'p2', capture: CaptureBackend, options: ProxyOptions = {}): PodProxy {
    const proxy = this.proxy(pod, options);
    capture.enrol(this.pod(pod), proxy.targets);
    return proxy;
  }

  /** Runs to the end and returns what it printed. */
  run(place: Place, argv: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = this.start(place, argv);
      let out = '';
      child.stdout!.on('data', (d) => (out += d));
      child.on('close', (code, signal) =>
        code === 0 ? resolve(out) : reject(new Error(`${argv.join(' ')} ended with ${code ?? signal}: ${out}`)),
      );
    });
  }

  start(place: Place, argv: readonly string[]): ChildProcess {
    const cgroup = join(
      this.cgroup,
      place.cgroup ?? (place.netns === 'p1' || place.netns === 'p2' ? place.netns : 'other'),
    );
    const child = spawn(
      'sh',
      [
        '-c',
        'echo $$ > "$0/cgroup.procs" && exec nsenter --net="$@"',
        cgroup,
        place.netns.startsWith('/') ? place.netns : this.netnsPath(place.netns as Host),
        ...argv,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    return child;
  }

  /** The `serve` program, once it is ready. */
  async serve(host: Host, tcp: number, udp: number): Promise<ChildProcess> {
    const child = this.start({ netns: host }, [tool('serve'), String(tcp), String(udp)]);
    for await (const _ of createInterface({ input: child.stdout! })) return child;
    throw new Error('serve ended before it was ready');
  }

  /** One result a connection. */
  async dialAll(place: Place, to: string, port: number, ...options: string[]): Promise<Dialled[]> {
    const out = await this.run(place, [tool('dial'), to, String(port), ...options]);
    return out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Dialled);
  }

  async dial(place: Place, to: string, port: number, ...options: string[]): Promise<Dialled & { told: Told }> {
    const [first] = await this.dialAll(place, to, port, ...options);
    return { ...first!, told: first!.data ? (JSON.parse(first!.data) as Told) : {} };
  }

  sysctl(host: Host, setting: string): void {
    execFileSync('nsenter', [`--net=${this.netnsPath(host)}`, 'sysctl', '-qw', setting]);
  }

  pins(): string[] {
    return readdirSync(this.pinDir).sort();
  }

  /** Another netns, connected to nothing but with loopback and one address. */
  addNetns(name: string, address: string): `/${string}` {
    const full = `${this.#prefix}-${name}`;
    ip(`netns add ${full}`);
    this.#extraNetns.push(full);
    ip(`-n ${full} link set lo up`);
    ip(`-n ${full} addr add ${address}/32 dev lo`);
    return `/run/netns/${full}`;
  }

  /** A netns behind the pod, reached from it by interface `name`: `network`.2, with the pod as its router at `network`.1. */
  addGuest(pod: 'p1' | 'p2', name: string, network: string): `/${string}` {
    const path = this.addNetns(name, `${network}.2`);
    const inside = `${this.#prefix}-${pod}`;
    const guest = `${this.#prefix}-${name}`;
    ip(`-n ${inside} link add ${name} type veth peer name eth0 netns ${guest}`);
    ip(`-n ${inside} addr add ${network}.1/24 dev ${name}`);
    ip(`-n ${inside} link set ${name} up`);
    ip(`-n ${guest} link set eth0 up`);
    ip(`-n ${guest} route add default via ${network}.1 dev eth0 onlink src ${network}.2`);
    return path;
  }

  removeNetns(name: string): void {
    const full = `${this.#prefix}-${name}`;
    ip(`netns del ${full}`);
    this.#extraNetns.splice(this.#extraNetns.indexOf(full), 1);
  }

  /** Ends what runs and is attached, so that the next test finds the bed as new. */
  async reset(): Promise<void> {
    await Promise.all([...this.#children].map(end));
    for (const p of this.#proxies) await p.close();
    this.#proxies.clear();
    for (const c of this.#captures) c.close();
    if (this.#captures.size > 0) {
      const last = this.capture();
      for (const pod of ['p1', 'p2'] as const) last.remove(this.pod(pod));
      last.destroy();
      this.#captures.clear();
    }
  }

  async remove(): Promise<void> {
    try {
      await this.reset();
    } finally {
      for (const fd of Object.values(this.netns)) closeFd(fd);
      this.#removeFromMachine();
    }
  }

  #removeFromMachine(): void {
    process.off('exit', this.#onExit);
    const attempts: (() => void)[] = [
      () => writeFileSync(join(this.#home, 'cgroup.procs'), String(process.pid)),
      () => execFileSync('umount', [join(this.#folder, 'bpf')]),
      () => rmSync(this.#folder, { recursive: true }),
      ...[...nestedCgroups, ...cgroups, ''].map((c) => () => rmdirSync(join(this.cgroup, c))),
      ...[...hosts.map((h) => `${this.#prefix}-${h}`), ...this.#extraNetns].map((n) => () => ip(`netns del ${n}`)),
    ];
    const failed: unknown[] = [];
    for (const attempt of attempts) {
      try {
        attempt();
      } catch (e) {
        failed.push(e);
      }
    }
    if (failed.length > 0) throw new AggregateError(failed, `the test bed was not removed: ${failed.join('; ')}`);
  }

  #makeNetwork(): void {
    const name = (h: Host) => `${this.#prefix}-${h}`;
    const node = name('node');
    ip(`-n ${node} link set lo up`);
    execFileSync('nsenter', [
      `--net=${this.netnsPath('node')}`,
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
    ]);
    hosts.slice(1).forEach((h, i) => {
      const k = i + 1;
      const pod = name(h);
      ip(`netns add ${pod}`);
      ip(`-n ${node} link add v${h} type veth peer name eth0 netns ${pod}`);
      ip(`-n ${node} addr add 10.99.${k}.1/24 dev v${h}`);
      ip(`-n ${node} addr add fd99:${k}::1/64 dev v${h} nodad`);
      ip(`-n ${node} link set v${h} up`);
      ip(`-n ${pod} link set lo up`);
      ip(`-n ${pod} addr add 10.99.${k}.2/24 dev eth0`);
      ip(`-n ${pod} addr add fd99:${k}::2/64 dev eth0 nodad`);
      ip(`-n ${pod} link set eth0 up`);
      ip(`-n ${pod} route add default via 10.99.${k}.1`);
      ip(`-n ${pod} -6 route add default via fd99:${k}::1`);
    });
  }
}

function ip(args: string): void {
  execFileSync('ip', args.split(' '));
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.on('close', () => resolve());
    child.kill('SIGKILL');
  });
}

/** Where it is mounted. */
export function cgroup2(): string {
  const line = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((l) => l.split(' ')[2] === 'cgroup2');
  if (line === undefined) throw new Error('no cgroup2 is mounted');
  return line.split(' ')[1]!;
}

function ownCgroup(): string {
  return /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))![1]!;
}
