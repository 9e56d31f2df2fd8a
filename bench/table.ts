/** Prints a table with the ratio of each value to ours, and writes the numbers beside it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { join, relative } from 'node:path';

export interface Row {
  readonly name: string;
  readonly unit: string;
  /** Digits after the point. */
  readonly digits: number;
  /** One a column; undefined where it does not apply. */
  readonly values: readonly (number | undefined)[];
  /** What our value should be, by itself or as a ratio to that of the last column. */
  readonly goal?: { readonly atMost: number } | { readonly ratioAtLeast: number } | { readonly ratioAtMost: number };
}

/** The column `ours` is compared with each other one: "0.62" behind a value means that ours is 0.62 times it. */
export function printTable(columns: readonly string[], rows: readonly Row[]): void {
  const ours = columns.indexOf('ours');
  const withGoals = rows.some((row) => row.goal !== undefined);
  const cells = rows.map((row) => [
    `${row.name}, ${row.unit}`,
    ...row.values.map((v, i) => cell(row, v, i === ours ? undefined : row.values[ours])),
    ...(withGoals ? [verdict(row, ours)] : []),
  ]);
  const head = ['', ...columns.map((c, i) => (i === ours ? c : `${c} (ours/it)`)), ...(withGoals ? ['goal'] : [])];
  const table = [head, ...cells];
  const widths = table[0]!.map((_, i) => Math.max(...table.map((line) => line[i]!.length)));
  process.stdout.write('\n');
  for (const line of table) {
    process.stdout.write(
      `${line.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  ')}\n`,
    );
  }
}

function cell({ digits }: Row, value: number | undefined, ours: number | undefined): string {
  if (value === undefined) return '-';
  const text = value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return ours === undefined || value === 0 ? text : `${text} (${(ours / value).toFixed(2)})`;
}

function verdict({ goal, values }: Row, ours: number): string {
  const own = values[ours];
  const other = values.at(-1);
  if (goal === undefined || own === undefined || other === undefined) return '';
  if ('atMost' in goal) return `<= ${goal.atMost}: ${own <= goal.atMost ? 'met' : 'missed'}`;
  // Nothing is compared with itself.
  if (ours === values.length - 1) return '';
  const ratio = own / other;
  if ('ratioAtLeast' in goal) return `>= ${goal.ratioAtLeast}: ${ratio >= goal.ratioAtLeast ? 'met' : 'missed'}`;
  return `<= ${goal.ratioAtMost}: ${ratio <= goal.ratioAtMost ? 'met' : 'missed'}`;
}

/** Writes bench/results/NAME-TIME.json with the machine it was measured on, and prints where. */
export async function writeResults(name: string, results: object): Promise<void> {
  const folder = join(import.meta.dirname, 'results');
  await mkdir(folder, { recursive: true });
  const at = new Date().toISOString();
  const file = join(folder, `${name}-${at.replaceAll(':', '-')}.json`);
  const machine = {
    cpus: cpus().length,
    model: cpus()[0]?.model,
    memoryMb: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
  };
  await writeFile(file, `${JSON.stringify({ at, machine, ...results }, undefined, 2)}\n`);
  process.stdout.write(`\n${relative(process.cwd(), file)}\n`);
}
