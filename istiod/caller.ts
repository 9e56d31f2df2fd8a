/** Who calls istiod, and the refusals that callers get: one text for all reasons, so that nobody learns by trying. */
import { type ServerErrorResponse, status } from '@grpc/grpc-js';

export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod that the token is bound to; absent where a client certificate of ours was shown instead. */
  readonly pod?: { readonly name: string; readonly uid: string };
}

/** Carries the reason for istiod's own log. */
export class Unauthenticated extends Error {}

export const opaqueRefusal: Partial<ServerErrorResponse> & { code: number; details: string } = {
  code: status.UNAUTHENTICATED,
  details: 'request authenticate failure',
};
