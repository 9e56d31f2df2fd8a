/** Both kinds of capture on this machine: how they are probed, which of them stands, and how they are made. */
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../../common/core/log.ts';
import { openNetns } from '../../native/index.ts';
import type { AgentConfig } from '../config.ts';
import { findKubeletCgroup } from '../prober-cgroup.ts';
import { missingForEbpf } from '../requirements.ts';
import type { CaptureKind, CaptureQuestion } from './choose.ts';
import { EbpfCapture } from './ebpf/ebpf-capture.ts';
import { probeEbpf } from './ebpf/probe.ts';
import { NftCapture } from './nft/nft-capture.ts';
import { hasNodeTable } from './nft/node-table.ts';
import { probeNft } from './nft/probe.ts';
import type { CaptureBackend } from './types.ts';

export interface CaptureMachine extends Pick<CaptureQuestion, 'probes' | 'standing'> {
  readonly create: Readonly<Record<CaptureKind, () => CaptureBackend>>;
}

const objectPath = fileURLToPath(new URL('../../bpf/build/capture.bpf.o', import.meta.url));

export function captureMachine(config: AgentConfig, log: Logger): CaptureMachine {
  const proberCgroup = config.proberCgroup ?? (config.cgroupMount && findKubeletCgroup(config.cgroupMount));
  if (!proberCgroup && config.command === 'run') {
    log.warn(
      'no kubelet was found: health probes are captured like all other traffic; AQUIFER_PROBER_CGROUP names its cgroup',
    );
  }
  const prober = proberCgroup ? { proberCgroup } : {};
  const nftOptions = { ...prober, cgroupMount: config.cgroupMount ?? config.cgroupRoot };
  const node = openNetns('/proc/self/ns/net');
  return {
    probes: {
      ebpf() {
        const reason = missingForEbpf(config);
        return reason === undefined ? probeEbpf(objectPath, config.cgroupRoot) : { kind: 'unusable', reason };
      },
      nft: () => probeNft({ ...nftOptions, cgroup: config.cgroupRoot }),
    },
    standing:
      existsSync(config.bpfDir) && readdirSync(config.bpfDir).length > 0
        ? 'ebpf'
        : hasNodeTable(node)
          ? 'nft'
          : undefined,
    create: {
      ebpf: () =>
        new EbpfCapture({
          ...prober,
          objectPath,
          pinDir: config.bpfDir,
          cgroup: config.cgroupRoot,
          failOpen: config.failOpen,
        }),
      nft: () => new NftCapture({ ...nftOptions, node }),
    },
  };
}
