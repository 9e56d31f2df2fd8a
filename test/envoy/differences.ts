/**
 * Where our waypoint differs from Envoy and shall: read by every comparison. At most 20, none in authorization, routing or status; so far
 * there is none.
 */
import type { Observed, Request } from './world.ts';

export interface Difference {
  readonly what: string;
  readonly reason: string;
  /** Takes the difference out of a pair of observations, where the request meets it. */
  level(request: Request, envoy: Observed, ours: Observed): readonly [Observed, Observed] | undefined;
}

export const differences: readonly Difference[] = [];
