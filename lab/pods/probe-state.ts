/** When single attempts of a probe make it succeed or fail. Pure. */
import type { ProbePlan } from '../manifest/probe.ts';

export interface ProbeState {
  /** undefined until one threshold has been reached. */
  readonly result: boolean | undefined;
  readonly successes: number;
  readonly failures: number;
}

export const unprobed: ProbeState = { result: undefined, successes: 0, failures: 0 };

export function observe(state: ProbeState, succeeded: boolean, plan: ProbePlan): ProbeState {
  const successes = succeeded ? state.successes + 1 : 0;
  const failures = succeeded ? 0 : state.failures + 1;
  if (successes >= plan.successThreshold) return { result: true, successes, failures };
  if (failures >= plan.failureThreshold) return { result: false, successes, failures };
  return { result: state.result, successes, failures };
}
