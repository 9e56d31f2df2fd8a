/** Whether this kernel can do eBPF capture: tried with the real programs in a scratch cgroup and netns, never told by version. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Fd } from '../../../common/core/brand.ts';
import { describeError } from '../../../common/core/errors.ts';
import { isNativeError, loadBpf, netnsCookie, podRouting, setUpPodRouting } from '../../../native/index.ts';
import type { ProbeResult } from '../choose.ts';
import { inScratchNetns, unusable } from '../scratch-netns.ts';
import { type Program, programs } from './programs.ts';

/** `cgroup` is any cgroup2 folder that may get a child for a moment. Takes about 30 ms. */
export function probeEbpf(objectPath: string, cgroup: string): ProbeResult {
  const scratch = join(cgroup, `aquifer-probe-${process.pid}`);
  try {
    mkdirSync(scratch);
  } catch (e) {
    return unusable(`a cgroup cannot be made in ${cgroup} (needed to try the programs)`, e);
  }
  try {
    return inScratchNetns((netns) => tryPrograms(objectPath, scratch, netns));
  } finally {
    rmdirSync(scratch);
  }
}

function tryPrograms(objectPath: string, scratch: string, netns: Fd): ProbeResult {
  try {
    netnsCookie(netns);
    const refused = tryRouting(netns);
    if (refused) return refused;
    const object = loadBpf(objectPath);
    try {
      for (const p of programs) {
        try {
          if (p.at === 'pod') object.attachNetns(p.name, netns);
          else object.attachCgroup(p.name, scratch);
        } catch (e) {
          return unusable(`${describe(p)} cannot be attached`, e);
        }
      }
    } finally {
      object.close();
    }
  } catch (e) {
    const failed = programs.find((p) => describeError(e).includes(`prog '${p.name}'`));
    return unusable(
      failed
        ? `${describe(failed)} cannot be loaded`
        : 'the eBPF object cannot be loaded (needs CAP_BPF and CAP_NET_ADMIN)',
      e,
    );
  }
  return { kind: 'usable' };
}

/** CAP_SYS_ADMIN is enough for all of eBPF, but not for this. That loopback is down in there (ENETDOWN) does not matter. */
function tryRouting(netns: Fd): ProbeResult | undefined {
  try {
    setUpPodRouting(netns, { ...podRouting, ipv6: false });
  } catch (e) {
    if (!isNativeError(e)) throw e;
    if (e.code === 'EPERM') {
      return unusable('routes cannot be set (needs CAP_NET_ADMIN, to show apps the address of the client)', e);
    }
  }
  return undefined;
}

function describe(p: Program): string {
  return `program ${p.name} (${p.purpose}, since Linux ${p.since})`;
}
