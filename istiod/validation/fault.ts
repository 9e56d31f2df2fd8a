/** Why istiod does not take an object that the API server took: a webhook was off, or a definition old. */
import { formatPath, isObject, type Path } from '../../common/kube/schema/validate.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { validateObject } from './validate-object.ts';

/** Kinds whose unknown fields may be a condition that we would not check. */
const strict = new Set(['AuthorizationPolicy', 'PeerAuthentication']);

/** The first fault of its spec, undefined when there is none: the rest is the API server's and other controllers' business. */
export function faultOf(object: KubeObject): string | undefined {
  const { metadata, apiVersion, kind, spec } = object;
  const { name, namespace } = metadata;
  if ((spec === undefined || spec === null) && !strict.has(kind)) return 'spec: required field is missing';
  const judge = (spec: unknown) =>
    validateObject({
      apiVersion,
      kind,
      metadata: { name, ...(namespace !== undefined && { namespace }) },
      ...(spec !== undefined && { spec }),
    })?.filter((f) => f.level === 'error' && f.path[0] === 'spec') ?? [];
  const findings = judge(spec);
  const unknown = strict.has(kind) ? [] : findings.filter((f) => f.at === 'key');
  // While a field is unknown nothing is said of what the others mean together.
  const fault = (unknown.length === 0 ? findings : judge(without(spec, unknown))).find(
    (f) => strict.has(kind) || f.at !== 'key',
  );
  return fault && `${formatPath(fault.path)}: ${fault.reason}`;
}

/** A copy without the members at these paths of the object. */
function without(spec: unknown, findings: readonly { readonly path: Path }[]): unknown {
  const copy = structuredClone(spec);
  for (const { path } of findings) {
    const [last, ...holders] = path.slice(1).reverse();
    const holder = holders.reduceRight<unknown>((node, step) => (node as Loose | undefined)?.[step], copy);
    if (last !== undefined && isObject(holder)) delete holder[last];
  }
  return copy;
}

type Loose = Readonly<Record<string | number, unknown>>;
