/** Objects with a few places changed to whatever. */
import fc from 'fast-check';

export type Change = readonly [where: number, how: 'drop' | 'replace' | 'repeat' | 'rename', value: unknown];
const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(
    null,
    '',
    '*',
    '.',
    '/',
    '(',
    '-1s',
    '0',
    'a'.repeat(300),
    'unix://',
    '{*}',
    -1,
    0,
    1.5,
    2 ** 53,
    [],
    {},
    [null],
    '\u0000',
    'ſ',
    '__proto__',
  ),
);
export const mutations = fc.array(
  fc.tuple(fc.nat(), fc.constantFrom('drop', 'replace', 'repeat', 'rename'), odd) as fc.Arbitrary<Change>,
  { minLength: 1, maxLength: 3 },
);

/** Changes one place of the object, whichever `where` picks. */
export function mutate(object: unknown, [where, how, value]: Change): unknown {
  const copy = structuredClone(object);
  const places: { readonly holder: Record<string, unknown> | unknown[]; readonly key: string }[] = [];
  const visit = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push({ holder: node as Record<string, unknown>, key });
      visit((node as Record<string, unknown>)[key]);
    }
  };
  visit(copy);
  const place = places[where % Math.max(1, places.length)];
  if (place === undefined) return value;
  const { holder, key } = place;
  if (Array.isArray(holder)) {
    const i = Number(key);
    if (how === 'drop') holder.splice(i, 1);
    else if (how === 'repeat') holder.push(structuredClone(holder[i]));
    else holder[i] = value;
  } else if (how === 'drop') delete holder[key];
  else if (how === 'rename') {
    holder[`${key}x`] = holder[key];
    delete holder[key];
  } else holder[key] = value;
  return copy;
}
