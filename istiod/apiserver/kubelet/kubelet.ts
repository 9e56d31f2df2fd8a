/** What the API server asks of the node that runs a pod. */
import type { Channels } from '../../../common/kube/kubelet/channels.ts';
import type { KubeletRequest } from '../../../common/kube/kubelet/requests.ts';
import type { ApiObject } from '../objects.ts';

export type LogRequest = Extract<KubeletRequest, { kind: 'logs' }>;
export type ProcessRequest = Extract<KubeletRequest, { kind: 'exec' | 'attach' }>;
export type DialRequest = Extract<KubeletRequest, { kind: 'dial' }>;

/** ApiError with the kubelet's own words when it refuses, and when it cannot be reached. All ends with the signal. */
export interface Kubelet {
  logs(request: LogRequest, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
  /** A process in a container: what is written to `stdin` and `resize` goes there, the others come from there. */
  run(request: ProcessRequest, signal: AbortSignal): Promise<KubeletStreams>;
  /** A connection to a port of the pod: `stdin` goes there, `stdout` comes from there. */
  dial(request: DialRequest, signal: AbortSignal): Promise<KubeletStreams>;
}

export interface KubeletStreams {
  readonly channels: Channels;
  /** Ends what is still open. */
  close(): void;
}

/** Of the node with this object. ApiError when it does not say how it is reached. */
export type KubeletOf = (node: ApiObject) => Kubelet;
