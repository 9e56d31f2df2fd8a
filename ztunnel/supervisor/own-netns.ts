/** Dedicated mode: the one workload that this proxy lives with takes the place of the pods that a node agent would tell. */
import type { Fd } from '../../common/core/brand.ts';
import type { WorkloadInfo } from '../../common/zds/types.ts';
import type { ZdsHandler } from './zds-client.ts';

export interface OwnNetnsOptions {
  readonly workload: WorkloadInfo;
  /** A descriptor of this process's namespace; the handler takes it over. */
  readonly openNetns: () => Fd;
  readonly handler: ZdsHandler;
}

/** Key of the workload among pods; no agent names it otherwise. */
export const ownUid = 'dedicated';

/** Where pods come from, as ZdsClient is for shared mode. What fails is logged and retried by the handler. */
export class OwnNetns {
  readonly #options: OwnNetnsOptions;

  constructor(options: OwnNetnsOptions) {
    this.#options = options;
  }

  start(): void {
    const { workload, openNetns, handler } = this.#options;
    void handler.add(ownUid, workload, openNetns());
    handler.snapshot(new Set([ownUid]));
  }

  /** The listeners go on until the supervisor closes them. */
  stop(): void {}
}
