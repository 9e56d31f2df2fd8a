/** Lines of Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats), as far as counters need it. Pure. */

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+\S+)?$/s;
const label = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)/sy;
const escapes: Readonly<Record<string, string>> = { n: '\n', '"': '"', '\\': '\\' };

/** Samples of these names, in order; a line that is none is passed over, as it is of a proxy that may be newer than we. */
export function* readSamples(text: string, names: ReadonlySet<string>): Generator<Sample> {
  for (const row of text.split('\n')) {
    // Most lines are of other metrics.
    const end = row.search(/[{ \t]/);
    if (end <= 0 || !names.has(row.slice(0, end))) continue;
    const found = line.exec(row);
    if (found === null) continue;
    const labels = readLabels(found[2] ?? '');
    const value = Number(found[3]);
    if (labels !== undefined && Number.isFinite(value)) yield { name: found[1]!, labels, value };
  }
}

function readLabels(text: string): ReadonlyMap<string, string> | undefined {
  const labels = new Map<string, string>();
  label.lastIndex = 0;
  while (label.lastIndex < text.length) {
    const found = label.exec(text);
    if (found === null) return undefined;
    labels.set(
      found[1]!,
      found[2]!.replace(/\\(.)/gs, (_, c: string) => escapes[c] ?? c),
    );
  }
  return labels;
}
