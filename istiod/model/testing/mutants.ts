/** Objects that differ from a good one in one place. */
import fc from 'fast-check';
import type { KubeObject } from '../../../common/kube/types.ts';

/** Every place in it, as a path. */
export function placesOf(
  value: unknown,
  path: readonly (string | number)[] = [],
): readonly (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? value.map((v, i) => [i, v] as const) : Object.entries(value);
  return [path, ...entries.flatMap(([k, v]) => placesOf(v, [...path, k]))];
}

const anything = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    '*',
    'x',
    -1,
    0,
    65_536,
    1.5,
    true,
    [],
    {},
    [null],
    ['x', 1],
    { a: null },
    '10.0.0.0/99',
    '::/0',
    'STRICT',
    'ALLOW',
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** One place below these is something else, or is gone; `likely`: what it may be besides junk. */
export function mutantsOf(
  object: KubeObject,
  parts: readonly string[],
  likely: readonly unknown[] = [],
): fc.Arbitrary<KubeObject> {
  const other = likely.length === 0 ? anything : fc.oneof(anything, fc.constantFrom(...likely));
  const value = other.map((is) => ({ is }));
  const places = parts.flatMap((part) => (object[part] === undefined ? [] : placesOf(object[part], [part])));
  return fc.tuple(fc.constantFrom(...places), fc.option(value)).map(([path, value]) => {
    const copy = structuredClone(object) as unknown as Record<string | number, unknown>;
    let at = copy;
    for (const step of path.slice(0, -1)) at = at[step] as typeof at;
    const last = path.at(-1)!;
    if (value === null) {
      if (Array.isArray(at)) at.splice(Number(last), 1);
      else delete at[last];
    } else at[last] = value.is;
    return copy as unknown as KubeObject;
  });
}
