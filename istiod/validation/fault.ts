/** Why istiod does not take an object that the API server took: a webhook was off, or a definition old. */
import { formatPath } from '../../common/kube/schema/validate.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { validateObject } from './validate-object.ts';

/** Kinds whose unknown fields may be a condition that we would not check. */
const strict = new Set(['AuthorizationPolicy', 'PeerAuthentication']);

/** The first fault of its spec, undefined when there is none: the rest is the API server's and other controllers' business. */
export function faultOf(object: KubeObject): string | undefined {
  const { metadata, apiVersion, kind, spec } = object;
  const { name, namespace } = metadata;
  if (spec === undefined && !strict.has(kind)) return 'spec: required field is missing';
  const findings = validateObject({
    apiVersion,
    kind,
    metadata: { name, ...(namespace !== undefined && { namespace }) },
    ...(spec !== undefined && { spec }),
  });
  const fault = findings?.find(
    (f) => f.level === 'error' && f.path[0] === 'spec' && (strict.has(kind) || f.at !== 'key'),
  );
  return fault && `${formatPath(fault.path)}: ${fault.reason}`;
}
