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
}

/** The column `ours` is compared with each other one: "0.62" behind a value means that ours is 0.62 times it. */
export function printTable(columns: readonly string[], rows: readonly Row[]): void {
  const ours = columns.indexOf('ours');
  const cells = rows.map((row) => [
    `${row.name}, ${row.unit}`,
    ...row.values.map((v, i) => cell(row, v, i === ours ? undefined : row.values[ours])),
  ]);
  const table = [['', ...columns.map((c, i) => (i === ours ? c : `${c} (ours/it)`))], ...cells];
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
