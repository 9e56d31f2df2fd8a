/** What a kubelet needs of the containers of its node. */
import type { Duplex } from 'node:stream';
import type { Channels } from '../../common/kube/kubelet/channels.ts';
import type { KubeletRequest } from '../../common/kube/kubelet/requests.ts';

export type LogRequest = Extract<KubeletRequest, { kind: 'logs' }>;
export type ExecRequest = Extract<KubeletRequest, { kind: 'exec' }>;
export type AttachRequest = Extract<KubeletRequest, { kind: 'attach' }>;
export type DialRequest = Extract<KubeletRequest, { kind: 'dial' }>;

/** metav1.Status as remotecommand has it, without what never varies. */
export type ProcessStatus =
  | { readonly metadata: object; readonly status: 'Success' }
  | {
      readonly metadata: object;
      readonly status: 'Failure';
      readonly message: string;
      readonly reason: 'NonZeroExitCode' | 'InternalError';
      readonly details?: { readonly causes: readonly { readonly reason: 'ExitCode'; readonly message: string }[] };
    };

/** Uses the channels until the process has ended or the signal aborts, ends its outputs, and says how it went. */
export type Run = (channels: Channels, signal: AbortSignal) => Promise<ProcessStatus>;

/** Rejects with Refusal for what is asked of a pod or container that is not there, or not running. */
export interface ContainerRuntime {
  logs(request: LogRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  exec(request: ExecRequest): Promise<Run>;
  attach(request: AttachRequest): Promise<Run>;
  dial(request: DialRequest, signal: AbortSignal): Promise<Duplex>;
}

/** How kubectl learns of an exit code. */
export function exitStatus(code: number): ProcessStatus {
  if (code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: ${code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  };
}
