/**
 * What users change of a waypoint's objects: ConfigMaps with a strategic merge patch in YAML for each kind, named by the Gateway
 * (infrastructure.parametersRef), or for a whole class by a label in istiod's namespace.
 */
import { parseDocument } from 'yaml';
import { describeError } from '../../common/core/errors.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { builtInResources } from '../apiserver/kinds/table.ts';
import { applyStrategicPatch } from '../apiserver/patch/strategic.ts';

/** Label of a ConfigMap in istiod's namespace: the class of which all Gateways have what it says. */
export const classDefaultsLabel = 'gateway.istio.io/defaults-for-class';

export interface Overlay {
  /** For messages: `ConfigMap shop/waypoint`. */
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
}

export type Overlaid =
  | { readonly kind: 'ok'; readonly objects: readonly NewObject[] }
  /** None of it is applied. */
  | { readonly kind: 'invalid'; readonly reason: string };

/** Keys of the ConfigMap's data, each with the kind that it patches. */
const kinds: Readonly<Record<string, { readonly apiVersion: string; readonly kind: string }>> = {
  deployment: { apiVersion: 'apps/v1', kind: 'Deployment' },
  service: { apiVersion: 'v1', kind: 'Service' },
  serviceAccount: { apiVersion: 'v1', kind: 'ServiceAccount' },
  horizontalPodAutoscaler: { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler' },
  podDisruptionBudget: { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
};

/** Of metadata only labels and annotations may be changed. */
const changeable: ReadonlySet<string> = new Set(['labels', 'annotations']);

/**
 * The objects as all overlays make them, the first of which is applied first. An autoscaler and a disruption budget are made where an overlay
 * says what they are. `objects` has the Deployment.
 */
export function applyOverlays(objects: readonly NewObject[], overlays: readonly Overlay[]): Overlaid {
  try {
    for (const { name, data } of overlays) {
      const unknown = Object.keys(data).find((key) => !Object.hasOwn(kinds, key));
      if (unknown !== undefined) throw new Error(`${name}: ${unknown} is none of ${Object.keys(kinds).join(', ')}`);
    }
    const made = Object.entries(kinds).flatMap(([key, { apiVersion, kind }]) => {
      const patches = overlays.filter(({ data }) => Object.hasOwn(data, key));
      const base = objects.find((o) => o.kind === kind) ?? (patches.length > 0 && scaling(apiVersion, kind, objects));
      if (!base) return [];
      return [patches.reduce((object, { name, data }) => patched(object, `${name}: ${key}`, data[key]!), base)];
    });
    // In the order in which they are needed.
    const order = (o: NewObject) => ['ServiceAccount', 'Deployment', 'Service'].indexOf(o.kind) >>> 0;
    return { kind: 'ok', objects: made.sort((a, b) => order(a) - order(b)) };
  } catch (e) {
    return { kind: 'invalid', reason: describeError(e) };
  }
}

/** For the Deployment. */
function scaling(apiVersion: string, kind: string, objects: readonly NewObject[]): NewObject {
  const { metadata, spec } = objects.find((o) => o.kind === 'Deployment')!;
  const { selector } = spec as { readonly selector: object };
  const target = { apiVersion: 'apps/v1', kind: 'Deployment', name: metadata.name };
  const own = kind === 'PodDisruptionBudget' ? { selector } : { scaleTargetRef: target, maxReplicas: 1 };
  return { apiVersion, kind, metadata, spec: own };
}

function patched(object: NewObject, where: string, text: string): NewObject {
  const document = parseDocument(text);
  const error = document.errors[0];
  if (error) throw new Error(`${where}: ${error.message}`);
  const resource = builtInResources.find(
    (r) => r.kind === object.kind && `${r.group}${r.group && '/'}${r.version}` === object.apiVersion,
  )!;
  let result: NewObject;
  try {
    result = applyStrategicPatch(resource.schema, object, document.toJS()) as NewObject;
  } catch (e) {
    throw new Error(`${where}: ${describeError(e)}`, { cause: e });
  }
  const rest = ({ metadata }: NewObject) =>
    JSON.stringify(Object.entries(metadata ?? {}).filter(([field]) => !changeable.has(field)));
  if (result.kind !== object.kind || result.apiVersion !== object.apiVersion || rest(result) !== rest(object))
    throw new Error(`${where}: of kind and metadata only labels and annotations can be changed`);
  return result;
}
