/** What form of an answer the client asks for (RFC 9110 12.5.1, and the parameters `as`, `g` and `v` of Kubernetes). */
import { notAcceptable } from '../status.ts';
import { protobufType } from './protobuf/wire.ts';

export interface Representation {
  readonly format: 'json' | 'yaml' | 'protobuf';
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
  [protobufType]: 'protobuf',
} as const;

const forms = {
  Table: 'table',
  PartialObjectMetadata: 'metadata',
  PartialObjectMetadataList: 'metadata',
} as const;

export interface Servable {
  /** The answer is of a resource, and can be shown as a table or as metadata alone. */
  readonly convertible: boolean;
  /** Its kind has numbers for its fields; all metadata has. */
  readonly protobuf: boolean;
}

/** The first of what the client accepts, by weight, that can be served. ApiError 406. */
export function negotiate(
  accept: string | undefined,
  query: URLSearchParams,
  { convertible, protobuf }: Servable,
): Representation {
  const pretty = ['1', 'true'].includes(query.get('pretty') ?? '');
  for (const { type, parameters } of choices(accept ?? '*/*')) {
    const format = Object.hasOwn(formats, type) ? formats[type as keyof typeof formats] : undefined;
    if (format === undefined) continue;
    const as = parameters.get('as');
    const binary = format === 'protobuf';
    if (as === undefined) {
      if (binary && !protobuf) continue;
      return { format, as: 'object', pretty };
    }
    if (binary && !as.startsWith('PartialObjectMetadata')) continue;
    const known = Object.hasOwn(forms, as) && parameters.get('g') === 'meta.k8s.io' && parameters.get('v') === 'v1';
    if (known && convertible) return { format, as: forms[as as keyof typeof forms], pretty };
  }
  throw notAcceptable(['application/json', 'application/yaml', ...(protobuf ? [protobufType] : [])]);
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
