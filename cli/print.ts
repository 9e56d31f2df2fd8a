/** What commands print. */

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Progress, and what is no answer. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The YAML library is loaded where it is wanted. */
export async function printAs(format: 'json' | 'yaml', value: unknown): Promise<void> {
  if (format === 'json') return print(JSON.stringify(value, undefined, 2));
  const { stringify } = await import('yaml');
  print(stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd());
}
