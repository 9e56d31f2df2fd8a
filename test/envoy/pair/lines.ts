/** Headers and trailers as lines `name: value`: names in lower case, sorted by them; values of one name in their order. */

/** Of names and values in turn. */
export function linesOf(raw: readonly string[]): readonly string[] {
  return byName(raw.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${raw[i + 1]}`] : [])));
}

export function byName(lines: readonly string[]): readonly string[] {
  const named = lines.map((line) => {
    const colon = line.indexOf(': ');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon)] as const;
  });
  return named.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map((parts) => parts.join(''));
}

/** undefined: there is none of that name. */
export function textOf(lines: readonly string[], name: string): string | undefined {
  const found = lines.flatMap((line) => (line.startsWith(`${name}: `) ? [line.slice(name.length + 2)] : []));
  return found.length === 0 ? undefined : found.join(', ');
}
