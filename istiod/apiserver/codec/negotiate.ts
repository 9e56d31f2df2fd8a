/** What form of an answer the client asks for (RFC 9110 12.5.1, and the parameters `as`, `g` and `v` of Kubernetes). */
import { notAcceptable } from '../status.ts';

export interface Representation {
  readonly format: 'json' | 'yaml';
  /** `table`: columns for people; `metadata`: PartialObjectMetadata, without spec and status. */
  readonly as: 'object' | 'table' | 'metadata';
  /** Indented, for people with curl. */
  readonly pretty: boolean;
}

const formats = {
  'application/json': 'json',
  'application/*': 'json',
  '*/*': 'json',
  'application/yaml': 'yaml',
} as const;

const forms = {
  Table: 'table',
  PartialObjectMetadata: 'metadata',
  PartialObjectMetadataList: 'metadata',
} as const;

/** The first of what the client accepts, by weight, that can be served. ApiError 406. `convertible`: the answer is of a resource. */
export function negotiate(accept: string | undefined, query: URLSearchParams, convertible: boolean): Representation {
  const pretty = ['1', 'true'].includes(query.get('pretty') ?? '');
  for (const { type, parameters } of choices(accept ?? '*/*')) {
    const format = Object.hasOwn(formats, type) ? formats[type as keyof typeof formats] : undefined;
    if (format === undefined) continue;
    const as = parameters.get('as');
    if (as === undefined) return { format, as: 'object', pretty };
    const known = Object.hasOwn(forms, as) && parameters.get('g') === 'meta.k8s.io' && parameters.get('v') === 'v1';
    if (known && convertible) return { format, as: forms[as as keyof typeof forms], pretty };
  }
  throw notAcceptable(['application/json', 'application/yaml']);
}

function choices(accept: string): { readonly type: string; readonly parameters: ReadonlyMap<string, string> }[] {
  const all = accept.split(',').map((choice) => {
    const [type = '', ...rest] = choice.split(';').map((p) => p.trim());
    const parameters = new Map(rest.map((p) => [p.split('=', 1)[0]!, p.slice(p.indexOf('=') + 1)] as const));
    const weight = Number(parameters.get('q') ?? '1');
    return { type: type.toLowerCase(), parameters, weight: Number.isFinite(weight) ? weight : 0 };
  });
  return all.filter((c) => c.weight > 0).sort((a, b) => b.weight - a.weight);
}
