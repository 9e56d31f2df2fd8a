/** ClusterRoles with an aggregationRule get the rules of all ClusterRoles whose labels it selects. */
import { isDeepStrictEqual } from 'node:util';
import { millis } from '../../../../common/core/brand.ts';
import type { Clock } from '../../../../common/core/clock.ts';
import { describeError } from '../../../../common/core/errors.ts';
import type { Logger } from '../../../../common/core/log.ts';
import type { LabelSelector } from '../../../../common/kube/kinds/apps.ts';
import { clusterRoleKind } from '../../../../common/kube/schema/cluster.ts';
import type { KubeSource } from '../../../../common/kube/types.ts';
import type { Feeds } from '../../controllers/runtime/feed.ts';
import { matchesSelector } from '../../selectors/objects.ts';
import type { Policy } from './policy.ts';
import { type PolicyRule, type Role, stores } from './types.ts';

/** Ms until a write that failed is tried again. */
const pause = 1000;

export interface AggregationOptions {
  readonly policy: Policy;
  readonly feeds: Feeds;
  readonly source: KubeSource;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Resolves when the roles that are there have their rules. */
export async function aggregateRoles(options: AggregationOptions, signal: AbortSignal): Promise<void> {
  const { policy, feeds, source, clock, log } = options;
  let running: Promise<void> | undefined;
  let again = false;
  const round = async (): Promise<void> => {
    do {
      again = false;
      for (const role of [...policy.clusterRoles()]) {
        try {
          const rules = aggregated(role, policy.clusterRoles());
          if (signal.aborted || rules === undefined || isDeepStrictEqual(role.rules ?? [], rules)) continue;
          await source.patch(clusterRoleKind, { name: role.metadata.name! }, { rules });
        } catch (e) {
          if (signal.aborted) return;
          log.warn('a role was not aggregated', { role: role.metadata.name ?? '', error: describeError(e) });
          clock.after(millis(pause), changed);
        }
      }
    } while (again && !signal.aborted);
    running = undefined;
  };
  const changed = (): void => {
    again = true;
    running ??= Promise.resolve().then(round);
  };
  feeds.read(stores.clusterRole, changed);
  await running;
}

/** undefined: the role has rules of its own. */
export function aggregated(role: Role, all: Iterable<Role>): readonly PolicyRule[] | undefined {
  const selectors = role.aggregationRule?.clusterRoleSelectors;
  if (selectors === undefined) return undefined;
  const own = role.metadata.name;
  const chosen = [...all].filter(
    (r) => r.metadata.name !== own && selectors.some((s) => matchesSelector(s as LabelSelector, r.metadata.labels)),
  );
  chosen.sort((a, b) => (a.metadata.name! < b.metadata.name! ? -1 : 1));
  const rules: PolicyRule[] = [];
  for (const rule of chosen.flatMap((r) => r.rules ?? []))
    if (!rules.some((r) => isDeepStrictEqual(r, rule))) rules.push(rule);
  return rules;
}
