/** One way in which the mesh gets its certificates signed. */
import type { Clock } from '../../../common/core/clock.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import type { Leadership } from '../../leader/leader.ts';
import type { CaSettings } from '../config.ts';
import type { Ledger } from '../rotation/ledger.ts';
import type { MeshView } from '../rotation/outstanding.ts';
import type { Signer } from '../signers/signer.ts';

export interface BackendOptions {
  readonly settings: CaSettings;
  /** Where istiod runs. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly source: KubeSource;
  readonly leadership: Leadership;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How many certificates a change of the root waits for. */
  readonly waiting: (certificates: number) => void;
}

export interface Backend {
  readonly signer: Signer;
  /** PEM: what is revoked, to be published. */
  readonly revoked: () => string | undefined;
  /** Once pods are known. */
  watch(mesh: () => Omit<MeshView, 'now'>): void;
}
