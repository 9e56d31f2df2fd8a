/** Which of the captures this node gets. Pure: the kernel is asked by the probes that are handed in. */
import { MeshError } from '../../common/core/errors.ts';
import type { CaptureBackend } from './types.ts';

export type ProbeResult =
  | { readonly kind: 'usable' }
  /** `reason` names what is missing, what it is for and, where known, the capability or the Linux release that has it. */
  | { readonly kind: 'unusable'; readonly reason: string };

export type CaptureKind = CaptureBackend['kind'];

export interface CaptureQuestion {
  /** AQUIFER_CAPTURE. */
  readonly wanted: CaptureKind | 'auto';
  /** AQUIFER_FAIL_OPEN, which only eBPF can do: nftables does not see whether the proxy listens. */
  readonly failOpen: boolean;
  /** AQUIFER_SAME_NODE, which only eBPF can do: nftables cannot tell a connection that was judged from one that was not. */
  readonly sameNode: boolean;
  /** Asked only when the answer counts: each takes a few tens of ms. */
  readonly probes: Readonly<Record<CaptureKind, () => ProbeResult>>;
  /** Capture of an earlier agent of this node. */
  readonly standing: CaptureKind | undefined;
}

const names = { ebpf: 'eBPF', nft: 'nftables' } as const;

/** `why` is for the log. MeshError CONFIG when the wish cannot be met, and says by what each of both fails. */
export function chooseCapture(q: CaptureQuestion): { readonly kind: CaptureKind; readonly why: string } {
  const chosen = q.wanted === 'auto' ? best(q) : forced(q, q.wanted);
  if (q.standing !== undefined && q.standing !== chosen.kind) {
    const other = names[q.standing];
    throw new MeshError(
      'CONFIG',
      `an earlier agent captures by ${other} on this node, and both at once would capture twice: ` +
        `run cni-agent uninstall first, or set AQUIFER_CAPTURE=${q.standing}`,
    );
  }
  return chosen;
}

function forced(q: CaptureQuestion, kind: CaptureKind) {
  const reason = against(q, kind);
  if (reason === undefined) return { kind, why: `AQUIFER_CAPTURE=${kind}` };
  throw new MeshError('CONFIG', `AQUIFER_CAPTURE=${kind} cannot be: ${reason}`);
}

function best(q: CaptureQuestion): { readonly kind: CaptureKind; readonly why: string } {
  const ebpf = against(q, 'ebpf');
  if (ebpf === undefined) return { kind: 'ebpf', why: 'this kernel takes all of its programs' };
  const nft = against(q, 'nft');
  if (nft === undefined) return { kind: 'nft', why: `eBPF cannot be used: ${ebpf}` };
  throw new MeshError('CONFIG', `nothing captures on this node.\n  eBPF: ${ebpf}\n  nftables: ${nft}`);
}

function against(q: CaptureQuestion, kind: CaptureKind): string | undefined {
  if (kind === 'nft' && q.failOpen) {
    return 'AQUIFER_FAIL_OPEN=true needs eBPF: nftables cannot see whether the proxy listens';
  }
  if (kind === 'nft' && q.sameNode) {
    return 'AQUIFER_SAME_NODE=direct needs eBPF: nftables cannot let in what was judged and nothing else';
  }
  const probe = q.probes[kind]();
  return probe.kind === 'unusable' ? probe.reason : undefined;
}
