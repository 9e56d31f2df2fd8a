/** Values of the charts, from values.yaml, whose comments say what they mean, and the keys of Istio's charts that have no meaning here. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { type ChartName, chartNames, withoutMeaning } from '../chart-values.ts';
import { code, table } from './pages.ts';

export function valuesPage(charts: string): string {
  const parts = [
    '# Values of the charts',
    "Keys are Istio's where it has them; ours are under `aquifer`. A key that is neither here nor known to Istio is refused by name. The chart `ambient` takes the keys of the others, each below the name of its chart.",
  ];
  for (const name of chartNames) {
    parts.push(`## ${name}`, table(['key', 'default', 'meaning'], rowsOf(name, charts)));
    const idle = Object.entries(withoutMeaning(name) as Readonly<Record<string, unknown>>);
    if (idle.length > 0) {
      parts.push(`Known to Istio's chart, without meaning here, and listed at the end of an installation:`);
      parts.push(
        table(
          ['key', 'why'],
          idle.map(([key, why]) => [code(key), String(why)]),
        ),
      );
    }
  }
  return `${parts.join('\n\n')}\n`;
}

function rowsOf(name: ChartName, charts: string): readonly (readonly string[])[] {
  const document = parseDocument(readFileSync(join(charts, name, 'values.yaml'), 'utf8'));
  return isMap(document.contents) ? [...below('', document.contents as YAMLMap)] : [];
}

function* below(path: string, map: YAMLMap): Generator<readonly string[]> {
  for (const pair of map.items as Pair[]) {
    const key = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
    const comment = commentOf(pair);
    const at = path === '' ? key : `${path}.${key}`;
    if (isMap(pair.value) && pair.value.items.length > 0) {
      if (comment !== '') yield [code(at), '', comment];
      yield* below(at, pair.value as YAMLMap);
    } else yield [code(at), code(JSON.stringify(pair.value ?? null)), comment];
  }
}

/** Above the key; that of the file is above the first one, parted by an empty line or by itself. */
function commentOf({ key }: Pair): string {
  const text = isScalar(key) ? (key.commentBefore ?? '') : '';
  return (
    text
      .split('\n')
      .map((line) => line.trim())
      // Of the file, not of its first key.
      .filter((line) => !line.startsWith('Keys have Istio'))
      .join(' ')
      .trim()
  );
}
