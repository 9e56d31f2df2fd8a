/**
 * The one place that loads the compiled addon, and its raw shape. Loading happens at the first call, so that programs and tests
 * which never reach the kernel need no compiler.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { SocketAddr } from '../common/core/net.ts';

/** A system call that failed. */
export interface NativeError extends Error {
  /** `EPERM`, `ENOENT`, ... */
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

export function isNativeError(e: unknown): e is NativeError {
  return e instanceof Error && 'syscall' in e && 'code' in e && 'errno' in e;
}

export interface RawSocketSpec {
  readonly family: 4 | 6;
  readonly stream: boolean;
  readonly transparent: boolean;
  /** 0 for none. */
  readonly mark: number;
  readonly reuseAddr: boolean;
  readonly reusePort: boolean;
  readonly takeOver: boolean;
  readonly v6Only: boolean;
  readonly bind: SocketAddr | undefined;
  /** 0 for none. */
  readonly backlog: number;
  readonly noDelay: boolean;
  /** Seconds; 0 for none. */
  readonly keepAliveIdle: number;
  readonly keepAliveInterval: number;
  readonly keepAliveProbes: number;
  /** ms; 0 for none. */
  readonly userTimeout: number;
  /** -1: the calling process's. */
  readonly owner: number;
}

export interface RawProgram {
  readonly fd: number;
  /** `enum bpf_attach_type` of linux/bpf.h. */
  readonly attachType: number;
}

export interface RawMap {
  readonly fd: number;
  readonly keySize: number;
  /** As user space sees it: of a per-CPU map, all CPUs together. */
  readonly valueSize: number;
}

/** A uv_poll handle. */
export interface RawPoll {
  /** 1 readable, 2 writable, 0 neither. */
  watch(events: number): void;
  unref(): void;
  close(): void;
}

/** The reading end of a BPF ring buffer. */
export interface RawRing {
  /** Readable when something waits. */
  readonly fd: number;
  read(): Uint8Array[];
  close(): void;
}

/** What an HBONE connection of the native engine is made by. */
export interface RawContext {
  readonly server: boolean;
  /** PEM, leaf first. */
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
  readonly tls12: boolean;
  readonly pqc: boolean;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  readonly maxFrame: number;
  readonly maxHeaderList: number;
  readonly maxStreams: number;
}

/** The thread of the native engine; `native/engine.ts` speaks its language. */
export interface RawEngineLoop {
  submit(records: Int32Array, count: number, bytes: Uint8Array, size: number): void;
  /** Two numbers for each relay. */
  counters(chunk: number): Float64Array;
  /** Throws an Error that names the part that is wrong. */
  addContext(context: RawContext): number;
  removeContext(context: number): void;
  /** See EngineLoop of native/engine.ts. */
  raise(): number;
  ref(): void;
  unref(): void;
}

export interface RawEngineLoopClass {
  /** `onReceived`: behind the events, and the ticks and promises that they left behind. `spinUs`: as of EngineLoop. */
  new (
    onEvents: (count: number, records: Int32Array, bytes: Uint8Array) => void,
    onReceived: () => void,
    spinUs: number,
  ): RawEngineLoop;
  /** Commands and events that it knows, in their order. */
  readonly abi: string;
}

export interface LinkSize {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge` ...; empty for loopback and hardware. */
  readonly kind: string;
  /** Of a veth: index of the other end, in its own namespace; else 0. */
  readonly peer: number;
  /**
   * Bytes: the least and the greatest of gso_max_size, gro_max_size, gso_ipv4_max_size and gro_ipv4_max_size, by default 65,536.
   * undefined where the kernel does not have all four (Linux 6.3).
   */
  readonly least?: number;
  readonly greatest?: number;
  /** Bytes: what the driver can do, tso_max_size; 0 where the kernel does not say. */
  readonly most: number;
}

export interface Addon {
  /** `netns` -1: the caller's own. */
  socketsInNetns(netns: number, spec: RawSocketSpec, count: number): number[];
  bindSocket(fd: number, address: SocketAddr): void;
  originalDestination(fd: number): SocketAddr | undefined;
  socketName(fd: number): SocketAddr;
  peerName(fd: number): SocketAddr;
  closeFd(fd: number): void;
  dupFd(fd: number): number;

  openNetns(path: string): number;
  newNetns(): number;
  netnsCookie(netns: number): bigint;
  netnsIdentity(netns: number): { dev: bigint; ino: bigint };
  setUpPodRouting(netns: number, mark: number, table: number, ipv6: boolean): void;
  tearDownPodRouting(netns: number, mark: number, table: number): void;
  linkSizes(netns: number): LinkSize[];
  setLinkSize(netns: number, index: number, size: number): void;

  seqpacketListen(path: string): number;
  seqpacketConnect(path: string): number;
  seqpacketPair(): [number, number];
  /** Undefined when nothing waits. */
  acceptSocket(fd: number): number | undefined;
  peerCredentials(fd: number): { pid: number; uid: number };
  /** False when the peer's buffer is full. */
  sendPacket(fd: number, data: Uint8Array, fds: readonly number[]): boolean;
  /** Undefined when nothing waits, null at the end of the stream. */
  receivePacket(fd: number): { data: Uint8Array; fds: number[] } | undefined | null;
  readonly Poll: new (fd: number, onReady: (status: number, events: number) => void) => RawPoll;

  bpfLoad(
    objectPath: string,
    pinDir: string | undefined,
  ): { programs: Record<string, RawProgram>; maps: Record<string, RawMap> };
  bpfReadOnlyData(objectPath: string): Uint8Array;
  bpfOpenMap(pinPath: string): RawMap;
  bpfMapLookup(map: number, key: Uint8Array, valueSize: number): Uint8Array | undefined;
  bpfMapUpdate(map: number, key: Uint8Array, value: Uint8Array): void;
  bpfMapDelete(map: number, key: Uint8Array): boolean;
  bpfMapKeys(map: number, keySize: number): Uint8Array[];
  bpfLinkCreate(program: number, target: number, attachType: number, pinPath: string | undefined): number;
  bpfLinkUpdate(pinPath: string, program: number): void;
  bpfLinkInfo(pinPath: string): { attachType: number; cgroupId: bigint; netnsIno: number; programId: number };
  bpfLinkDetach(pinPath: string): void;

  readonly BpfRing: new (map: number) => RawRing;

  destroyTcpSocket(
    netns: number,
    socket: {
      readonly family: 4 | 6;
      readonly local: string;
      readonly localPort: number;
      readonly remote: string;
      readonly remotePort: number;
      readonly cookie: bigint;
    },
  ): boolean;

  nftRun(netns: number, commands: string): { ok: boolean; text: string };

  readonly EngineLoop: RawEngineLoopClass;

  /** [read, write] */
  makePipe(owner: number): [number, number];
  /** [ours, the process's] */
  openTerminal(owner: number): [number, number];
  resizeTerminal(fd: number, columns: number, rows: number): void;
}

/** Where the compiled addon is, built or not. */
export const addonFile = fileURLToPath(new URL('./build/aquifer.node', import.meta.url));
let loaded: Addon | undefined;

/** Throws when the addon was not built, or not for this Node and machine. */
export function addon(): Addon {
  if (loaded === undefined) {
    if (!existsSync(addonFile))
      throw new Error(`the addon ${addonFile} is not built; run: npm run demo, or make -C native`);
    loaded = createRequire(import.meta.url)(addonFile) as Addon;
  }
  return loaded;
}
