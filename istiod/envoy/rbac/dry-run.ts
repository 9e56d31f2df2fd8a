/** What policies in dry run would have done, for the line that Istio's access log has where nobody asked for another one. */
import type { AuthorizationPolicy } from '../../../common/kube/kinds/security.ts';
import { actionOf, isOnTrial, rbacExtension } from './filters.ts';
import type { Level } from './rules.ts';

export interface DryRunLog {
  /** After the line; empty: nothing is on trial. */
  readonly text: string;
  /** The same in JSON. */
  readonly labels: Readonly<Record<string, string>>;
}

/** As a service has it whose policies are none. */
export const nothingOnTrial: DryRunLog = { text: '', labels: {} };

/** `dry_run[DENY=denied,NAME]`: the verdict, and the rule that matched or `-`. */
export function dryRunLog(policies: readonly AuthorizationPolicy[], level: Level): DryRunLog {
  const trials = policies.filter(isOnTrial).map(actionOf);
  const actions = (['DENY', 'ALLOW'] as const).filter((action) => trials.includes(action));
  if (actions.length === 0) return nothingOnTrial;
  const told = actions.map((action) => {
    const key = `${rbacExtension[level].name}:istio_dry_run_${action.toLowerCase()}_shadow`;
    const of = (what: string) => `%DYNAMIC_METADATA(${key}_${what})%`;
    return { action, result: of('engine_result'), policy: of('effective_policy_id') };
  });
  return {
    text: ` dry_run[${told.map(({ action, result, policy }) => `${action}=${result},${policy}`).join(' ')}]`,
    labels: Object.fromEntries(
      told.flatMap(({ action, result, policy }) => [
        [`dry_run_${action.toLowerCase()}`, result],
        [`dry_run_${action.toLowerCase()}_policy`, policy],
      ]),
    ),
  };
}
