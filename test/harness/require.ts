/**
 * What a test needs of the machine. A test that cannot run skips and says why; with REQUIRE_ALL=1 (CI) it fails instead,
 * so that a machine which lost a feature does not look like one where everything passed.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/**
 * - `linux`: the kernel's own interfaces.
 * - `root`: effective uid 0 with CAP_SYS_ADMIN and CAP_NET_ADMIN (a container's root may lack them).
 * - `addon`: native/build/aquifer.node is built.
 * - `ebpf`: root, the addon, the BPF objects and a cgroup2 mount.
 * - `plugin`: the CNI plugin is built.
 * - `engine-programs`: the engine's units and fuzzers are built.
 * - `memory-cgroup`: root and a memory controller that a cgroup may use, of version 1 or 2.
 * - `program:NAME`: NAME is on PATH.
 */
export type Requirement =
  | 'linux'
  | 'root'
  | 'addon'
  | 'ebpf'
  | 'plugin'
  | 'engine-programs'
  | 'memory-cgroup'
  | `program:${string}`;

const repository = join(import.meta.dirname, '../..');

/** Skips the test (fails it with REQUIRE_ALL=1) when something is missing: `if (!needs(t, 'root')) return;`. */
export function needs(t: TestContext, ...requirements: readonly Requirement[]): boolean {
  const reason = missing(requirements);
  if (reason === undefined) return true;
  if (requireAll()) throw new Error(`REQUIRE_ALL=1, and this test cannot run: ${reason}`);
  t.skip(reason);
  return false;
}

/** The same for a whole suite or test as its `skip` option: `describe('x', { skip: skipUnless('root') }, ...)`. */
export function skipUnless(...requirements: readonly Requirement[]): string | false {
  const reason = missing(requirements);
  if (reason === undefined) return false;
  if (requireAll()) throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}

/** `npm run test:long`: the long form of stress and fuzz tests; CI runs the short one. */
export function longOr<T>(short: T, long: T): T {
  return process.env['TEST_LONG'] === '1' ? long : short;
}

function requireAll(): boolean {
  return process.env['REQUIRE_ALL'] === '1';
}

/** The first reason why these requirements are not met. */
function missing(requirements: readonly Requirement[]): string | undefined {
  for (const requirement of requirements) {
    const reason = reasonAgainst(requirement);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function reasonAgainst(requirement: Requirement): string | undefined {
  if (requirement === 'linux')
    return process.platform === 'linux' ? undefined : `needs Linux, this is ${process.platform}`;
  if (requirement === 'root') return reasonAgainst('linux') ?? capabilityReason();
  if (requirement === 'addon') {
    return existsSync(join(repository, 'native/build/aquifer.node'))
      ? undefined
      : 'the addon is not built: make -C native';
  }
  if (requirement === 'plugin') {
    return existsSync(join(repository, 'cni/plugin/build/aquifer-cni'))
      ? undefined
      : 'the CNI plugin is not built: make -C cni/plugin';
  }
  if (requirement === 'engine-programs') {
    return existsSync(join(repository, 'native/engine/build/units'))
      ? undefined
      : "the engine's test programs are not built: make -C native/engine";
  }
  if (requirement === 'ebpf') return missing(['root', 'addon']) ?? bpfReason();
  if (requirement === 'memory-cgroup') {
    return reasonAgainst('root') ?? memoryReason();
  }
  const program = requirement.slice('program:'.length);
  return onPath(program) ? undefined : `program ${program} is not installed`;
}

function capabilityReason(): string | undefined {
  if (process.geteuid?.() !== 0) return 'needs root';
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const has = (bit: bigint) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
  // Bit numbers from linux/capability.h.
  if (!has(21n)) return 'needs CAP_SYS_ADMIN';
  if (!has(12n)) return 'needs CAP_NET_ADMIN';
  return undefined;
}

function memoryReason(): string | undefined {
  const mounts = readFileSync('/proc/mounts', 'utf8');
  if (/^\S+ \S+ cgroup \S*\bmemory\b/m.test(mounts)) return undefined;
  const root = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
  const passed = root === undefined ? '' : readFileSync(join(root, 'cgroup.subtree_control'), 'utf8');
  return /\bmemory\b/.test(passed) ? undefined : 'no cgroup may use a memory controller';
}

function bpfReason(): string | undefined {
  if (!existsSync(join(repository, 'bpf/build/capture.bpf.o'))) return 'the BPF objects are not built: make -C bpf';
  const mounts = readFileSync('/proc/mounts', 'utf8');
  return / cgroup2 /.test(mounts) ? undefined : 'no cgroup2 is mounted';
}

function onPath(program: string): boolean {
  // Debian keeps nft and tcpdump where a user's PATH does not look.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
