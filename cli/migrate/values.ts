/** Values of Istio's charts as our charts take them, and what of them does not come along. Pure. */
import { isObject } from '../../common/kube/schema/validate.ts';

export interface ChartKeys {
  /** values.schema.json. */
  readonly schema: unknown;
  /** Key -> why it has no meaning here. */
  readonly moot: Readonly<Record<string, string>>;
}

export interface Carried {
  readonly values: Readonly<Record<string, unknown>>;
  readonly dropped: readonly { readonly key: string; readonly value: unknown; readonly reason: string }[];
}

/** Of one image for all programs, and of the revision that is chosen here. */
const replaced: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['hub', 'tag', 'image', 'global.hub', 'global.tag', 'pilot.hub', 'pilot.tag', 'pilot.image'].map((key) => [
      key,
      'the image is another one; set hub and tag where you have a copy of it',
    ]),
  ),
  revision: 'chosen by aquifer migrate --revision',
  revisionTags: 'aquifer tag set moves tags',
};

export function carryOver(given: Readonly<Record<string, unknown>>, { schema, moot }: ChartKeys): Carried {
  const dropped: { key: string; value: unknown; reason: string }[] = [];
  const walk = (values: Readonly<Record<string, unknown>>, at: unknown, path: string): Record<string, unknown> => {
    // `pilot` has what stands beside it, too.
    const place = isObject(at) && at['$ref'] !== undefined ? schema : at;
    const known = isObject(place) && isObject(place['properties']) ? place['properties'] : undefined;
    const kept: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values)) {
      const key = path === '' ? name : `${path}.${name}`;
      const own = key.replace(/^pilot\./, '');
      const reason =
        replaced[key] ??
        moot[own] ??
        (known !== undefined && !Object.hasOwn(known, name) ? 'this chart has no such key' : undefined);
      // What Istio's charts tell themselves.
      if (name.startsWith('_internal')) continue;
      if (reason !== undefined) dropped.push({ key, value, reason });
      else if (!isObject(value)) kept[name] = value;
      else {
        const inner = walk(value, known?.[name], key);
        if (Object.keys(inner).length > 0 || Object.keys(value).length === 0) kept[name] = inner;
      }
    }
    return kept;
  };
  return { values: walk(given, schema, ''), dropped };
}
