/** HorizontalPodAutoscaler, which is stored as v2 and served as v1 too, and PodDisruptionBudget. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import type { Conversion, Strategy } from '../resources/resource.ts';
import type { Cause } from '../status.ts';
import { type BuiltInKind, shaped } from './built-in.ts';
import { age, at, listAt, number, numberAt, text, textAt } from './columns.ts';
import { invalidValue, required } from './rules.ts';

const stored = { resource: 'horizontalpodautoscalers.autoscaling', apiVersion: 'autoscaling/v2' } as const;
const hpa = { group: 'autoscaling', kind: 'HorizontalPodAutoscaler', plural: 'horizontalpodautoscalers' } as const;

/** Where version 1 keeps, as JSON, what it has no fields for. */
const kept = {
  metrics: 'autoscaling.alpha.kubernetes.io/metrics',
  behavior: 'autoscaling.alpha.kubernetes.io/behavior',
} as const;

function cpuMetric(averageUtilization: unknown): object {
  return { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } } };
}

function isCpu(metric: unknown): boolean {
  return (
    textAt(metric, 'type') === 'Resource' &&
    textAt(metric, 'resource', 'name') === 'cpu' &&
    at(metric, 'resource', 'target', 'averageUtilization') !== undefined
  );
}

export const hpaConversion: Conversion = {
  fromStored(object) {
    const spec = at(object, 'spec');
    if (isObject(spec)) {
      const { metrics, behavior, ...rest } = spec;
      const all = Array.isArray(metrics) ? metrics : [];
      const cpu = all.find(isCpu);
      const target = at(cpu, 'resource', 'target', 'averageUtilization');
      object['spec'] = { ...rest, ...(target === undefined ? {} : { targetCPUUtilizationPercentage: target }) };
      const others = all.filter((m) => m !== cpu);
      if (others.length > 0) annotate(object, kept.metrics, others);
      if (behavior !== undefined) annotate(object, kept.behavior, behavior);
    }
    const status = at(object, 'status');
    if (!isObject(status)) return;
    const { currentMetrics, conditions: _conditions, ...rest } = status;
    const current = Array.isArray(currentMetrics) ? currentMetrics : [];
    const cpu = current.find((m) => textAt(m, 'resource', 'name') === 'cpu');
    const used = at(cpu, 'resource', 'current', 'averageUtilization');
    object['status'] = { ...rest, ...(used === undefined ? {} : { currentCPUUtilizationPercentage: used }) };
  },
  toStored(object) {
    const spec = at(object, 'spec');
    if (isObject(spec)) {
      const { targetCPUUtilizationPercentage: target, ...rest } = spec;
      const others = unannotate(object, kept.metrics);
      const behavior = unannotate(object, kept.behavior);
      const metrics = [
        ...(target === undefined ? [] : [cpuMetric(target)]),
        ...(Array.isArray(others) ? (others as unknown[]) : []),
      ];
      object['spec'] = {
        ...rest,
        ...(metrics.length === 0 ? {} : { metrics }),
        ...(behavior === undefined ? {} : { behavior }),
      };
    }
    const status = at(object, 'status');
    if (!isObject(status)) return;
    const { currentCPUUtilizationPercentage: used, ...rest } = status;
    const current = { name: 'cpu', current: { averageUtilization: used } };
    object['status'] = {
      ...rest,
      ...(used === undefined ? {} : { currentMetrics: [{ type: 'Resource', resource: current }] }),
    };
  },
};

function annotate(object: ApiObject, name: string, value: unknown): void {
  object.metadata.annotations = { ...object.metadata.annotations, [name]: JSON.stringify(value) };
}

/** undefined also where it is no JSON: then it stays an annotation. */
function unannotate(object: ApiObject, name: string): unknown {
  const { [name]: text, ...others } = object.metadata.annotations ?? {};
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (Object.keys(others).length > 0) object.metadata.annotations = others;
    else delete object.metadata.annotations;
    return value;
  } catch {
    return undefined;
  }
}

function checkHpa(object: ApiObject): readonly Cause[] {
  const causes: Cause[] = [];
  const [min, max] = [numberAt(object, 'spec', 'minReplicas'), numberAt(object, 'spec', 'maxReplicas')];
  if (max < 1) causes.push(invalidValue('spec.maxReplicas', max, 'must be greater than 0'));
  if (min < 1) causes.push(invalidValue('spec.minReplicas', min, 'must be greater than or equal to 1'));
  if (max < min) causes.push(invalidValue('spec.maxReplicas', max, 'must be greater than or equal to `minReplicas`'));
  for (const field of ['kind', 'name'])
    if (textAt(object, 'spec', 'scaleTargetRef', field) === '') causes.push(required(`spec.scaleTargetRef.${field}`));
  return causes;
}

const created: Strategy = {
  prepareCreate(object) {
    object['status'] = { currentReplicas: 0, desiredReplicas: 0 };
  },
  validate: checkHpa,
};

function target(metric: unknown): string {
  const kind = textAt(metric, 'type');
  const source = at(metric, `${kind.slice(0, 1).toLowerCase()}${kind.slice(1)}`);
  const of = (name: string) => textAt(source, 'target', name);
  const wanted = of('averageUtilization') === '' ? of('averageValue') || of('value') : `${of('averageUtilization')}%`;
  const name = textAt(source, 'name') || textAt(source, 'metric', 'name');
  return `${name}: <unknown>/${wanted}`;
}

const hpaRow = {
  shortNames: ['hpa'],
  categories: ['all'],
  hasStatus: true,
  columns: [
    text(
      'Reference',
      'What is scaled',
      (o: ApiObject) => `${textAt(o, 'spec', 'scaleTargetRef', 'kind')}/${textAt(o, 'spec', 'scaleTargetRef', 'name')}`,
    ),
    text('Targets', 'What decides', (o: ApiObject) => {
      const percent = textAt(o, 'spec', 'targetCPUUtilizationPercentage');
      const all = listAt(o, 'spec', 'metrics').map(target);
      return (percent === '' ? all : [`cpu: <unknown>/${percent}%`, ...all]).join(', ') || '<none>';
    }),
    text('MinPods', 'The fewest pods', (o: ApiObject) => textAt(o, 'spec', 'minReplicas')),
    number('MaxPods', 'The most pods', (o: ApiObject) => numberAt(o, 'spec', 'maxReplicas')),
    number('Replicas', 'Pods now', (o: ApiObject) => numberAt(o, 'status', 'currentReplicas')),
    age,
  ],
} as const;

export const autoscalingResources: readonly BuiltInKind[] = [
  {
    entry: shaped({ ...hpa, version: 'v1', namespaced: true }),
    ...hpaRow,
    stored,
    conversion: hpaConversion,
    strategy: created,
  },
  {
    entry: shaped({ ...hpa, version: 'v2', namespaced: true }),
    ...hpaRow,
    stored,
    strategy: {
      ...created,
      fillIn(object) {
        const spec = at(object, 'spec');
        if (isObject(spec) && listAt(spec, 'metrics').length === 0) spec['metrics'] = [cpuMetric(80)];
      },
    },
  },
  {
    entry: shaped({
      group: 'policy',
      version: 'v1',
      kind: 'PodDisruptionBudget',
      plural: 'poddisruptionbudgets',
      namespaced: true,
    }),
    shortNames: ['pdb'],
    hasStatus: true,
    hasGeneration: true,
    columns: [
      text('Min Available', 'Pods that must stay', (o) => textAt(o, 'spec', 'minAvailable') || 'N/A'),
      text('Max Unavailable', 'Pods that may be missing', (o) => textAt(o, 'spec', 'maxUnavailable') || 'N/A'),
      number('Allowed Disruptions', 'Pods that may go now', (o) => numberAt(o, 'status', 'disruptionsAllowed')),
      age,
    ],
    strategy: {
      prepareCreate(object) {
        object['status'] = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 };
      },
      validate: (object) =>
        at(object, 'spec', 'minAvailable') !== undefined && at(object, 'spec', 'maxUnavailable') !== undefined
          ? [invalidValue('spec', at(object, 'spec'), 'minAvailable and maxUnavailable cannot be both set')]
          : [],
    },
  },
];
