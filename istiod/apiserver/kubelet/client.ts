/** The user's end of an exec or attach, whichever protocol carries it. */
import type { Duplex } from 'node:stream';
import type { Channels } from '../../../common/kube/kubelet/channels.ts';

export interface ProcessClient {
  /** What is written to `stdout`, `stderr` and `status` goes to the user; `stdin` and `resize` come from there. */
  readonly channels: Channels;
  /** Resolves when the user has gone, however. */
  readonly gone: Promise<void>;
  /** Ends the connection behind what was written. */
  close(): void;
}

/** After the 101. Rejects when the client does not open what it asked for. */
export type OpenProcessClient = (socket: Duplex) => Promise<ProcessClient>;
