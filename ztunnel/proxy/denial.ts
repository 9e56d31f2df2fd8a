/** Why a connection ends at the third stage, in both directions. */
import { type ErrorCode, MeshError, type ResponseFlag } from '../../common/core/errors.ts';
import type { Service, Workload } from '../../common/mesh/types.ts';

export interface Denial {
  readonly kind: 'deny';
  readonly cause: /** `explanation` names policy and rule. */
  { readonly kind: 'policy'; readonly flag: ResponseFlag } | { readonly kind: 'error'; readonly code: ErrorCode };
  readonly reason: string;
  /** Answer to a CONNECT (ambient-wire 1.4). */
  readonly status: 400 | 401 | 503;
  readonly service?: Service;
  readonly workload?: Workload;
}

export function denied(
  code: ErrorCode,
  reason: string,
  about: { readonly service?: Service; readonly workload?: Workload } = {},
): Denial {
  const { service, workload } = about;
  return {
    kind: 'deny',
    cause: { kind: 'error', code },
    reason,
    status: 503,
    ...(service && { service }),
    ...(workload && { workload }),
  };
}

/** For who takes failures of any kind. */
export function errorOf({ cause, reason }: Denial): Error {
  return cause.kind === 'error' ? new MeshError(cause.code, reason) : new Error(reason);
}
