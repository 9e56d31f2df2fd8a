/** eBPF objects, pinned maps and pinned links, by libbpf. */
import { closeSync, constants, existsSync, fstatSync, openSync } from 'node:fs';
import type { Fd } from '../common/core/brand.ts';
import { addon, type RawMap, type RawProgram } from './addon.ts';

/** Keys and values are the bytes of the C structs. */
export interface BpfMap {
  readonly keySize: number;
  /** Of a per-CPU map, all CPUs together, each padded to 8 bytes. */
  readonly valueSize: number;
  lookup(key: Uint8Array): Uint8Array | undefined;
  update(key: Uint8Array, value: Uint8Array): void;
  /** False when there was no such key. */
  delete(key: Uint8Array): boolean;
  keys(): Uint8Array[];
  /** Of a ring buffer: calls with what is in it and what comes, each record once, until it is closed. One reader a map. */
  events(onEvent: (record: Uint8Array) => void): BpfEvents;
  close(): void;
}

export interface BpfEvents {
  /** Hands over at once what waits. */
  read(): void;
  close(): void;
}

/** `replaced` in place: at no time was no program attached. */
export type Attached = 'created' | 'replaced';

/** A loaded object. Closing it leaves alone what is pinned and detaches what is not. */
export interface BpfObject {
  readonly programs: readonly string[];
  /** The object's map of this name; throws when it has none. The caller closes it. */
  map(name: string): BpfMap;
  /** Without a pin path the program stays attached until close(). */
  attachCgroup(program: string, cgroupPath: string, pinPath?: string): Attached;
  attachNetns(program: string, netns: Fd, pinPath?: string): Attached;
  /** Gives a pinned link this program, wherever it is attached. ENOLINK when that is gone. */
  replace(program: string, pinPath: string): void;
  close(): void;
}

/**
 * Loads an ELF object. Maps that are declared pinned are taken from `pinDir` (a bpffs) if they are there, and pinned there if
 * not; without `pinDir` they are private. The error has the end of the verifier's log. Needs CAP_BPF and CAP_NET_ADMIN
 * (CAP_SYS_ADMIN before Linux 5.8).
 */
export function loadBpf(objectPath: string, pinDir?: string): BpfObject {
  const raw = addon().bpfLoad(objectPath, pinDir);
  const links: number[] = [];

  const program = (name: string): RawProgram => {
    const p = raw.programs[name];
    if (p === undefined) throw new Error(`${objectPath} has no program ${name}`);
    return p;
  };

  const attach = (p: RawProgram, target: number, isTarget: (l: LinkInfo) => boolean, pinPath?: string): Attached => {
    if (pinPath !== undefined && existsSync(pinPath)) {
      if (isTarget(linkInfo(pinPath))) {
        addon().bpfLinkUpdate(pinPath, p.fd);
        return 'replaced';
      }
      // The cgroup or namespace that this pin was for is gone, and another has its name.
      detachLink(pinPath);
    }
    const link = addon().bpfLinkCreate(p.fd, target, p.attachType, pinPath);
    if (pinPath === undefined) links.push(link);
    else addon().closeFd(link);
    return 'created';
  };

  return {
    programs: Object.keys(raw.programs),
    map(name) {
      const m = raw.maps[name];
      if (m === undefined) throw new Error(`${objectPath} has no map ${name}`);
      return wrapMap({ ...m, fd: addon().dupFd(m.fd) });
    },
    attachCgroup(name, cgroupPath, pinPath) {
      const target = openSync(cgroupPath, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        const id = fstatSync(target, { bigint: true }).ino;
        return attach(program(name), target, (l) => l.cgroupId === id, pinPath);
      } finally {
        closeSync(target);
      }
    },
    attachNetns(name, netns, pinPath) {
      const { ino } = addon().netnsIdentity(netns);
      return attach(program(name), netns, (l) => BigInt(l.netnsIno) === ino, pinPath);
    },
    replace: (name, pinPath) => addon().bpfLinkUpdate(pinPath, program(name).fd),
    close() {
      for (const fd of links.splice(0)) addon().closeFd(fd);
      for (const x of [...Object.values(raw.programs), ...Object.values(raw.maps)]) addon().closeFd(x.fd);
      raw.programs = {};
      raw.maps = {};
    },
  };
}

/** The initial `.rodata` of an object, without loading it: needs no capability. */
export function bpfReadOnlyData(objectPath: string): Uint8Array {
  return addon().bpfReadOnlyData(objectPath);
}

export function openPinnedMap(pinPath: string): BpfMap {
  return wrapMap(addon().bpfOpenMap(pinPath));
}

export interface LinkInfo {
  /** `enum bpf_attach_type`. */
  readonly attachType: number;
  /** Inode of the cgroup; 0 for other links, and when the cgroup is gone. */
  readonly cgroupId: bigint;
  /** Inode of the namespace; 0 for other links, and when the namespace is gone. */
  readonly netnsIno: number;
  readonly programId: number;
}

export function linkInfo(pinPath: string): LinkInfo {
  return addon().bpfLinkInfo(pinPath);
}

/**
 * Detaches at once and removes the pin. Unlinking the pin alone lets the kernel detach some time later (Linux 5.9 for
 * BPF_LINK_DETACH).
 */
export function detachLink(pinPath: string): void {
  addon().bpfLinkDetach(pinPath);
}

function wrapMap(raw: RawMap): BpfMap {
  const sized = (what: string, bytes: Uint8Array, size: number) => {
    if (bytes.length !== size) throw new Error(`a map ${what} has ${bytes.length} bytes; this map needs ${size}`);
    return bytes;
  };
  return {
    keySize: raw.keySize,
    valueSize: raw.valueSize,
    lookup: (key) => addon().bpfMapLookup(raw.fd, sized('key', key, raw.keySize), raw.valueSize),
    update: (key, value) =>
      addon().bpfMapUpdate(raw.fd, sized('key', key, raw.keySize), sized('value', value, raw.valueSize)),
    delete: (key) => addon().bpfMapDelete(raw.fd, sized('key', key, raw.keySize)),
    keys: () => addon().bpfMapKeys(raw.fd, raw.keySize),
    events: (onEvent) => readRing(raw.fd, onEvent),
    close: () => addon().closeFd(raw.fd),
  };
}

function readRing(map: number, onEvent: (record: Uint8Array) => void): BpfEvents {
  const ring = new (addon().BpfRing)(map);
  const read = () => ring.read().forEach(onEvent);
  const poll = new (addon().Poll)(ring.fd, read);
  poll.watch(1);
  poll.unref();
  return {
    read,
    close() {
      poll.close();
      // libuv has its descriptor until the poll is closed.
      setImmediate(() => ring.close());
    },
  };
}
