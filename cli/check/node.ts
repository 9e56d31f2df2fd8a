/** This machine as a node of the mesh: what the agent and the node proxy need of it, tried, not told by version. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { probeEbpf } from '../../cni/capture/ebpf/probe.ts';
import { probeNft } from '../../cni/capture/nft/probe.ts';
import { missingCapabilities, type NeededCapability } from '../../common/core/capabilities.ts';
import { fail, ok, type Result, warn } from './result.ts';

const needed: readonly NeededCapability[] = [
  { name: 'CAP_SYS_ADMIN', why: 'to enter the namespaces of pods' },
  { name: 'CAP_NET_ADMIN', why: 'for routes, transparent sockets and nftables' },
  { name: 'CAP_BPF', why: 'to load programs', instead: 'CAP_SYS_ADMIN' },
];

const objectPath = fileURLToPath(new URL('../../bpf/build/capture.bpf.o', import.meta.url));

export function checkNode(): readonly Result[] {
  const results: Result[] = [ok('node', `Linux ${release()}`)];
  const lacks = missingCapabilities(readFileSync('/proc/self/status', 'utf8'), needed);
  for (const { name, why } of lacks)
    results.push(
      fail('node', `${name} is missing, needed ${why}`, 'run this as root; in a pod: securityContext.capabilities.add'),
    );
  const cgroup = cgroup2(readFileSync('/proc/mounts', 'utf8'));
  if (cgroup === undefined)
    return [
      ...results,
      fail(
        'node',
        'no cgroup2 is mounted: eBPF cannot tell pods from the proxy',
        'boot with systemd.unified_cgroup_hierarchy=1',
      ),
    ];
  results.push(ok('node', `cgroup2 at ${cgroup}`));
  if (lacks.length === 0) results.push(...captures(cgroup));
  return [...results, ...chain('/etc/cni/net.d')];
}

function captures(cgroup: string): readonly Result[] {
  const ebpf = existsSync(objectPath)
    ? probeEbpf(objectPath, cgroup)
    : ({ kind: 'unusable', reason: `${objectPath} is missing: make -C bpf` } as const);
  const nft = probeNft({ cgroupMount: cgroup, cgroup });
  if (ebpf.kind === 'usable')
    return [
      ok('node', 'eBPF captures: the kernel takes all programs'),
      ...(nft.kind === 'usable' ? [ok('node', 'nftables could capture, too')] : []),
    ];
  if (nft.kind === 'usable')
    return [
      warn('node', `eBPF cannot be used: ${ebpf.reason}`, 'nftables captures in its place'),
      ok('node', 'nftables captures'),
    ];
  return [
    fail('node', `eBPF cannot be used: ${ebpf.reason}`, 'a newer kernel'),
    fail('node', `nftables cannot be used: ${nft.reason}`, 'apt install nftables; modprobe nf_tables'),
  ];
}

function chain(folder: string): readonly Result[] {
  if (!existsSync(folder))
    return [
      warn(
        'node',
        `${folder} is missing: no container runtime of Kubernetes is set up here`,
        'join this machine to a cluster',
      ),
    ];
  const files = readdirSync(folder)
    .filter((f) => /\.conf(list)?$/.test(f))
    .sort();
  const [first] = files;
  if (first === undefined)
    return [fail('node', `${folder} has no CNI configuration`, 'install a CNI plugin; the mesh chains behind one')];
  return [ok('node', `CNI: ${first}${first.endsWith('.conf') ? ' (becomes a list with our plugin at its end)' : ''}`)];
}

/** The first mount of a cgroup2. */
export function cgroup2(mounts: string): string | undefined {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1];
}
