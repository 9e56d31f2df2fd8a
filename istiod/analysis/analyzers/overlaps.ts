/** Sidecars, Telemetries and EnvoyFilters that get in each other's way. */
import { type EnvoyFilter, envoyFilterKind } from '../../../common/kube/kinds/istio/envoy-filter.ts';
import { sidecarKind } from '../../../common/kube/kinds/istio/sidecar.ts';
import { telemetryKind } from '../../../common/kube/kinds/istio/telemetry.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import { type Labels, selects } from '../../model/selector.ts';
import type { SortName } from '../codes.ts';
import type { Analyzer, Message, World } from '../world.ts';

interface Selecting {
  readonly object: KubeObject;
  readonly labels: Labels | undefined;
}

function overlaps(world: World, all: readonly Selecting[], none: SortName, same: SortName): readonly Message[] {
  const messages: Message[] = [];
  const namespaces = new Set(all.map((s) => namespaceOf(s.object)));
  for (const namespace of namespaces) {
    const here = all.filter((s) => namespaceOf(s.object) === namespace);
    const whole = here.filter((s) => s.labels === undefined);
    const names = (list: readonly Selecting[]) => list.map((s) => s.object.metadata.name).join(', ');
    if (whole.length > 1) {
      const text = `${names(whole)} are each for the whole namespace ${namespace}; the oldest counts`;
      messages.push(...whole.map(({ object }) => ({ sort: none, object, field: 'spec', text })));
    }
    for (const workload of world.workloads.filter((w) => w.namespace === namespace)) {
      const selecting = here.filter((s) => s.labels !== undefined && selects(s.labels, workload.labels));
      if (selecting.length < 2) continue;
      const text = `${names(selecting)} select the same workload; the oldest counts`;
      messages.push(...selecting.map(({ object }) => ({ sort: same, object, field: 'spec', text })));
    }
  }
  const seen = new Set<string>();
  return messages.filter(({ object, text }) => {
    const key = `${namespaceOf(object)}/${object.metadata.name} ${text}`;
    return !seen.has(key) && seen.add(key);
  });
}

export const analyzeSidecars: Analyzer = (world) =>
  overlaps(
    world,
    world.all(sidecarKind).map((object) => ({ object, labels: object.spec?.workloadSelector?.labels })),
    'MultipleSidecarsWithoutWorkloadSelectors',
    'ConflictingSidecarWorkloadSelectors',
  );

export const analyzeTelemetries: Analyzer = (world) =>
  overlaps(
    world,
    world
      .all(telemetryKind)
      .filter(({ spec }) => spec?.targetRef === undefined && (spec?.targetRefs ?? []).length === 0)
      .map((object) => ({ object, labels: object.spec?.selector?.matchLabels })),
    'MultipleTelemetriesWithoutWorkloadSelectors',
    'ConflictingTelemetryWorkloadSelectors',
  );

export const analyzeEnvoyFilters: Analyzer = (world) =>
  world
    .all(envoyFilterKind)
    .flatMap((object) =>
      (object.spec?.configPatches ?? []).flatMap((patch, i) =>
        checkPatch(object, patch, `spec.configPatches[${i}].patch`),
      ),
    );

type Patch = NonNullable<NonNullable<EnvoyFilter['spec']>['configPatches']>[number];

function checkPatch(object: EnvoyFilter, { applyTo = 'INVALID', patch }: Patch, field: string): readonly Message[] {
  const operation = patch?.operation ?? 'INVALID';
  const priority = object.spec?.priority ?? 0;
  const filters = ['HTTP_FILTER', 'NETWORK_FILTER', 'LISTENER_FILTER'];
  if (/^INSERT_(BEFORE|AFTER|FIRST)$/.test(operation) && priority === 0) {
    return [
      {
        sort: 'EnvoyFilterUsesRelativeOperation',
        object,
        field,
        text: `${operation} depends on which filters are there already; set priority, so that the order of EnvoyFilters is yours`,
      },
    ];
  }
  if (operation === 'REPLACE' && ![...filters, 'HTTP_ROUTE'].includes(applyTo)) {
    return [
      {
        sort: 'EnvoyFilterUsesReplaceOperationIncorrectly',
        object,
        field,
        text: `REPLACE is for filters and routes, not for ${applyTo}; it does nothing`,
      },
    ];
  }
  if (operation === 'ADD' && (applyTo === 'ROUTE_CONFIGURATION' || applyTo === 'HTTP_ROUTE')) {
    return [
      {
        sort: 'EnvoyFilterUsesAddOperationIncorrectly',
        object,
        field,
        text: `ADD is not for ${applyTo}; it does nothing`,
      },
    ];
  }
  if (operation === 'REMOVE' && applyTo === 'ROUTE_CONFIGURATION') {
    return [
      {
        sort: 'EnvoyFilterUsesRemoveOperationIncorrectly',
        object,
        field,
        text: `REMOVE is not for ${applyTo}; it does nothing`,
      },
    ];
  }
  return [];
}
