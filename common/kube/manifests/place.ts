/** Where in a YAML text a field is. */
import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node } from 'yaml';
import type { Issue } from '../schema/validate.ts';

/** Where a path is in the text; the nearest enclosing node where the path itself is not written down. */
export function placeOf(
  document: Document.Parsed,
  path: readonly (string | number)[],
  lines: LineCounter,
  at: Issue['at'],
): { line?: number; column?: number } {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0];
  for (const [i, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    if (isMap(node)) {
      const pair: { key: unknown; value: unknown } | undefined = node.items.find(
        (p) => isScalar(p.key) && String(p.key.value) === String(part),
      );
      if (pair === undefined) break;
      const key = pair.key as Node;
      const value = pair.value as Node | null;
      const wantsKey = value === null || (at === 'key' && i === path.length - 1);
      offset = (wantsKey ? key : value).range?.[0] ?? offset;
      node = value;
    } else if (isSeq(node)) {
      node = (node.items[Number(part)] as Node | undefined) ?? null;
      if (node === null) break;
      offset = node.range?.[0] ?? offset;
    } else break;
  }
  if (offset === undefined) return {};
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}
